-- A worker ends: what it still has is due, its row goes.
-- Parameters:
--   $1 worker_id bigint
--   $2 now timestamptz
WITH freed AS (
    UPDATE baton.queue
    SET worker_id = NULL, due_at = $2::timestamptz, why = 'its worker stopped'
    WHERE worker_id = $1::bigint
), waits AS (
    DELETE FROM baton.site_wait
    WHERE worker_id = $1::bigint
)
DELETE FROM baton.worker
WHERE worker_id = $1::bigint;
