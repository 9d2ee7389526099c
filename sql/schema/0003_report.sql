-- What people and programs read: schema report, a public interface. Columns are
-- added at the end, never changed or taken away. The role baton_report may read
-- these views and nothing else; grant it to whoever needs that.

CREATE SCHEMA report;
COMMENT ON SCHEMA report IS
    'Baton''s public interface for reading: documented views, kept stable.';

-- The lines of a transcript (smtp/transcript.h):
--     +0.012 < 250-mx.example
-- The functions that views call are bound to what they use when they are made:
-- who reads the views has no right to look names up in schema baton.
CREATE FUNCTION baton.transcript_lines(p_transcript text)
RETURNS TABLE (line_number bigint, after interval, direction text, line text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT number, parts[1]::numeric * interval '1 second',
           CASE parts[2] WHEN '<' THEN 'received' WHEN '>' THEN 'sent'
           ELSE 'remark' END, parts[3]
    FROM string_to_table(p_transcript, E'\n') WITH ORDINALITY
             AS t (written, number),
         regexp_match(written, '^\+([0-9]+\.[0-9]+) ([<>=]) ?(.*)$') AS parts
    WHERE parts IS NOT NULL;
END;

-- How long a transcript lasted: the time of its last line.
CREATE FUNCTION baton.transcript_span(p_transcript text) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT coalesce(max(after), interval '0')
        FROM baton.transcript_lines(p_transcript));

CREATE VIEW report.message AS
SELECT m.account_id, a.name AS account, m.message_id, m.accepted_at,
       m.expires_at, m.sender, m.from_address, m.subject,
       m.internet_message_id, m.size_bytes, m.recipient_count,
       m.is_smtputf8, m.has_8bit,
       CASE m.dsn_return WHEN 1 THEN 'full' WHEN 2 THEN 'headers' END
           AS dsn_return,
       m.envelope_id,
       CASE m.priority WHEN 1 THEN 'high' ELSE 'normal' END AS priority,
       m.client_address, m.client_name, m.protocol, m.tls, m.user_name,
       m.transcript
FROM baton.message m
LEFT JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.message IS
    'What was accepted: one row a message, whatever the number of recipients.';
COMMENT ON COLUMN report.message.account IS
    'The account''s name; NULL once the account is removed.';
COMMENT ON COLUMN report.message.message_id IS
    'The id of "250 … queued as <id>". Ids sort by time; name a range of them, '
    'or of accepted_at and message_id, to read a part of the history only.';
COMMENT ON COLUMN report.message.accepted_at IS 'When 250 was about to be said.';
COMMENT ON COLUMN report.message.expires_at IS
    'When an unfinished delivery is given up.';
COMMENT ON COLUMN report.message.sender IS
    'The envelope''s sender; empty for the null sender of reports.';
COMMENT ON COLUMN report.message.from_address IS 'The address in From.';
COMMENT ON COLUMN report.message.internet_message_id IS 'The Message-ID field.';
COMMENT ON COLUMN report.message.size_bytes IS 'Its size as it came.';
COMMENT ON COLUMN report.message.dsn_return IS
    'RET of RFC 3461: full, headers, or NULL when not given.';
COMMENT ON COLUMN report.message.envelope_id IS 'ENVID of RFC 3461.';
COMMENT ON COLUMN report.message.client_address IS 'Who submitted it.';
COMMENT ON COLUMN report.message.client_name IS 'What the client said in EHLO.';
COMMENT ON COLUMN report.message.protocol IS
    'How it came: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA …';
COMMENT ON COLUMN report.message.tls IS 'TLS version and cipher, or NULL.';
COMMENT ON COLUMN report.message.user_name IS
    'The user of AUTH, or NULL when the network told the account.';
COMMENT ON COLUMN report.message.transcript IS
    'The submission''s dialogue; line by line in report.smtp_log.';

CREATE VIEW report.delivery AS
SELECT d.account_id, a.name AS account, d.message_id, d.delivery_id,
       baton.id_instant(d.delivery_id) AS created_at,
       d.recipient, d.domain, d.state, d.finished_at, d.attempt_count,
       d.last_reply, d.original_recipient,
       (d.notify & 1) <> 0 AS notify_never,
       (d.notify & 2) <> 0 AS notify_success,
       (d.notify & 4) <> 0 AS notify_failure,
       (d.notify & 8) <> 0 AS notify_delay
FROM baton.delivery d
LEFT JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.delivery IS
    'One message to one recipient, and what became of it.';
COMMENT ON COLUMN report.delivery.domain IS
    'The recipient''s domain, in lower case and A-labels.';
COMMENT ON COLUMN report.delivery.state IS
    'queued, delivered, failed, expired, cancelled (by an operator), rejected '
    '(taken over a limit: on_refusal = accept) or '
    'withdrawn (the client left before 250).';
COMMENT ON COLUMN report.delivery.finished_at IS 'NULL while it is queued.';
COMMENT ON COLUMN report.delivery.last_reply IS
    'The last answer of a host, or what happened instead of one.';
COMMENT ON COLUMN report.delivery.original_recipient IS 'ORCPT of RFC 3461.';
COMMENT ON COLUMN report.delivery.notify_never IS 'NOTIFY of RFC 3461.';

CREATE VIEW report.attempt AS
SELECT t.account_id, a.name AS account, t.message_id, t.delivery_id,
       t.attempt_id, t.number, t.started_at, t.finished_at, t.host, t.address,
       t.outcome, t.scope, t.step, nullif(t.reply_code, 0) AS reply_code,
       nullif(t.enhanced_code, '') AS enhanced_code, t.reply, t.tls,
       t.queue_milliseconds, t.connect_milliseconds, t.transfer_milliseconds,
       t.worker_id, t.transcript
FROM baton.attempt t
LEFT JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.attempt IS 'One try of a delivery at one host.';
COMMENT ON COLUMN report.attempt.number IS 'Counts a delivery''s tries from 1.';
COMMENT ON COLUMN report.attempt.host IS 'The exchanger''s name.';
COMMENT ON COLUMN report.attempt.address IS 'Its address and port.';
COMMENT ON COLUMN report.attempt.outcome IS
    'delivered, deferred, failed, or uncertain: the connection was lost between '
    'the final dot and its reply, so that it may have arrived.';
COMMENT ON COLUMN report.attempt.scope IS
    'How far it reaches: recipient, message, host or site.';
COMMENT ON COLUMN report.attempt.step IS
    'Where in the dialogue it was decided.';
COMMENT ON COLUMN report.attempt.reply_code IS 'NULL when there was no reply.';
COMMENT ON COLUMN report.attempt.enhanced_code IS 'RFC 3463, as 5.1.1.';
COMMENT ON COLUMN report.attempt.reply IS
    'The literal reply, or what happened instead of one.';
COMMENT ON COLUMN report.attempt.queue_milliseconds IS
    'From being due to the try''s start.';
COMMENT ON COLUMN report.attempt.connect_milliseconds IS
    'Until the connection was ready; 0 on one that was open already.';
COMMENT ON COLUMN report.attempt.transfer_milliseconds IS
    'From MAIL to the last reply.';
COMMENT ON COLUMN report.attempt.transcript IS
    'The dialogue; line by line in report.smtp_log.';

CREATE VIEW report.event AS
SELECT e.account_id, a.name AS account, e.event_id, e.occurred_at, e.kind,
       e.message_id, e.delivery_id, e.recipient, e.detail
FROM baton.event e
LEFT JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.event IS 'Everything that happened, one row each.';
COMMENT ON COLUMN report.event.account_id IS
    '0 for what happened before there was an account.';
COMMENT ON COLUMN report.event.event_id IS 'Stable: the same everywhere.';
COMMENT ON COLUMN report.event.kind IS
    'accepted, deferred, delivered, bounced, rejected, expired or cancelled.';
COMMENT ON COLUMN report.event.message_id IS
    'NULL for what was refused before there was a message.';
COMMENT ON COLUMN report.event.detail IS 'What more there is to say, by kind.';

CREATE VIEW report.smtp_log AS
SELECT m.account_id, a.name AS account, m.message_id,
       NULL::bigint AS delivery_id, NULL::bigint AS attempt_id, l.line_number,
       m.accepted_at - baton.transcript_span(m.transcript) + l.after AS at,
       l.direction, l.line
FROM baton.message m
CROSS JOIN LATERAL baton.transcript_lines(m.transcript) l
LEFT JOIN baton.account a USING (account_id)
UNION ALL
SELECT t.account_id, a.name, t.message_id, t.delivery_id, t.attempt_id,
       l.line_number, t.started_at + l.after, l.direction, l.line
FROM baton.attempt t
CROSS JOIN LATERAL baton.transcript_lines(t.transcript) l
LEFT JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.smtp_log IS
    'The literal SMTP conversations, one row a line: of the submission '
    '(delivery_id and attempt_id are NULL) and of every attempt. Ask for one '
    'message_id, and sort by at, attempt_id, line_number.';
COMMENT ON COLUMN report.smtp_log.line_number IS
    'Counts the lines of one conversation from 1.';
COMMENT ON COLUMN report.smtp_log.direction IS
    'received and sent as Baton sees it; remark: said by Baton about it.';

CREATE VIEW report.site_wait AS
SELECT s.worker_id, w.node, s.site, s.waiting_count, s.busy_count, s.why,
       s.updated_at
FROM baton.site_wait s
JOIN baton.worker w USING (worker_id);

COMMENT ON VIEW report.site_wait IS
    'Why deliveries in a worker''s hand wait, one row a site (all domains that '
    'share their exchangers), as of the last second.';
COMMENT ON COLUMN report.site_wait.site IS
    'The exchangers and the port, or the route.';
COMMENT ON COLUMN report.site_wait.busy_count IS 'Deliveries on the wire.';

-- A queue row does not know its site. It is that of the worker's sites which
-- names the domain, or the host of the delivery's last attempt, or the only
-- one.
CREATE VIEW report.queue AS
SELECT q.account_id, a.name AS account, q.message_id, q.delivery_id,
       d.recipient, q.domain,
       CASE q.priority WHEN 1 THEN 'high' ELSE 'normal' END AS priority,
       CASE WHEN q.worker_id IS NOT NULL THEN 'leased'
            WHEN s.scope IS NOT NULL THEN 'suspended'
            ELSE 'waiting' END AS state,
       CASE WHEN q.worker_id IS NOT NULL THEN
                coalesce(w.why, nullif(q.why, ''), 'in a worker''s hand')
            WHEN s.scope IS NOT NULL THEN
                'suspended by an operator (' || CASE s.scope
                    WHEN 'all' THEN 'everything' ELSE s.scope END
                || ')' || coalesce(': ' || nullif(s.reason, ''), '')
            ELSE q.why END AS why,
       q.due_at AS next_try_at, q.attempt_count, d.last_reply,
       baton.id_instant(q.message_id) AS accepted_at, q.expires_at,
       q.size_bytes, q.worker_id, w.site
FROM baton.queue q
LEFT JOIN baton.account a USING (account_id)
LEFT JOIN baton.delivery d USING (account_id, delivery_id)
LEFT JOIN LATERAL (
    SELECT scope, reason FROM baton.suspension
    WHERE (scope, value) IN (('all', ''), ('account', q.account_id::text),
                             ('domain', q.domain),
                             ('message', q.message_id::text))
    ORDER BY scope LIMIT 1) s ON true
LEFT JOIN LATERAL (
    SELECT r.site, r.why FROM (
        SELECT site, why, position(q.domain IN site) > 0 AS names_domain,
               count(*) OVER () = 1 AS is_only
        FROM baton.site_wait WHERE worker_id = q.worker_id) r
    WHERE r.names_domain OR r.is_only
    ORDER BY r.names_domain DESC, r.site LIMIT 1) w ON q.worker_id IS NOT NULL;

COMMENT ON VIEW report.queue IS
    'Unfinished deliveries, and why each of them waits.';
COMMENT ON COLUMN report.queue.state IS
    'waiting for its next try, leased (in a worker''s hand: on the wire or in '
    'line for its site) or suspended.';
COMMENT ON COLUMN report.queue.why IS
    'Why it is not delivered yet, a sentence.';
COMMENT ON COLUMN report.queue.next_try_at IS 'NULL while it is leased.';
COMMENT ON COLUMN report.queue.site IS
    'Of a leased delivery: the site it waits for, if that is known.';

-- The reading role, made or renewed by every `baton migrate`: a user who may
-- not make roles can have it made by somebody else later.
CREATE FUNCTION baton.grant_report() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'baton_report') THEN
        BEGIN
            CREATE ROLE baton_report NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this server was faster
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'The role baton_report does not exist and % may '
                    'not make it. For reading access to the schema report run '
                    'CREATE ROLE baton_report NOLOGIN as a superuser, then '
                    'baton migrate once more.', current_user;
                RETURN;
        END;
    END IF;
    IF has_schema_privilege('baton_report', 'report', 'USAGE') AND
       NOT EXISTS (SELECT FROM pg_class
                   WHERE relnamespace = 'report'::regnamespace
                     AND relkind = 'v'
                     AND NOT has_table_privilege('baton_report', oid, 'SELECT'))
    THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA report TO baton_report;
    GRANT SELECT ON ALL TABLES IN SCHEMA report TO baton_report;
END;
$$;
