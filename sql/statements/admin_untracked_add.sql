-- Somebody objects to being tracked: future copies, and what was sent before.
-- Columns: was_new boolean
-- $1 account_id bigint
-- $2 address text
WITH objection AS (
    INSERT INTO baton.untracked (account_id, address)
    VALUES ($1::bigint, lower($2::text))
    ON CONFLICT DO NOTHING
    RETURNING account_id
)
SELECT EXISTS (SELECT FROM objection) AS was_new;
