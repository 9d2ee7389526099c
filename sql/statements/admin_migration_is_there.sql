-- Whether the table of migrations exists. Columns: is_there
SELECT to_regclass('baton_schema.migration') IS NOT NULL AS is_there;
