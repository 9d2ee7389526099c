-- Give up what is queued for suppressed addresses. Columns: delivery_count
-- $1 account_id bigint
-- $2 address text; NULL: all of the account
SELECT baton.suppress_queued($1::bigint, $2::text, 'operator')
           AS delivery_count;
