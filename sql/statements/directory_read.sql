-- Everything of the directory in one snapshot: accounts, then what belongs to
-- them, then routes and suspensions.
-- Columns: kind, account_id, a, b, c, d (what they mean by kind: directory.c)
SELECT kind, account_id, a, b, c, d
FROM (
    SELECT 1 AS place, 'account' AS kind, account_id, name AS a,
           coalesce(manager_email, '') AS b, '' AS c, '' AS d
    FROM baton.account
    UNION ALL
    SELECT 2, 'setting', account_id, key, coalesce(value, ''), '', ''
    FROM baton.account, jsonb_each_text(settings)
    UNION ALL
    SELECT 3, 'credential', account_id, user_name, kind, secret,
           coalesce(group_name, '')
    FROM baton.credential
    UNION ALL
    SELECT 4, 'network', account_id, range::text, '', '', ''
    FROM baton.network
    UNION ALL
    SELECT 5, 'domain', account_id, name, return_host,
           link_scheme || '://' || link_host,
           concat_ws(' ', CASE WHEN dkim_is_right THEN 'dkim' END,
                     CASE WHEN return_is_right THEN 'return' END,
                     CASE WHEN link_is_right THEN 'link' END)
    FROM baton.domain
    UNION ALL
    SELECT 6, 'dkim_key', account_id, domain, selector,
           encode(private_key, 'hex'), ''
    FROM baton.dkim_key
    WHERE state = 'signing'
    UNION ALL
    SELECT 6, 'route', 0, destination, target, '', ''
    FROM baton.route
    UNION ALL
    SELECT 7, 'suspension', 0, scope, value, reason, ''
    FROM baton.suspension
    UNION ALL
    SELECT 8, 'group', account_id, group_id::text, name, kind, ''
    FROM baton.message_group
    UNION ALL
    SELECT 9, 'group_setting', account_id, group_id::text, key,
           coalesce(value, ''), ''
    FROM baton.message_group, jsonb_each_text(settings)
    UNION ALL
    SELECT 10, 'tracking_host', account_id, host, scheme, '', created_at::text
    FROM baton.tracking_host
    UNION ALL
    SELECT 10, 'inbound_route', account_id, address, target, '', ''
    FROM baton.inbound_route
    UNION ALL
    SELECT 11, 'untracked', account_id, '', '', '', ''
    FROM baton.account
    WHERE EXISTS (SELECT FROM baton.untracked
                  WHERE untracked.account_id = account.account_id)
    UNION ALL
    SELECT 12, 'key', 0, key_id::text, encode(secret, 'hex'),
           CASE WHEN key_id = (SELECT max(key_id) FROM baton.token_key
                               WHERE active_from <= now())
                THEN 'current' ELSE '' END, ''
    FROM baton.token_key
    UNION ALL
    SELECT 13, 'server_setting', 0, name, value, '', ''
    FROM baton.server_setting
    UNION ALL
    SELECT 14, 'credential_setting', account_id, user_name, key,
           coalesce(value, ''), ''
    FROM baton.credential, jsonb_each_text(settings)
) AS rows
ORDER BY place, account_id, d;
