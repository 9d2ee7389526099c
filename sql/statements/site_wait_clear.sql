-- Nothing waits in a worker's hand.
-- Parameters:
--   $1 worker_id bigint
DELETE FROM baton.site_wait
WHERE worker_id = $1::bigint;
