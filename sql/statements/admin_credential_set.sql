-- Give a user name's setting a value; NULL takes it away. Columns: user_name
-- $1 account_id bigint
-- $2 user_name text
-- $3 key text
-- $4 value text
UPDATE baton.credential
SET settings = CASE WHEN $4::text IS NULL THEN settings - $3::text
               ELSE settings || jsonb_build_object($3::text, $4::text) END
WHERE account_id = $1::bigint AND user_name = $2::text
RETURNING user_name;
