-- Mark deliveries withdrawn, also those that are not there: a transaction that
-- would still bring one finds it here and queues nothing.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 message_id bigint[]
--   $4 withdrawn_at timestamptz[]
INSERT INTO baton.delivery (
    account_id, delivery_id, message_id, recipient, domain, notify, state,
    finished_at)
SELECT account_id, delivery_id, message_id, '', '', 0, 'withdrawn',
       withdrawn_at
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[])
    AS given (account_id, delivery_id, message_id, withdrawn_at)
ON CONFLICT (account_id, delivery_id) DO UPDATE
SET state = 'withdrawn', finished_at = EXCLUDED.finished_at
WHERE delivery.state = 'queued';
