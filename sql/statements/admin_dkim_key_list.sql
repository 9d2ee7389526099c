-- The keys of a domain, those that sign first; retired ones for a week, as long as
-- what they signed may be on its way.
-- Columns: selector, state, record
-- $1 account_id bigint
-- $2 domain text
SELECT selector, state, record
FROM baton.dkim_key
WHERE account_id = $1::bigint AND domain = $2::text
  AND (state <> 'retired' OR retired_at > now() - interval '7 days')
ORDER BY array_position(ARRAY['signing', 'next', 'retired'], state),
         algorithm DESC, created_at;
