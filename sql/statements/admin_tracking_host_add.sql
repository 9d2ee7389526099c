-- Columns: host
-- $1 account_id bigint
-- $2 host text, normalised
-- $3 scheme text
INSERT INTO baton.tracking_host (account_id, host, scheme)
VALUES ($1::bigint, $2::text, $3::text)
RETURNING host;
