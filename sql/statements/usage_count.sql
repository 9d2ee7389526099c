-- Count messages that this transaction stores. Again: those that it does not,
-- because they are there already, were counted with them.
-- Parameters, one element a message and period:
--   $1 account_id bigint[]
--   $2 message_id bigint[]
--   $3 user_name text[]   '' is the account as a whole
--   $4 period smallint[]
--   $5 began_at timestamptz[]
--   $6 worker_id bigint[]
--   $7 lane smallint[]
--   $8 recipients integer[]
INSERT INTO baton.usage (account_id, user_name, period, began_at, worker_id,
                         lane, messages, recipients)
SELECT account_id, user_name, period, began_at, worker_id, lane, count(*),
       sum(recipients)
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::smallint[],
            $5::timestamptz[], $6::bigint[], $7::smallint[], $8::integer[])
    AS given (account_id, message_id, user_name, period, began_at, worker_id,
              lane, recipients)
-- again: WHERE EXISTS (SELECT FROM baton.message
-- again:               WHERE message.account_id = given.account_id
-- again:                 AND message.message_id = given.message_id
-- again:                 AND message.xmin = pg_current_xact_id()::xid)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (account_id, user_name, period, began_at, worker_id, lane) DO UPDATE
SET messages = usage.messages + EXCLUDED.messages,
    recipients = usage.recipients + EXCLUDED.recipients;
