-- Unfinished deliveries, the longest waiting first. Columns: message_id,
-- account, recipient, state, next_try_at, attempt_count, why
-- $1 account_id bigint or NULL
-- $2 domain text or NULL
-- $3 limit integer
SELECT message_id, account, recipient, state, next_try_at, attempt_count, why
FROM report.queue
WHERE ($1::bigint IS NULL OR account_id = $1::bigint)
  AND ($2::text IS NULL OR domain = $2::text)
ORDER BY message_id, delivery_id
LIMIT $3::integer;
