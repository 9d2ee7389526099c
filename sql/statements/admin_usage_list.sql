-- The limits of accounts and user names and what is used of them. Columns:
-- account, user_name ('' is the account), kind, period, used, allowed, resets_at
-- $1 account_id bigint or NULL for all
SELECT account, user_name, kind, period, used, allowed, resets_at
FROM report.usage
WHERE $1::bigint IS NULL OR account_id = $1::bigint
ORDER BY account, user_name, kind, resets_at - began_at;
