-- Columns: destination
-- $1 destination text
DELETE FROM baton.route WHERE destination = $1::text RETURNING destination;
