-- The newest migration that was applied; 0 if none. Columns: version
SELECT coalesce(max(number), 0) AS version FROM baton_schema.migration;
