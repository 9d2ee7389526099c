-- Make the table of migrations; only when it is not there.
CREATE SCHEMA baton_schema
    CREATE TABLE migration (
        number     integer PRIMARY KEY,
        name       text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    );
