-- The account that has an inbound route. Columns: account
-- $1 address text, normalised
SELECT a.name AS account
FROM baton.inbound_route r
JOIN baton.account a USING (account_id)
WHERE r.address = $1::text;
