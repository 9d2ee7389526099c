-- Store deliveries and queue them. Again: those that are there already stay as
-- they are and are not queued anew; they may be finished or withdrawn by now.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 message_id bigint[]
--   $4 recipient text[]
--   $5 domain text[]
--   $6 notify smallint[]
--   $7 original_recipient text[]
--   $8 priority smallint[]
--   $9 due_at timestamptz[]   of those that nobody owns; well after they were
--                             made: their sender wants it so, which is written
--                             into why, and admin_queue_retry looks at it
--   $10 worker_id bigint[]    NULL: nobody's
--   $11 expires_at timestamptz[]
--   $12 size_bytes bigint[]
--   $13 refusal text[]        NULL: queued; else never queued
--   $14 refusal_state text[]  rejected or suppressed
--   $15 group_id bigint[]
--   $16 is_untracked boolean[]
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[],
                $5::text[], $6::smallint[], $7::text[], $8::smallint[],
                $9::timestamptz[], $10::bigint[], $11::timestamptz[],
                $12::bigint[], $13::text[], $14::text[], $15::bigint[],
                $16::boolean[])
        AS given (account_id, delivery_id, message_id, recipient, domain,
                  notify, original_recipient, priority, due_at, worker_id,
                  expires_at, size_bytes, refusal, refusal_state, group_id,
                  is_untracked)
), stored AS (
    INSERT INTO baton.delivery (
        account_id, delivery_id, message_id, recipient, domain, notify,
        original_recipient, state, finished_at, last_reply, group_id,
        is_untracked)
    SELECT account_id, delivery_id, message_id, recipient, domain, notify,
           original_recipient,
           CASE WHEN refusal IS NULL THEN 'queued' ELSE refusal_state END,
           CASE WHEN refusal IS NOT NULL THEN due_at END, refusal, group_id,
           is_untracked
    FROM given
    -- again: ON CONFLICT DO NOTHING
    -- again: RETURNING account_id, delivery_id
)
INSERT INTO baton.queue (
    account_id, delivery_id, message_id, domain, priority, due_at, worker_id,
    expires_at, attempt_count, size_bytes, why)
SELECT account_id, delivery_id, message_id, domain, priority,
       CASE WHEN worker_id IS NULL THEN due_at END, worker_id, expires_at, 0,
       size_bytes,
       CASE WHEN worker_id IS NULL
                 AND due_at > baton.id_instant(delivery_id) + interval '1 s'
            THEN 'its sender wants it sent at '
                 || to_char(due_at AT TIME ZONE 'UTC',
                            'YYYY-MM-DD HH24:MI:SS "UTC"')
            ELSE 'new' END
FROM given
-- again: JOIN stored USING (account_id, delivery_id)
WHERE refusal IS NULL;
