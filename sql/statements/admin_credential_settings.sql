-- The settings of a user name; a row with NULL if it has none, no row if there
-- is no such user name. Columns: key, value
-- $1 account_id bigint
-- $2 user_name text
SELECT s.key, s.value
FROM baton.credential c
LEFT JOIN LATERAL jsonb_each_text(c.settings) AS s ON true
WHERE c.account_id = $1::bigint AND c.user_name = $2::text
ORDER BY s.key;
