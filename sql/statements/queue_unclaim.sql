-- Give back what a claim took whose answer was lost.
-- Parameters:
--   $1 worker_id bigint
--   $2 now timestamptz
--   $3 claim text
UPDATE baton.queue
SET worker_id = NULL, due_at = $2::timestamptz, why = 'claimed in vain'
WHERE worker_id = $1::bigint
  AND why = $3::text;
