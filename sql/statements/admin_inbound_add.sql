-- Columns: address. No row: the domain is not the account's.
-- $1 account_id bigint
-- $2 address text, local@domain or @domain in lower case, normalised
-- $3 domain text, of it
-- $4 target text
INSERT INTO baton.inbound_route (account_id, address, target)
SELECT $1::bigint, $2::text, $4::text
WHERE EXISTS (SELECT
              FROM baton.domain
              WHERE domain.account_id = $1::bigint
                AND (domain.name = $3::text
                     OR right($3::text, length(domain.name) + 1)
                        = '.' || domain.name))
RETURNING address;
