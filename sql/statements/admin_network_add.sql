-- Columns: range
-- $1 account_id bigint
-- $2 range text
INSERT INTO baton.network (account_id, range)
VALUES ($1::bigint, ($2::text)::cidr)
RETURNING range;
