-- What the sandbox took in, newest first. Columns: delivery_id, received_at,
-- account, sender, recipient, size_bytes
-- $1 limit integer
SELECT s.delivery_id, s.received_at, a.name AS account, s.sender, s.recipient,
       length(s.message) AS size_bytes
FROM baton.sandbox s
LEFT JOIN baton.account a USING (account_id)
ORDER BY s.delivery_id DESC
LIMIT $1::integer;
