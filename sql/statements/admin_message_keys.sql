-- The keys of tokens. Columns: key_id, secret, is_current (signed at that time)
-- $1 signed_at timestamptz
SELECT key_id, secret,
       key_id = (SELECT max(key_id) FROM baton.token_key
                 WHERE active_from <= greatest(
                     $1::timestamptz, (SELECT min(active_from)
                                       FROM baton.token_key))) AS is_current
FROM baton.token_key
ORDER BY key_id;
