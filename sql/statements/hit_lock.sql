-- Lock the deliveries of hits, in the order of their key: whoever stores hits of
-- the same ones waits here, before it looks at anything.
-- Parameters, one element a hit:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]   NULL: anonymous
-- and for all:
--   $3 lowest_delivery_id bigint
--   $4 highest_delivery_id bigint
SELECT
FROM (SELECT DISTINCT account_id, delivery_id
      FROM unnest($1::bigint[], $2::bigint[]) AS given (account_id, delivery_id)
      WHERE delivery_id IS NOT NULL
      ORDER BY account_id, delivery_id) AS wanted
CROSS JOIN LATERAL (
    SELECT
    FROM baton.delivery
    WHERE delivery.account_id = wanted.account_id
      AND delivery.delivery_id = wanted.delivery_id
      AND delivery.delivery_id BETWEEN $3::bigint AND $4::bigint
    FOR NO KEY UPDATE) AS locked;
