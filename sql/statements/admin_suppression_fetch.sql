-- The next rows. Columns: address, group_name, reason, evidence, created_at,
-- expires_at
FETCH 10000 FROM suppressions;
