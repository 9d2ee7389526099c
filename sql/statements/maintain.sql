-- Make days of history ahead of time, drop those past their retention, and
-- forget idempotency keys that expired, changes of suppressions that every worker
-- has heard of (suppression_changes), and old signs of inactivity.
-- Parameters, spans in milliseconds:
--   $1 now timestamptz
--   $2 body bigint
--   $3 message bigint
--   $4 event bigint
--   $5 sandbox bigint
-- Columns: changes integer
WITH expired AS (
    DELETE FROM baton.idempotency
    WHERE (account_id, key) IN (SELECT account_id, key
                                FROM baton.idempotency
                                WHERE expires_at <= $1::timestamptz
                                ORDER BY expires_at
                                LIMIT 100000
                                FOR UPDATE SKIP LOCKED)
), heard AS (
    DELETE FROM baton.suppression_change
    WHERE changed_at < now() - interval '1 day'
), outdated AS (
    DELETE FROM baton.inactivity
    WHERE occurred_at < $1::timestamptz - interval '180 days'
)
SELECT baton.maintain($1::timestamptz,
                      $2::bigint * interval '1 millisecond',
                      $3::bigint * interval '1 millisecond',
                      $4::bigint * interval '1 millisecond',
                      $5::bigint * interval '1 millisecond') AS changes;
