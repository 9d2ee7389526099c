-- Lease due deliveries, fairly: walk from account to account in the due index,
-- starting behind $4 and going round, at most 256 accounts far and until 64 of
-- them have something due; each gets an equal share of the rows, its high
-- priority first, then what was due first. Whether an account has something due
-- is asked in a form that PostgreSQL cannot answer for all accounts at once, by
-- reading the whole queue.
-- Parameters:
--   $1 worker_id bigint
--   $2 now timestamptz
--   $3 row_limit integer
--   $4 after_account bigint
--   $5 claim text   marks what this claim took, for queue_unclaim
--   $6 passed_over bigint[]   accounts that get nothing now
-- Columns: next_account bigint (the same in every row; where to go on), then
-- the delivery: account_id bigint, delivery_id bigint (NULL: there is none),
-- message_id bigint, domain text, priority smallint, attempt_count integer,
-- expires_at timestamptz, size_bytes bigint, recipient text, notify smallint,
-- original_recipient text, accepted_at timestamptz, sender text,
-- envelope_id text, dsn_return smallint, is_smtputf8 boolean,
-- has_8bit boolean, last_reply text, group_id bigint, policy text (JSON),
-- is_sandboxed boolean
WITH RECURSIVE walk (account_id, lap, place) AS (
    SELECT $4::bigint, 0, 0
    UNION ALL
    SELECT next.account_id, next.lap, walk.place + 1
    FROM walk
    CROSS JOIN LATERAL (
        (SELECT queue.account_id, walk.lap
         FROM baton.queue
         WHERE queue.account_id > walk.account_id
         ORDER BY queue.account_id
         LIMIT 1)
        UNION ALL
        (SELECT queue.account_id, 1
         FROM baton.queue
         WHERE walk.lap = 0
         ORDER BY queue.account_id
         LIMIT 1)
        LIMIT 1
    ) AS next (account_id, lap)
    WHERE walk.place < 256
      AND (next.lap = 0 OR next.account_id <= $4::bigint)
), due AS MATERIALIZED (
    SELECT walk.account_id, walk.place
    FROM walk
    WHERE walk.place > 0
      AND walk.account_id <> ALL ($6::bigint[])
      AND coalesce((SELECT true FROM baton.queue
                    WHERE queue.account_id = walk.account_id
                      AND queue.priority = 1
                      AND queue.due_at <= $2::timestamptz
                    LIMIT 1),
                   (SELECT true FROM baton.queue
                    WHERE queue.account_id = walk.account_id
                      AND queue.priority = 0
                      AND queue.due_at <= $2::timestamptz
                    LIMIT 1),
                   false)
    LIMIT 64
), picked AS MATERIALIZED (
    SELECT own.id
    FROM due
    CROSS JOIN LATERAL (
        (SELECT * FROM (
            SELECT queue.ctid AS id
            FROM baton.queue
            WHERE queue.account_id = due.account_id
              AND queue.priority = 1
              AND queue.due_at <= $2::timestamptz
            ORDER BY queue.due_at
            LIMIT (SELECT ceil($3::integer::numeric / greatest(count(*), 1))
                   FROM due)
            FOR UPDATE SKIP LOCKED) AS high)
        UNION ALL
        (SELECT * FROM (
            SELECT queue.ctid AS id
            FROM baton.queue
            WHERE queue.account_id = due.account_id
              AND queue.priority = 0
              AND queue.due_at <= $2::timestamptz
            ORDER BY queue.due_at
            LIMIT (SELECT ceil($3::integer::numeric / greatest(count(*), 1))
                   FROM due)
            FOR UPDATE SKIP LOCKED) AS normal)
        LIMIT (SELECT ceil($3::integer::numeric / greatest(count(*), 1))
               FROM due)
    ) AS own
    LIMIT $3::integer
), leased AS (
    UPDATE baton.queue
    SET worker_id = $1::bigint, due_at = NULL, why = $5::text
    FROM picked
    WHERE queue.ctid = picked.id
    RETURNING queue.*
), next AS (
    SELECT coalesce(
        CASE WHEN (SELECT count(*) FROM due) = 64
        THEN (SELECT account_id FROM due ORDER BY place DESC LIMIT 1) END,
        (SELECT account_id FROM walk ORDER BY place DESC LIMIT 1))
        AS next_account
)
SELECT next.next_account, leased.account_id, leased.delivery_id,
       leased.message_id, leased.domain, leased.priority, leased.attempt_count,
       leased.expires_at, leased.size_bytes, delivery.recipient,
       delivery.notify, delivery.original_recipient, message.accepted_at,
       message.sender, message.envelope_id, message.dsn_return,
       message.is_smtputf8, message.has_8bit, delivery.last_reply,
       delivery.group_id, delivery.is_untracked,
       message.policy::text AS policy, message.is_sandboxed
FROM next
LEFT JOIN leased ON true
LEFT JOIN baton.delivery
    ON delivery.account_id = leased.account_id
   AND delivery.delivery_id = leased.delivery_id
LEFT JOIN baton.message
    ON message.account_id = leased.account_id
   AND message.message_id = leased.message_id;
