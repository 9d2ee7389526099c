-- What is suspended. Columns: scope, value, account, reason, created_at
SELECT s.scope, s.value, a.name AS account, s.reason,
       date_trunc('second', s.created_at) AS created_at
FROM baton.suspension s
LEFT JOIN baton.account a
    ON s.scope = 'account' AND a.account_id::text = s.value
ORDER BY s.scope, s.value;
