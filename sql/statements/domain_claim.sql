-- Take domains whose check is due and that nobody else is checking: at most so
-- many, those that wait longest first; one row a key, or one without.
-- Columns: account_id, name, return_host, link_host, dkim_is_right,
--   return_is_right, link_is_right, selector, state, record
-- $1 now timestamptz
-- $2 limit bigint
WITH due AS (
    SELECT account_id, name
    FROM baton.domain
    WHERE checked_at IS NULL OR checked_at <= $1::timestamptz - interval '1 hour'
    ORDER BY checked_at NULLS FIRST
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE baton.domain
    SET checked_at = $1::timestamptz
    FROM due
    WHERE domain.account_id = due.account_id AND domain.name = due.name
    RETURNING domain.*
)
SELECT taken.account_id, taken.name, taken.return_host, taken.link_host,
       taken.dkim_is_right, taken.return_is_right, taken.link_is_right,
       dkim_key.selector, dkim_key.state, dkim_key.record
FROM taken
LEFT JOIN baton.dkim_key
    ON dkim_key.account_id = taken.account_id
   AND dkim_key.domain = taken.name
   AND dkim_key.state <> 'retired'
ORDER BY taken.account_id, taken.name, dkim_key.selector;
