-- Give the keys of withdrawn messages free: whoever sends one again is not told
-- that it is here.
-- Parameters, one element a message:
--   $1 account_id bigint[]
--   $2 key text[]
--   $3 message_id bigint[]
DELETE FROM baton.idempotency
USING unnest($1::bigint[], $2::text[], $3::bigint[])
    AS given (account_id, key, message_id)
WHERE idempotency.account_id = given.account_id
  AND idempotency.key = given.key
  AND idempotency.message_id = given.message_id;
