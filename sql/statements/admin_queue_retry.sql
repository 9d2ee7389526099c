-- Make waiting deliveries due at once; what is locked is about to be claimed
-- anyway. Joined by place: whatever PostgreSQL believes about the size of the
-- queue, it is read once. What was never tried and waits for the time that its
-- sender named is left alone (why: delivery_insert; an older Baton wrote 'new').
-- Columns: delivery_count, later_count (what was left for its time)
-- $1 scope text: all, account, domain or message
-- $2 value text: account id, domain, message id
-- $3 only what was given back for being suspended boolean
WITH due AS (
    UPDATE baton.queue q SET due_at = now()
    FROM (
        SELECT ctid AS place
        FROM baton.queue
        WHERE worker_id IS NULL AND due_at > now()
          AND (NOT $3::boolean OR why LIKE 'suspended %')
          AND NOT (attempt_count = 0
                   AND (why = 'new'
                        OR why LIKE 'its sender wants it sent at %'))
          AND ($1::text = 'all'
               OR ($1::text = 'account' AND account_id::text = $2::text)
               OR ($1::text = 'domain' AND domain = $2::text)
               OR ($1::text = 'message' AND message_id::text = $2::text))
        FOR UPDATE SKIP LOCKED
    ) m
    WHERE q.ctid = m.place
    RETURNING q.delivery_id
)
SELECT (SELECT count(*) FROM due) AS delivery_count, count(*) AS later_count
FROM baton.queue
WHERE worker_id IS NULL AND due_at > now() AND attempt_count = 0
  AND (why = 'new' OR why LIKE 'its sender wants it sent at %')
  AND ($1::text = 'all'
       OR ($1::text = 'account' AND account_id::text = $2::text)
       OR ($1::text = 'domain' AND domain = $2::text)
       OR ($1::text = 'message' AND message_id::text = $2::text));
