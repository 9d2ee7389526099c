-- The account that has a host. Columns: account
-- $1 host text
SELECT a.name AS account
FROM baton.tracking_host h
JOIN baton.account a USING (account_id)
WHERE h.host = $1::text;
