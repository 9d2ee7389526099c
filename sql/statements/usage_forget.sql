-- Forget what was used in periods that are over. An hour later: what was taken
-- in one may be stored in the next.
-- $1 now timestamptz
WITH forgotten AS (
    DELETE FROM baton.usage_grant
    WHERE baton.period_end(period, began_at)
          < $1::timestamptz - interval '1 hour'
)
DELETE FROM baton.usage
WHERE baton.period_end(period, began_at) < $1::timestamptz - interval '1 hour';
