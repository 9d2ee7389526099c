-- Remove an account with its credentials, networks and domains. Columns: name
-- $1 account_id bigint
WITH suspension AS (
    DELETE FROM baton.suspension
    WHERE scope = 'account' AND value = ($1::bigint)::text
)
DELETE FROM baton.account WHERE account_id = $1::bigint RETURNING name;
