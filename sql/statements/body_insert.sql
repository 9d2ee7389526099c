-- Store chunks of messages.
-- Again: those that are there already stay as they are.
-- Parameters, one element a chunk:
--   $1 account_id bigint[]
--   $2 message_id bigint[]
--   $3 chunk integer[]
--   $4 data bytea[]
INSERT INTO baton.body (account_id, message_id, chunk, data)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bytea[])
-- again: ON CONFLICT DO NOTHING;
