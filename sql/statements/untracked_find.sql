-- Those of these addresses whose owners do not want to be tracked.
-- $1 account_id bigint
-- $2 addresses text[]   in any case of letters
-- Columns: place bigint (of the address among those given, from 1)
SELECT wanted.place
FROM unnest($2::text[]) WITH ORDINALITY AS wanted (address, place)
JOIN baton.untracked
    ON untracked.account_id = $1::bigint
   AND untracked.address = lower(wanted.address);
