-- Like hit_insert, for hits whose event may be there already: they are passed
-- over (anonymous ones have none, and may count twice).
--
-- Store hits of deliveries and move everything that counts them: the delivery's
-- own counts, the counters, and the verdicts of clicks that turn out to be of a
-- burst (four links of one delivery within a second). After hit_lock, in the
-- same transaction, so that what others stored before is seen here.
--
-- Unique are the first open of a delivery and the first click of each of its
-- links, in the hour of the earliest; when an earlier one comes late they move.
-- Hits of a delivery that is not there (any more) are only stored and counted;
-- anonymous ones only counted. Of a recipient who objected nothing is kept (P7).
--
-- Conditions of the form (… IN (SELECT …)) IS TRUE are answered by a hash table;
-- without IS TRUE they would become joins, and no index helps these. Rows that
-- are there are changed by ON CONFLICT, which finds each by its key whatever
-- PostgreSQL believes of the size of the table.
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
    SELECT given.*, d.message_id, d.recipient, d.first_opened_at,
           d.first_human_opened_at, d.clicked_links, d.clicked_at,
           d.human_clicked_links, d.human_clicked_at,
           coalesce(d.group_id, given.token_group_id) AS group_id
    FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[],
                $5::bigint[], $6::bigint[], $7::integer[], $8::text[],
                $9::text[], $10::text[], $11::text[])
        AS given (account_id, event_id, occurred_at, kind, delivery_id,
                  token_group_id, link, url, client_address, user_agent, reason)
    LEFT JOIN LATERAL (
        SELECT *
        FROM baton.delivery
        WHERE delivery.account_id = given.account_id
          AND delivery.delivery_id = given.delivery_id
          AND delivery.delivery_id BETWEEN $12::bigint AND $13::bigint
        LIMIT 1
    ) AS d ON true
    WHERE NOT EXISTS (SELECT
                      FROM baton.event
                      WHERE event.account_id = given.account_id
                        AND event.event_id = given.event_id)
      AND NOT EXISTS (SELECT
                      FROM baton.untracked
                      WHERE untracked.account_id = given.account_id
                        AND untracked.address = lower(d.recipient))
), suspect AS MATERIALIZED (
    -- Only these can have a burst: four links were ever followed.
    SELECT account_id, delivery_id, min(event_id) AS event_id,
           min(occurred_at) AS began_at, max(occurred_at) AS ended_at,
           max(clicked_links) AS clicked_links, max(clicked_at) AS clicked_at,
           max(human_clicked_links) AS human_clicked_links,
           max(human_clicked_at) AS human_clicked_at, max(group_id) AS group_id
    FROM given
    WHERE kind = 'clicked' AND message_id IS NOT NULL
    GROUP BY account_id, delivery_id
    HAVING count(DISTINCT link)
               FILTER (WHERE link <> ALL (coalesce(clicked_links, '{}')))
           + coalesce(cardinality(max(clicked_links)), 0) >= 4
), near AS MATERIALIZED (
    SELECT account_id, delivery_id, group_id, event_id, occurred_at, link,
           false AS is_stored, false AS is_human, clicked_links, clicked_at,
           human_clicked_links, human_clicked_at, event_id AS cause_id
    FROM given
    WHERE kind = 'clicked'
      AND ((account_id, delivery_id) IN (SELECT account_id, delivery_id
                                         FROM suspect)) IS TRUE
    UNION ALL
    SELECT suspect.account_id, suspect.delivery_id, suspect.group_id,
           e.event_id, e.occurred_at, e.link_number, true, e.verdict = 'human',
           suspect.clicked_links, suspect.clicked_at,
           suspect.human_clicked_links, suspect.human_clicked_at,
           suspect.event_id
    FROM suspect
    CROSS JOIN LATERAL (
        SELECT *
        FROM baton.clicks_between(suspect.account_id, suspect.delivery_id,
                                  suspect.began_at - interval '1 s',
                                  suspect.ended_at + interval '1 s')
    ) AS e
), neighbour AS (
    SELECT account_id, delivery_id, occurred_at,
           lag(occurred_at) OVER own AS before,
           lead(occurred_at) OVER own AS after
    FROM near
    WINDOW own AS (PARTITION BY account_id, delivery_id, link
                   ORDER BY occurred_at)
), edge AS (
    -- A link counts for a second from its click on.
    SELECT account_id, delivery_id, occurred_at AS at, 0 AS place,
           CASE WHEN before >= occurred_at - interval '1 s' THEN 0
           ELSE 1 END AS step
    FROM neighbour
    UNION ALL
    SELECT account_id, delivery_id, occurred_at + interval '1 s', 1, -1
    FROM neighbour
    WHERE after IS NULL OR after > occurred_at + interval '1 s'
), swept AS (
    SELECT account_id, delivery_id, at, place,
           sum(step) OVER (PARTITION BY account_id, delivery_id
                           ORDER BY at, place) AS link_count
    FROM edge
), burst AS MATERIALIZED (
    -- The clicks within the second that ends with the fourth link's.
    SELECT DISTINCT account_id, delivery_id, at
    FROM (SELECT account_id, delivery_id, at, place,
                 min(at) FILTER (WHERE place = 0 AND link_count >= 4)
                     OVER (PARTITION BY account_id, delivery_id
                           ORDER BY at DESC) AS ended_at
          FROM swept) AS click
    WHERE place = 0 AND ended_at <= at + interval '1 s'
), judged AS MATERIALIZED (
    SELECT *, CASE WHEN reason IS NULL AND NOT is_burst THEN 'human'
              ELSE 'machine' END AS verdict
    FROM (SELECT *, kind = 'clicked' AND reason IS NULL
                    AND (account_id, delivery_id, occurred_at) IN
                        (SELECT account_id, delivery_id, at FROM burst)
                    AS is_burst
          FROM given) AS hit
), stored AS (
    INSERT INTO baton.event (
        account_id, event_id, occurred_at, kind, message_id, delivery_id,
        recipient, detail, group_id, link_number, url, client_address,
        user_agent, verdict, verdict_reason)
    SELECT account_id, event_id, occurred_at, kind, message_id, delivery_id,
           recipient,
           CASE WHEN is_burst THEN '{"burst": true}'::jsonb ELSE '{}'::jsonb END,
           group_id, nullif(link, 0), url, client_address, user_agent, verdict,
           CASE WHEN is_burst THEN 'scanner' ELSE reason END
    FROM judged
    WHERE delivery_id IS NOT NULL
), remark AS MATERIALIZED (
    SELECT *
    FROM near
    WHERE is_stored AND is_human
      AND ((account_id, delivery_id, occurred_at) IN
           (SELECT account_id, delivery_id, at FROM burst)) IS TRUE
), remarked AS (
    INSERT INTO baton.event (account_id, event_id, occurred_at, kind)
    SELECT account_id, event_id, occurred_at, 'clicked'
    FROM remark
    ON CONFLICT (account_id, event_id) DO UPDATE
    SET verdict = 'machine', verdict_reason = 'scanner',
        detail = event.detail || '{"burst": true}'
), click AS (
    SELECT account_id, delivery_id, group_id, link, event_id, occurred_at,
           verdict, NULL::timestamptz AS gone_at, clicked_links, clicked_at,
           human_clicked_links, human_clicked_at
    FROM judged
    WHERE kind = 'clicked' AND message_id IS NOT NULL
    UNION ALL
    SELECT account_id, delivery_id, group_id, link, cause_id, NULL, NULL,
           occurred_at, clicked_links, clicked_at, human_clicked_links,
           human_clicked_at
    FROM remark
), link AS MATERIALIZED (
    SELECT account_id, delivery_id, group_id, link, event_id, old_at,
           old_human_at, click_count, human_click_count, first_at,
           least(old_at, first_at) AS new_at,
           CASE WHEN gone_at = old_human_at
                THEN least(first_human_at,
                           baton.next_human_click(
                               account_id, delivery_id, link, gone_at,
                               ARRAY(SELECT remark.event_id FROM remark)))
                ELSE least(old_human_at, first_human_at) END AS new_human_at
    FROM (SELECT account_id, delivery_id, max(group_id) AS group_id, link,
                 min(event_id) AS event_id,
                 count(occurred_at) AS click_count,
                 count(*) FILTER (WHERE verdict = 'human') - count(gone_at)
                     AS human_click_count,
                 min(occurred_at) AS first_at,
                 min(occurred_at) FILTER (WHERE verdict = 'human')
                     AS first_human_at,
                 min(gone_at) AS gone_at,
                 (max(clicked_at))[array_position(max(clicked_links), link)]
                     AS old_at,
                 (max(human_clicked_at))[
                     array_position(max(human_clicked_links), link)]
                     AS old_human_at
          FROM click
          GROUP BY account_id, delivery_id, link) AS merged
), open AS MATERIALIZED (
    SELECT account_id, delivery_id, max(group_id) AS group_id,
           min(event_id) AS event_id, count(*) AS open_count,
           count(*) FILTER (WHERE verdict = 'human') AS human_open_count,
           max(first_opened_at) AS old_at,
           max(first_human_opened_at) AS old_human_at,
           least(max(first_opened_at), min(occurred_at)) AS new_at,
           least(max(first_human_opened_at),
                 min(occurred_at) FILTER (WHERE verdict = 'human'))
               AS new_human_at
    FROM judged
    WHERE kind = 'opened' AND message_id IS NOT NULL
    GROUP BY account_id, delivery_id
), change AS MATERIALIZED (
    SELECT account_id, delivery_id, sum(open_count) AS open_count,
           sum(human_open_count) AS human_open_count,
           max(opened_at) AS opened_at, max(human_opened_at) AS human_opened_at,
           sum(click_count) AS click_count,
           sum(human_click_count) AS human_click_count,
           min(clicked_at) AS clicked_at,
           array_agg(link) FILTER (WHERE is_changed) AS links,
           array_agg(link_at) FILTER (WHERE is_changed) AS links_at,
           array_agg(link_human_at) FILTER (WHERE is_changed) AS links_human_at
    FROM (SELECT account_id, delivery_id, open_count, human_open_count,
                 new_at AS opened_at, new_human_at AS human_opened_at,
                 0 AS click_count, 0 AS human_click_count,
                 NULL::timestamptz AS clicked_at, NULL::integer AS link,
                 false AS is_changed, NULL::timestamptz AS link_at,
                 NULL::timestamptz AS link_human_at
          FROM open
          UNION ALL
          SELECT account_id, delivery_id, 0, 0, NULL, NULL, click_count,
                 human_click_count, first_at, link,
                 new_at IS DISTINCT FROM old_at
                     OR new_human_at IS DISTINCT FROM old_human_at,
                 new_at, new_human_at
          FROM link) AS part
    GROUP BY account_id, delivery_id
), updated AS (
    INSERT INTO baton.delivery (
        account_id, delivery_id, message_id, recipient, domain, notify, state,
        open_count, human_open_count, first_opened_at, first_human_opened_at,
        click_count, human_click_count, first_clicked_at, clicked_links,
        clicked_at, human_clicked_at)
    SELECT account_id, delivery_id, 0, '', '', 0, '', open_count,
           human_open_count, opened_at, human_opened_at, click_count,
           human_click_count, clicked_at, links, links_at, links_human_at
    FROM change
    ON CONFLICT (account_id, delivery_id) DO UPDATE
    SET open_count = delivery.open_count + EXCLUDED.open_count,
        human_open_count = delivery.human_open_count
                           + EXCLUDED.human_open_count,
        first_opened_at = coalesce(EXCLUDED.first_opened_at,
                                   delivery.first_opened_at),
        first_human_opened_at = coalesce(EXCLUDED.first_human_opened_at,
                                         delivery.first_human_opened_at),
        click_count = delivery.click_count + EXCLUDED.click_count,
        human_click_count = delivery.human_click_count
                            + EXCLUDED.human_click_count,
        first_clicked_at = least(delivery.first_clicked_at,
                                 EXCLUDED.first_clicked_at),
        clicked_links =
            CASE WHEN EXCLUDED.clicked_links IS NULL
            THEN delivery.clicked_links
            ELSE baton.merge_links(delivery.clicked_links,
                                   EXCLUDED.clicked_links,
                                   EXCLUDED.clicked_at) END,
        clicked_at =
            CASE WHEN EXCLUDED.clicked_links IS NULL THEN delivery.clicked_at
            ELSE baton.merge_instants(delivery.clicked_links,
                                      delivery.clicked_at,
                                      EXCLUDED.clicked_links,
                                      EXCLUDED.clicked_at) END,
        human_clicked_links =
            CASE WHEN EXCLUDED.clicked_links IS NULL
            THEN delivery.human_clicked_links
            ELSE baton.merge_links(delivery.human_clicked_links,
                                   EXCLUDED.clicked_links,
                                   EXCLUDED.human_clicked_at) END,
        human_clicked_at =
            CASE WHEN EXCLUDED.clicked_links IS NULL
            THEN delivery.human_clicked_at
            ELSE baton.merge_instants(delivery.human_clicked_links,
                                      delivery.human_clicked_at,
                                      EXCLUDED.clicked_links,
                                      EXCLUDED.human_clicked_at) END
)
INSERT INTO baton.counter (
    account_id, group_id, hour, shard, opens, opens_unique, opens_human, clicks,
    clicks_unique, clicks_human)
SELECT account_id, group_id, date_trunc('hour', at, 'UTC') AS hour,
       baton.counter_shard(event_id, 4) AS shard, sum(opens),
       sum(opens_unique), sum(opens_human), sum(clicks), sum(clicks_unique),
       sum(clicks_human)
FROM (SELECT account_id, group_id, occurred_at AS at, event_id,
             CASE WHEN kind = 'opened' THEN 1 ELSE 0 END AS opens,
             0 AS opens_unique, 0 AS opens_human,
             CASE WHEN kind = 'clicked' THEN 1 ELSE 0 END AS clicks,
             0 AS clicks_unique, 0 AS clicks_human
      FROM judged
      UNION ALL
      SELECT account_id, group_id, move.at, event_id, 0, move.any_step,
             move.human_step, 0, 0, 0
      FROM open
      CROSS JOIN LATERAL (VALUES (old_at, -1, 0), (new_at, 1, 0),
                                 (old_human_at, 0, -1), (new_human_at, 0, 1))
          AS move (at, any_step, human_step)
      WHERE move.at IS NOT NULL
        AND (new_at IS DISTINCT FROM old_at
             OR new_human_at IS DISTINCT FROM old_human_at)
      UNION ALL
      SELECT account_id, group_id, move.at, event_id, 0, 0, 0, 0, move.any_step,
             move.human_step
      FROM link
      CROSS JOIN LATERAL (VALUES (old_at, -1, 0), (new_at, 1, 0),
                                 (old_human_at, 0, -1), (new_human_at, 0, 1))
          AS move (at, any_step, human_step)
      WHERE move.at IS NOT NULL
        AND (new_at IS DISTINCT FROM old_at
             OR new_human_at IS DISTINCT FROM old_human_at)) AS step
GROUP BY account_id, group_id, 3, 4
ORDER BY account_id, group_id, 3, 4
ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
SET opens = counter.opens + EXCLUDED.opens,
    opens_unique = counter.opens_unique + EXCLUDED.opens_unique,
    opens_human = counter.opens_human + EXCLUDED.opens_human,
    clicks = counter.clicks + EXCLUDED.clicks,
    clicks_unique = counter.clicks_unique + EXCLUDED.clicks_unique,
    clicks_human = counter.clicks_human + EXCLUDED.clicks_human;
