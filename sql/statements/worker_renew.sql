-- Renew a lease, and take over from workers whose lease ran out: their rows go
-- and what they had is due. Leases follow the database's clock alone. Who
-- comes later than after half its lease (a third is usual) judges nobody: then it
-- was the database that was away, if only for so long that some leases ran out and
-- some did not, and the others are about to come back, too, with results of what
-- they delivered.
-- Parameters:
--   $1 worker_id bigint
--   $2 lease_seconds integer
--   $3 now timestamptz
-- Columns: is_alive boolean, taken_over_count bigint, and where this worker
-- stands among the live ones: worker_count bigint, rank bigint (from 0);
-- next_end_milliseconds bigint: when the first lease of another one would run
-- out (NULL: there is none)
WITH renewed AS (
    UPDATE baton.worker
    SET alive_until = now() + $2::integer * interval '1 second'
    WHERE worker_id = $1::bigint
    RETURNING worker_id
), expired AS MATERIALIZED (
    SELECT worker_id
    FROM baton.worker
    WHERE alive_until < now()
      AND worker_id <> $1::bigint
      AND NOT EXISTS (SELECT FROM baton.worker
                      WHERE worker_id = $1::bigint
                        AND alive_until < now()
                            + $2::integer * interval '1 second' / 2)
    FOR UPDATE SKIP LOCKED
), dead AS (
    DELETE FROM baton.worker
    WHERE worker_id = ANY (ARRAY(SELECT worker_id FROM expired))
    RETURNING worker_id
), waits AS (
    DELETE FROM baton.site_wait
    WHERE worker_id = ANY (ARRAY(SELECT worker_id FROM expired))
), freed AS (
    UPDATE baton.queue
    SET worker_id = NULL, due_at = $3::timestamptz, why = 'its worker is gone'
    FROM baton.queue_leased AS leased
    WHERE EXISTS (SELECT FROM dead)
      AND leased.worker_id = ANY (ARRAY(SELECT worker_id FROM dead))
      AND queue.account_id = leased.account_id
      AND queue.delivery_id = leased.delivery_id
      AND queue.worker_id = leased.worker_id
    RETURNING 1
)
SELECT EXISTS (SELECT FROM renewed) AS is_alive,
       (SELECT count(*) FROM freed) AS taken_over_count,
       count(*) + 1 AS worker_count,
       count(*) FILTER (WHERE worker_id < $1::bigint) AS rank,
       ceil(extract(epoch FROM min(alive_until) - now()) * 1000)::bigint
           AS next_end_milliseconds
FROM baton.worker
WHERE alive_until >= now()
  AND worker_id <> $1::bigint;
