-- What reports back, for reading: groups, counters, what recipients did. Views
-- that were there get columns at their end. Where a view has group_name, '' are
-- messages without a group.
--
-- What is made from history walks from account to account and from day to day:
-- a condition on account and day reads these days of this account.

CREATE OR REPLACE VIEW report.message AS
SELECT m.account_id, a.name AS account, m.message_id, m.accepted_at,
       m.expires_at, m.sender, m.from_address, m.subject,
       m.internet_message_id, m.size_bytes, m.recipient_count,
       m.is_smtputf8, m.has_8bit,
       CASE m.dsn_return WHEN 1 THEN 'full' WHEN 2 THEN 'headers' END
           AS dsn_return,
       m.envelope_id,
       CASE m.priority WHEN 1 THEN 'high' ELSE 'normal' END AS priority,
       m.client_address, m.client_name, m.protocol, m.tls, m.user_name,
       m.transcript, m.group_id,
       CASE m.group_id WHEN 0 THEN '' ELSE g.name END AS group_name,
       m.tags, m.metadata, m.policy, m.is_sandboxed
FROM baton.message m
LEFT JOIN baton.account a USING (account_id)
LEFT JOIN baton.message_group g USING (account_id, group_id);

COMMENT ON COLUMN report.message.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.message.subject IS
    'As written, without the group in braces.';
COMMENT ON COLUMN report.message.recipient_count IS
    'How many recipients were answered 250.';
COMMENT ON COLUMN report.message.is_smtputf8 IS 'Submitted with SMTPUTF8.';
COMMENT ON COLUMN report.message.has_8bit IS
    'Its body has octets above 127.';
COMMENT ON COLUMN report.message.priority IS 'normal or high.';
COMMENT ON COLUMN report.message.group_id IS 'Its group; 0: none.';
COMMENT ON COLUMN report.message.group_name IS
    'The group''s name as it is now; empty: none.';
COMMENT ON COLUMN report.message.tags IS
    'What the application called it (X-Baton-Tag and its like).';
COMMENT ON COLUMN report.message.metadata IS
    'What the application wants back with each event (X-Baton-Metadata).';
COMMENT ON COLUMN report.message.policy IS
    'What is done to its copies, frozen at acceptance; settings that have '
    'their initial values are left out.';
COMMENT ON COLUMN report.message.is_sandboxed IS
    'It asked for the sandbox: no copy leaves.';

CREATE OR REPLACE VIEW report.delivery AS
SELECT d.account_id, a.name AS account, d.message_id, d.delivery_id,
       baton.id_instant(d.delivery_id) AS created_at,
       d.recipient, d.domain, d.state, d.finished_at, d.attempt_count,
       d.last_reply, d.original_recipient,
       (d.notify & 1) <> 0 AS notify_never,
       (d.notify & 2) <> 0 AS notify_success,
       (d.notify & 4) <> 0 AS notify_failure,
       (d.notify & 8) <> 0 AS notify_delay,
       d.group_id, CASE d.group_id WHEN 0 THEN '' ELSE g.name END AS group_name,
       d.open_count, d.human_open_count, d.first_opened_at,
       d.first_human_opened_at, d.click_count, d.human_click_count,
       d.first_clicked_at, coalesce(d.clicked_links, '{}') AS clicked_links,
       coalesce(d.human_clicked_links, '{}') AS human_clicked_links,
       d.is_untracked
FROM baton.delivery d
LEFT JOIN baton.account a USING (account_id)
LEFT JOIN baton.message_group g USING (account_id, group_id);

COMMENT ON COLUMN report.delivery.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.delivery.account IS
    'The account''s name; NULL once the account is removed.';
COMMENT ON COLUMN report.delivery.message_id IS 'Its message.';
COMMENT ON COLUMN report.delivery.delivery_id IS
    'Ids sort by time; they are made when the message is accepted.';
COMMENT ON COLUMN report.delivery.created_at IS 'The time in its id.';
COMMENT ON COLUMN report.delivery.recipient IS 'As given in RCPT.';
COMMENT ON COLUMN report.delivery.attempt_count IS 'Tries so far.';
COMMENT ON COLUMN report.delivery.state IS
    'queued, delivered, failed, expired, cancelled (by an operator), rejected '
    '(taken over a limit: on_refusal = accept), suppressed (the recipient does '
    'not want it any more, or cannot be reached) or withdrawn (the client left '
    'before 250).';
COMMENT ON COLUMN report.delivery.notify_success IS 'NOTIFY of RFC 3461.';
COMMENT ON COLUMN report.delivery.notify_failure IS 'NOTIFY of RFC 3461.';
COMMENT ON COLUMN report.delivery.notify_delay IS 'NOTIFY of RFC 3461.';
COMMENT ON COLUMN report.delivery.group_id IS 'Its group; 0: none.';
COMMENT ON COLUMN report.delivery.group_name IS
    'The group''s name as it is now; empty: none.';
COMMENT ON COLUMN report.delivery.open_count IS 'Opens, of machines too.';
COMMENT ON COLUMN report.delivery.human_open_count IS
    'Opens with a human verdict.';
COMMENT ON COLUMN report.delivery.first_opened_at IS 'By anybody.';
COMMENT ON COLUMN report.delivery.first_human_opened_at IS
    'The first open with a human verdict.';
COMMENT ON COLUMN report.delivery.click_count IS 'Clicks, of machines too.';
COMMENT ON COLUMN report.delivery.human_click_count IS
    'Clicks with a human verdict.';
COMMENT ON COLUMN report.delivery.first_clicked_at IS 'By anybody.';
COMMENT ON COLUMN report.delivery.clicked_links IS
    'The numbers of the links that were followed, each once.';
COMMENT ON COLUMN report.delivery.human_clicked_links IS
    'Those of them that were followed with a human verdict.';

COMMENT ON COLUMN report.delivery.is_untracked IS
    'Its recipient objected to being tracked before it was accepted.';

-- Tags and metadata are the message's: looked up only where they are asked for.
CREATE OR REPLACE VIEW report.event AS
SELECT e.account_id, a.name AS account, e.event_id, e.occurred_at, e.kind,
       e.message_id, e.delivery_id, e.recipient, e.detail, e.group_id,
       CASE e.group_id WHEN 0 THEN '' ELSE g.name END AS group_name,
       coalesce((SELECT m.tags FROM baton.message m
                 WHERE m.account_id = e.account_id
                   AND m.message_id = e.message_id), '{}') AS tags,
       coalesce((SELECT m.metadata FROM baton.message m
                 WHERE m.account_id = e.account_id
                   AND m.message_id = e.message_id), '{}') AS metadata,
       e.link_number, e.url, e.client_address, e.user_agent, e.verdict,
       e.verdict_reason
FROM baton.event e
LEFT JOIN baton.account a USING (account_id)
LEFT JOIN baton.message_group g USING (account_id, group_id);

COMMENT ON COLUMN report.event.account IS
    'The account''s name; NULL once the account is removed.';
COMMENT ON COLUMN report.event.occurred_at IS 'When it happened.';
COMMENT ON COLUMN report.event.kind IS
    'accepted, deferred, delivered, bounced, rejected, expired, cancelled, '
    'suppressed, opened, clicked, unsubscribed or resubscribed.';
COMMENT ON COLUMN report.event.delivery_id IS
    'NULL for what is of no single recipient.';
COMMENT ON COLUMN report.event.recipient IS 'Whom it is about, or NULL.';
COMMENT ON COLUMN report.event.group_id IS 'Its group; 0: none.';
COMMENT ON COLUMN report.event.group_name IS
    'The group''s name as it is now; empty: none.';
COMMENT ON COLUMN report.event.tags IS
    'The message''s tags; empty once the message is no longer kept.';
COMMENT ON COLUMN report.event.metadata IS
    'The message''s metadata; empty once the message is no longer kept.';
COMMENT ON COLUMN report.event.link_number IS
    'Of a click: which link of the message, counted from 1.';
COMMENT ON COLUMN report.event.url IS 'Of a click: where it led.';
COMMENT ON COLUMN report.event.client_address IS
    'Who asked; NULL when privacy says that it is not kept.';
COMMENT ON COLUMN report.event.user_agent IS
    'With what; NULL when privacy says that it is not kept.';
COMMENT ON COLUMN report.event.verdict IS
    'Of an open or a click: human or machine.';
COMMENT ON COLUMN report.event.verdict_reason IS
    'Why it is a machine''s: scanner, apple-proxy, gmail-proxy …';

CREATE VIEW report.message_group AS
SELECT g.account_id, a.name AS account, g.group_id, g.name AS group_name,
       g.kind, g.settings, g.created_at
FROM baton.message_group g
JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.message_group IS
    'Groups of messages, as the braces in a Subject or a header name them.';
COMMENT ON COLUMN report.message_group.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.message_group.account IS 'The account''s name.';
COMMENT ON COLUMN report.message_group.group_id IS
    'Stays the same when the group gets another name.';
COMMENT ON COLUMN report.message_group.group_name IS 'Its name.';
COMMENT ON COLUMN report.message_group.kind IS
    'transactional, or marketing: gets List-Unsubscribe.';
COMMENT ON COLUMN report.message_group.settings IS
    'What differs from the account''s settings.';
COMMENT ON COLUMN report.message_group.created_at IS
    'When its first message came.';

CREATE VIEW report.counters_hourly AS
SELECT c.account_id, a.name AS account, c.group_id,
       CASE c.group_id WHEN 0 THEN '' ELSE g.name END AS group_name, c.hour,
       c.outbound, c.bytes, c.refused, c.sent, c.deferred,
       c.failed_permanent + c.failed_expired + c.failed_suppressed AS failed,
       c.failed_permanent, c.failed_expired, c.failed_suppressed, c.cancelled,
       c.complaints, c.opens, c.opens_unique, c.opens_human, c.clicks,
       c.clicks_unique, c.clicks_human, c.unsubscribes, c.resubscribes,
       c.inbound
FROM (SELECT account_id, group_id, hour, sum(outbound)::bigint AS outbound,
             sum(bytes)::bigint AS bytes, sum(refused)::bigint AS refused,
             sum(sent)::bigint AS sent, sum(deferred)::bigint AS deferred,
             sum(failed_permanent)::bigint AS failed_permanent,
             sum(failed_expired)::bigint AS failed_expired,
             sum(failed_suppressed)::bigint AS failed_suppressed,
             sum(cancelled)::bigint AS cancelled,
             sum(complaints)::bigint AS complaints,
             sum(opens)::bigint AS opens,
             sum(opens_unique)::bigint AS opens_unique,
             sum(opens_human)::bigint AS opens_human,
             sum(clicks)::bigint AS clicks,
             sum(clicks_unique)::bigint AS clicks_unique,
             sum(clicks_human)::bigint AS clicks_human,
             sum(unsubscribes)::bigint AS unsubscribes,
             sum(resubscribes)::bigint AS resubscribes,
             sum(inbound)::bigint AS inbound
      FROM baton.counter
      GROUP BY account_id, group_id, hour) AS c
LEFT JOIN baton.account a USING (account_id)
LEFT JOIN baton.message_group g USING (account_id, group_id);

CREATE VIEW report.counters_daily AS
SELECT account_id, account, group_id, group_name,
       (hour AT TIME ZONE 'UTC')::date AS day, sum(outbound)::bigint AS outbound,
       sum(bytes)::bigint AS bytes, sum(refused)::bigint AS refused,
       sum(sent)::bigint AS sent, sum(deferred)::bigint AS deferred,
       sum(failed)::bigint AS failed,
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
       sum(resubscribes)::bigint AS resubscribes, sum(inbound)::bigint AS inbound
FROM report.counters_hourly
GROUP BY account_id, account, group_id, group_name, day;

-- A share of a whole, or NULL where there is none.
CREATE FUNCTION baton.share(p_part bigint, p_whole bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(p_part::numeric / nullif(p_whole, 0), 4);

CREATE VIEW report.group_summary AS
SELECT c.*, baton.share(sent, outbound) AS sent_rate,
       baton.share(failed, outbound) AS failed_rate,
       baton.share(opens_human, sent) AS open_rate,
       baton.share(clicks_human, sent) AS click_rate,
       baton.share(clicks_human, opens_human) AS click_to_open_rate,
       baton.share(unsubscribes, sent) AS unsubscribe_rate,
       baton.share(complaints, sent) AS complaint_rate
FROM (SELECT h.account_id, h.account, h.group_id, h.group_name,
             coalesce(g.kind, 'transactional') AS kind,
             min(h.hour) AS first_hour, max(h.hour) AS last_hour,
             sum(outbound)::bigint AS outbound, sum(bytes)::bigint AS bytes,
             sum(refused)::bigint AS refused, sum(sent)::bigint AS sent,
             sum(deferred)::bigint AS deferred, sum(failed)::bigint AS failed,
             sum(failed_permanent)::bigint AS failed_permanent,
             sum(failed_expired)::bigint AS failed_expired,
             sum(failed_suppressed)::bigint AS failed_suppressed,
             sum(cancelled)::bigint AS cancelled,
             sum(complaints)::bigint AS complaints, sum(opens)::bigint AS opens,
             sum(opens_unique)::bigint AS opens_unique,
             sum(opens_human)::bigint AS opens_human,
             sum(clicks)::bigint AS clicks,
             sum(clicks_unique)::bigint AS clicks_unique,
             sum(clicks_human)::bigint AS clicks_human,
             sum(unsubscribes)::bigint AS unsubscribes,
             sum(resubscribes)::bigint AS resubscribes,
             sum(inbound)::bigint AS inbound
      FROM report.counters_hourly h
      LEFT JOIN baton.message_group g USING (account_id, group_id)
      GROUP BY h.account_id, h.account, h.group_id, h.group_name, g.kind) AS c;

-- The three views of counters have the same columns: described once.
DO $$
DECLARE
    v_view text;
    v_column record;
BEGIN
    FOREACH v_view IN ARRAY ARRAY['counters_hourly', 'counters_daily',
                                  'group_summary']
    LOOP
        FOR v_column IN
            SELECT column1 AS name, column2 AS comment FROM (VALUES
            ('account_id', 'The account''s number.'),
            ('account', 'The account''s name; NULL once it is removed.'),
            ('group_id', 'The group; 0: none.'),
            ('group_name', 'The group''s name as it is now; empty: none.'),
            ('outbound', 'Recipients of messages that were answered 250.'),
            ('bytes', 'Size of each accepted message times its recipients.'),
            ('refused', 'Recipients of messages that were refused at the end '
                        'of their data, or taken over a limit.'),
            ('sent', 'Deliveries that the next hop took: the first 2yz to the '
                     'final dot.'),
            ('deferred', 'Tries that were put off; the same delivery can '
                         'count often.'),
            ('failed', 'failed_permanent, failed_expired and '
                       'failed_suppressed together.'),
            ('failed_permanent', 'Deliveries that were refused for good (5yz).'),
            ('failed_expired', 'Deliveries whose time was over.'),
            ('failed_suppressed', 'Deliveries that were suppressed after '
                                  'their acceptance.'),
            ('cancelled', 'Deliveries that an operator gave up.'),
            ('complaints', 'The first report of spam of each delivery.'),
            ('opens', 'All opens, of machines too.'),
            ('opens_unique', 'The first open of each delivery.'),
            ('opens_human', 'The first open of each delivery with a human '
                            'verdict: opens without machines.'),
            ('clicks', 'All clicks, of machines too.'),
            ('clicks_unique', 'The first click of each link of each delivery.'),
            ('clicks_human', 'The first click of each link of each delivery '
                             'with a human verdict: clicks without machines.'),
            ('unsubscribes', 'Recipients who left: changes, no repeats.'),
            ('resubscribes', 'Recipients who took that back.'),
            ('inbound', 'Messages accepted for inbound routes.'))
            AS described
        LOOP
            EXECUTE format('COMMENT ON COLUMN report.%I.%I IS %L', v_view,
                           v_column.name, v_column.comment);
        END LOOP;
    END LOOP;
END;
$$;

COMMENT ON VIEW report.counters_hourly IS
    'What happened in each hour, for each group. A counter moves in the same '
    'transaction as the event that it counts, in the hour of the event.';
COMMENT ON COLUMN report.counters_hourly.hour IS 'When the hour began.';
COMMENT ON VIEW report.counters_daily IS
    'What happened on each day (UTC), for each group.';
COMMENT ON COLUMN report.counters_daily.day IS 'The day in UTC.';
COMMENT ON VIEW report.group_summary IS
    'Each group''s totals and rates, over all time. A rate is a part of one, '
    'NULL when there is nothing to divide by.';
COMMENT ON COLUMN report.group_summary.kind IS 'transactional or marketing.';
COMMENT ON COLUMN report.group_summary.first_hour IS
    'The first hour in which something was counted.';
COMMENT ON COLUMN report.group_summary.last_hour IS
    'The last hour in which something was counted.';
COMMENT ON COLUMN report.group_summary.sent_rate IS 'sent / outbound.';
COMMENT ON COLUMN report.group_summary.failed_rate IS 'failed / outbound.';
COMMENT ON COLUMN report.group_summary.open_rate IS
    'opens_human / sent: machines do not count.';
COMMENT ON COLUMN report.group_summary.click_rate IS
    'clicks_human / sent: machines do not count. Above 1 when recipients '
    'follow several links.';
COMMENT ON COLUMN report.group_summary.click_to_open_rate IS
    'clicks_human / opens_human.';
COMMENT ON COLUMN report.group_summary.unsubscribe_rate IS
    'unsubscribes / sent.';
COMMENT ON COLUMN report.group_summary.complaint_rate IS 'complaints / sent.';

-- The days of one table's history, as ranges of ids. OFFSET 0, here and below:
-- PostgreSQL takes the days first and then reads the history of each, instead
-- of all history at once.
CREATE VIEW baton.history_day AS
SELECT table_name, day,
       baton.id_lowest_at(day::timestamp AT TIME ZONE 'UTC') AS lowest_id,
       baton.id_lowest_at((day + 1)::timestamp AT TIME ZONE 'UTC') AS end_id
FROM baton.partition
OFFSET 0;

CREATE VIEW report.domain_summary AS
SELECT a.account_id, a.name AS account, h.day, d.domain, d.outbound, d.queued,
       d.sent, d.failed_permanent, d.failed_expired, d.failed_suppressed,
       d.cancelled, d.opens, d.opens_unique, d.opens_human, d.clicks,
       d.clicks_unique, d.clicks_human,
       baton.share(d.sent, d.outbound) AS sent_rate,
       baton.share(d.opens_human, d.sent) AS open_rate,
       baton.share(d.clicks_human, d.sent) AS click_rate
FROM baton.account a
CROSS JOIN baton.history_day h
CROSS JOIN LATERAL (
    SELECT domain, count(*) AS outbound,
           count(*) FILTER (WHERE state = 'queued') AS queued,
           count(*) FILTER (WHERE state = 'delivered') AS sent,
           count(*) FILTER (WHERE state = 'failed') AS failed_permanent,
           count(*) FILTER (WHERE state = 'expired') AS failed_expired,
           count(*) FILTER (WHERE state = 'suppressed') AS failed_suppressed,
           count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
           sum(open_count) AS opens, count(first_opened_at) AS opens_unique,
           count(first_human_opened_at) AS opens_human,
           sum(click_count) AS clicks,
           coalesce(sum(cardinality(clicked_links)), 0) AS clicks_unique,
           coalesce(sum(cardinality(human_clicked_links)), 0) AS clicks_human
    FROM baton.delivery
    WHERE delivery.account_id = a.account_id
      AND delivery.delivery_id >= h.lowest_id
      AND delivery.delivery_id < h.end_id
      AND delivery.state NOT IN ('withdrawn', 'rejected')
    GROUP BY domain
) AS d
WHERE h.table_name = 'delivery';

COMMENT ON VIEW report.domain_summary IS
    'What became of the deliveries to each domain, by the day (UTC) of their '
    'acceptance; from the deliveries themselves, reports of ours included. As '
    'long as deliveries are kept.';
COMMENT ON COLUMN report.domain_summary.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.domain_summary.account IS 'The account''s name.';
COMMENT ON COLUMN report.domain_summary.day IS
    'The day in UTC on which the messages were accepted.';
COMMENT ON COLUMN report.domain_summary.domain IS
    'The recipients'' domain, in lower case and A-labels.';
COMMENT ON COLUMN report.domain_summary.outbound IS
    'Deliveries accepted on that day.';
COMMENT ON COLUMN report.domain_summary.queued IS 'Not finished yet.';
COMMENT ON COLUMN report.domain_summary.sent IS 'Taken by the next hop.';
COMMENT ON COLUMN report.domain_summary.failed_permanent IS
    'Refused for good (5yz).';
COMMENT ON COLUMN report.domain_summary.failed_expired IS
    'Given up when their time was over.';
COMMENT ON COLUMN report.domain_summary.failed_suppressed IS
    'Suppressed after their acceptance.';
COMMENT ON COLUMN report.domain_summary.cancelled IS
    'Given up by an operator.';
COMMENT ON COLUMN report.domain_summary.opens IS
    'All opens of these deliveries, whenever they came.';
COMMENT ON COLUMN report.domain_summary.opens_unique IS
    'Deliveries that were opened.';
COMMENT ON COLUMN report.domain_summary.opens_human IS
    'Deliveries that were opened with a human verdict.';
COMMENT ON COLUMN report.domain_summary.clicks IS
    'All clicks of these deliveries, whenever they came.';
COMMENT ON COLUMN report.domain_summary.clicks_unique IS
    'Links of deliveries that were followed.';
COMMENT ON COLUMN report.domain_summary.clicks_human IS
    'Links of deliveries that were followed with a human verdict.';
COMMENT ON COLUMN report.domain_summary.sent_rate IS 'sent / outbound.';
COMMENT ON COLUMN report.domain_summary.open_rate IS 'opens_human / sent.';
COMMENT ON COLUMN report.domain_summary.click_rate IS 'clicks_human / sent.';

-- Opens and clicks with what they are to their delivery. is_unique and is_human
-- say of each whether it is the one that the counters of that name count; once
-- the delivery is no longer kept, they are not known: NULL.
CREATE VIEW baton.hit AS
SELECT a.account_id, a.name AS account, h.day, e.kind, e.group_id,
       e.occurred_at, e.delivery_id, e.link_number, e.url, e.verdict,
       d.finished_at,
       CASE e.kind WHEN 'opened' THEN e.occurred_at = d.first_opened_at
           ELSE e.occurred_at = d.clicked_at[
               array_position(d.clicked_links, e.link_number)] END AS is_unique,
       CASE e.kind WHEN 'opened' THEN e.occurred_at = d.first_human_opened_at
           ELSE e.occurred_at = d.human_clicked_at[
               array_position(d.human_clicked_links, e.link_number)] END
           AND e.verdict = 'human' AS is_human
FROM baton.account a
CROSS JOIN baton.history_day h
CROSS JOIN LATERAL (
    SELECT *
    FROM baton.event
    WHERE event.account_id = a.account_id
      AND event.event_id >= h.lowest_id
      AND event.event_id < h.end_id
      AND event.kind IN ('opened', 'clicked')
    OFFSET 0
) AS e
LEFT JOIN LATERAL (
    SELECT finished_at, first_opened_at, first_human_opened_at, clicked_links,
           clicked_at, human_clicked_links, human_clicked_at
    FROM baton.delivery
    WHERE delivery.account_id = e.account_id
      AND delivery.delivery_id = e.delivery_id
    LIMIT 1
) AS d ON true
WHERE h.table_name = 'event';

CREATE VIEW report.link_summary AS
SELECT h.account_id, h.account, h.group_id,
       CASE h.group_id WHEN 0 THEN '' ELSE g.name END AS group_name, h.day,
       h.url, count(*) AS clicks,
       count(*) FILTER (WHERE h.is_unique) AS clicks_unique,
       count(*) FILTER (WHERE h.is_human) AS clicks_human
FROM baton.hit h
LEFT JOIN baton.message_group g USING (account_id, group_id)
WHERE h.kind = 'clicked'
GROUP BY h.account_id, h.account, h.group_id, g.name, h.day, h.url;

COMMENT ON VIEW report.link_summary IS
    'How often each link was followed, by the day (UTC) of the clicks; from '
    'the events, so without anonymous ones.';
COMMENT ON COLUMN report.link_summary.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.link_summary.account IS 'The account''s name.';
COMMENT ON COLUMN report.link_summary.group_id IS 'The group; 0: none.';
COMMENT ON COLUMN report.link_summary.group_name IS
    'The group''s name as it is now; empty: none.';
COMMENT ON COLUMN report.link_summary.day IS 'The day of the clicks, in UTC.';
COMMENT ON COLUMN report.link_summary.url IS 'Where the link led.';
COMMENT ON COLUMN report.link_summary.clicks IS 'All clicks.';
COMMENT ON COLUMN report.link_summary.clicks_unique IS
    'First clicks of a link of a delivery.';
COMMENT ON COLUMN report.link_summary.clicks_human IS
    'First clicks of a link of a delivery with a human verdict.';

-- The bucket of a hit: its lower end in minutes since the delivery.
CREATE FUNCTION baton.minutes_bucket(p_hit timestamptz, p_delivered timestamptz)
RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_delivered IS NULL THEN NULL
            WHEN p_hit < p_delivered + interval '1 minute' THEN 0
            WHEN p_hit < p_delivered + interval '5 minutes' THEN 1
            WHEN p_hit < p_delivered + interval '15 minutes' THEN 5
            WHEN p_hit < p_delivered + interval '1 hour' THEN 15
            WHEN p_hit < p_delivered + interval '4 hours' THEN 60
            WHEN p_hit < p_delivered + interval '24 hours' THEN 240
            WHEN p_hit < p_delivered + interval '168 hours' THEN 1440
            ELSE 10080 END;

CREATE VIEW report.open_times AS
SELECT h.account_id, h.account, h.group_id,
       CASE h.group_id WHEN 0 THEN '' ELSE g.name END AS group_name, h.day,
       extract(isodow FROM h.day)::integer AS weekday,
       extract(hour FROM h.occurred_at AT TIME ZONE 'UTC')::integer AS hour,
       baton.minutes_bucket(h.occurred_at, h.finished_at) AS minutes_from,
       count(*) AS opens, count(*) FILTER (WHERE h.is_unique) AS opens_unique,
       count(*) FILTER (WHERE h.is_human) AS opens_human
FROM baton.hit h
LEFT JOIN baton.message_group g USING (account_id, group_id)
WHERE h.kind = 'opened'
GROUP BY 1, 2, 3, g.name, 5, 7, 8;

CREATE VIEW report.click_times AS
SELECT h.account_id, h.account, h.group_id,
       CASE h.group_id WHEN 0 THEN '' ELSE g.name END AS group_name, h.day,
       extract(isodow FROM h.day)::integer AS weekday,
       extract(hour FROM h.occurred_at AT TIME ZONE 'UTC')::integer AS hour,
       baton.minutes_bucket(h.occurred_at, h.finished_at) AS minutes_from,
       count(*) AS clicks, count(*) FILTER (WHERE h.is_unique) AS clicks_unique,
       count(*) FILTER (WHERE h.is_human) AS clicks_human
FROM baton.hit h
LEFT JOIN baton.message_group g USING (account_id, group_id)
WHERE h.kind = 'clicked'
GROUP BY 1, 2, 3, g.name, 5, 7, 8;

DO $$
DECLARE
    v_view text;
    v_column record;
BEGIN
    FOREACH v_view IN ARRAY ARRAY['open_times', 'click_times'] LOOP
        FOR v_column IN
            SELECT column1 AS name, column2 AS comment FROM (VALUES
            ('account_id', 'The account''s number.'),
            ('account', 'The account''s name.'),
            ('group_id', 'The group; 0: none.'),
            ('group_name', 'The group''s name as it is now; empty: none.'),
            ('day', 'The day in UTC.'),
            ('weekday', 'Of the day: 1 is Monday, 7 Sunday.'),
            ('hour', 'Of the day in UTC: 0 to 23.'),
            ('minutes_from', 'How long after the delivery, as the lower end '
                'of a range in minutes: 0, 1, 5, 15, 60, 240 (4 hours), 1440 '
                '(a day), 10080 (a week). NULL once the delivery is no longer '
                'kept.'))
            AS described
        LOOP
            EXECUTE format('COMMENT ON COLUMN report.%I.%I IS %L', v_view,
                           v_column.name, v_column.comment);
        END LOOP;
    END LOOP;
END;
$$;

COMMENT ON VIEW report.open_times IS
    'When messages are opened: add up by hour, weekday or minutes_from. From '
    'the events, so without anonymous opens.';
COMMENT ON COLUMN report.open_times.opens IS 'All opens, of machines too.';
COMMENT ON COLUMN report.open_times.opens_unique IS
    'First opens of a delivery.';
COMMENT ON COLUMN report.open_times.opens_human IS
    'First opens of a delivery with a human verdict.';
COMMENT ON VIEW report.click_times IS
    'When links are followed: add up by hour, weekday or minutes_from. From '
    'the events, so without anonymous clicks.';
COMMENT ON COLUMN report.click_times.clicks IS 'All clicks, of machines too.';
COMMENT ON COLUMN report.click_times.clicks_unique IS
    'First clicks of a link of a delivery.';
COMMENT ON COLUMN report.click_times.clicks_human IS
    'First clicks of a link of a delivery with a human verdict.';

CREATE VIEW report.suppression AS
SELECT s.account_id, a.name AS account, s.address, s.group_id,
       CASE s.group_id WHEN 0 THEN '' ELSE g.name END AS group_name, s.reason,
       s.evidence, s.delivery_id, s.created_at, s.expires_at,
       s.expires_at IS NULL OR s.expires_at > now() AS is_active
FROM baton.suppression s
JOIN baton.account a USING (account_id)
LEFT JOIN baton.message_group g USING (account_id, group_id);

COMMENT ON VIEW report.suppression IS
    'Addresses that an account, or one of its groups, no longer sends to.';
COMMENT ON COLUMN report.suppression.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.suppression.account IS 'The account''s name.';
COMMENT ON COLUMN report.suppression.address IS 'In lower case.';
COMMENT ON COLUMN report.suppression.group_id IS
    'The group; 0: messages without one; NULL: the whole account.';
COMMENT ON COLUMN report.suppression.group_name IS
    'Its name; empty: messages without a group; NULL: the whole account.';
COMMENT ON COLUMN report.suppression.reason IS
    'hard_bounce, complaint, unsubscribe or manual.';
COMMENT ON COLUMN report.suppression.evidence IS
    'The literal reply, report or request.';
COMMENT ON COLUMN report.suppression.delivery_id IS
    'The delivery it came from, if any.';
COMMENT ON COLUMN report.suppression.created_at IS 'Since when.';
COMMENT ON COLUMN report.suppression.expires_at IS
    'Until when; NULL: for good.';
COMMENT ON COLUMN report.suppression.is_active IS 'Its time is not over.';

CREATE VIEW report.untracked AS
SELECT u.account_id, a.name AS account, u.address, u.created_at
FROM baton.untracked u
JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.untracked IS
    'Recipients who object to being tracked.';
COMMENT ON COLUMN report.untracked.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.untracked.account IS 'The account''s name.';
COMMENT ON COLUMN report.untracked.address IS 'In lower case.';
COMMENT ON COLUMN report.untracked.created_at IS 'Since when.';

-- Columns of older views that had no word yet.
COMMENT ON COLUMN report.attempt.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.attempt.account IS
    'The account''s name; NULL once the account is removed.';
COMMENT ON COLUMN report.attempt.message_id IS 'Its message.';
COMMENT ON COLUMN report.attempt.delivery_id IS 'Its delivery.';
COMMENT ON COLUMN report.attempt.attempt_id IS 'Ids sort by time.';
COMMENT ON COLUMN report.attempt.started_at IS 'When the try began.';
COMMENT ON COLUMN report.attempt.finished_at IS 'When it ended.';
COMMENT ON COLUMN report.attempt.tls IS 'TLS version and cipher, or NULL.';
COMMENT ON COLUMN report.attempt.worker_id IS 'The worker that tried.';
COMMENT ON COLUMN report.smtp_log.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.smtp_log.account IS
    'The account''s name; NULL once the account is removed.';
COMMENT ON COLUMN report.smtp_log.message_id IS 'The message it was about.';
COMMENT ON COLUMN report.smtp_log.delivery_id IS 'NULL: the submission.';
COMMENT ON COLUMN report.smtp_log.attempt_id IS 'NULL: the submission.';
COMMENT ON COLUMN report.smtp_log.at IS 'When it was said.';
COMMENT ON COLUMN report.smtp_log.line IS 'Without its line end.';
COMMENT ON COLUMN report.site_wait.worker_id IS 'The worker.';
COMMENT ON COLUMN report.site_wait.node IS 'Its machine.';
COMMENT ON COLUMN report.site_wait.waiting_count IS 'Deliveries that wait.';
COMMENT ON COLUMN report.site_wait.why IS 'For what they wait, a sentence.';
COMMENT ON COLUMN report.site_wait.updated_at IS 'As of when.';
COMMENT ON COLUMN report.queue.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.queue.account IS 'The account''s name.';
COMMENT ON COLUMN report.queue.message_id IS 'Its message.';
COMMENT ON COLUMN report.queue.delivery_id IS 'Its delivery.';
COMMENT ON COLUMN report.queue.recipient IS 'As given in RCPT.';
COMMENT ON COLUMN report.queue.domain IS 'The recipient''s domain.';
COMMENT ON COLUMN report.queue.priority IS 'normal or high.';
COMMENT ON COLUMN report.queue.attempt_count IS 'Tries so far.';
COMMENT ON COLUMN report.queue.last_reply IS
    'The last answer of a host, or what happened instead of one.';
COMMENT ON COLUMN report.queue.accepted_at IS
    'When its message was accepted.';
COMMENT ON COLUMN report.queue.expires_at IS 'When it is given up.';
COMMENT ON COLUMN report.queue.size_bytes IS 'The message''s size as it came.';
COMMENT ON COLUMN report.queue.worker_id IS
    'Of a leased delivery: whose it is.';

-- The lowest id of an instant, for conditions that read a part of the history.
CREATE FUNCTION report.id_at(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN baton.id_lowest_at(at);
COMMENT ON FUNCTION report.id_at IS
    'The lowest id made at that time: event_id >= report.id_at(now() - '
    'interval ''1 day'') reads a day of history only.';

-- Give up what is queued for suppressed addresses: for this one, or for all of
-- the account (NULL). State, event and counter of each, and the workers that
-- have it in hand are told. Returns how many. p_by: who did it, for the event.
CREATE FUNCTION baton.suppress_queued(p_account bigint, p_address text,
                                      p_by text)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_row record;
    v_count integer := 0;
    v_event bigint;
    v_oldest bigint := (SELECT min(delivery_id) FROM baton.queue
                        WHERE account_id = p_account);
BEGIN
    FOR v_row IN
        SELECT q.delivery_id, q.message_id, q.worker_id, d.recipient, d.group_id,
               s.reason, s.evidence, s.created_at
        FROM baton.delivery d
        JOIN baton.queue q USING (account_id, delivery_id)
        JOIN baton.message m ON m.account_id = d.account_id
                            AND m.message_id = d.message_id
        JOIN LATERAL (
            SELECT reason, evidence, created_at
            FROM baton.suppression
            WHERE suppression.account_id = p_account
              AND suppression.address = lower(d.recipient)
              AND (suppression.group_id IS NULL
                   OR suppression.group_id = d.group_id)
              AND (suppression.expires_at IS NULL
                   OR suppression.expires_at > now())
            ORDER BY suppression.group_id NULLS FIRST
            LIMIT 1
        ) AS s ON true
        WHERE d.account_id = p_account
          AND d.delivery_id >= v_oldest
          AND (p_address IS NULL OR lower(d.recipient) = lower(p_address))
          AND d.state = 'queued'
          AND NOT m.policy ?| '{notice,bypass}' -- sent whatever is suppressed
        ORDER BY q.account_id, q.delivery_id
        FOR UPDATE OF q
    LOOP
        DELETE FROM baton.queue
        WHERE account_id = p_account AND delivery_id = v_row.delivery_id;
        UPDATE baton.delivery
        SET state = 'suppressed', finished_at = now(),
            last_reply = 'suppressed: ' || v_row.reason
                || coalesce(' (' || nullif(v_row.evidence, '') || ')', '')
        WHERE account_id = p_account AND delivery_id = v_row.delivery_id;
        v_event := baton.make_id();
        INSERT INTO baton.event (account_id, event_id, occurred_at, kind,
                                 message_id, delivery_id, recipient, detail,
                                 group_id)
        VALUES (p_account, v_event, now(), 'suppressed', v_row.message_id,
                v_row.delivery_id, v_row.recipient,
                jsonb_build_object('reason', v_row.reason, 'evidence',
                                   v_row.evidence, 'by', p_by),
                v_row.group_id);
        INSERT INTO baton.counter (account_id, group_id, hour, shard,
                                   failed_suppressed)
        VALUES (p_account, v_row.group_id, date_trunc('hour', now(), 'UTC'),
                baton.counter_shard(v_event, 5), 1)
        ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
        SET failed_suppressed = counter.failed_suppressed + 1;
        IF v_row.worker_id IS NOT NULL THEN
            PERFORM pg_notify('baton_queue',
                              format('cancel delivery %s %s',
                                     v_row.delivery_id, v_row.message_id));
        END IF;
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END;
$$;

-- The end of a delivery whose queue row somebody else took: an operator or an
-- unsubscribe while it was on the wire, or another worker. One that arrived has
-- arrived, and what had counted for its other end is taken back. All other ends
-- come too late: they count for nothing (the setting baton.uncounted).
CREATE FUNCTION baton.settle_unfinished(p_account bigint, p_delivery bigint,
                                        p_attempt integer, p_state text,
                                        p_reply text, p_finished timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_old baton.delivery;
    v_arrived boolean;
BEGIN
    SELECT * INTO v_old
    FROM baton.delivery
    WHERE account_id = p_account AND delivery_id = p_delivery
    FOR NO KEY UPDATE;
    v_arrived := coalesce(p_state = 'delivered'
                          AND v_old.state IN ('suppressed', 'cancelled'), false);
    UPDATE baton.delivery
    SET attempt_count = greatest(p_attempt, attempt_count),
        state = CASE WHEN v_arrived THEN p_state ELSE state END,
        finished_at = CASE WHEN v_arrived THEN p_finished ELSE finished_at END,
        last_reply = CASE WHEN v_arrived THEN p_reply ELSE last_reply END
    WHERE account_id = p_account AND delivery_id = p_delivery;
    IF v_arrived THEN
        INSERT INTO baton.counter (account_id, group_id, hour, shard,
                                   failed_suppressed, cancelled)
        VALUES (p_account, v_old.group_id,
                date_trunc('hour', v_old.finished_at, 'UTC'),
                baton.counter_shard(baton.make_id(), 5),
                -(v_old.state = 'suppressed')::integer,
                -(v_old.state = 'cancelled')::integer)
        ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
        SET failed_suppressed = counter.failed_suppressed
                                + EXCLUDED.failed_suppressed,
            cancelled = counter.cancelled + EXCLUDED.cancelled;
    ELSE
        PERFORM set_config('baton.uncounted', concat_ws(',',
            nullif(current_setting('baton.uncounted', true), ''), p_delivery),
            true);
    END IF;
END;
$$;

-- An instant as people and other programs write it; NULL for what is none.
CREATE FUNCTION baton.read_instant(p_written text) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_written !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' THEN -- now, infinity …
        RETURN NULL;
    END IF;
    RETURN p_written::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END;
$$;
