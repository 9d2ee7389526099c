-- Columns: name
-- $1 name text
-- $2 value text
INSERT INTO baton.server_setting (name, value)
VALUES ($1::text, $2::text)
ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, created_at = now()
RETURNING name;
