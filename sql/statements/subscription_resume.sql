-- Take an unsubscribe back. Nothing happens when there is none; suppressions of
-- other reasons stay.
-- $1 account_id bigint
-- $2 group_id bigint       0: messages without a group
-- $3 delivery_id bigint
-- $4 event_id bigint
-- $5 occurred_at timestamptz
-- $6 address text
-- $7 how text
-- $8 client_address text
-- $9 user_agent text
-- Columns: was_changed boolean
WITH resumed AS (
    DELETE FROM baton.suppression
    WHERE account_id = $1::bigint
      AND address = lower($6::text)
      AND group_id = $2::bigint
      AND reason = 'unsubscribe'
    RETURNING account_id, address, group_id
), written AS (
    INSERT INTO baton.event (account_id, event_id, occurred_at, kind,
                             message_id, delivery_id, recipient, detail,
                             group_id, client_address, user_agent)
    SELECT account_id, $4::bigint, $5::timestamptz, 'resubscribed',
           (SELECT message_id
            FROM baton.delivery
            WHERE delivery.account_id = $1::bigint
              AND delivery.delivery_id = $3::bigint),
           nullif($3::bigint, 0), $6::text,
           jsonb_build_object('how', $7::text), group_id, $8::text, $9::text
    FROM resumed
), counted AS (
    INSERT INTO baton.counter (account_id, group_id, hour, shard, resubscribes)
    SELECT account_id, group_id, date_trunc('hour', $5::timestamptz, 'UTC'),
           baton.counter_shard($4::bigint, 5), 1
    FROM resumed
    ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
    SET resubscribes = counter.resubscribes + EXCLUDED.resubscribes
)
SELECT EXISTS (SELECT FROM resumed) AS was_changed;
