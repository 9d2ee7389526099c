-- Columns: name
-- $1 account_id bigint
-- $2 name text, normalised
INSERT INTO baton.domain (account_id, name)
VALUES ($1::bigint, $2::text)
RETURNING name;
