-- Make due what belongs to workers that are not there: a transaction of a
-- worker may end after its lease was taken over. The workers are chosen first,
-- so that a row that somebody claims meanwhile is left alone.
-- Parameters:
--   $1 now timestamptz
WITH orphan AS MATERIALIZED (
    SELECT DISTINCT worker_id
    FROM baton.queue
    WHERE worker_id IS NOT NULL
      AND worker_id <> ALL (ARRAY(SELECT worker_id FROM baton.worker))
)
UPDATE baton.queue
SET worker_id = NULL, due_at = $1::timestamptz, why = 'its worker is gone'
WHERE EXISTS (SELECT FROM orphan)
  AND worker_id = ANY (ARRAY(SELECT worker_id FROM orphan));
