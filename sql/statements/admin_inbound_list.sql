-- Columns: account, address, target, created_at
-- $1 account_id bigint or NULL for all
SELECT a.name AS account, r.address, r.target,
       date_trunc('second', r.created_at) AS created_at
FROM baton.inbound_route r
JOIN baton.account a USING (account_id)
WHERE $1::bigint IS NULL OR r.account_id = $1::bigint
ORDER BY a.name, split_part(r.address, '@', 2), r.address;
