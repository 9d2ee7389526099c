-- What was counted since then, one row a hour, the newest first. Columns: hour,
-- then the counters of report.counters_hourly
-- $1 account_id bigint
-- $2 group_id bigint or NULL for all together; 0: messages without a group
-- $3 since timestamptz
SELECT hour, sum(outbound)::bigint AS outbound, sum(bytes)::bigint AS bytes,
       sum(refused)::bigint AS refused, sum(sent)::bigint AS sent,
       sum(deferred)::bigint AS deferred, sum(failed)::bigint AS failed,
       sum(failed_permanent)::bigint AS failed_permanent,
       sum(failed_expired)::bigint AS failed_expired,
       sum(failed_suppressed)::bigint AS failed_suppressed,
       sum(cancelled)::bigint AS cancelled,
       sum(complaints)::bigint AS complaints, sum(opens)::bigint AS opens,
       sum(opens_unique)::bigint AS opens_unique,
       sum(opens_human)::bigint AS opens_human, sum(clicks)::bigint AS clicks,
       sum(clicks_unique)::bigint AS clicks_unique,
       sum(clicks_human)::bigint AS clicks_human,
       sum(unsubscribes)::bigint AS unsubscribes,
       sum(resubscribes)::bigint AS resubscribes,
       sum(inbound)::bigint AS inbound, sum(blocked)::bigint AS blocked
FROM report.counters_hourly
WHERE account_id = $1::bigint
  AND ($2::bigint IS NULL OR group_id = $2::bigint)
  AND hour >= date_trunc('hour', $3::timestamptz, 'UTC')
GROUP BY hour
ORDER BY hour DESC;
