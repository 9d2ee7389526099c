-- Deliveries with their messages, newest first; account by account, because
-- there the index has them in this order. Columns: message_id, accepted_at,
-- account, sender, recipient, state, attempt_count, subject
-- $1 account_id bigint or NULL
-- $2 recipient text or NULL; in any case
-- $3 sender text or NULL; in any case
-- $4 state text or NULL
-- $5 since timestamptz or NULL
-- $6 limit integer
SELECT d.message_id, d.accepted_at, a.name AS account, d.sender, d.recipient,
       d.state, d.attempt_count, d.subject
FROM baton.account a
CROSS JOIN LATERAL (
    SELECT d.delivery_id, d.message_id, m.accepted_at, m.sender, d.recipient,
           d.state, d.attempt_count, m.subject
    FROM baton.delivery d
    JOIN baton.message m USING (account_id, message_id)
    WHERE d.account_id = a.account_id
      AND ($2::text IS NULL OR lower(d.recipient) = lower($2::text))
      AND ($3::text IS NULL OR lower(m.sender) = lower($3::text))
      AND ($4::text IS NULL OR d.state = $4::text)
      AND ($5::timestamptz IS NULL OR (
              d.delivery_id >= baton.id_lowest_at($5::timestamptz)
              AND m.message_id >= baton.id_lowest_at($5::timestamptz)))
    ORDER BY d.delivery_id DESC
    LIMIT $6::integer
) AS d
WHERE $1::bigint IS NULL OR a.account_id = $1::bigint
ORDER BY d.delivery_id DESC
LIMIT $6::integer;
