-- Grant what fits of what messages of one account ask for, one by one.
-- Parameters, one element a period that is limited:
--   $1 user_name text[]   '' is the account as a whole
--   $2 period smallint[]
--   $3 began_at timestamptz[]
--   $4 most_messages bigint[]     0: no limit
--   $5 most_recipients bigint[]   0: no limit
--   $6 held_messages bigint[]     what this worker took of it until now
--   $7 held_recipients bigint[]
-- and
--   $8 account_id bigint
--   $9 worker_id bigint
-- and one element a message that asks:
--   $10 user_name text[]   '' has no limits of its own
--   $11 recipients bigint[]
--   $12 mode bigint[]
-- Columns: granted bigint, line integer (of $1, from 1; 0: nothing was in the
-- way), is_recipients boolean
SELECT granted, line, is_recipients
FROM baton.take_usage($8::bigint, $9::bigint, $1::text[], $2::smallint[],
                      $3::timestamptz[], $4::bigint[], $5::bigint[],
                      $6::bigint[], $7::bigint[], $10::text[], $11::bigint[],
                      $12::bigint[]);
