-- What is set for all accounts. Columns: name, value, created_at
SELECT name, value, date_trunc('second', created_at) AS created_at
FROM baton.server_setting
ORDER BY name;
