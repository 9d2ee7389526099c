-- What reports back: groups, keys of tokens, hosts of links, hits, counters,
-- suppressions, idempotency keys.

-- A group of messages of an account: "Password reset", "Daily Alert". Made on
-- first use. group_id 0 stands for messages without a group.
CREATE TABLE baton.message_group (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    group_id   bigint GENERATED ALWAYS AS IDENTITY,
    name       text NOT NULL,
    kind       text NOT NULL DEFAULT 'transactional'
               CHECK (kind IN ('transactional', 'marketing')),
    settings   jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, group_id)
);

CREATE UNIQUE INDEX message_group_name
    ON baton.message_group (account_id, lower(name));

-- The group of messages that name none.
ALTER TABLE baton.credential ADD COLUMN group_name text;

-- Secrets that sign tokens. The highest key_id whose time has come signs; all
-- others verify for ever. Two random UUIDs have 244 random bits.
CREATE TABLE baton.token_key (
    key_id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY
                CHECK (key_id < 65536),
    secret      bytea NOT NULL CHECK (length(secret) = 32),
    active_from timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION baton.make_secret() RETURNS bytea
LANGUAGE sql VOLATILE
RETURN sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

INSERT INTO baton.token_key (secret, active_from)
VALUES (baton.make_secret(), now());

-- Hosts whose links are an account's own. Under such a host the tokens of no
-- other account are honoured.
CREATE TABLE baton.tracking_host (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    host       text NOT NULL UNIQUE, -- lower case, A-labels
    scheme     text NOT NULL DEFAULT 'https' CHECK (scheme IN ('https', 'http')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, host)
);

ALTER TABLE baton.message
    ADD COLUMN group_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN policy jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN is_sandboxed boolean NOT NULL DEFAULT false;

-- account_id last: while PostgreSQL has not counted a day's rows, all indexes that
-- begin with it look alike, and it took these for look-ups by key and read the
-- account's whole day for each.
DROP INDEX baton.delivery_recipient;
CREATE INDEX delivery_recipient
    ON baton.delivery (lower(recipient), account_id, delivery_id);
DROP INDEX baton.delivery_message;
CREATE INDEX delivery_message ON baton.delivery (message_id, account_id);
DROP INDEX baton.event_message;
CREATE INDEX event_message ON baton.event (message_id, account_id);

-- What the recipient did. *_links: the numbers of the links that were followed,
-- by anybody and by humans, with the instants of the first time in *_at.
ALTER TABLE baton.delivery
    ADD COLUMN group_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN open_count integer NOT NULL DEFAULT 0,
    ADD COLUMN human_open_count integer NOT NULL DEFAULT 0,
    ADD COLUMN first_opened_at timestamptz,
    ADD COLUMN first_human_opened_at timestamptz,
    ADD COLUMN click_count integer NOT NULL DEFAULT 0,
    ADD COLUMN human_click_count integer NOT NULL DEFAULT 0,
    ADD COLUMN first_clicked_at timestamptz,
    ADD COLUMN clicked_links integer[],
    ADD COLUMN clicked_at timestamptz[],
    ADD COLUMN human_clicked_links integer[],
    ADD COLUMN human_clicked_at timestamptz[];

-- link_number to verdict_reason: of opened and clicked. verdict: human, machine.
ALTER TABLE baton.event
    ADD COLUMN group_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN link_number integer,
    ADD COLUMN url text,
    ADD COLUMN client_address text,
    ADD COLUMN user_agent text,
    ADD COLUMN verdict text,
    ADD COLUMN verdict_reason text;

-- The clicks on a link within a second, for bursts.
CREATE INDEX event_click
    ON baton.event (account_id, delivery_id, link_number, verdict, occurred_at)
    WHERE kind = 'clicked';

-- Addresses that are no longer sent to. group_id: that group only, 0 the
-- messages without a group, NULL the whole account.
CREATE TABLE baton.suppression (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    address    text NOT NULL, -- lower case
    group_id   bigint,
    reason     text NOT NULL CHECK (reason IN ('hard_bounce', 'complaint',
                                               'unsubscribe', 'manual')),
    evidence   text NOT NULL DEFAULT '', -- the literal reply, report or request
    delivery_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    UNIQUE NULLS NOT DISTINCT (account_id, address, group_id)
);

-- Recipients who do not want to be watched: their copies have no links or pixel
-- of ours, and what they sent before that records nothing any more.
CREATE TABLE baton.untracked (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    address    text NOT NULL, -- lower case
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, address)
);

ALTER TABLE baton.delivery
    ADD COLUMN is_untracked boolean NOT NULL DEFAULT false;

-- Same key and content within 24 hours: the same message.
CREATE TABLE baton.idempotency (
    account_id bigint NOT NULL,
    key        text NOT NULL,
    content    bytea NOT NULL, -- SHA-256 of envelope and message
    message_id bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key)
);

CREATE INDEX idempotency_expires ON baton.idempotency (expires_at);

-- Stops a message whose key another one has. The statement that stored the keys
-- says how many of them it was given and how many are those messages' own.
CREATE FUNCTION baton.require_keys(p_given bigint, p_own bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_own < p_given THEN
        RAISE unique_violation
            USING MESSAGE = 'another message has this idempotency key';
    END IF;
END;
$$;

-- Counters of one hour, moved in the transaction of the events they count. A
-- shard for each connection that writes (of each worker): nobody waits for
-- anybody's row. report.counters_hourly adds them up.
CREATE TABLE baton.counter (
    account_id       bigint NOT NULL,
    group_id         bigint NOT NULL,
    hour             timestamptz NOT NULL,
    shard            integer NOT NULL,
    outbound         bigint NOT NULL DEFAULT 0,
    bytes            bigint NOT NULL DEFAULT 0,
    refused          bigint NOT NULL DEFAULT 0,
    sent             bigint NOT NULL DEFAULT 0,
    deferred         bigint NOT NULL DEFAULT 0,
    failed_permanent bigint NOT NULL DEFAULT 0,
    failed_expired   bigint NOT NULL DEFAULT 0,
    failed_suppressed bigint NOT NULL DEFAULT 0,
    cancelled        bigint NOT NULL DEFAULT 0,
    complaints       bigint NOT NULL DEFAULT 0,
    opens            bigint NOT NULL DEFAULT 0,
    opens_unique     bigint NOT NULL DEFAULT 0,
    opens_human      bigint NOT NULL DEFAULT 0, -- first with a human verdict
    clicks           bigint NOT NULL DEFAULT 0,
    clicks_unique    bigint NOT NULL DEFAULT 0,
    clicks_human     bigint NOT NULL DEFAULT 0,
    unsubscribes     bigint NOT NULL DEFAULT 0,
    resubscribes     bigint NOT NULL DEFAULT 0,
    inbound          bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, group_id, hour, shard)
) WITH (fillfactor = 50);

-- What an operator set for all accounts: pass_through.
CREATE TABLE baton.server_setting (
    name       text PRIMARY KEY,
    value      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The shard of a counter that an event moves: that of the worker in its id, and
-- of the connection that writes it (0 messages, 1 large messages, 2 results,
-- 3 events, 4 hits, 5 queries).
CREATE FUNCTION baton.counter_shard(p_event_id bigint, p_lane integer)
RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (p_event_id >> 12 & 1023)::integer * 8 + p_lane;

-- What speaks against a human, by what a hit says of itself: the rows of
-- machine_patterns (tracking/machine.c), of which the first that fits decides.
-- NULL: nothing. user_agent '' is of a client that said none.
CREATE FUNCTION baton.hit_verdict(user_agent text, client_address text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT reason
    FROM (VALUES
            (1, '', true, 'scanner'),
            (2, 'mozilla/5.0', true, 'apple-proxy'),
            (3, 'googleimageproxy', false, 'gmail-proxy'),
            (4, 'ggpht.com', false, 'gmail-proxy'),
            (5, 'yahoomailproxy', false, 'scanner'),
            (6, 'barracuda', false, 'scanner'),
            (7, 'proofpoint', false, 'scanner'),
            (8, 'mimecast', false, 'scanner'),
            (9, 'symantec', false, 'scanner'),
            (10, 'messagelabs', false, 'scanner'),
            (11, 'fireeye', false, 'scanner'),
            (12, 'trendmicro', false, 'scanner'),
            (13, 'safelinks', false, 'scanner'),
            (14, 'urldefense', false, 'scanner'),
            (15, 'cloudmark', false, 'scanner'),
            (16, 'ironport', false, 'scanner'),
            (17, 'bingpreview', false, 'scanner'),
            (18, 'skypeuripreview', false, 'scanner'),
            (19, 'microsoft office existence discovery', false, 'scanner'),
            (20, 'ms-office-link', false, 'scanner'),
            (21, 'microsoftpreview', false, 'scanner'),
            (22, 'facebookexternalhit', false, 'scanner'),
            (23, 'slack-imgproxy', false, 'scanner'),
            (24, 'slackbot', false, 'scanner'),
            (25, 'whatsapp/', false, 'scanner'),
            (26, 'telegrambot', false, 'scanner'),
            (27, 'bitlybot', false, 'scanner'),
            (28, 'embedly', false, 'scanner'),
            (29, 'google-safety', false, 'scanner'),
            (30, 'google-read-aloud', false, 'scanner'),
            (31, 'python', false, 'scanner'),
            (32, 'curl/', false, 'scanner'),
            (33, 'wget/', false, 'scanner'),
            (34, 'go-http-client', false, 'scanner'),
            (35, 'java/', false, 'scanner'),
            (36, 'okhttp', false, 'scanner'),
            (37, 'apache-httpclient', false, 'scanner'),
            (38, 'libwww-perl', false, 'scanner'),
            (39, 'lwp::', false, 'scanner'),
            (40, 'node-fetch', false, 'scanner'),
            (41, 'axios/', false, 'scanner'),
            (42, 'guzzlehttp', false, 'scanner'),
            (43, 'php/', false, 'scanner'),
            (44, 'ruby', false, 'scanner'),
            (45, 'winhttp', false, 'scanner'),
            (46, 'powershell', false, 'scanner'),
            (47, 'headlesschrome', false, 'scanner'),
            (48, 'phantomjs', false, 'scanner'),
            (49, 'puppeteer', false, 'scanner'),
            (50, 'playwright', false, 'scanner'),
            (51, 'selenium', false, 'scanner'),
            (52, 'bot/', false, 'scanner'),
            (53, 'bot;', false, 'scanner'),
            (54, 'bot)', false, 'scanner'),
            (55, 'googlebot', false, 'scanner'),
            (56, 'bingbot', false, 'scanner'),
            (57, 'crawler', false, 'scanner'),
            (58, 'spider', false, 'scanner'),
            (59, 'slurp', false, 'scanner'),
            (60, 'scanner', false, 'scanner'),
            (61, '+http', false, 'scanner'))
        AS pattern (place, words, is_whole, reason)
    WHERE CASE WHEN is_whole
          THEN lower($1 COLLATE "C") = words
          ELSE strpos(lower($1 COLLATE "C"), words) > 0 END
    ORDER BY place
    LIMIT 1
$$;

-- The stored clicks of one verdict on some links of a delivery between two
-- instants. p_links NULL: on all links, of a delivery that has not many clicks.
CREATE FUNCTION baton.clicks_between(p_account bigint, p_delivery bigint,
                                     p_links integer[], p_verdict text,
                                     p_from timestamptz, p_to timestamptz)
RETURNS TABLE (event_id bigint, occurred_at timestamptz, link_number integer)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
DECLARE
    -- An event's id is made when it occurs, or soon after: it says which days to
    -- look at.
    v_lowest constant bigint := baton.id_lowest_at(p_from - interval '4 hours');
    v_end constant bigint := baton.id_lowest_at(p_to + interval '4 hours');
BEGIN
    IF p_links IS NULL THEN
        RETURN QUERY
        SELECT e.event_id, e.occurred_at, e.link_number
        FROM baton.event e
        WHERE e.account_id = p_account
          AND e.delivery_id = p_delivery
          AND e.kind = 'clicked'
          AND e.verdict = p_verdict
          AND e.occurred_at >= p_from
          AND e.occurred_at <= p_to
          AND e.event_id >= v_lowest
          AND e.event_id < v_end;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT e.event_id, e.occurred_at, link
    FROM unnest(p_links) AS link
    CROSS JOIN LATERAL (
        SELECT *
        FROM baton.event
        WHERE event.account_id = p_account
          AND event.delivery_id = p_delivery
          AND event.kind = 'clicked'
          AND event.link_number = link
          AND event.verdict = p_verdict
          AND event.occurred_at >= p_from
          AND event.occurred_at <= p_to
          AND event.event_id >= v_lowest
          AND event.event_id < v_end
    ) AS e;
END;
$$;

-- The first and the last click of one verdict on each of some links between two
-- instants.
CREATE FUNCTION baton.click_range(p_account bigint, p_delivery bigint,
                                  p_links integer[], p_verdict text,
                                  p_from timestamptz, p_to timestamptz)
RETURNS TABLE (link_number integer, first_at timestamptz, last_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
DECLARE
    -- An event's id is made when it occurs, or soon after: it says which days to
    -- look at.
    v_lowest constant bigint := baton.id_lowest_at(p_from - interval '4 hours');
    v_end constant bigint := baton.id_lowest_at(p_to + interval '4 hours');
BEGIN
    RETURN QUERY
    SELECT link, e.first_at, e.last_at
    FROM unnest(p_links) AS link
    CROSS JOIN LATERAL (
        SELECT min(occurred_at) AS first_at, max(occurred_at) AS last_at
        FROM baton.event
        WHERE event.account_id = p_account
          AND event.delivery_id = p_delivery
          AND event.kind = 'clicked'
          AND event.link_number = link
          AND event.verdict = p_verdict
          AND event.occurred_at >= p_from
          AND event.occurred_at <= p_to
          AND event.event_id >= v_lowest
          AND event.event_id < v_end
    ) AS e
    WHERE e.first_at IS NOT NULL;
END;
$$;

-- When a human followed this link first after an instant, as far as events say;
-- NULL: none did.
CREATE FUNCTION baton.next_human_click(p_account bigint, p_delivery bigint,
                                       p_link integer, p_after timestamptz)
RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_lowest constant bigint :=
        baton.id_lowest_at(p_after - interval '4 hours');
BEGIN
    RETURN (SELECT e.occurred_at
            FROM baton.event e
            WHERE e.account_id = p_account
              AND e.delivery_id = p_delivery
              AND e.kind = 'clicked'
              AND e.link_number = p_link
              AND e.verdict = 'human'
              AND e.occurred_at > p_after
              AND e.event_id >= v_lowest
            ORDER BY e.occurred_at
            LIMIT 1);
END;
$$;

-- Links and the instants of their first clicks, which stand in two arrays, with
-- those of some links put in the place of what was there; NULL: it goes.
CREATE FUNCTION baton.merge_links(p_old integer[], p_links integer[],
                                  p_links_at timestamptz[])
RETURNS integer[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN nullif(
        ARRAY(SELECT old.link
              FROM unnest(p_old) WITH ORDINALITY AS old (link, place)
              WHERE old.link <> ALL (p_links)
              ORDER BY place)
        || ARRAY(SELECT new.link
                 FROM unnest(p_links, p_links_at) WITH ORDINALITY
                     AS new (link, at, place)
                 WHERE new.at IS NOT NULL
                 ORDER BY place), '{}');
END;
$$;

CREATE FUNCTION baton.merge_instants(p_old integer[], p_old_at timestamptz[],
                                     p_links integer[],
                                     p_links_at timestamptz[])
RETURNS timestamptz[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN nullif(
        ARRAY(SELECT old.at
              FROM unnest(p_old, p_old_at) WITH ORDINALITY AS old (link, at, place)
              WHERE old.link <> ALL (p_links)
              ORDER BY place)
        || ARRAY(SELECT new.at
                 FROM unnest(p_links_at) WITH ORDINALITY AS new (at, place)
                 WHERE new.at IS NOT NULL
                 ORDER BY place), '{}');
END;
$$;

-- The instants at which clicks of a delivery between two instants are of a burst:
-- within the second that ends with the fourth link's. p_links: all that were ever
-- followed; of what is before and behind only the nearest click on each of them
-- matters, so that this is quick while thousands follow a link each second. NULL:
-- the delivery has not many clicks, and looking at all is quicker.
CREATE FUNCTION baton.bursts_between(p_account bigint, p_delivery bigint,
                                     p_links integer[],
                                     p_from timestamptz, p_to timestamptz)
RETURNS SETOF timestamptz LANGUAGE plpgsql STABLE ROWS 10 AS $$
DECLARE
    v_margin constant interval :=
        CASE WHEN p_links IS NULL THEN interval '1 s' ELSE interval '0' END;
BEGIN
    RETURN QUERY
    WITH click AS (
        SELECT own.*
        FROM (VALUES ('human'), ('machine')) AS v (verdict)
        CROSS JOIN LATERAL (
            SELECT occurred_at, link_number
            FROM baton.clicks_between(p_account, p_delivery, p_links, verdict,
                                      p_from - v_margin, p_to + v_margin)
            UNION ALL
            SELECT last_at, link_number
            FROM baton.click_range(p_account, p_delivery, p_links, verdict,
                                   p_from - interval '1 s', p_from)
            UNION ALL
            SELECT first_at, link_number
            FROM baton.click_range(p_account, p_delivery, p_links, verdict,
                                   p_to, p_to + interval '1 s')
        ) AS own
    ), neighbour AS (
        SELECT occurred_at, lag(occurred_at) OVER own AS before,
               lead(occurred_at) OVER own AS after
        FROM click
        WINDOW own AS (PARTITION BY link_number ORDER BY occurred_at)
    ), edge AS (
        -- A link counts for a second from its click on.
        SELECT occurred_at AS at, 0 AS place,
               CASE WHEN before >= occurred_at - interval '1 s' THEN 0
               ELSE 1 END AS step
        FROM neighbour
        UNION ALL
        SELECT occurred_at + interval '1 s', 1, -1
        FROM neighbour
        WHERE after IS NULL OR after > occurred_at + interval '1 s'
    ), swept AS (
        SELECT at, place, sum(step) OVER (ORDER BY at, place) AS link_count
        FROM edge
    )
    SELECT DISTINCT at
    FROM (SELECT at, place,
                 min(at) FILTER (WHERE place = 0 AND link_count >= 4)
                     OVER (ORDER BY at DESC) AS ended_at
          FROM swept) AS click
    WHERE place = 0 AND ended_at <= at + interval '1 s';
END;
$$;

-- Clicks of a delivery, given by link and instant, are no human's any more: move
-- what counts humans in the delivery and in the counters.
CREATE FUNCTION baton.forget_humans(p_account bigint, p_delivery bigint,
                                    p_links integer[], p_instants timestamptz[],
                                    p_event bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_old baton.delivery;
    v_links integer[]; -- whose first human click is another one now, or none
    v_old_at timestamptz[];
    v_new_at timestamptz[];
BEGIN
    SELECT * INTO v_old
    FROM baton.delivery
    WHERE account_id = p_account AND delivery_id = p_delivery;
    SELECT array_agg(link), array_agg(at),
           array_agg(baton.next_human_click(p_account, p_delivery, link, at))
    INTO v_links, v_old_at, v_new_at
    FROM unnest(v_old.human_clicked_links, v_old.human_clicked_at)
        AS old (link, at)
    WHERE (link, at) IN (SELECT * FROM unnest(p_links, p_instants));
    UPDATE baton.delivery
    SET human_click_count = human_click_count - cardinality(p_links),
        human_clicked_links = CASE WHEN v_links IS NULL
            THEN human_clicked_links
            ELSE baton.merge_links(human_clicked_links, v_links, v_new_at) END,
        human_clicked_at = CASE WHEN v_links IS NULL
            THEN human_clicked_at
            ELSE baton.merge_instants(human_clicked_links, human_clicked_at,
                                      v_links, v_new_at) END
    WHERE account_id = p_account AND delivery_id = p_delivery;
    INSERT INTO baton.counter (account_id, group_id, hour, shard, clicks_human)
    SELECT p_account, v_old.group_id, date_trunc('hour', at, 'UTC'),
           baton.counter_shard(p_event, 4), sum(step)
    FROM (SELECT at, -1 AS step FROM unnest(v_old_at) AS old (at)
          UNION ALL
          SELECT at, 1 FROM unnest(v_new_at) AS new (at)) AS move
    WHERE at IS NOT NULL
    GROUP BY 3
    HAVING sum(step) <> 0
    ORDER BY 3
    ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
    SET clicks_human = counter.clicks_human + EXCLUDED.clicks_human;
END;
$$;

-- Give the clicks of a delivery that are of a burst the verdict of a scanner,
-- when clicks between two instants came to those before, and correct what counts
-- humans in the delivery and in the counters. p_links: as in bursts_between;
-- p_event names the counters' shard.
CREATE FUNCTION baton.mark_bursts(p_account bigint, p_delivery bigint,
                                  p_links integer[],
                                  p_from timestamptz, p_to timestamptz,
                                  p_event bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint; -- links that were followed then
    v_from timestamptz := p_from - interval '1 s'; -- where humans' clicks are
    v_to timestamptz := p_to + interval '1 s';
    v_links integer[]; -- of each click that is no human's any more
    v_instants timestamptz[];
BEGIN
    IF p_links IS NOT NULL THEN
        SELECT count(DISTINCT link_number),
               min(first_at) FILTER (WHERE verdict = 'human'),
               max(last_at) FILTER (WHERE verdict = 'human')
        INTO v_count, v_from, v_to
        FROM (VALUES ('human'), ('machine')) AS v (verdict),
             baton.click_range(p_account, p_delivery, p_links, verdict, v_from,
                               v_to);
        IF v_count < 4 OR v_from IS NULL THEN
            RETURN;
        END IF;
    END IF;
    WITH burst AS MATERIALIZED (
        SELECT e.event_id, e.occurred_at
        FROM baton.clicks_between(p_account, p_delivery, p_links, 'human',
                                  v_from, v_to) AS e
        WHERE (e.occurred_at IN (
                   SELECT baton.bursts_between(p_account, p_delivery, p_links,
                                               v_from, v_to))) IS TRUE
    ), marked AS (
        INSERT INTO baton.event (account_id, event_id, occurred_at, kind)
        SELECT p_account, event_id, occurred_at, 'clicked'
        FROM burst
        ON CONFLICT (account_id, event_id) DO UPDATE
        SET verdict = 'machine', verdict_reason = 'scanner',
            detail = event.detail || '{"burst": true}'
        RETURNING event.link_number, event.occurred_at
    )
    SELECT array_agg(link_number), array_agg(occurred_at)
    INTO v_links, v_instants
    FROM marked;
    IF v_links IS NOT NULL THEN
        PERFORM baton.forget_humans(p_account, p_delivery, v_links, v_instants,
                                    p_event);
    END IF;
END;
$$;

-- Make the verdicts of a delivery's hits between two instants anew: by what each
-- says of itself, and whether it is of a burst. What was judged by more than is
-- kept (a prefetch, a user agent that privacy forgets) stays. Returns how many
-- changed.
CREATE FUNCTION baton.judge_hits(p_account bigint, p_delivery bigint,
                                 p_from timestamptz, p_to timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
BEGIN
    WITH hit AS (
        SELECT event_id,
               CASE WHEN user_agent IS NOT NULL
                    THEN coalesce(baton.hit_verdict(user_agent, client_address),
                                  CASE WHEN verdict_reason = 'prefetch'
                                  THEN 'prefetch' END)
                    WHEN NOT detail ? 'burst' THEN verdict_reason END AS reason,
               kind = 'clicked'
                   AND (occurred_at IN (
                            SELECT baton.bursts_between(p_account, p_delivery,
                                                        NULL, p_from, p_to)))
                       IS TRUE AS is_near
        FROM baton.event
        WHERE account_id = p_account
          AND delivery_id = p_delivery
          AND kind IN ('opened', 'clicked')
          AND occurred_at >= p_from
          AND occurred_at < p_to
          AND event_id >= baton.id_lowest_at(p_from - interval '4 hours')
          AND event_id < baton.id_lowest_at(p_to + interval '4 hours')
    ), judged AS (
        SELECT event_id, reason IS NULL AND is_near AS is_burst,
               CASE WHEN reason IS NULL AND is_near THEN 'scanner'
               ELSE reason END AS reason
        FROM hit
    )
    UPDATE baton.event
    SET verdict = CASE WHEN reason IS NULL THEN 'human' ELSE 'machine' END,
        verdict_reason = reason,
        detail = CASE WHEN is_burst THEN event.detail || '{"burst": true}'
                 ELSE event.detail - 'burst' END
    FROM judged
    WHERE event.account_id = p_account
      AND event.event_id = judged.event_id
      AND (event.verdict_reason IS DISTINCT FROM reason
           OR event.detail ? 'burst' <> is_burst);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END;
$$;

-- Make what is counted of a delivery's humans anew from its events, in the
-- delivery and in the counters.
CREATE FUNCTION baton.recount_humans(p_account bigint, p_delivery bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_old baton.delivery;
    v_new record;
BEGIN
    SELECT * INTO v_old
    FROM baton.delivery
    WHERE account_id = p_account AND delivery_id = p_delivery;
    SELECT coalesce(sum(opens), 0) AS open_count, min(open_at) AS opened_at,
           coalesce(sum(clicks), 0) AS click_count,
           array_agg(link_number ORDER BY link_number)
               FILTER (WHERE clicks > 0) AS links,
           array_agg(click_at ORDER BY link_number)
               FILTER (WHERE clicks > 0) AS links_at
    INTO v_new
    FROM (SELECT link_number,
                 count(*) FILTER (WHERE kind = 'opened') AS opens,
                 min(occurred_at) FILTER (WHERE kind = 'opened') AS open_at,
                 count(*) FILTER (WHERE kind = 'clicked') AS clicks,
                 min(occurred_at) FILTER (WHERE kind = 'clicked') AS click_at
          FROM baton.event
          WHERE account_id = p_account
            AND message_id = v_old.message_id
            AND delivery_id = p_delivery
            AND kind IN ('opened', 'clicked')
            AND verdict = 'human'
          GROUP BY link_number) AS link;
    INSERT INTO baton.counter (account_id, group_id, hour, shard, opens_human,
                               clicks_human)
    SELECT p_account, v_old.group_id, date_trunc('hour', at, 'UTC'),
           baton.counter_shard(baton.make_id(), 5), sum(opens), sum(clicks)
    FROM (SELECT v_old.first_human_opened_at AS at, -1 AS opens, 0 AS clicks
          UNION ALL
          SELECT v_new.opened_at, 1, 0
          UNION ALL
          SELECT old.at, 0, -1 FROM unnest(v_old.human_clicked_at) AS old (at)
          UNION ALL
          SELECT new.at, 0, 1 FROM unnest(v_new.links_at) AS new (at)) AS step
    WHERE at IS NOT NULL
    GROUP BY 1, 2, 3, 4
    HAVING sum(opens) <> 0 OR sum(clicks) <> 0
    ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
    SET opens_human = counter.opens_human + EXCLUDED.opens_human,
        clicks_human = counter.clicks_human + EXCLUDED.clicks_human;
    UPDATE baton.delivery
    SET human_open_count = v_new.open_count,
        first_human_opened_at = v_new.opened_at,
        human_click_count = v_new.click_count,
        human_clicked_links = v_new.links,
        human_clicked_at = v_new.links_at
    WHERE account_id = p_account AND delivery_id = p_delivery;
END;
$$;

-- Make the verdicts of stored hits anew, after the patterns of hit_verdict
-- changed or to see that they are right, and correct whatever counts by them.
-- Events of which the delivery is not there any more are passed over. Returns
-- how many verdicts changed.
CREATE FUNCTION baton.recompute_verdicts(p_account bigint, p_from timestamptz,
                                         p_to timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_delivery bigint;
    v_count bigint;
    v_changes bigint := 0;
BEGIN
    FOR v_delivery IN
        SELECT DISTINCT delivery_id
        FROM baton.event
        WHERE account_id = p_account
          AND kind IN ('opened', 'clicked')
          AND message_id IS NOT NULL
          AND occurred_at >= p_from
          AND occurred_at < p_to
          AND event_id >= baton.id_lowest_at(p_from - interval '4 hours')
          AND event_id < baton.id_lowest_at(p_to + interval '4 hours')
        ORDER BY delivery_id
    LOOP
        PERFORM FROM baton.delivery
        WHERE account_id = p_account AND delivery_id = v_delivery
        FOR NO KEY UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_count := baton.judge_hits(p_account, v_delivery, p_from, p_to);
        IF v_count > 0 THEN
            PERFORM baton.recount_humans(p_account, v_delivery);
        END IF;
        v_changes := v_changes + v_count;
    END LOOP;
    RETURN v_changes;
END;
$$;
