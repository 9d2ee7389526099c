-- Stop deliveries until resumed. Columns: scope
-- $1 scope text: all, account, domain or message
-- $2 value text: account id, domain, message id; empty for all
-- $3 reason text
INSERT INTO baton.suspension (scope, value, reason)
VALUES ($1::text, $2::text, $3::text)
ON CONFLICT (scope, value) DO UPDATE SET reason = excluded.reason
RETURNING scope;
