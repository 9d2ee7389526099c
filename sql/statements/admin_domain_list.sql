-- Columns: account, domain, created_at
-- $1 account_id bigint or NULL for all
SELECT a.name AS account, d.name AS domain, date_trunc('second', d.created_at)
       AS created_at
FROM baton.domain d
JOIN baton.account a USING (account_id)
WHERE $1::bigint IS NULL OR d.account_id = $1::bigint
ORDER BY a.name, d.name;
