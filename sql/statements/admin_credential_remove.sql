-- Remove a user name. Columns: user_name
-- $1 account_id bigint
-- $2 user_name text
WITH released AS (
    DELETE FROM baton.user_name
    WHERE account_id = $1::bigint AND lower(user_name) = lower($2::text)
)
DELETE FROM baton.credential
WHERE account_id = $1::bigint AND lower(user_name) = lower($2::text)
RETURNING user_name;
