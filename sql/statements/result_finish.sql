-- Take finished deliveries out of the queue and write what became of them. A
-- delivery whose queue row is not the worker's (any more) has another end:
-- baton.settle_unfinished decides, and tells event_insert, which follows in the
-- same transaction, what counts for nothing.
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
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[],
                $5::text[], $6::text[], $7::timestamptz[])
        AS given (account_id, delivery_id, worker_id, attempt_number, state,
                  reply, finished_at)
), finished AS (
    DELETE FROM baton.queue
    USING given
    WHERE queue.account_id = given.account_id
      AND queue.delivery_id = given.delivery_id
      AND queue.worker_id = given.worker_id
    RETURNING given.*
), updated AS (
    UPDATE baton.delivery
    SET state = coalesce(finished.state, delivery.state),
        finished_at = finished.finished_at,
        attempt_count = greatest(finished.attempt_number,
                                 delivery.attempt_count),
        last_reply = coalesce(finished.reply, delivery.last_reply)
    FROM finished
    WHERE delivery.account_id = finished.account_id
      AND delivery.delivery_id = finished.delivery_id
      AND delivery.delivery_id BETWEEN $8::bigint AND $9::bigint
)
SELECT count(baton.settle_unfinished(account_id, delivery_id, attempt_number,
                                     state, reply, finished_at))
FROM given
WHERE delivery_id NOT IN (SELECT delivery_id FROM finished);
