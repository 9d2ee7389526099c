-- End a subscription: suppress the address for the group, and give up what of
-- the group is queued for it. Nothing happens when it was so already. What else
-- suppressed it for the group stands in the evidence: an operator who takes that
-- back does not take the recipient's wish back.
--
-- Queue rows are locked before deliveries, as everywhere. Whoever has one of
-- them in hand is told to drop it; its row is not there any more, so that what
-- comes of it changes nothing.
-- $1 account_id bigint
-- $2 group_id bigint       0: messages without a group
-- $3 delivery_id bigint
-- $4 event_id bigint
-- $5 occurred_at timestamptz
-- $6 address text
-- $7 how text
-- $8 client_address text
-- $9 user_agent text
-- Columns: was_changed boolean, dropped_count bigint, told_count bigint
WITH ended AS (
    INSERT INTO baton.suppression (account_id, address, group_id, reason,
                                   evidence, delivery_id, created_at)
    VALUES ($1::bigint, lower($6::text), $2::bigint, 'unsubscribe',
            format('unsubscribed (%s) at %s%s', $7::text,
                   to_char($5::timestamptz AT TIME ZONE 'UTC',
                           'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                   coalesce(' from ' || $8::text, '')),
            nullif($3::bigint, 0), $5::timestamptz)
    ON CONFLICT (account_id, address, group_id) DO UPDATE
    SET reason = EXCLUDED.reason,
        evidence = EXCLUDED.evidence
            || CASE WHEN suppression.expires_at <= $5::timestamptz THEN ''
               ELSE format('; before: %s%s', suppression.reason,
                           ' (' || nullif(suppression.evidence, '') || ')') END,
        delivery_id = EXCLUDED.delivery_id,
        created_at = EXCLUDED.created_at,
        expires_at = NULL
    WHERE suppression.reason <> 'unsubscribe'
       OR suppression.expires_at IS NOT NULL
    RETURNING account_id, address, group_id, evidence
), waiting AS MATERIALIZED (
    SELECT queue.account_id, queue.delivery_id
    FROM ended
    CROSS JOIN LATERAL (
        SELECT d.account_id, d.delivery_id
        FROM baton.delivery d
        JOIN baton.message m ON m.account_id = d.account_id
                            AND m.message_id = d.message_id
        WHERE d.account_id = ended.account_id
          AND lower(d.recipient) = ended.address
          AND d.group_id = ended.group_id
          AND d.state = 'queued'
          AND NOT m.policy ?| '{notice,bypass}' -- sent whatever is suppressed
        OFFSET 0) AS own
    CROSS JOIN LATERAL (
        SELECT *
        FROM baton.queue
        WHERE queue.account_id = own.account_id
          AND queue.delivery_id = own.delivery_id
        FOR UPDATE) AS queue
    ORDER BY queue.account_id, queue.delivery_id
), gone AS (
    DELETE FROM baton.queue
    USING waiting
    WHERE queue.account_id = waiting.account_id
      AND queue.delivery_id = waiting.delivery_id
    RETURNING queue.account_id, queue.delivery_id, queue.message_id,
              queue.worker_id
), marked AS (
    UPDATE baton.delivery
    SET state = 'suppressed',
        finished_at = $5::timestamptz,
        last_reply = (SELECT evidence FROM ended)
    FROM gone
    WHERE delivery.account_id = gone.account_id
      AND delivery.delivery_id = gone.delivery_id
      AND delivery.state = 'queued'
    RETURNING delivery.account_id, delivery.delivery_id, delivery.message_id,
              delivery.recipient, delivery.group_id
), written AS (
    INSERT INTO baton.event (account_id, event_id, occurred_at, kind,
                             message_id, delivery_id, recipient, detail,
                             group_id, client_address, user_agent)
    SELECT ended.account_id, $4::bigint, $5::timestamptz, 'unsubscribed',
           (SELECT message_id
            FROM baton.delivery
            WHERE delivery.account_id = $1::bigint
              AND delivery.delivery_id = $3::bigint),
           nullif($3::bigint, 0), $6::text,
           jsonb_build_object('how', $7::text), ended.group_id, $8::text,
           $9::text
    FROM ended
    UNION ALL
    SELECT account_id, baton.make_id(), $5::timestamptz, 'suppressed',
           message_id, delivery_id, recipient,
           jsonb_build_object('reason', 'unsubscribe', 'evidence',
                              (SELECT evidence FROM ended)),
           group_id, NULL, NULL
    FROM marked
), counted AS (
    INSERT INTO baton.counter (account_id, group_id, hour, shard, unsubscribes,
                               failed_suppressed)
    SELECT account_id, group_id, date_trunc('hour', $5::timestamptz, 'UTC'),
           baton.counter_shard($4::bigint, 5), 1, (SELECT count(*) FROM marked)
    FROM ended
    ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
    SET unsubscribes = counter.unsubscribes + EXCLUDED.unsubscribes,
        failed_suppressed = counter.failed_suppressed
                            + EXCLUDED.failed_suppressed
)
SELECT EXISTS (SELECT FROM ended) AS was_changed,
       (SELECT count(*) FROM gone) AS dropped_count,
       (SELECT count(pg_notify('baton_queue', format('cancel delivery %s %s',
                                                     delivery_id, message_id)))
        FROM gone
        WHERE worker_id IS NOT NULL) AS told_count;
