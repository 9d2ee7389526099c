-- Give a setting a value; NULL gives it its default again. Columns: name
-- $1 account_id bigint
-- $2 key text
-- $3 value text
UPDATE baton.account
SET settings = CASE WHEN $3::text IS NULL THEN settings - $2::text
               ELSE settings || jsonb_build_object($2::text, $3::text) END
WHERE account_id = $1::bigint
RETURNING name;
