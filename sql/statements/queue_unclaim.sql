-- Give back what a claim took whose answer was lost.
-- Parameters:
--   $1 worker_id bigint
--   $2 now timestamptz
--   $3 claim text
UPDATE baton.queue
SET worker_id = NULL, due_at = $2::timestamptz, why = 'claimed in vain'
FROM baton.queue_leased AS leased
WHERE leased.worker_id = $1::bigint
  AND queue.account_id = leased.account_id
  AND queue.delivery_id = leased.delivery_id
  AND queue.worker_id = leased.worker_id
  AND queue.why = $3::text;
