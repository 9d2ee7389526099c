-- The message that has this key.
-- $1 account_id bigint
-- $2 key text
-- $3 now timestamptz
-- Columns: message_id bigint, content bytea
SELECT message_id, content
FROM baton.idempotency
WHERE account_id = $1::bigint
  AND key = $2::text
  AND expires_at > $3::timestamptz;
