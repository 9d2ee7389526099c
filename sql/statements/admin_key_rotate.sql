-- Make a key that signs in a minute: until then every worker has read it.
-- Columns: key_id, active_from
INSERT INTO baton.token_key (secret, active_from)
VALUES (baton.make_secret(), now() + interval '1 minute')
RETURNING key_id, date_trunc('second', active_from) AS active_from;
