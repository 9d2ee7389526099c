-- The history that exists: one row a partition, its day taken from its name.
--
-- A condition on the day may be judged before the one on the name, as the plan
-- has it, and then sees every table and index. Only CASE says what comes first:
-- without it to_date fails at names like message_20260101_pkey, and no days are
-- made or dropped any more.
CREATE OR REPLACE VIEW baton.partition AS
SELECT parent.relname::text AS table_name,
       child.relname::text AS partition_name,
       CASE WHEN child.relname ~ '_[0-9]{8}$'
            THEN to_date(right(child.relname, 8), 'YYYYMMDD')
       END AS day
FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid
JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relkind = 'p'
  AND parent.relnamespace = 'baton'::regnamespace
  AND child.relname ~ ('^' || parent.relname || '_[0-9]{8}$');
