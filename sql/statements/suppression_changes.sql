-- What changed about suppressions since an earlier answer of this statement:
-- whatever its snapshot did not show.
-- $1 snapshot text          of that answer; NULL: there was none
-- $2 answered_at timestamptz of that answer
-- $3 limit integer
-- Columns: snapshot text, answered_at timestamptz, is_complete boolean (false:
-- more may have changed than is known here, as changes are kept for a day only),
-- account_id bigint (NULL: nothing changed; 0: everything), hash bigint (NULL: all
-- of the account)
SELECT this.snapshot, this.answered_at, this.is_complete, change.account_id,
       change.hash
FROM (SELECT pg_current_snapshot()::text AS snapshot, now() AS answered_at,
             coalesce($1::text IS NOT NULL
                      AND $2::timestamptz > now() - interval '12 hours', false)
                 AS is_complete) AS this
LEFT JOIN LATERAL (
    SELECT account_id, hash
    FROM baton.suppression_change
    WHERE changed_xid >= pg_snapshot_xmin($1::text::pg_snapshot)
      AND NOT pg_visible_in_snapshot(changed_xid, $1::text::pg_snapshot)
    ORDER BY changed_xid
    LIMIT $3::integer
) AS change ON this.is_complete;
