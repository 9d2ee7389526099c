-- A worker ends: what it still has is due, its row goes.
-- Parameters:
--   $1 worker_id bigint
--   $2 now timestamptz
WITH freed AS (
    UPDATE baton.queue
    SET worker_id = NULL, due_at = $2::timestamptz, why = 'its worker stopped'
    FROM baton.queue_leased AS leased
    WHERE leased.worker_id = $1::bigint
      AND queue.account_id = leased.account_id
      AND queue.delivery_id = leased.delivery_id
      AND queue.worker_id = leased.worker_id
), waits AS (
    DELETE FROM baton.site_wait
    WHERE worker_id = $1::bigint
)
DELETE FROM baton.worker
WHERE worker_id = $1::bigint;
