-- Keys of tokens, without their secrets. Columns: key_id, state (current,
-- coming, old: verifies only), active_from, created_at
SELECT key_id,
       CASE WHEN active_from > now() THEN 'coming'
            WHEN key_id = (SELECT max(key_id) FROM baton.token_key
                           WHERE active_from <= now()) THEN 'current'
            ELSE 'old' END AS state,
       date_trunc('second', active_from) AS active_from,
       date_trunc('second', created_at) AS created_at
FROM baton.token_key
ORDER BY key_id DESC;
