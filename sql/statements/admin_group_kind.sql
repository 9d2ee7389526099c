-- Columns: kind
-- $1 account_id bigint
-- $2 group_id bigint
-- $3 kind text
UPDATE baton.message_group
SET kind = $3::text
WHERE account_id = $1::bigint AND group_id = $2::bigint
RETURNING kind;
