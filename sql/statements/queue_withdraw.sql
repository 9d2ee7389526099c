-- Take withdrawn deliveries out of the queue (after delivery_withdraw).
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
DELETE FROM baton.queue
USING unnest($1::bigint[], $2::bigint[]) AS given (account_id, delivery_id)
WHERE queue.account_id = given.account_id
  AND queue.delivery_id = given.delivery_id;
