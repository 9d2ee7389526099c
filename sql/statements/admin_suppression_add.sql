-- Suppress an address, or say anew why. A recipient's own wish that has no end
-- stays as it is. Columns: is_new (no row: it stays)
-- $1 account_id bigint
-- $2 address text
-- $3 group_id bigint; NULL: the whole account
-- $4 reason text
-- $5 evidence text
-- $6 expires_after_seconds bigint; NULL: for good
INSERT INTO baton.suppression AS kept (account_id, address, group_id, reason,
                                       evidence, expires_at)
VALUES ($1::bigint, lower($2::text), $3::bigint, $4::text, $5::text,
        now() + $6::bigint * interval '1 second')
ON CONFLICT (account_id, address, group_id) DO UPDATE
SET reason = EXCLUDED.reason, evidence = EXCLUDED.evidence,
    expires_at = EXCLUDED.expires_at, created_at = now(), delivery_id = NULL
WHERE kept.reason <> 'unsubscribe' OR kept.expires_at IS NOT NULL
   OR (EXCLUDED.reason = 'unsubscribe' AND EXCLUDED.expires_at IS NULL)
RETURNING xmax = 0 AS is_new;
