-- Store hits of deliveries and move everything that counts them: the delivery's
-- own counts and the counters. Clicks that may be of a burst are named in the
-- setting baton.followed for hit_burst, which follows in the same transaction.
--
-- The deliveries are locked in the order of their key. Whoever stores hits of the
-- same ones waits here, and then has their rows as they are now: that is all
-- that this statement needs to know of what others did.
--
-- Unique are the first open of a delivery and the first click of each of its
-- links, in the hour of the earliest; when an earlier one comes late they move.
-- Hits of a delivery that is not there (any more) are only stored and counted;
-- anonymous ones only counted. Of a recipient who objected nothing is kept (P7).
--
-- Again: hits whose event is there already are passed over (anonymous ones have
-- none, and may count twice).
--
-- Rows that are there are changed by ON CONFLICT, which finds each by its key
-- whatever PostgreSQL believes of the size of the table.
-- Parameters, one element a hit:
--   $1 account_id bigint[]
--   $2 event_id bigint[]
--   $3 occurred_at timestamptz[]
--   $4 kind text[]            opened or clicked
--   $5 delivery_id bigint[]   NULL: anonymous
--   $6 group_id bigint[]      of those without a delivery
--   $7 link_number integer[]  0: of an open
--   $8 url text[]
--   $9 client_address text[]
--   $10 user_agent text[]
--   $11 reason text[]         why it is no human's; NULL: it is
-- and for all:
--   $12 lowest_delivery_id bigint
--   $13 highest_delivery_id bigint
WITH given AS MATERIALIZED (
    SELECT given.*, d.message_id, d.recipient,
           reason IS NULL AS is_human,
           coalesce(d.group_id, given.token_group_id) AS group_id,
           CASE WHEN kind = 'opened' THEN d.first_opened_at
           ELSE d.clicked_at[array_position(d.clicked_links, link)]
           END AS old_at,
           CASE WHEN kind = 'opened' THEN d.first_human_opened_at
           ELSE d.human_clicked_at[array_position(d.human_clicked_links, link)]
           END AS old_human_at
    FROM (SELECT *
          FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[],
                      $5::bigint[], $6::bigint[], $7::integer[], $8::text[],
                      $9::text[], $10::text[], $11::text[])
              AS hit (account_id, event_id, occurred_at, kind, delivery_id,
                      token_group_id, link, url, client_address, user_agent,
                      reason)
          ORDER BY account_id, delivery_id) AS given
    LEFT JOIN LATERAL (
        SELECT *
        FROM baton.delivery
        WHERE delivery.account_id = given.account_id
          AND delivery.delivery_id = given.delivery_id
          AND delivery.delivery_id BETWEEN $12::bigint AND $13::bigint
        FOR NO KEY UPDATE
    ) AS d ON true
    WHERE NOT EXISTS (SELECT
                      FROM baton.untracked
                      WHERE untracked.account_id = given.account_id
                        AND untracked.address = lower(d.recipient))
      -- again: AND NOT EXISTS (SELECT
      -- again:                 FROM baton.event
      -- again:                 WHERE event.account_id = given.account_id
      -- again:                   AND event.event_id = given.event_id)
), stored AS (
    INSERT INTO baton.event (
        account_id, event_id, occurred_at, kind, message_id, delivery_id,
        recipient, group_id, link_number, url, client_address, user_agent,
        verdict, verdict_reason)
    SELECT account_id, event_id, occurred_at, kind, message_id, delivery_id,
           recipient, group_id, nullif(link, 0), url, client_address,
           user_agent, CASE WHEN is_human THEN 'human' ELSE 'machine' END,
           reason
    FROM given
    WHERE delivery_id IS NOT NULL
), first AS MATERIALIZED (
    -- What is unique: the opens of a delivery, the clicks of each of its links.
    SELECT *,
           first_at < old_at OR old_at IS NULL AS is_new,
           first_human_at < old_human_at
               OR old_human_at IS NULL AND first_human_at IS NOT NULL
               AS is_human_new
    FROM (SELECT account_id, delivery_id, kind, link,
                 min(group_id) AS group_id, min(event_id) AS event_id,
                 count(*) AS count,
                 count(*) FILTER (WHERE is_human) AS human_count,
                 min(occurred_at) AS first_at,
                 min(occurred_at) FILTER (WHERE is_human) AS first_human_at,
                 min(old_at) AS old_at, min(old_human_at) AS old_human_at
          FROM given
          WHERE message_id IS NOT NULL
          GROUP BY account_id, delivery_id, kind, link) AS own
), updated AS (
    INSERT INTO baton.delivery (
        account_id, delivery_id, message_id, recipient, domain, notify, state,
        open_count, human_open_count, first_opened_at, first_human_opened_at,
        click_count, human_click_count, first_clicked_at, clicked_links,
        clicked_at, human_clicked_links, human_clicked_at)
    SELECT account_id, delivery_id, 0, '', '', 0, '',
           coalesce(sum(count) FILTER (WHERE kind = 'opened'), 0),
           coalesce(sum(human_count) FILTER (WHERE kind = 'opened'), 0),
           min(first_at) FILTER (WHERE kind = 'opened'),
           min(first_human_at) FILTER (WHERE kind = 'opened'),
           coalesce(sum(count) FILTER (WHERE kind = 'clicked'), 0),
           coalesce(sum(human_count) FILTER (WHERE kind = 'clicked'), 0),
           min(first_at) FILTER (WHERE kind = 'clicked'),
           array_agg(link) FILTER (WHERE kind = 'clicked' AND is_new),
           array_agg(first_at) FILTER (WHERE kind = 'clicked' AND is_new),
           array_agg(link) FILTER (WHERE kind = 'clicked' AND is_human_new),
           array_agg(first_human_at)
               FILTER (WHERE kind = 'clicked' AND is_human_new)
    FROM first
    GROUP BY account_id, delivery_id
    ON CONFLICT (account_id, delivery_id) DO UPDATE
    SET open_count = delivery.open_count + EXCLUDED.open_count,
        human_open_count = delivery.human_open_count
                           + EXCLUDED.human_open_count,
        first_opened_at = least(delivery.first_opened_at,
                                EXCLUDED.first_opened_at),
        first_human_opened_at = least(delivery.first_human_opened_at,
                                      EXCLUDED.first_human_opened_at),
        click_count = delivery.click_count + EXCLUDED.click_count,
        human_click_count = delivery.human_click_count
                            + EXCLUDED.human_click_count,
        first_clicked_at = least(delivery.first_clicked_at,
                                 EXCLUDED.first_clicked_at),
        clicked_links = CASE
            WHEN delivery.clicked_links && EXCLUDED.clicked_links
            THEN baton.merge_links(delivery.clicked_links,
                                   EXCLUDED.clicked_links,
                                   EXCLUDED.clicked_at)
            ELSE delivery.clicked_links || EXCLUDED.clicked_links END,
        clicked_at = CASE
            WHEN delivery.clicked_links && EXCLUDED.clicked_links
            THEN baton.merge_instants(delivery.clicked_links,
                                      delivery.clicked_at,
                                      EXCLUDED.clicked_links,
                                      EXCLUDED.clicked_at)
            ELSE delivery.clicked_at || EXCLUDED.clicked_at END,
        human_clicked_links = CASE
            WHEN delivery.human_clicked_links && EXCLUDED.human_clicked_links
            THEN baton.merge_links(delivery.human_clicked_links,
                                   EXCLUDED.human_clicked_links,
                                   EXCLUDED.human_clicked_at)
            ELSE delivery.human_clicked_links
                 || EXCLUDED.human_clicked_links END,
        human_clicked_at = CASE
            WHEN delivery.human_clicked_links && EXCLUDED.human_clicked_links
            THEN baton.merge_instants(delivery.human_clicked_links,
                                      delivery.human_clicked_at,
                                      EXCLUDED.human_clicked_links,
                                      EXCLUDED.human_clicked_at)
            ELSE delivery.human_clicked_at || EXCLUDED.human_clicked_at END
    RETURNING account_id, delivery_id, click_count, clicked_links
), counted AS (
    INSERT INTO baton.counter (
        account_id, group_id, hour, shard, opens, opens_unique, opens_human,
        clicks, clicks_unique, clicks_human)
    SELECT account_id, group_id, date_trunc('hour', at, 'UTC') AS hour,
           baton.counter_shard(event_id, 4) AS shard,
           coalesce(sum(hits) FILTER (WHERE kind = 'opened'), 0),
           coalesce(sum(any_step) FILTER (WHERE kind = 'opened'), 0),
           coalesce(sum(human_step) FILTER (WHERE kind = 'opened'), 0),
           coalesce(sum(hits) FILTER (WHERE kind = 'clicked'), 0),
           coalesce(sum(any_step) FILTER (WHERE kind = 'clicked'), 0),
           coalesce(sum(human_step) FILTER (WHERE kind = 'clicked'), 0)
    FROM (SELECT account_id, group_id, kind, event_id, occurred_at AS at,
                 1 AS hits, 0 AS any_step, 0 AS human_step
          FROM given
          UNION ALL
          SELECT account_id, group_id, kind, event_id, old_at, 0, -1, 0
          FROM first
          WHERE is_new AND old_at IS NOT NULL
          UNION ALL
          SELECT account_id, group_id, kind, event_id, first_at, 0, 1, 0
          FROM first
          WHERE is_new
          UNION ALL
          SELECT account_id, group_id, kind, event_id, old_human_at, 0, 0, -1
          FROM first
          WHERE is_human_new AND old_human_at IS NOT NULL
          UNION ALL
          SELECT account_id, group_id, kind, event_id, first_human_at, 0, 0, 1
          FROM first
          WHERE is_human_new) AS step
    GROUP BY account_id, group_id, 3, 4
    ORDER BY account_id, group_id, 3, 4
    ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
    SET opens = counter.opens + EXCLUDED.opens,
        opens_unique = counter.opens_unique + EXCLUDED.opens_unique,
        opens_human = counter.opens_human + EXCLUDED.opens_human,
        clicks = counter.clicks + EXCLUDED.clicks,
        clicks_unique = counter.clicks_unique + EXCLUDED.clicks_unique,
        clicks_human = counter.clicks_human + EXCLUDED.clicks_human
)
-- A part of the hits of a transaction comes with each call.
SELECT set_config('baton.followed', (
    coalesce(nullif(current_setting('baton.followed', true), ''), '[]')::jsonb
    || jsonb_agg(followed))::text, true)
FROM (SELECT account_id, delivery_id, min(event_id) AS event_id,
             min(occurred_at) AS began_at, max(occurred_at) AS ended_at,
             CASE WHEN click_count > 1000 THEN clicked_links END AS links
      FROM given
      JOIN updated USING (account_id, delivery_id)
      WHERE kind = 'clicked' AND cardinality(clicked_links) >= 4
      GROUP BY account_id, delivery_id, links) AS followed
HAVING count(*) > 0;
