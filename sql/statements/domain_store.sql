-- What a check found. Whoever reads the directory hears of it if it changes how
-- mail leaves. Keys that were retired a month ago go.
-- Columns: has_changed, has_broken
-- $1 account_id bigint
-- $2 name text
-- $3 now timestamptz
-- $4 dkim_is_right boolean
-- $5 return_is_right boolean
-- $6 link_is_right boolean
-- $7 findings text, JSON
-- $8 selectors text[]: next keys that DNS has; they sign from now on. If one of
--    them waits no longer, somebody else was faster: then no key changes.
WITH ready AS MATERIALIZED (
    SELECT selector
    FROM baton.dkim_key
    WHERE account_id = $1::bigint
      AND domain = $2::text
      AND selector = ANY ($8::text[])
      AND state = 'next'
    ORDER BY selector
    FOR UPDATE
), switch AS MATERIALIZED (
    SELECT count(*) > 0 AND count(*) = cardinality($8::text[]) AS is_due
    FROM ready
), before AS (
    SELECT domain.*,
           dkim_is_right AND NOT $4::boolean
           OR return_is_right AND NOT $5::boolean
           OR link_is_right AND NOT $6::boolean AS breaks,
           (dkim_is_right, return_is_right, link_is_right)
           <> ($4::boolean, $5::boolean, $6::boolean)
           OR (SELECT is_due FROM switch) AS changes
    FROM baton.domain
    WHERE account_id = $1::bigint AND name = $2::text
    FOR UPDATE
), stored AS (
    UPDATE baton.domain
    SET dkim_is_right = $4::boolean,
        return_is_right = $5::boolean,
        link_is_right = $6::boolean,
        checked_at = $3::timestamptz,
        findings = $7::text::jsonb,
        broken_at = CASE
            WHEN before.breaks THEN coalesce(before.broken_at, $3::timestamptz)
            WHEN NOT ($4::boolean AND $5::boolean AND $6::boolean)
            THEN before.broken_at END
    FROM before
    WHERE domain.account_id = before.account_id AND domain.name = before.name
), switched AS (
    UPDATE baton.dkim_key
    SET state = CASE state WHEN 'next' THEN 'signing' ELSE 'retired' END,
        retired_at = CASE state WHEN 'signing' THEN $3::timestamptz END
    WHERE (SELECT is_due FROM switch)
      AND account_id = $1::bigint
      AND domain = $2::text
      AND (state = 'signing' OR selector = ANY ($8::text[]))
), forgotten AS (
    DELETE FROM baton.dkim_key
    WHERE account_id = $1::bigint
      AND domain = $2::text
      AND retired_at < $3::timestamptz - interval '30 days'
)
SELECT changes AS has_changed, breaks AS has_broken,
       CASE WHEN changes THEN pg_notify('baton_directory', '') END
FROM before;
