-- Publish why deliveries in a worker's hand wait.
-- Parameters, one element a site:
--   $1 site text[]
--   $2 waiting_count integer[]
--   $3 busy_count integer[]
--   $4 why text[]
-- and for all:
--   $5 worker_id bigint
--   $6 now timestamptz
WITH gone AS (
    DELETE FROM baton.site_wait
    WHERE worker_id = $5::bigint
      AND site <> ALL ($1::text[])
)
INSERT INTO baton.site_wait (
    worker_id, site, waiting_count, busy_count, why, updated_at)
SELECT DISTINCT ON (site)
       $5::bigint, site, waiting_count, busy_count, why, $6::timestamptz
FROM unnest($1::text[], $2::integer[], $3::integer[], $4::text[])
    AS given (site, waiting_count, busy_count, why)
ON CONFLICT (worker_id, site) DO UPDATE
SET waiting_count = EXCLUDED.waiting_count,
    busy_count = EXCLUDED.busy_count,
    why = EXCLUDED.why,
    updated_at = EXCLUDED.updated_at;
