-- Unfinished deliveries, the longest waiting first: chosen first, explained
-- then. Columns: message_id, account, recipient, state, next_try_at,
-- attempt_count, why
-- $1 account_id bigint or NULL
-- $2 domain text or NULL
-- $3 limit integer
WITH chosen AS MATERIALIZED (
    SELECT account_id, delivery_id
    FROM baton.queue
    WHERE ($1::bigint IS NULL OR account_id = $1::bigint)
      AND ($2::text IS NULL OR domain = $2::text)
    ORDER BY message_id, delivery_id
    LIMIT $3::integer
)
SELECT q.message_id, q.account, q.recipient, q.state, q.next_try_at,
       q.attempt_count, q.why
FROM chosen
JOIN report.queue q USING (account_id, delivery_id)
ORDER BY q.message_id, q.delivery_id;
