-- Make due what belongs to workers that are not there: a transaction of a
-- worker may end after its lease was taken over. The workers are chosen first,
-- so that a row that somebody claims meanwhile is left alone.
-- Parameters:
--   $1 now timestamptz
WITH orphan AS MATERIALIZED (
    SELECT account_id, delivery_id, worker_id
    FROM baton.queue_leased
    WHERE worker_id <> ALL (ARRAY(SELECT worker_id FROM baton.worker))
)
UPDATE baton.queue
SET worker_id = NULL, due_at = $1::timestamptz, why = 'its worker is gone'
FROM orphan
WHERE queue.account_id = orphan.account_id
  AND queue.delivery_id = orphan.delivery_id
  AND queue.worker_id = orphan.worker_id;
