-- Columns: account, host, scheme, is_used (new links of the account have it),
-- created_at
-- $1 account_id bigint or NULL for all
SELECT a.name AS account, h.host, h.scheme,
       row_number() OVER (PARTITION BY h.account_id ORDER BY h.created_at) = 1
           AS is_used,
       date_trunc('second', h.created_at) AS created_at
FROM baton.tracking_host h
JOIN baton.account a USING (account_id)
WHERE $1::bigint IS NULL OR h.account_id = $1::bigint
ORDER BY a.name, h.created_at;
