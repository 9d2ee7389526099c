-- Columns: account, range, created_at
-- $1 account_id bigint or NULL for all
SELECT a.name AS account, n.range, date_trunc('second', n.created_at)
       AS created_at
FROM baton.network n
JOIN baton.account a USING (account_id)
WHERE $1::bigint IS NULL OR n.account_id = $1::bigint
ORDER BY a.name, n.range;
