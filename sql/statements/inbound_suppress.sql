-- Suppress recipients for what came back, for the whole account. What suppresses
-- them already stays, unless its time is over. The order of rows is that of an
-- import: who waits for whom is no circle. Workers know of each account whether
-- it has any, and are told of the first.
-- Parameters, one element a recipient:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 recipient text[]
--   $4 occurred_at timestamptz[]
--   $5 reason text[]   hard_bounce or complaint
--   $6 evidence text[]
WITH given AS MATERIALIZED (
    SELECT DISTINCT ON (account_id, lower(recipient))
           account_id, delivery_id, lower(recipient) AS address, occurred_at,
           reason, evidence
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[],
                $5::text[], $6::text[])
        AS given (account_id, delivery_id, recipient, occurred_at, reason,
                  evidence)
    WHERE EXISTS (SELECT
                  FROM baton.account
                  WHERE account.account_id = given.account_id)
    ORDER BY account_id, lower(recipient), occurred_at
), stored AS (
    INSERT INTO baton.suppression AS kept (
        account_id, address, reason, evidence, delivery_id, created_at)
    SELECT account_id, address, reason, evidence, delivery_id, occurred_at
    FROM given
    ORDER BY account_id, address
    ON CONFLICT (account_id, address, group_id) DO UPDATE
    SET reason = EXCLUDED.reason, evidence = EXCLUDED.evidence,
        delivery_id = EXCLUDED.delivery_id, created_at = EXCLUDED.created_at,
        expires_at = NULL
    WHERE kept.expires_at <= EXCLUDED.created_at
)
SELECT count(pg_notify('baton_directory', ''))
FROM given
WHERE NOT EXISTS (SELECT
                  FROM baton.suppression
                  WHERE suppression.account_id = given.account_id);
