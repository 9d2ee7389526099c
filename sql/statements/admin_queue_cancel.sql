-- Give deliveries up: out of the queue, state cancelled, event cancelled. Rows
-- are locked in the order of their key. Columns: delivery_count
-- $1 scope text: all, account, domain or message
-- $2 value text: account id, domain, message id
WITH meant AS (
    SELECT account_id, delivery_id
    FROM baton.queue
    WHERE $1::text = 'all'
       OR ($1::text = 'account' AND account_id::text = $2::text)
       OR ($1::text = 'domain' AND domain = $2::text)
       OR ($1::text = 'message' AND message_id::text = $2::text)
    ORDER BY account_id, delivery_id
    FOR UPDATE
), gone AS (
    DELETE FROM baton.queue q USING meant m
    WHERE q.account_id = m.account_id AND q.delivery_id = m.delivery_id
    RETURNING q.account_id, q.message_id, q.delivery_id
), marked AS (
    UPDATE baton.delivery d
    SET state = 'cancelled', finished_at = now()
    FROM gone g
    WHERE d.account_id = g.account_id AND d.delivery_id = g.delivery_id
      AND d.state = 'queued'
    RETURNING d.account_id, d.message_id, d.delivery_id, d.recipient,
              d.group_id
), written AS (
    INSERT INTO baton.event (account_id, event_id, occurred_at, kind,
                             message_id, delivery_id, recipient, detail,
                             group_id)
    SELECT account_id, baton.make_id(), now(), 'cancelled', message_id,
           delivery_id, recipient, jsonb_build_object('by', 'operator'),
           group_id
    FROM marked
), counted AS (
    -- In the shard of the ids that baton.make_id makes.
    INSERT INTO baton.counter (account_id, group_id, hour, shard, cancelled)
    SELECT account_id, group_id, date_trunc('hour', now(), 'UTC'),
           baton.counter_shard(1023 << 12, 5), count(*)
    FROM marked
    GROUP BY account_id, group_id
    ORDER BY account_id, group_id
    ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
    SET cancelled = counter.cancelled + EXCLUDED.cancelled
)
SELECT count(*) AS delivery_count FROM gone;
