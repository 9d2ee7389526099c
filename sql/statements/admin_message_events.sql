-- Its events, oldest first. Columns: event_id, occurred_at, kind, delivery_id,
-- recipient, detail, link_number, url, client_address, user_agent, verdict,
-- verdict_reason
-- $1 account_id bigint
-- $2 message_id bigint
SELECT event_id, occurred_at, kind, delivery_id, recipient, detail, link_number,
       url, client_address, user_agent, verdict, verdict_reason
FROM report.event
WHERE account_id = $1::bigint AND message_id = $2::bigint
ORDER BY occurred_at, event_id;
