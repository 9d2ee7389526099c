-- An account by name or id. Columns: account_id, name, manager_email
-- $1 name or id text
SELECT account_id, name, manager_email
FROM baton.account
WHERE name = $1::text OR account_id::text = $1::text
ORDER BY (name = $1::text) DESC
LIMIT 1;
