-- What accounts and their user names had accepted in each period that has a
-- limit (docs/decisions/0016-limits.md). An account or user name without limits
-- has no rows here.
--
-- What a worker took is the greater of two sums: of what its transactions
-- stored (usage) and of what it holds or has stored (usage_grant, with the
-- worker's row: when a worker is gone, so is what it held and did not store).
-- Workers do not write each other's rows.

ALTER TABLE baton.credential
    ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';

-- Accepted, counted in the transaction that stores the message. user_name '' is
-- the account as a whole; period: 0 minute 1 hour 2 day 3 month. Worker 0 is
-- what was accepted before there was a limit (begin_usage). One row for each
-- connection that writes: nobody waits for anybody's row.
CREATE TABLE baton.usage (
    account_id bigint NOT NULL,
    user_name  text NOT NULL,
    period     smallint NOT NULL CHECK (period BETWEEN 0 AND 3),
    began_at   timestamptz NOT NULL,
    worker_id  bigint NOT NULL,
    lane       smallint NOT NULL,
    messages   bigint NOT NULL,
    recipients bigint NOT NULL,
    PRIMARY KEY (account_id, user_name, period, began_at, worker_id, lane)
) WITH (fillfactor = 50);

-- What a worker may store, and has: written by that worker's questions alone.
CREATE TABLE baton.usage_grant (
    account_id bigint NOT NULL,
    user_name  text NOT NULL,
    period     smallint NOT NULL CHECK (period BETWEEN 0 AND 3),
    began_at   timestamptz NOT NULL,
    worker_id  bigint NOT NULL REFERENCES baton.worker ON DELETE CASCADE,
    messages   bigint NOT NULL,
    recipients bigint NOT NULL,
    PRIMARY KEY (account_id, user_name, period, began_at, worker_id)
) WITH (fillfactor = 50);

CREATE INDEX usage_grant_worker ON baton.usage_grant (worker_id);

-- When a period ends.
CREATE FUNCTION baton.period_end(p_period smallint, p_began timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (p_began AT TIME ZONE 'UTC'
        + CASE p_period WHEN 0 THEN interval '1 minute'
                        WHEN 1 THEN interval '1 hour'
                        WHEN 2 THEN interval '1 day'
                        ELSE interval '1 month' END) AT TIME ZONE 'UTC';

CREATE FUNCTION baton.period_start(p_period smallint, p_at timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_trunc(CASE p_period WHEN 0 THEN 'minute' WHEN 1 THEN 'hour'
                                WHEN 2 THEN 'day' ELSE 'month' END,
                  p_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';

-- What all workers but one took of periods, in the order they are given.
CREATE FUNCTION baton.usage_of_others(p_account bigint, p_worker bigint,
                                      p_users text[], p_periods smallint[],
                                      p_began timestamptz[])
RETURNS TABLE (line bigint, messages bigint, recipients bigint)
LANGUAGE sql STABLE AS $$
    SELECT l.line, coalesce(sum(greatest(w.messages, w.held_messages)), 0)::bigint,
           coalesce(sum(greatest(w.recipients, w.held_recipients)), 0)::bigint
    FROM unnest(p_users, p_periods, p_began)
         WITH ORDINALITY AS l (user_name, period, began_at, line)
    LEFT JOIN LATERAL (
        SELECT sum(m.messages) AS messages, sum(m.recipients) AS recipients,
               sum(m.held_messages) AS held_messages,
               sum(m.held_recipients) AS held_recipients
        FROM (SELECT u.worker_id, u.messages, u.recipients,
                     0 AS held_messages, 0 AS held_recipients
              FROM baton.usage u
              WHERE u.account_id = p_account AND u.user_name = l.user_name
                AND u.period = l.period AND u.began_at = l.began_at
                AND u.worker_id <> p_worker
              UNION ALL
              SELECT g.worker_id, 0, 0, g.messages, g.recipients
              FROM baton.usage_grant g
              WHERE g.account_id = p_account AND g.user_name = l.user_name
                AND g.period = l.period AND g.began_at = l.began_at
                AND g.worker_id <> p_worker) AS m
        GROUP BY m.worker_id) AS w ON true
    GROUP BY l.line
    ORDER BY l.line
$$;

-- Grant what fits of what messages of one account ask for, in their order.
-- p_held_…: what the worker has taken of each period by its own books, which
-- are right whatever became of earlier answers. A row for each message that
-- asks: how many recipients it may have, and if that are fewer than it asked
-- for, or p_mode is 2, the period (from 1) and kind of the limit that is in the
-- way, the longest of them.
-- p_mode: 0 all of a message or nothing, 1 as many recipients as fit, 2 all in
-- any case.
--
-- Those who ask for one account wait for each other here, not for a commit to
-- reach the disk: what a crash loses of this was not stored either, because
-- every stored message's own commit takes this one along.
CREATE FUNCTION baton.take_usage(
    p_account bigint, p_worker bigint, p_users text[], p_periods smallint[],
    p_began timestamptz[], p_most_messages bigint[],
    p_most_recipients bigint[], p_held_messages bigint[],
    p_held_recipients bigint[], p_ask_users text[], p_ask_recipients bigint[],
    p_ask_modes bigint[])
RETURNS TABLE (granted bigint, line integer, is_recipients boolean)
LANGUAGE plpgsql AS $$
DECLARE
    v_others_messages bigint[];
    v_others_recipients bigint[];
    v_room bigint;
    v_granted bigint;
    v_is_recipients boolean;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('baton.usage', p_account));
    SELECT array_agg(o.messages ORDER BY o.line),
           array_agg(o.recipients ORDER BY o.line)
    INTO v_others_messages, v_others_recipients
    FROM baton.usage_of_others(p_account, p_worker, p_users, p_periods,
                               p_began) AS o;
    FOR a IN 1 .. coalesce(cardinality(p_ask_users), 0) LOOP
        granted := p_ask_recipients[a];
        line := 0;
        is_recipients := false;
        FOR l IN 1 .. cardinality(p_users) LOOP
            CONTINUE WHEN p_users[l] NOT IN ('', p_ask_users[a]);
            v_granted := p_ask_recipients[a];
            v_is_recipients := false;
            IF p_most_messages[l] > 0 AND v_others_messages[l]
               + p_held_messages[l] >= p_most_messages[l] THEN
                v_granted := 0;
            ELSIF p_most_recipients[l] > 0 THEN
                v_room := p_most_recipients[l] - v_others_recipients[l]
                          - p_held_recipients[l];
                v_is_recipients := true;
                v_granted := least(v_granted, greatest(v_room, 0));
            END IF;
            IF v_granted < p_ask_recipients[a] THEN
                granted := least(granted, v_granted);
                IF line = 0 OR p_periods[l] > p_periods[line] THEN
                    line := l;
                    is_recipients := v_is_recipients;
                END IF;
            END IF;
        END LOOP;
        IF p_ask_modes[a] = 2 THEN
            granted := p_ask_recipients[a];
        ELSIF p_ask_modes[a] = 0 AND line > 0 THEN
            granted := 0;
        END IF;
        IF granted > 0 THEN
            FOR l IN 1 .. cardinality(p_users) LOOP
                IF p_users[l] IN ('', p_ask_users[a]) THEN
                    p_held_messages[l] := p_held_messages[l] + 1;
                    p_held_recipients[l] := p_held_recipients[l] + granted;
                END IF;
            END LOOP;
        END IF;
        RETURN NEXT;
    END LOOP;
    INSERT INTO baton.usage_grant AS g (account_id, user_name, period, began_at,
                                        worker_id, messages, recipients)
    SELECT p_account, h.user_name, h.period, h.began_at, p_worker, h.messages,
           h.recipients
    FROM unnest(p_users, p_periods, p_began, p_held_messages, p_held_recipients)
        AS h (user_name, period, began_at, messages, recipients)
    ORDER BY h.user_name, h.period
    ON CONFLICT (account_id, user_name, period, began_at, worker_id) DO UPDATE
    SET messages = EXCLUDED.messages, recipients = EXCLUDED.recipients
    WHERE (g.messages, g.recipients)
          IS DISTINCT FROM (EXCLUDED.messages, EXCLUDED.recipients);
END;
$$;

-- The limits that are set, one row each.
CREATE VIEW baton.usage_limit AS
SELECT a.account_id, a.name AS account, s.user_name,
       k.period::smallint AS period, k.kind,
       CASE WHEN s.settings ->> k.key ~ '^[0-9]{1,10}$'
            THEN nullif((s.settings ->> k.key)::bigint, 0) END AS most
FROM baton.account a
JOIN LATERAL (SELECT '' AS user_name, a.settings
              UNION ALL
              SELECT c.user_name, c.settings
              FROM baton.credential c
              WHERE c.account_id = a.account_id) AS s ON true
JOIN (VALUES ('messages_per_minute', 0, 'messages'),
             ('messages_per_hour', 1, 'messages'),
             ('messages_per_day', 2, 'messages'),
             ('messages_per_month', 3, 'messages'),
             ('recipients_per_minute', 0, 'recipients'),
             ('recipients_per_hour', 1, 'recipients'),
             ('recipients_per_day', 2, 'recipients'),
             ('recipients_per_month', 3, 'recipients'))
    AS k (key, period, kind)
  ON s.settings ? k.key;

-- Count what an account had accepted in the periods of now, where there is a
-- limit, as far as nobody counted it: limits can be set at any time. Asked again
-- it gives the same.
CREATE FUNCTION baton.begin_usage(p_account bigint, p_now timestamptz)
RETURNS void LANGUAGE sql AS $$
    WITH line AS (
        SELECT DISTINCT l.user_name, l.period,
               baton.period_start(l.period, p_now) AS began_at
        FROM baton.usage_limit l
        WHERE l.account_id = p_account AND l.most IS NOT NULL
    ), history AS (
        SELECT line.*, count(DISTINCT m.message_id) AS messages,
               count(d.delivery_id) AS recipients
        FROM line
        LEFT JOIN baton.message m
            ON m.account_id = p_account
           AND m.message_id >= baton.id_lowest_at(line.began_at - interval '1 hour')
           AND m.accepted_at >= line.began_at
           AND m.protocol <> 'report'
           AND (line.user_name = '' OR lower(m.user_name) = line.user_name)
           AND EXISTS (SELECT FROM baton.delivery e
                       WHERE e.account_id = m.account_id
                         AND e.message_id = m.message_id
                         AND e.state NOT IN ('withdrawn', 'rejected'))
        LEFT JOIN baton.delivery d
            ON d.account_id = m.account_id AND d.message_id = m.message_id
           AND d.state NOT IN ('withdrawn', 'rejected')
        GROUP BY line.user_name, line.period, line.began_at
    ), counted AS (
        SELECT line.user_name, line.period, sum(u.messages) AS messages,
               sum(u.recipients) AS recipients
        FROM line
        JOIN baton.usage u
            ON u.account_id = p_account AND u.user_name = line.user_name
           AND u.period = line.period AND u.began_at = line.began_at
           AND u.worker_id <> 0
        GROUP BY line.user_name, line.period
    )
    INSERT INTO baton.usage (account_id, user_name, period, began_at, worker_id,
                             lane, messages, recipients)
    SELECT p_account, h.user_name, h.period, h.began_at, 0, 0,
           greatest(h.messages - coalesce(c.messages, 0), 0),
           greatest(h.recipients - coalesce(c.recipients, 0), 0)
    FROM history h
    LEFT JOIN counted c USING (user_name, period)
    ON CONFLICT (account_id, user_name, period, began_at, worker_id, lane)
    DO UPDATE SET messages = EXCLUDED.messages,
                  recipients = EXCLUDED.recipients
$$;

SELECT baton.begin_usage(account_id, now()) FROM baton.account;

CREATE VIEW report.usage AS
SELECT l.account_id, l.account, l.user_name,
       (ARRAY['minute', 'hour', 'day', 'month'])[l.period + 1] AS period,
       l.kind,
       coalesce((SELECT sum(CASE l.kind WHEN 'messages' THEN u.messages
                                        ELSE u.recipients END)
                 FROM baton.usage u
                 WHERE u.account_id = l.account_id
                   AND u.user_name = l.user_name
                   AND u.period = l.period
                   AND u.began_at = baton.period_start(l.period, now())),
                0)::bigint AS used,
       l.most AS allowed,
       baton.period_start(l.period, now()) AS began_at,
       baton.period_end(l.period, baton.period_start(l.period, now()))
           AS resets_at
FROM baton.usage_limit l
WHERE l.most IS NOT NULL;

COMMENT ON VIEW report.usage IS
    'The limits of accounts and their user names, and how much of each is used '
    'in the period that now lies in.';
COMMENT ON COLUMN report.usage.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.usage.account IS 'The account''s name.';
COMMENT ON COLUMN report.usage.user_name IS
    'Of a limit of one user name; empty: of the account as a whole.';
COMMENT ON COLUMN report.usage.period IS 'minute, hour, day or month (UTC).';
COMMENT ON COLUMN report.usage.kind IS 'messages or recipients.';
COMMENT ON COLUMN report.usage.used IS
    'Accepted and stored in this period; Baton''s own reports do not count.';
COMMENT ON COLUMN report.usage.allowed IS
    'The limit: how many there may be in the period.';
COMMENT ON COLUMN report.usage.began_at IS 'When the period began.';
COMMENT ON COLUMN report.usage.resets_at IS
    'When the next one begins, with nothing used.';
