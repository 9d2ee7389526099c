-- Columns: destination
-- $1 destination text
-- $2 target text
INSERT INTO baton.route (destination, target)
VALUES ($1::text, $2::text)
ON CONFLICT (destination)
DO UPDATE SET target = excluded.target, created_at = now()
RETURNING destination;
