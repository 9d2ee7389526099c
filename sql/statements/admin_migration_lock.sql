-- Wait for our turn: one program at a time changes the schema, until the end of
-- the transaction.
SELECT pg_advisory_xact_lock(hashtext('baton.migrate'));
