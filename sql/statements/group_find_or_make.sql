-- The account's group of this name, made if there is room for it.
-- $1 account_id bigint
-- $2 name text
-- $3 group_limit bigint
-- Columns: group_id bigint (0: there is no room), directory_count bigint
WITH found AS (
    SELECT group_id
    FROM baton.message_group
    WHERE account_id = $1::bigint
      AND lower(name) = lower($2::text)
), made AS (
    -- Who makes the same one meanwhile is waited for; then this one is theirs.
    INSERT INTO baton.message_group (account_id, name)
    SELECT $1::bigint, $2::text
    WHERE NOT EXISTS (SELECT FROM found)
      AND (SELECT count(*)
           FROM baton.message_group
           WHERE account_id = $1::bigint) < $3::bigint
    ON CONFLICT (account_id, lower(name)) DO UPDATE
    SET name = message_group.name
    RETURNING group_id
)
SELECT coalesce((SELECT group_id FROM found), (SELECT group_id FROM made), 0)
           AS group_id,
       (SELECT count(pg_notify('baton_directory', '')) FROM made)
           AS directory_count;
