-- Give deliveries back to the queue, due later, if they are the worker's. One
-- whose attempt is counted already stays as it is: this is sent again, and the
-- worker may have claimed the delivery anew in between.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 worker_id bigint[]
--   $4 attempt_number integer[]
--   $5 state text[]
--   $6 reply text[]           NULL: there was no attempt
--   $7 next_at timestamptz[]
--   $8 why text[]
-- and for all:
--   $9 lowest_delivery_id bigint
--   $10 highest_delivery_id bigint
WITH rescheduled AS (
    UPDATE baton.queue
    SET worker_id = NULL, due_at = given.next_at, why = given.why,
        attempt_count = greatest(given.attempt_number, queue.attempt_count)
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[],
                $5::text[], $6::text[], $7::timestamptz[], $8::text[])
        AS given (account_id, delivery_id, worker_id, attempt_number, state,
                  reply, next_at, why)
    WHERE queue.account_id = given.account_id
      AND queue.delivery_id = given.delivery_id
      AND queue.worker_id = given.worker_id
      AND (given.reply IS NULL OR queue.attempt_count < given.attempt_number)
    RETURNING given.*
)
UPDATE baton.delivery
SET state = coalesce(rescheduled.state, delivery.state),
    attempt_count = greatest(rescheduled.attempt_number,
                             delivery.attempt_count),
    last_reply = coalesce(rescheduled.reply, delivery.last_reply)
FROM rescheduled
WHERE delivery.account_id = rescheduled.account_id
  AND delivery.delivery_id = rescheduled.delivery_id
  AND delivery.delivery_id BETWEEN $9::bigint AND $10::bigint
  AND (rescheduled.state IS NOT NULL OR rescheduled.reply IS NOT NULL);
