-- The queue in groups: what waits where, and why. Rows that differ in nothing
-- that matters here are counted first, and one of each kind is explained. What
-- waits for the time that its sender named is one kind, whatever the time.
-- Columns: delivery_count, account, domain, state, oldest_at, next_try_at, why
-- $1 account_id bigint or NULL
-- $2 domain text or NULL
-- $3 limit integer
WITH kinds AS MATERIALIZED (
    SELECT account_id, count(*) AS delivery_count,
           min(message_id) AS oldest_id, min(due_at) AS due_at,
           min(delivery_id) AS delivery_id,
           kind LIKE 'its sender wants %' AS is_later
    FROM baton.queue
    CROSS JOIN LATERAL (
        SELECT CASE WHEN why LIKE 'its sender wants it sent at %'
               THEN 'its sender wants it sent later' ELSE why END AS kind) AS k
    WHERE ($1::bigint IS NULL OR account_id = $1::bigint)
      AND ($2::text IS NULL OR domain = $2::text)
    GROUP BY account_id, domain, worker_id, kind,
             message_id::text IN (SELECT value FROM baton.suspension
                                  WHERE scope = 'message')
)
SELECT sum(k.delivery_count)::bigint AS delivery_count, q.account, q.domain,
       q.state,
       date_trunc('second', baton.id_instant(min(k.oldest_id))) AS oldest_at,
       date_trunc('second', min(k.due_at)) AS next_try_at, reason.why
FROM kinds k
JOIN report.queue q USING (account_id, delivery_id)
CROSS JOIN LATERAL (
    SELECT CASE WHEN k.is_later AND q.state = 'waiting'
           THEN 'its sender wants it sent later' ELSE q.why END AS why) AS reason
GROUP BY q.account, q.domain, q.state, reason.why
ORDER BY delivery_count DESC, q.account, q.domain, reason.why
LIMIT $3::integer;
