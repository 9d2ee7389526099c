-- Remember a migration.
-- $1 number integer
-- $2 name text
INSERT INTO baton_schema.migration (number, name)
VALUES ($1::integer, $2::text);
