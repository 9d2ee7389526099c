-- Columns: range
-- $1 account_id bigint
-- $2 range text
DELETE FROM baton.network
WHERE account_id = $1::bigint AND range = ($2::text)::cidr
RETURNING range;
