-- Columns: group_id, name, kind
-- $1 account_id bigint
-- $2 name text, in any case
SELECT group_id, name, kind
FROM baton.message_group
WHERE account_id = $1::bigint AND lower(name) = lower($2::text);
