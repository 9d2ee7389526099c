-- What all workers stored in periods of an account, in the order they are given.
-- Parameters, one element a period:
--   $1 user_name text[]
--   $2 period smallint[]
--   $3 began_at timestamptz[]
-- and
--   $4 account_id bigint
-- Columns: messages bigint, recipients bigint
SELECT coalesce(sum(u.messages), 0)::bigint AS messages,
       coalesce(sum(u.recipients), 0)::bigint AS recipients
FROM unnest($1::text[], $2::smallint[], $3::timestamptz[])
     WITH ORDINALITY AS l (user_name, period, began_at, line)
LEFT JOIN baton.usage u
    ON u.account_id = $4::bigint AND u.user_name = l.user_name
   AND u.period = l.period AND u.began_at = l.began_at
GROUP BY l.line
ORDER BY l.line;
