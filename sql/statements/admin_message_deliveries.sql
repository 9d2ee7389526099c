-- Its deliveries, whose ids were made with the message's. All columns of
-- report.delivery, and why and next_try_at of those that wait.
-- $1 account_id bigint
-- $2 message_id bigint
SELECT d.*, q.state AS queue_state, q.why, q.next_try_at
FROM report.delivery d
LEFT JOIN report.queue q USING (account_id, delivery_id)
WHERE d.account_id = $1::bigint AND d.message_id = $2::bigint
  AND d.delivery_id BETWEEN $2::bigint - (86400000::bigint << 22)
                        AND $2::bigint + (86400000::bigint << 22)
ORDER BY d.delivery_id;
