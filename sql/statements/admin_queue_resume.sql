-- Columns: scope
-- $1 scope text
-- $2 value text
DELETE FROM baton.suspension
WHERE scope = $1::text AND value = $2::text
RETURNING scope;
