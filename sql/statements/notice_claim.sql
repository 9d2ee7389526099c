-- Take a notice that is to be made, with what it tells if that is one failure.
-- Parameters:
--   $1 now timestamptz
--   $2 claim bigint   milliseconds that nobody else takes it
-- Columns: account_id bigint, notice_id bigint, account text, addressee text,
-- is_digest boolean, is_suppressed boolean, delivery_id bigint,
-- message_id bigint, recipient text, occurred_at timestamptz, status text,
-- reply text, host text, explanation text, original_recipient text,
-- accepted_at timestamptz, envelope_id text, dsn_return integer
WITH taken AS (
    UPDATE baton.notice AS n
    SET claimed_until = $1::timestamptz + $2::bigint * interval '1 millisecond'
    FROM (SELECT account_id, notice_id
          FROM baton.notice
          WHERE claimed_until <= $1::timestamptz
          ORDER BY claimed_until, notice_id
          LIMIT 1
          FOR UPDATE SKIP LOCKED) AS due
    WHERE n.account_id = due.account_id AND n.notice_id = due.notice_id
    RETURNING n.*
)
SELECT n.account_id, n.notice_id, a.name AS account, n.addressee, n.is_digest,
       EXISTS (SELECT
               FROM baton.suppression s
               WHERE s.account_id = n.account_id
                 AND s.address = lower(n.addressee)
                 AND s.group_id IS NULL
                 AND (s.expires_at IS NULL OR s.expires_at > $1::timestamptz))
           AS is_suppressed,
       f.delivery_id, f.message_id, f.recipient, f.occurred_at, f.status,
       f.reply, f.host, f.explanation, d.original_recipient, m.accepted_at,
       m.envelope_id, m.dsn_return::integer AS dsn_return
FROM taken AS n
JOIN baton.account a ON a.account_id = n.account_id
LEFT JOIN LATERAL (
    SELECT *
    FROM baton.notice_failure one
    WHERE one.account_id = n.account_id AND one.notice_id = n.notice_id
      AND NOT n.is_digest
    LIMIT 1) AS f ON true
LEFT JOIN LATERAL (
    SELECT *
    FROM baton.delivery one
    WHERE one.account_id = f.account_id AND one.delivery_id = f.delivery_id
    LIMIT 1) AS d ON true
LEFT JOIN LATERAL (
    SELECT *
    FROM baton.message one
    WHERE one.account_id = f.account_id AND one.message_id = f.message_id
    LIMIT 1) AS m ON true;
