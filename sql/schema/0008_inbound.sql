-- Mail that comes back: what reports said of deliveries, and where mail for
-- accounts' own addresses goes.

-- What came back of a delivery, each once: bits 1 bounced, 2 deferred,
-- 4 autoreplied, 8 complained, 16 other feedback.
ALTER TABLE baton.delivery ADD COLUMN reports smallint NOT NULL DEFAULT 0;

-- Where mail to an account's addresses goes that comes to the listener named
-- inbound. address: local@domain or @domain, in lower case.
CREATE TABLE baton.inbound_route (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    address    text NOT NULL UNIQUE,
    target     text NOT NULL, -- as of baton.route
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, address)
);

CREATE FUNCTION baton.report_bit(p_kind text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_kind WHEN 'bounced' THEN 1 WHEN 'deferred' THEN 2
                   WHEN 'autoreplied' THEN 4 WHEN 'complained' THEN 8
                   ELSE 16 END::smallint;

-- What the next hop refused for good because it takes no mail from our address
-- or domain (class reputation_block) is no failure of the recipient and has a
-- counter of its own.
ALTER TABLE baton.counter ADD COLUMN blocked bigint NOT NULL DEFAULT 0;

-- The end of a delivery that another host had accepted, or had and we do not know
-- it (yet): its queue row goes, so that it is not sent again. Returns whether it
-- was its end. The queue row is locked before the delivery, as everywhere.
-- p_is_block: which counter moves.
CREATE FUNCTION baton.end_bounced(p_account bigint, p_delivery bigint,
                                  p_event bigint, p_at timestamptz,
                                  p_reply text, p_is_block boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_old baton.delivery;
    v_worker bigint;
BEGIN
    SELECT * INTO v_old
    FROM baton.delivery
    WHERE account_id = p_account AND delivery_id = p_delivery;
    IF v_old.state = 'queued' THEN
        SELECT worker_id INTO v_worker
        FROM baton.queue
        WHERE account_id = p_account AND delivery_id = p_delivery
        FOR UPDATE;
    END IF;
    SELECT * INTO v_old
    FROM baton.delivery
    WHERE account_id = p_account AND delivery_id = p_delivery
    FOR NO KEY UPDATE;
    IF v_old.state IS NULL OR v_old.state NOT IN ('delivered', 'queued')
       OR v_old.reports & 1 <> 0 THEN
        RETURN false;
    END IF;
    IF v_old.state = 'queued' THEN
        DELETE FROM baton.queue
        WHERE account_id = p_account AND delivery_id = p_delivery;
        IF v_worker IS NOT NULL THEN
            PERFORM pg_notify('baton_queue', format('cancel delivery %s %s',
                                                    p_delivery,
                                                    v_old.message_id));
        END IF;
    END IF;
    UPDATE baton.delivery
    SET state = 'failed', finished_at = p_at, last_reply = p_reply
    WHERE account_id = p_account AND delivery_id = p_delivery;
    INSERT INTO baton.counter AS c (account_id, group_id, hour, shard, sent,
                                    failed_permanent, blocked)
    SELECT p_account, v_old.group_id, hour, baton.counter_shard(p_event, 3),
           sum(sent_step),
           sum(CASE WHEN p_is_block THEN 0 ELSE failed_step END),
           sum(CASE WHEN p_is_block THEN failed_step ELSE 0 END)
    FROM (VALUES (date_trunc('hour', v_old.finished_at, 'UTC'), -1, 0),
                 (date_trunc('hour', p_at, 'UTC'), 0, 1))
        AS step (hour, sent_step, failed_step)
    WHERE sent_step = 0 OR v_old.state = 'delivered'
    GROUP BY hour
    ORDER BY hour
    ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
    SET sent = c.sent + EXCLUDED.sent,
        failed_permanent = c.failed_permanent + EXCLUDED.failed_permanent,
        blocked = c.blocked + EXCLUDED.blocked;
    RETURN true;
END;
$$;

-- Write down what a report said of a delivery: its event and what moves with it.
-- Nothing happens when the same was reported before, or when the delivery is not
-- kept any more. p_reply: what is shown as its last reply when it ends.
CREATE FUNCTION baton.take_report(p_account bigint, p_delivery bigint,
                                  p_event bigint, p_at timestamptz, p_kind text,
                                  p_detail jsonb, p_reply text, p_client text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_delivery baton.delivery;
BEGIN
    IF p_kind = 'bounced' THEN
        PERFORM baton.end_bounced(p_account, p_delivery, p_event, p_at, p_reply,
                                  coalesce(p_detail ->> 'class'
                                           = 'reputation_block', false));
    END IF;
    UPDATE baton.delivery
    SET reports = reports | baton.report_bit(p_kind)
    WHERE account_id = p_account
      AND delivery_id = p_delivery
      AND reports & baton.report_bit(p_kind) = 0
    RETURNING * INTO v_delivery;
    IF v_delivery.delivery_id IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO baton.event (account_id, event_id, occurred_at, kind,
                             message_id, delivery_id, recipient, detail,
                             group_id, client_address)
    VALUES (p_account, p_event, p_at, p_kind, v_delivery.message_id, p_delivery,
            v_delivery.recipient, p_detail, v_delivery.group_id, p_client);
    IF p_kind = 'complained' THEN
        INSERT INTO baton.counter AS c (account_id, group_id, hour, shard,
                                        complaints)
        VALUES (p_account, v_delivery.group_id, date_trunc('hour', p_at, 'UTC'),
                baton.counter_shard(p_event, 3), 1)
        ON CONFLICT (account_id, group_id, hour, shard) DO UPDATE
        SET complaints = c.complaints + 1;
    END IF;
END;
$$;

CREATE VIEW report.inbound_route AS
SELECT r.account_id, a.name AS account, r.address, r.created_at
FROM baton.inbound_route r
JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.inbound_route IS
    'Addresses of accounts whose mail is taken in and handed on.';
COMMENT ON COLUMN report.inbound_route.account_id IS 'The account''s number.';
COMMENT ON COLUMN report.inbound_route.account IS 'The account''s name.';
COMMENT ON COLUMN report.inbound_route.address IS
    'local@domain, or @domain for all of it; in lower case.';
COMMENT ON COLUMN report.inbound_route.created_at IS 'Since when.';

COMMENT ON COLUMN report.event.kind IS
    'accepted, deferred, delivered, bounced, rejected, expired, cancelled, '
    'suppressed, opened, clicked, unsubscribed, resubscribed, autoreplied, '
    'complained, feedback (a report that is no complaint: not-spam, '
    'auth-failure ...) or inbound (accepted for an inbound route).';

DO $$
DECLARE
    v_view text;
BEGIN
    FOREACH v_view IN ARRAY ARRAY['counters_hourly', 'counters_daily',
                                  'group_summary'] LOOP
        EXECUTE format('COMMENT ON COLUMN report.%I.sent IS %L', v_view,
            'Deliveries that the next hop took: the first 2yz to the final '
            'dot. One that is reported as failed later is taken back.');
        EXECUTE format('COMMENT ON COLUMN report.%I.failed_permanent IS %L',
            v_view, 'Deliveries that were refused for good (5yz), in the '
            'dialogue or by a report that came later.');
    END LOOP;
END;
$$;
