-- An objection is taken back. One row if there was one.
-- $1 account_id bigint
-- $2 address text
DELETE FROM baton.untracked
WHERE account_id = $1::bigint AND address = lower($2::text)
RETURNING address;
