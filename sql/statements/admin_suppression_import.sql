-- Take over some rows of a file. What is there already stays, unless the file's
-- lasts longer. Columns: imported_count, and of each row with a time that is
-- none: line, wrong (if there is none: one row, both are NULL)
-- $1 account_id bigint
-- one element a row:
-- $2 line bigint[]
-- $3 address text[]
-- $4 group_name text[]   '': the whole account; '{}': messages without a group
-- $5 reason text[]
-- $6 evidence text[]
-- $7 created_at text[]   '': now
-- $8 expires_at text[]   '': never
WITH given AS MATERIALIZED (
    SELECT line, lower(address) AS address,
           CASE written.group_name WHEN '' THEN NULL WHEN '{}' THEN 0
           ELSE g.group_id END AS group_id, reason, evidence, created_text,
           expires_text,
           baton.read_instant(nullif(created_text, '')) AS created_at,
           baton.read_instant(nullif(expires_text, '')) AS expires_at
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                $7::text[], $8::text[])
        AS written (line, address, group_name, reason, evidence, created_text,
                    expires_text)
    LEFT JOIN baton.message_group g
        ON g.account_id = $1::bigint
       AND lower(g.name) = lower(written.group_name)
), judged AS (
    SELECT *, CASE WHEN created_text <> '' AND created_at IS NULL
                   THEN created_text
              WHEN expires_text <> '' AND expires_at IS NULL
                   THEN expires_text END AS wrong
    FROM given
), merged AS (
    INSERT INTO baton.suppression AS kept (account_id, address, group_id,
                                           reason, evidence, created_at,
                                           expires_at)
    SELECT DISTINCT ON (address, group_id)
           $1::bigint, address, group_id, reason, evidence,
           coalesce(created_at, now()), expires_at
    FROM judged
    WHERE wrong IS NULL
    ORDER BY address, group_id, expires_at DESC NULLS FIRST, line
    ON CONFLICT (account_id, address, group_id) DO UPDATE
    SET reason = EXCLUDED.reason, evidence = EXCLUDED.evidence,
        created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
    WHERE kept.expires_at IS NOT NULL
      AND coalesce(EXCLUDED.expires_at, 'infinity') > kept.expires_at
    RETURNING 1
)
SELECT (SELECT count(*) FROM merged) AS imported_count, line, wrong
FROM (SELECT 1) AS one
LEFT JOIN judged ON wrong IS NOT NULL
ORDER BY line;
