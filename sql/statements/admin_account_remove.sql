-- Remove an account with all that admin_account_belongings counts. Columns: name
-- $1 account_id bigint
WITH suspension AS (
    DELETE FROM baton.suspension
    WHERE scope = 'account' AND value = ($1::bigint)::text
)
DELETE FROM baton.account WHERE account_id = $1::bigint RETURNING name;
