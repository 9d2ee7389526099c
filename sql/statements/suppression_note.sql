-- What results and reports say of addresses: suppress those that are none and
-- those that complained, and count those whose mailbox is not used any more.
-- What suppresses them already stays, unless its time is over. Sent again it
-- changes nothing. The order of rows is that of an import: who waits for whom is no circle.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 recipient text[]
--   $4 occurred_at timestamptz[]
--   $5 reason text[]              hard_bounce or complaint
--   $6 evidence text[]            the literal reply or report
--   $7 inactive_count integer[]   0: suppress at once; else after so many
--   $8 inactive_milliseconds bigint[]   that lie at least so far apart
WITH given AS MATERIALIZED (
    SELECT account_id, delivery_id, lower(recipient) AS address, occurred_at,
           reason, evidence, inactive_count, inactive_milliseconds
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[],
                $5::text[], $6::text[], $7::integer[], $8::bigint[])
        AS given (account_id, delivery_id, recipient, occurred_at, reason,
                  evidence, inactive_count, inactive_milliseconds)
    WHERE EXISTS (SELECT
                  FROM baton.account
                  WHERE account.account_id = given.account_id)
    ORDER BY account_id, lower(recipient)
), decided AS MATERIALIZED (
    SELECT account_id, delivery_id, address, occurred_at, reason,
           CASE WHEN inactive_count = 0 THEN evidence
           ELSE baton.note_inactive(
               account_id, address, delivery_id, occurred_at, evidence,
               inactive_count,
               inactive_milliseconds * interval '1 millisecond') END AS evidence
    FROM given
)
INSERT INTO baton.suppression AS kept (
    account_id, address, reason, evidence, delivery_id, created_at)
SELECT DISTINCT ON (account_id, address)
       account_id, address, reason, evidence, delivery_id, occurred_at
FROM decided
WHERE evidence IS NOT NULL
ORDER BY account_id, address, occurred_at
ON CONFLICT (account_id, address, group_id) DO UPDATE
SET reason = EXCLUDED.reason, evidence = EXCLUDED.evidence,
    delivery_id = EXCLUDED.delivery_id, created_at = EXCLUDED.created_at,
    expires_at = NULL
WHERE kept.expires_at <= EXCLUDED.created_at;
