-- Columns: address
-- $1 account_id bigint
-- $2 address text, in any case
-- $3 scope text: all, account or group
-- $4 group_id bigint or NULL
DELETE FROM baton.suppression
WHERE account_id = $1::bigint AND address = lower($2::text)
  AND ($3::text = 'all' OR ($3::text = 'account' AND group_id IS NULL)
       OR group_id = $4::bigint)
RETURNING address;
