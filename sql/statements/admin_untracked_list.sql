-- Who objects to being tracked. Columns: address, created_at
-- $1 account_id bigint
SELECT address, date_trunc('second', created_at) AS created_at
FROM baton.untracked
WHERE account_id = $1::bigint
ORDER BY address;
