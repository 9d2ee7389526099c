-- The settings that were given. Columns: key, value
-- $1 account_id bigint
SELECT key, value
FROM baton.account, jsonb_each_text(settings)
WHERE account_id = $1::bigint
ORDER BY key;
