-- Who has exactly this range. Columns: account
-- $1 range text
SELECT a.name AS account
FROM baton.network n JOIN baton.account a USING (account_id)
WHERE n.range = ($1::text)::cidr;
