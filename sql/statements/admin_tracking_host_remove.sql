-- Columns: host
-- $1 account_id bigint
-- $2 host text, normalised
DELETE FROM baton.tracking_host
WHERE account_id = $1::bigint AND host = $2::text
RETURNING host;
