-- Correct the verdicts of clicks that turn out to be of a burst (four links of
-- one delivery within a second), and what counts them. After hit_insert, in the
-- same transaction: it leaves the deliveries of which four links were followed,
-- ever, in the setting baton.followed. Nearly always there is none. Those with
-- many clicks are looked at link by link.
SELECT baton.mark_bursts(account_id, delivery_id, links, began_at, ended_at,
                         event_id)
FROM jsonb_to_recordset(coalesce(
         nullif(current_setting('baton.followed', true), ''), '[]')::jsonb)
    AS followed (account_id bigint, delivery_id bigint, event_id bigint,
                 began_at timestamptz, ended_at timestamptz, links integer[])
ORDER BY account_id, delivery_id;
