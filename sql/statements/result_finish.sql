-- Take finished deliveries out of the queue and write what became of them. A
-- delivery whose queue row is not the worker's (any more) stays as it is.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 worker_id bigint[]
--   $4 attempt_number integer[]
--   $5 state text[]
--   $6 reply text[]
--   $7 finished_at timestamptz[]
-- and for all:
--   $8 lowest_delivery_id bigint
--   $9 highest_delivery_id bigint
WITH finished AS (
    DELETE FROM baton.queue
    USING unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[],
                 $5::text[], $6::text[], $7::timestamptz[])
        AS given (account_id, delivery_id, worker_id, attempt_number, state,
                  reply, finished_at)
    WHERE queue.account_id = given.account_id
      AND queue.delivery_id = given.delivery_id
      AND queue.worker_id = given.worker_id
    RETURNING given.*
)
UPDATE baton.delivery
SET state = coalesce(finished.state, delivery.state),
    finished_at = finished.finished_at,
    attempt_count = greatest(finished.attempt_number, delivery.attempt_count),
    last_reply = coalesce(finished.reply, delivery.last_reply)
FROM finished
WHERE delivery.account_id = finished.account_id
  AND delivery.delivery_id = finished.delivery_id
  AND delivery.delivery_id BETWEEN $8::bigint AND $9::bigint;
