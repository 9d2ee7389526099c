-- User names, without their secrets. Columns: account, user_name, kind,
-- group_name, created_at
-- $1 account_id bigint or NULL for all
SELECT a.name AS account, c.user_name, c.kind, c.group_name,
       date_trunc('second', c.created_at) AS created_at
FROM baton.credential c
JOIN baton.account a USING (account_id)
WHERE $1::bigint IS NULL OR c.account_id = $1::bigint
ORDER BY a.name, c.user_name;
