-- Columns: name
-- $1 account_id bigint
-- $2 group_id bigint
-- $3 new_name text
UPDATE baton.message_group
SET name = $3::text
WHERE account_id = $1::bigint AND group_id = $2::bigint
RETURNING name;
