-- Take back what messages were counted for whose deliveries this transaction
-- withdraws (delivery_withdraw, before this): those that were there.
-- Parameters, one element a message and period:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]   one of those that counted
--   $3 user_name text[]       '' is the account as a whole
--   $4 period smallint[]
--   $5 began_at timestamptz[]
--   $6 worker_id bigint[]
--   $7 lane smallint[]
--   $8 recipients integer[]
INSERT INTO baton.usage (account_id, user_name, period, began_at, worker_id,
                         lane, messages, recipients)
SELECT account_id, user_name, period, began_at, worker_id, lane, -count(*),
       -sum(recipients)
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::smallint[],
            $5::timestamptz[], $6::bigint[], $7::smallint[], $8::integer[])
    AS given (account_id, delivery_id, user_name, period, began_at, worker_id,
              lane, recipients)
WHERE EXISTS (SELECT FROM baton.delivery
              WHERE delivery.account_id = given.account_id
                AND delivery.delivery_id = given.delivery_id
                AND delivery.state = 'withdrawn'
                AND delivery.recipient <> ''
                AND delivery.xmin = pg_current_xact_id()::xid)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (account_id, user_name, period, began_at, worker_id, lane) DO UPDATE
SET messages = usage.messages + EXCLUDED.messages,
    recipients = usage.recipients + EXCLUDED.recipients;
