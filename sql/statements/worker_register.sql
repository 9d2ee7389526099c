-- Take a free number (any: one that was free for long is the safest, and chance
-- is nearly as good) and retire a predecessor that is known to be dead. No row:
-- somebody was faster, try again.
-- Parameters:
--   $1 node text
--   $2 process_id integer
--   $3 lease_seconds integer
--   $4 retired_worker_id bigint   0: none
--   $5 now timestamptz
-- Columns: worker_id bigint, number smallint
WITH retired AS (
    DELETE FROM baton.worker
    WHERE worker_id = $4::bigint
    RETURNING worker_id
), waits AS (
    DELETE FROM baton.site_wait
    WHERE worker_id = $4::bigint
), freed AS (
    UPDATE baton.queue
    SET worker_id = NULL, due_at = $5::timestamptz, why = 'its worker is gone'
    FROM baton.queue_leased AS leased
    WHERE EXISTS (SELECT FROM retired)
      AND leased.worker_id = $4::bigint
      AND queue.account_id = leased.account_id
      AND queue.delivery_id = leased.delivery_id
      AND queue.worker_id = leased.worker_id
)
INSERT INTO baton.worker (number, node, process_id, alive_until)
SELECT number, $1::text, $2::integer,
       now() + $3::integer * interval '1 second'
FROM generate_series(0, 1022) AS number
WHERE number <> ALL (ARRAY(SELECT number FROM baton.worker))
ORDER BY random()
LIMIT 1
ON CONFLICT DO NOTHING
RETURNING worker_id, number;
