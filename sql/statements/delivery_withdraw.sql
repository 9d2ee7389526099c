-- Mark deliveries withdrawn, also those that are not there: a transaction that
-- would still bring one finds it here and queues nothing. What those that were
-- there had counted for is taken back.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 message_id bigint[]
--   $4 withdrawn_at timestamptz[]
--   $5 group_id bigint[]
--   $6 accepted_at timestamptz[]
--   $7 event_id bigint[]   of the event accepted
--   $8 bytes bigint[]
--   $9 counts boolean[]
--   $10 counts_inbound boolean[]   its message counted as inbound
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[],
                $5::bigint[], $6::timestamptz[], $7::bigint[], $8::bigint[],
                $9::boolean[], $10::boolean[])
        AS given (account_id, delivery_id, message_id, withdrawn_at, group_id,
                  accepted_at, event_id, bytes, counts, counts_inbound)
), marked AS (
    INSERT INTO baton.delivery (
        account_id, delivery_id, message_id, recipient, domain, notify, state,
        finished_at)
    SELECT account_id, delivery_id, message_id, '', '', 0, 'withdrawn',
           withdrawn_at
    FROM given
    ON CONFLICT (account_id, delivery_id) DO UPDATE
    SET state = 'withdrawn', finished_at = EXCLUDED.finished_at
    WHERE delivery.state = 'queued'
    RETURNING account_id, delivery_id, recipient
)
INSERT INTO baton.counter (account_id, group_id, hour, shard, outbound, bytes,
                           inbound)
SELECT account_id, group_id, date_trunc('hour', accepted_at, 'UTC'),
       baton.counter_shard(event_id, 0), -count(*) FILTER (WHERE counts),
       -coalesce(sum(bytes) FILTER (WHERE counts), 0),
       -count(*) FILTER (WHERE counts_inbound)
FROM given
WHERE (counts OR counts_inbound)
  AND (account_id, delivery_id) IN (SELECT account_id, delivery_id
                                    FROM marked
                                    WHERE recipient <> '')
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
SET outbound = counter.outbound + EXCLUDED.outbound,
    bytes = counter.bytes + EXCLUDED.bytes,
    inbound = counter.inbound + EXCLUDED.inbound;
