-- Keep the keys of messages. A key that another message has, and that has not
-- expired, fails the transaction; a message's own stays as it is.
-- Parameters, one element a message:
--   $1 account_id bigint[]
--   $2 key text[]
--   $3 content bytea[]
--   $4 message_id bigint[]
--   $5 accepted_at timestamptz[]
--   $6 expires_at timestamptz[]
WITH stored AS (
    INSERT INTO baton.idempotency (account_id, key, content, message_id,
                                   expires_at)
    SELECT DISTINCT ON (account_id, key) account_id, key, content, message_id,
           expires_at
    FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bigint[],
                $5::timestamptz[], $6::timestamptz[])
        AS given (account_id, key, content, message_id, accepted_at, expires_at)
    ORDER BY account_id, key
    ON CONFLICT (account_id, key) DO UPDATE
    SET content = EXCLUDED.content,
        message_id = EXCLUDED.message_id,
        expires_at = EXCLUDED.expires_at
    WHERE idempotency.message_id = EXCLUDED.message_id
       OR idempotency.expires_at <=
          (SELECT min(at) FROM unnest($5::timestamptz[]) AS at)
    RETURNING message_id
)
SELECT baton.require_keys(coalesce(cardinality($1::bigint[]), 0)::bigint,
                          (SELECT count(*) FROM stored));
