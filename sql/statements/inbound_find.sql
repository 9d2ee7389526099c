-- A delivery that something came back of, with its message. No row: it is not
-- kept any more.
-- Parameters:
--   $1 account_id bigint
--   $2 delivery_id bigint
-- Columns: message_id bigint, recipient text, original_recipient text,
-- notify integer, state text, reports integer, group_id bigint, sender text,
-- envelope_id text, dsn_return integer, policy text, accepted_at timestamptz
SELECT d.message_id, d.recipient, d.original_recipient,
       d.notify::integer AS notify, d.state, d.reports::integer AS reports,
       d.group_id, m.sender, m.envelope_id, m.dsn_return::integer AS dsn_return,
       m.policy::text AS policy, m.accepted_at
FROM (SELECT *
      FROM baton.delivery
      WHERE account_id = $1::bigint AND delivery_id = $2::bigint
      OFFSET 0) AS d
CROSS JOIN LATERAL (
    SELECT *
    FROM baton.message
    WHERE message.account_id = d.account_id
      AND message.message_id = d.message_id
    LIMIT 1) AS m;
