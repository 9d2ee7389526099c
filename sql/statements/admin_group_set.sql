-- Give a setting a value for a group; NULL takes it away. Columns: name
-- $1 account_id bigint
-- $2 group_id bigint
-- $3 key text
-- $4 value text
UPDATE baton.message_group
SET settings = CASE WHEN $4::text IS NULL THEN settings - $3::text
               ELSE settings || jsonb_build_object($3::text, $4::text) END
WHERE account_id = $1::bigint AND group_id = $2::bigint
RETURNING name;
