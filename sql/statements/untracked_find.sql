-- Those of these addresses whose owners do not want to be tracked.
-- $1 account_id bigint
-- $2 addresses text[]   in any case of letters
-- Columns: address text
SELECT address
FROM baton.untracked
WHERE account_id = $1::bigint
  AND address IN (SELECT lower(given) FROM unnest($2::text[]) AS given);
