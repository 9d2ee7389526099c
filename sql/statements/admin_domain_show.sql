-- One domain with its hosts.
-- Columns: name, return_host, link_host, link_scheme, dkim_is_right,
--   return_is_right, link_is_right, checked_at, findings
-- $1 account_id bigint
-- $2 name text
SELECT name, return_host, link_host, link_scheme, dkim_is_right,
       return_is_right, link_is_right, checked_at, findings
FROM baton.domain
WHERE account_id = $1::bigint AND name = $2::text;
