-- Columns: address
-- $1 account_id bigint
-- $2 address text, normalised
DELETE FROM baton.inbound_route
WHERE account_id = $1::bigint AND address = $2::text
RETURNING address;
