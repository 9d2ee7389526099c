-- Store events, and move the counters by what was stored. Again: those that are
-- there already stay as they are and count for nothing.
-- Deliveries in the setting baton.uncounted (result_finish) move none.
-- Parameters, one element an event:
--   $1 account_id bigint[]
--   $2 event_id bigint[]
--   $3 occurred_at timestamptz[]
--   $4 kind text[]
--   $5 message_id bigint[]
--   $6 delivery_id bigint[]
--   $7 recipient text[]
--   $8 detail text[]   JSON
--   $9 group_id bigint[]
--   $10 quantity integer[]   what the event counts for; 0: moves no counter
--   $11 bytes bigint[]       of all that it counts for
--   $12 lane smallint[]      of the counter's shard
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[],
                $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                $9::bigint[], $10::integer[], $11::bigint[], $12::smallint[])
        AS given (account_id, event_id, occurred_at, kind, message_id,
                  delivery_id, recipient, detail, group_id, quantity, bytes,
                  lane)
), stored AS (
    INSERT INTO baton.event (
        account_id, event_id, occurred_at, kind, message_id, delivery_id,
        recipient, detail, group_id)
    SELECT account_id, event_id, occurred_at, kind, message_id, delivery_id,
           recipient, detail::jsonb, group_id
    FROM given
    -- again: ON CONFLICT DO NOTHING
    -- again: RETURNING account_id, event_id
), counted AS (
    SELECT account_id, group_id, date_trunc('hour', occurred_at, 'UTC') AS hour,
           baton.counter_shard(event_id, lane) AS shard,
           CASE WHEN kind = 'bounced'
                     AND detail::jsonb ->> 'class' = 'reputation_block'
                THEN 'blocked' ELSE kind END AS kind,
           quantity, bytes
    FROM given
    WHERE quantity > 0
      AND (delivery_id IN (
               SELECT unnest(string_to_array(
                   current_setting('baton.uncounted', true), ',')::bigint[])))
          IS NOT TRUE
      -- again: AND (account_id, event_id) IN (SELECT account_id, event_id FROM stored)
)
INSERT INTO baton.counter (
    account_id, group_id, hour, shard, outbound, bytes, refused, sent,
    deferred, failed_permanent, failed_expired, failed_suppressed, cancelled,
    inbound, blocked)
SELECT account_id, group_id, hour, shard,
       coalesce(sum(quantity) FILTER (WHERE kind = 'accepted'), 0),
       coalesce(sum(bytes) FILTER (WHERE kind = 'accepted'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'rejected'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'delivered'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'deferred'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'bounced'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'expired'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'suppressed'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'cancelled'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'inbound'), 0),
       coalesce(sum(quantity) FILTER (WHERE kind = 'blocked'), 0)
FROM counted
GROUP BY account_id, group_id, hour, shard
ORDER BY account_id, group_id, hour, shard
ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
SET outbound = counter.outbound + EXCLUDED.outbound,
    bytes = counter.bytes + EXCLUDED.bytes,
    refused = counter.refused + EXCLUDED.refused,
    sent = counter.sent + EXCLUDED.sent,
    deferred = counter.deferred + EXCLUDED.deferred,
    failed_permanent = counter.failed_permanent + EXCLUDED.failed_permanent,
    failed_expired = counter.failed_expired + EXCLUDED.failed_expired,
    failed_suppressed = counter.failed_suppressed + EXCLUDED.failed_suppressed,
    cancelled = counter.cancelled + EXCLUDED.cancelled,
    inbound = counter.inbound + EXCLUDED.inbound,
    blocked = counter.blocked + EXCLUDED.blocked;
