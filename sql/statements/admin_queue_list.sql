-- Unfinished deliveries, the oldest first: chosen first, account by account,
-- because there the index has them in this order; explained then. Columns:
-- message_id, account, recipient, state, next_try_at, attempt_count, why
-- $1 account_id bigint or NULL
-- $2 domain text or NULL
-- $3 limit integer
WITH chosen AS MATERIALIZED (
    SELECT oldest.account_id, oldest.delivery_id
    FROM baton.queue_account
    CROSS JOIN LATERAL (
        SELECT queue.account_id, queue.delivery_id
        FROM baton.queue
        WHERE queue.account_id = queue_account.account_id
          AND ($2::text IS NULL OR queue.domain = $2::text)
        ORDER BY queue.delivery_id
        LIMIT $3::integer
    ) AS oldest
    WHERE $1::bigint IS NULL OR queue_account.account_id = $1::bigint
    ORDER BY oldest.delivery_id
    LIMIT $3::integer
)
SELECT q.message_id, q.account, q.recipient, q.state, q.next_try_at,
       q.attempt_count, q.why
FROM chosen
JOIN report.queue q USING (account_id, delivery_id)
ORDER BY q.delivery_id;
