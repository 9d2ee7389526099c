-- Columns: destination, target, created_at
SELECT destination, target, date_trunc('second', created_at) AS created_at
FROM baton.route
ORDER BY destination = '*', destination;
