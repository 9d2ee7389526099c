-- The limits of accounts and user names and what is used of them. Columns:
-- account, user_name ('' is the account), kind, period, used, limit, resets_at
-- $1 account_id bigint or NULL for all
-- $2 now timestamptz
SELECT account, user_name, kind, period, used, most AS "limit", resets_at
FROM baton.usage_at($2::timestamptz)
WHERE $1::bigint IS NULL OR account_id = $1::bigint;
