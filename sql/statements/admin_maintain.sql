-- Create the days ahead; drop nothing.
-- $1 now timestamptz
SELECT baton.maintain($1::timestamptz, NULL, NULL, NULL, NULL) AS change_count;
