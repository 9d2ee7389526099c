-- Store attempts.
-- Again: those that are there already stay as they are.
-- Parameters, one element an attempt:
--   $1 account_id bigint[]
--   $2 attempt_id bigint[]
--   $3 delivery_id bigint[]
--   $4 message_id bigint[]
--   $5 number integer[]
--   $6 started_at timestamptz[]
--   $7 finished_at timestamptz[]
--   $8 worker_id bigint[]
--   $9 host text[]
--   $10 address text[]
--   $11 outcome text[]
--   $12 scope text[]
--   $13 step text[]
--   $14 reply_code smallint[]
--   $15 enhanced_code text[]
--   $16 reply text[]
--   $17 tls text[]
--   $18 queue_milliseconds bigint[]
--   $19 connect_milliseconds bigint[]
--   $20 transfer_milliseconds bigint[]
--   $21 transcript text[]
INSERT INTO baton.attempt (
    account_id, attempt_id, delivery_id, message_id, number, started_at,
    finished_at, worker_id, host, address, outcome, scope, step, reply_code,
    enhanced_code, reply, tls, queue_milliseconds, connect_milliseconds,
    transfer_milliseconds, transcript)
SELECT *
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
            $5::integer[], $6::timestamptz[], $7::timestamptz[], $8::bigint[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
            $14::smallint[], $15::text[], $16::text[], $17::text[],
            $18::bigint[], $19::bigint[], $20::bigint[], $21::text[])
-- again: ON CONFLICT DO NOTHING;
