-- Suppressions of an account, the newest first. group_name: NULL is the whole
-- account, '{}' are messages without a group. Columns: address, group_name,
-- reason, evidence, created_at, expires_at, is_active
-- $1 account_id bigint
-- $2 address text or NULL; in any case
-- $3 scope text: all, account or group
-- $4 group_id bigint or NULL
-- $5 reason text or NULL
-- $6 limit integer
SELECT address,
       CASE WHEN group_id = 0 THEN '{}' ELSE group_name END AS group_name,
       reason, evidence, date_trunc('second', created_at) AS created_at,
       date_trunc('second', expires_at) AS expires_at, is_active
FROM report.suppression
WHERE account_id = $1::bigint
  AND ($2::text IS NULL OR address = lower($2::text))
  AND ($3::text = 'all' OR ($3::text = 'account' AND group_id IS NULL)
       OR group_id = $4::bigint)
  AND ($5::text IS NULL OR reason = $5::text)
ORDER BY created_at DESC, address, group_id NULLS FIRST
LIMIT $6::integer;
