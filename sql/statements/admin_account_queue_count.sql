-- How many unfinished deliveries an account has. Columns: queued_count
-- $1 account_id bigint
SELECT count(*) AS queued_count
FROM baton.queue WHERE account_id = $1::bigint;
