-- Count what an account had accepted before it got a limit.
-- $1 account_id bigint
-- $2 now timestamptz
SELECT baton.begin_usage($1::bigint, $2::timestamptz);
