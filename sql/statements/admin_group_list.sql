-- An account's groups with what they sent since they are. Columns: group_name,
-- kind, outbound, sent, failed, opens_human, clicks_human, unsubscribes,
-- settings, created_at
-- $1 account_id bigint
SELECT g.group_name, g.kind, coalesce(s.outbound, 0) AS outbound,
       coalesce(s.sent, 0) AS sent, coalesce(s.failed, 0) AS failed,
       coalesce(s.opens_human, 0) AS opens_human,
       coalesce(s.clicks_human, 0) AS clicks_human,
       coalesce(s.unsubscribes, 0) AS unsubscribes, g.settings,
       date_trunc('second', g.created_at) AS created_at
FROM report.message_group g
LEFT JOIN report.group_summary s
    ON s.account_id = g.account_id AND s.group_id = g.group_id
WHERE g.account_id = $1::bigint
ORDER BY lower(g.group_name);
