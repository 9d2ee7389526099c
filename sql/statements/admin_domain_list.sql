-- Domains, and what the last check found of each.
-- Columns: account, domain, dkim, return_path, links, checked_at, created_at
-- $1 account_id bigint or NULL for all
SELECT a.name AS account, d.name AS domain,
       CASE WHEN d.dkim_is_right THEN 'right' ELSE 'not right' END AS dkim,
       CASE WHEN d.return_is_right THEN 'right' ELSE 'not right' END
           AS return_path,
       CASE WHEN d.link_is_right THEN 'right' ELSE 'not right' END AS links,
       date_trunc('second', d.checked_at) AS checked_at,
       date_trunc('second', d.created_at) AS created_at
FROM baton.domain d
JOIN baton.account a USING (account_id)
WHERE $1::bigint IS NULL OR d.account_id = $1::bigint
ORDER BY a.name, d.name;
