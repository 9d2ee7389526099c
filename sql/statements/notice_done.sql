-- Forget a notice that is stored as a message, with what it tells.
-- Parameters:
--   $1 account_id bigint
--   $2 notice_id bigint
WITH told AS (
    DELETE FROM baton.notice_failure
    WHERE account_id = $1::bigint AND notice_id = $2::bigint
)
DELETE FROM baton.notice
WHERE account_id = $1::bigint AND notice_id = $2::bigint;
