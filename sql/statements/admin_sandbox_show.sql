-- The copies of a delivery or of all deliveries of a message. Columns:
-- delivery_id, message_id, received_at, sender, recipient, message
-- $1 delivery_id or message_id bigint
SELECT delivery_id, message_id, received_at, sender, recipient, message
FROM baton.sandbox
WHERE (delivery_id = $1::bigint OR message_id = $1::bigint)
  AND delivery_id >= $1::bigint - (86400000::bigint << 22)
ORDER BY delivery_id;
