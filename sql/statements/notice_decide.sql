-- Decide how the failures that wait are told: the first of a period one by one,
-- the others in digests when it is over.
-- Parameters:
--   $1 now timestamptz
--   $2 period bigint   milliseconds
-- Columns: has_notice boolean   there is one to take (notice_claim)
SELECT baton.decide_all_notices($1::timestamptz,
                                $2::bigint * interval '1 millisecond')
    AS has_notice;
