-- One chunk of a message as it came; no row: there are no more, or they are no
-- longer kept. Columns: data
-- $1 account_id bigint
-- $2 message_id bigint
-- $3 chunk integer
SELECT data
FROM baton.body
WHERE account_id = $1::bigint AND message_id = $2::bigint
  AND chunk = $3::integer;
