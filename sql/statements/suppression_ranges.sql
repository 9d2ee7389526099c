-- The hashes of accounts' suppressed addresses in ranges, in ascending order,
-- eight bytes each, the most significant first. At most so many of each range:
-- a range with more of them is to be asked for in parts.
-- One element a range:
--   $1 account_id bigint[]
--   $2 lowest bigint[]
--   $3 highest bigint[]
-- $4 limit integer
-- Columns: place bigint (of the range among those given, from 1), hashes bytea
-- (NULL: none)
SELECT wanted.place,
       (SELECT string_agg(int8send(hash), ''::bytea ORDER BY hash)
        FROM (SELECT hash
              FROM baton.suppression
              WHERE suppression.account_id = wanted.account_id
                AND suppression.hash >= wanted.lowest
                AND suppression.hash <= wanted.highest
                AND (suppression.expires_at IS NULL
                     OR suppression.expires_at > now())
              ORDER BY suppression.account_id, suppression.hash
              LIMIT $4::integer) AS part) AS hashes
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY
    AS wanted (account_id, lowest, highest, place);
