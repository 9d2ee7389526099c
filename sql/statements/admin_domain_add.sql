-- A domain that an account writes from.
-- Columns: name
-- $1 account_id bigint
-- $2 name text, normalised
-- $3 return_host text
-- $4 link_host text
-- $5 link_scheme text
INSERT INTO baton.domain (account_id, name, return_host, link_host, link_scheme)
VALUES ($1::bigint, $2::text, $3::text, $4::text, $5::text)
RETURNING name;
