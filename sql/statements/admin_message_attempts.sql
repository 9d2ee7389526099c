-- Its attempts, oldest first. All columns of report.attempt, and recipient.
-- $1 account_id bigint
-- $2 message_id bigint
SELECT t.*, d.recipient
FROM baton.delivery d
JOIN report.attempt t USING (account_id, delivery_id)
WHERE d.account_id = $1::bigint AND d.message_id = $2::bigint
  AND d.delivery_id BETWEEN $2::bigint - (86400000::bigint << 22)
                        AND $2::bigint + (86400000::bigint << 22)
ORDER BY t.started_at, t.attempt_id;
