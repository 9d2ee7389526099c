-- Columns: name
-- $1 account_id bigint
-- $2 name text
DELETE FROM baton.domain
WHERE account_id = $1::bigint AND name = $2::text
RETURNING name;
