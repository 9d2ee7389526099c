-- Failures that an account's manager or its authors are told of. They are
-- written down in the transaction that ends the delivery and deleted when the
-- message about them is stored. The first of an account in a period are told one
-- by one, the others in one digest for each addressee when the period is over
-- (docs/decisions/0019-notices.md).

-- A failure and whom it is told. notice_id: the notice that tells it; NULL: it
-- waits.
CREATE TABLE baton.notice_failure (
    account_id  bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    delivery_id bigint NOT NULL,
    addressee   text NOT NULL,
    message_id  bigint NOT NULL,
    recipient   text NOT NULL,
    domain      text NOT NULL,
    occurred_at timestamptz NOT NULL,
    class       text NOT NULL, -- invalid_address …, expired
    status      text NOT NULL, -- RFC 3463
    reply       text NOT NULL, -- literal; '': there was none
    host        text NOT NULL, -- that said it, or ''
    explanation text NOT NULL, -- one sentence
    notice_id   bigint,
    PRIMARY KEY (account_id, delivery_id, addressee)
);

CREATE INDEX notice_failure_waiting
ON baton.notice_failure (account_id, occurred_at, delivery_id)
WHERE notice_id IS NULL;

CREATE INDEX notice_failure_told
ON baton.notice_failure (account_id, notice_id)
WHERE notice_id IS NOT NULL;

-- Notices that are to be made. A worker takes one by moving claimed_until;
-- whoever comes later makes it again if nothing became of it, under the same id.
CREATE TABLE baton.notice (
    account_id    bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    notice_id     bigint NOT NULL,
    addressee     text NOT NULL,
    is_digest     boolean NOT NULL,
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (account_id, notice_id)
);

CREATE INDEX notice_claim ON baton.notice (claimed_until);

-- How many failures of an account were told one by one in the period that ends
-- at ends_at.
CREATE TABLE baton.notice_period (
    account_id bigint PRIMARY KEY REFERENCES baton.account ON DELETE CASCADE,
    ends_at    timestamptz NOT NULL,
    told       integer NOT NULL
);

-- The setting notices_per_period. What is no number is its default.
CREATE FUNCTION baton.notice_limit(p_settings jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_settings ->> 'notices_per_period' ~ '^[0-9]{1,6}$'
            THEN (p_settings ->> 'notices_per_period')::integer
            ELSE 10 END;

-- One digest for each addressee, of all that waits and happened before p_until.
CREATE FUNCTION baton.make_digests(p_account bigint, p_until timestamptz)
RETURNS void LANGUAGE sql AS $$
    WITH told AS MATERIALIZED (
        SELECT address, addressee, baton.make_id() AS notice_id
        FROM (SELECT lower(addressee) AS address, min(addressee) AS addressee
              FROM baton.notice_failure
              WHERE account_id = p_account AND notice_id IS NULL
                AND occurred_at < p_until
              GROUP BY 1) AS one
    ), made AS (
        INSERT INTO baton.notice (account_id, notice_id, addressee, is_digest)
        SELECT p_account, notice_id, addressee, true
        FROM told
    )
    UPDATE baton.notice_failure f
    SET notice_id = told.notice_id
    FROM told
    WHERE f.account_id = p_account AND f.notice_id IS NULL
      AND f.occurred_at < p_until AND lower(f.addressee) = told.address
$$;

-- A notice for each addressee of the oldest p_limit failures that wait. Returns
-- how many failures there were.
CREATE FUNCTION baton.make_single_notices(p_account bigint, p_limit integer)
RETURNS integer LANGUAGE sql AS $$
    WITH oldest AS (
        SELECT delivery_id, min(occurred_at) AS occurred_at
        FROM (SELECT delivery_id, occurred_at
              FROM baton.notice_failure
              WHERE account_id = p_account AND notice_id IS NULL
              ORDER BY occurred_at, delivery_id
              LIMIT 2 * p_limit) AS row -- a manager and an author each
        GROUP BY delivery_id
        ORDER BY 2, 1
        LIMIT p_limit
    ), told AS (
        UPDATE baton.notice_failure f
        SET notice_id = baton.make_id()
        FROM oldest
        WHERE f.account_id = p_account AND f.notice_id IS NULL
          AND f.delivery_id = oldest.delivery_id
        RETURNING f.delivery_id, f.notice_id, f.addressee
    ), made AS (
        INSERT INTO baton.notice (account_id, notice_id, addressee, is_digest)
        SELECT p_account, notice_id, addressee, false
        FROM told
    )
    SELECT count(DISTINCT delivery_id)::integer FROM told
$$;

-- Decide how waiting failures of an account are told. Who comes while somebody
-- else decides it leaves it to him.
CREATE FUNCTION baton.decide_notices(p_account bigint, p_now timestamptz,
                                     p_period interval)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_period baton.notice_period;
    v_limit integer;
BEGIN
    INSERT INTO baton.notice_period (account_id, ends_at, told)
    VALUES (p_account, '-infinity', 0)
    ON CONFLICT DO NOTHING;
    SELECT * INTO v_period
    FROM baton.notice_period
    WHERE account_id = p_account
    FOR UPDATE SKIP LOCKED;
    IF v_period.account_id IS NULL THEN
        RETURN;
    END IF;
    IF v_period.ends_at <= p_now THEN
        PERFORM baton.make_digests(p_account, v_period.ends_at);
        v_period.ends_at := date_bin(p_period, p_now,
                                     timestamptz '2024-01-01 00:00:00+00')
                            + p_period;
        v_period.told := 0;
    END IF;
    SELECT baton.notice_limit(settings) INTO v_limit
    FROM baton.account
    WHERE account_id = p_account;
    IF v_limit > v_period.told THEN
        v_period.told := v_period.told + baton.make_single_notices(
            p_account, v_limit - v_period.told);
    END IF;
    UPDATE baton.notice_period
    SET ends_at = v_period.ends_at, told = v_period.told
    WHERE account_id = p_account
      AND (ends_at, told) IS DISTINCT FROM (v_period.ends_at, v_period.told);
END;
$$;

-- Decide about all accounts that have something to decide: walk from account to
-- account in the index of what waits. Returns whether there is a notice to take.
CREATE FUNCTION baton.decide_all_notices(p_now timestamptz, p_period interval)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_account bigint := 0;
BEGIN
    LOOP
        SELECT min(account_id) INTO v_account
        FROM baton.notice_failure
        WHERE notice_id IS NULL AND account_id > v_account;
        EXIT WHEN v_account IS NULL;
        IF NOT EXISTS (SELECT
                       FROM baton.notice_period p
                       JOIN baton.account a USING (account_id)
                       WHERE p.account_id = v_account AND p.ends_at > p_now
                         AND p.told >= baton.notice_limit(a.settings)) THEN
            PERFORM baton.decide_notices(v_account, p_now, p_period);
        END IF;
    END LOOP;
    RETURN EXISTS (SELECT FROM baton.notice WHERE claimed_until <= p_now);
END;
$$;

CREATE VIEW report.notice_waiting AS
SELECT f.account_id, a.name AS account, f.addressee, f.message_id, f.delivery_id,
       f.recipient, f.occurred_at, f.class, f.status, f.reply,
       CASE WHEN f.notice_id IS NULL THEN p.ends_at END AS digest_at
FROM baton.notice_failure f
JOIN baton.account a USING (account_id)
LEFT JOIN baton.notice_period p USING (account_id);

COMMENT ON VIEW report.notice_waiting IS
    'Failures that the account''s manager or the author is still to be told of.';
COMMENT ON COLUMN report.notice_waiting.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.notice_waiting.account IS 'The account''s name.';
COMMENT ON COLUMN report.notice_waiting.addressee IS 'Who is told.';
COMMENT ON COLUMN report.notice_waiting.message_id IS 'The message that failed.';
COMMENT ON COLUMN report.notice_waiting.delivery_id IS
    'Its delivery to this recipient.';
COMMENT ON COLUMN report.notice_waiting.recipient IS 'Whom it was for.';
COMMENT ON COLUMN report.notice_waiting.occurred_at IS 'When it failed.';
COMMENT ON COLUMN report.notice_waiting.class IS
    'What the failure means: invalid_address, mailbox_full ...';
COMMENT ON COLUMN report.notice_waiting.status IS 'RFC 3463, as 5.1.1.';
COMMENT ON COLUMN report.notice_waiting.reply IS
    'The literal reply; empty: there was none.';
COMMENT ON COLUMN report.notice_waiting.digest_at IS
    'When the digest it goes into is made; NULL: it is told at once.';

-- What the views show gets the counter of blocks.
CREATE OR REPLACE VIEW report.counters_hourly AS
SELECT c.account_id, a.name AS account, c.group_id,
       CASE c.group_id WHEN 0 THEN '' ELSE g.name END AS group_name, c.hour,
       c.outbound, c.bytes, c.refused, c.sent, c.deferred,
       c.failed_permanent + c.failed_expired + c.failed_suppressed AS failed,
       c.failed_permanent, c.failed_expired, c.failed_suppressed, c.cancelled,
       c.complaints, c.opens, c.opens_unique, c.opens_human, c.clicks,
       c.clicks_unique, c.clicks_human, c.unsubscribes, c.resubscribes,
       c.inbound, c.blocked
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
             sum(inbound)::bigint AS inbound,
             sum(blocked)::bigint AS blocked
      FROM baton.counter
      GROUP BY account_id, group_id, hour) AS c
LEFT JOIN baton.account a USING (account_id)
LEFT JOIN baton.message_group g USING (account_id, group_id);

CREATE OR REPLACE VIEW report.counters_daily AS
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
       sum(resubscribes)::bigint AS resubscribes, sum(inbound)::bigint AS inbound,
       sum(blocked)::bigint AS blocked
FROM report.counters_hourly
GROUP BY account_id, account, group_id, group_name, day;

CREATE OR REPLACE VIEW report.group_summary AS
SELECT c.account_id, c.account, c.group_id, c.group_name, c.kind,
       c.first_hour, c.last_hour, c.outbound, c.bytes, c.refused,
       c.sent, c.deferred, c.failed, c.failed_permanent,
       c.failed_expired, c.failed_suppressed, c.cancelled,
       c.complaints, c.opens, c.opens_unique, c.opens_human, c.clicks,
       c.clicks_unique, c.clicks_human, c.unsubscribes,
       c.resubscribes, c.inbound,
       baton.share(sent, outbound) AS sent_rate,
       baton.share(failed, outbound) AS failed_rate,
       baton.share(opens_human, sent) AS open_rate,
       baton.share(clicks_human, sent) AS click_rate,
       baton.share(clicks_human, opens_human) AS click_to_open_rate,
       baton.share(unsubscribes, sent) AS unsubscribe_rate,
       baton.share(complaints, sent) AS complaint_rate, c.blocked
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
             sum(inbound)::bigint AS inbound,
             sum(blocked)::bigint AS blocked
      FROM report.counters_hourly h
      LEFT JOIN baton.message_group g USING (account_id, group_id)
      GROUP BY h.account_id, h.account, h.group_id, h.group_name, g.kind) AS c;

DO $$
DECLARE
    v_view text;
BEGIN
    FOREACH v_view IN ARRAY ARRAY['counters_hourly', 'counters_daily',
                                  'group_summary'] LOOP
        EXECUTE format('COMMENT ON COLUMN report.%I.failed_permanent IS %L',
            v_view, 'Deliveries that were refused for good (5yz) because of '
            'the recipient or the message, in the dialogue or by a report '
            'that came later.');
        EXECUTE format('COMMENT ON COLUMN report.%I.blocked IS %L', v_view,
            'Deliveries that were refused for good because our address or '
            'domain is blocked (class reputation_block). Not part of failed.');
        EXECUTE format('COMMENT ON COLUMN report.%I.refused IS %L', v_view,
            'Recipients that were refused in the dialogue, or taken over a '
            'limit and not sent to.');
    END LOOP;
END;
$$;
