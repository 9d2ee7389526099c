-- What a recipient's copy is made of, but the bytes. A message has one row a
-- recipient. Columns: account_id, delivery_id, recipient, signed_at (when its
-- tokens were made), trace, policy, size_bytes, is_untracked
-- $1 message_id bigint
SELECT m.account_id, d.delivery_id, d.recipient,
       coalesce(d.finished_at, now()) AS signed_at, m.trace, m.policy,
       m.size_bytes, d.is_untracked
FROM baton.message m
JOIN baton.delivery d
    ON d.account_id = m.account_id AND d.message_id = m.message_id
   AND d.delivery_id BETWEEN $1::bigint - (86400000::bigint << 22)
                         AND least($1::bigint, 1::bigint << 62) + (86400000::bigint << 22)
WHERE m.message_id = $1::bigint
ORDER BY d.delivery_id;
