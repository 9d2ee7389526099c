-- The queue in groups: what waits where, and why. Columns: delivery_count,
-- account, domain, state, oldest_at, next_try_at, why
-- $1 account_id bigint or NULL
-- $2 domain text or NULL
-- $3 limit integer
SELECT count(*) AS delivery_count, account, domain, state,
       date_trunc('second', min(accepted_at)) AS oldest_at,
       date_trunc('second', min(next_try_at)) AS next_try_at, why
FROM report.queue
WHERE ($1::bigint IS NULL OR account_id = $1::bigint)
  AND ($2::text IS NULL OR domain = $2::text)
GROUP BY account, domain, state, why
ORDER BY delivery_count DESC, account, domain, why
LIMIT $3::integer;
