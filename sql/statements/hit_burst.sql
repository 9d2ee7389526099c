-- Correct the verdicts of clicks that turn out to be of a burst (four links of
-- one delivery within a second), and what counts them. After hit_insert, in the
-- same transaction. Nearly always nobody followed four links yet: then this is
-- a look at each delivery. Those with many clicks are looked at link by link.
-- Parameters, one element a click:
--   $1 account_id bigint[]
--   $2 event_id bigint[]
--   $3 occurred_at timestamptz[]
--   $4 delivery_id bigint[]
-- and for all:
--   $5 lowest_delivery_id bigint
--   $6 highest_delivery_id bigint
SELECT baton.mark_bursts(account_id, delivery_id, links, began_at, ended_at,
                         event_id)
FROM (SELECT account_id, delivery_id, min(event_id) AS event_id,
             min(occurred_at) AS began_at, max(occurred_at) AS ended_at
      FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[])
          AS given (account_id, event_id, occurred_at, delivery_id)
      GROUP BY account_id, delivery_id
      ORDER BY account_id, delivery_id) AS clicked
CROSS JOIN LATERAL (
    SELECT CASE WHEN click_count > 1000 THEN clicked_links END AS links
    FROM baton.delivery
    WHERE delivery.account_id = clicked.account_id
      AND delivery.delivery_id = clicked.delivery_id
      AND delivery.delivery_id BETWEEN $5::bigint AND $6::bigint
      AND cardinality(clicked_links) >= 4) AS followed;
