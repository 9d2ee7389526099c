-- Opens a cursor over an account's suppressions, in an order that is always the
-- same; admin_suppression_fetch reads it.
-- $1 account_id bigint
DECLARE suppressions NO SCROLL CURSOR FOR
SELECT address,
       CASE WHEN group_id = 0 THEN '{}' ELSE group_name END AS group_name,
       reason, evidence, created_at, expires_at
FROM report.suppression
WHERE account_id = $1::bigint
ORDER BY address, group_id NULLS FIRST;
