-- Columns: group_id
-- $1 account_id bigint
-- $2 name text
-- $3 kind text
INSERT INTO baton.message_group (account_id, name, kind)
VALUES ($1::bigint, $2::text, $3::text)
RETURNING group_id;
