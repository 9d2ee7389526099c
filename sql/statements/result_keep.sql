-- Note that another attempt was made; the delivery stays the worker's.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 worker_id bigint[]
--   $4 attempt_number integer[]
--   $5 state text[]
--   $6 reply text[]
-- and for all:
--   $7 lowest_delivery_id bigint
--   $8 highest_delivery_id bigint
WITH kept AS (
    UPDATE baton.queue
    SET attempt_count = greatest(given.attempt_number, queue.attempt_count)
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[],
                $5::text[], $6::text[])
        AS given (account_id, delivery_id, worker_id, attempt_number, state,
                  reply)
    WHERE queue.account_id = given.account_id
      AND queue.delivery_id = given.delivery_id
      AND queue.worker_id = given.worker_id
    RETURNING given.*
)
UPDATE baton.delivery
SET state = coalesce(kept.state, delivery.state),
    attempt_count = greatest(kept.attempt_number, delivery.attempt_count),
    last_reply = coalesce(kept.reply, delivery.last_reply)
FROM kept
WHERE delivery.account_id = kept.account_id
  AND delivery.delivery_id = kept.delivery_id
  AND delivery.delivery_id BETWEEN $7::bigint AND $8::bigint;
