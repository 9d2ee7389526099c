-- Store what the sandbox route took in.
-- Again: those that are there already stay as they are.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 message_id bigint[]
--   $4 recipient text[]
--   $5 sender text[]
--   $6 received_at timestamptz[]
--   $7 message bytea[]
INSERT INTO baton.sandbox (
    account_id, delivery_id, message_id, recipient, sender, received_at,
    message)
SELECT *
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[],
            $6::timestamptz[], $7::bytea[])
-- again: ON CONFLICT DO NOTHING;
