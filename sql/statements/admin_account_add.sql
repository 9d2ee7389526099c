-- Columns: account_id, name
-- $1 name text
-- $2 address of the manager text
INSERT INTO baton.account (name, manager_email)
VALUES ($1::text, $2::text)
RETURNING account_id, name;
