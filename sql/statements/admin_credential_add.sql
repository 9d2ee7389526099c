-- Add a user name. Columns: user_name
-- $1 account_id bigint
-- $2 user_name text, in lower case
-- $3 kind text
-- $4 secret text
-- $5 group_name text or NULL
WITH claimed AS (
    INSERT INTO baton.user_name (user_name, account_id)
    VALUES ($2::text, $1::bigint)
    RETURNING account_id, user_name
)
INSERT INTO baton.credential (account_id, user_name, kind, secret, group_name)
SELECT account_id, user_name, $3::text, $4::text, $5::text FROM claimed
RETURNING user_name;
