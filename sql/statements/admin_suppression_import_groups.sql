-- Makes the groups that a file names and that are not there. Columns: name
-- $1 account_id bigint
-- $2 group_name text[]; '' and '{}' are no names
INSERT INTO baton.message_group (account_id, name)
SELECT DISTINCT ON (lower(name)) $1::bigint, name
FROM unnest($2::text[]) AS given (name)
WHERE name NOT IN ('', '{}')
ORDER BY lower(name)
ON CONFLICT (account_id, lower(name)) DO NOTHING
RETURNING name;
