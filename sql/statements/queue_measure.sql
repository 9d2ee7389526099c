-- How many deliveries are due, up to 1,000 an account and priority of the first
-- 256 accounts, and since when the oldest waits.
-- Parameters:
--   $1 now timestamptz
-- Columns: row_count bigint, oldest_due_at timestamptz (NULL: none)
WITH RECURSIVE walk (account_id, place) AS (
    (SELECT queue.account_id, 1
     FROM baton.queue
     ORDER BY queue.account_id
     LIMIT 1)
    UNION ALL
    SELECT next.account_id, walk.place + 1
    FROM walk
    CROSS JOIN LATERAL (
        SELECT queue.account_id
        FROM baton.queue
        WHERE queue.account_id > walk.account_id
        ORDER BY queue.account_id
        LIMIT 1
    ) AS next
    WHERE walk.place < 256
)
SELECT coalesce(sum(own.row_count), 0)::bigint AS row_count,
       min(own.oldest_due_at) AS oldest_due_at
FROM walk
CROSS JOIN (VALUES (0), (1)) AS lane (priority)
CROSS JOIN LATERAL (
    SELECT count(*) AS row_count, min(due_at) AS oldest_due_at
    FROM (
        SELECT queue.due_at
        FROM baton.queue
        WHERE queue.account_id = walk.account_id
          AND queue.priority = lane.priority
          AND queue.due_at <= $1::timestamptz
        ORDER BY queue.due_at
        LIMIT 1000
    ) AS first
) AS own;
