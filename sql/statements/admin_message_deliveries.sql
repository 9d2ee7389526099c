-- Its deliveries, whose ids were made with the message's. All columns of
-- report.delivery, and queue_state, why and next_try_at of those that wait; for
-- programs clicked_links_json and human_clicked_links_json.
-- $1 account_id bigint
-- $2 message_id bigint
SELECT d.*, q.state AS queue_state, q.why, q.next_try_at,
       to_jsonb(d.clicked_links) AS clicked_links_json,
       to_jsonb(d.human_clicked_links) AS human_clicked_links_json
FROM report.delivery d
LEFT JOIN report.queue q USING (account_id, delivery_id)
WHERE d.account_id = $1::bigint AND d.message_id = $2::bigint
  AND d.delivery_id BETWEEN $2::bigint - (86400000::bigint << 22)
                        AND least($2::bigint, 1::bigint << 62) + (86400000::bigint << 22)
ORDER BY d.delivery_id;
