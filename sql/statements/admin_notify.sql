-- Tell the workers when this transaction commits.
-- $1 channel text
-- $2 payload text
SELECT pg_notify($1::text, $2::text);
