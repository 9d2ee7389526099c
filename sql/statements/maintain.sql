-- Make days of history ahead of time, drop those past their retention.
-- Parameters, spans in milliseconds:
--   $1 now timestamptz
--   $2 body bigint
--   $3 message bigint
--   $4 event bigint
--   $5 sandbox bigint
-- Columns: changes integer
SELECT baton.maintain($1::timestamptz,
                      $2::bigint * interval '1 millisecond',
                      $3::bigint * interval '1 millisecond',
                      $4::bigint * interval '1 millisecond',
                      $5::bigint * interval '1 millisecond') AS changes;
