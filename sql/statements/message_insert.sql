-- Store messages.
-- Again: those that are there already stay as they are.
-- Parameters, one element a message:
--   $1 account_id bigint[]
--   $2 message_id bigint[]
--   $3 accepted_at timestamptz[]
--   $4 expires_at timestamptz[]
--   $5 sender text[]
--   $6 from_address text[]
--   $7 subject text[]
--   $8 internet_message_id text[]
--   $9 size_bytes bigint[]
--   $10 recipient_count integer[]
--   $11 is_smtputf8 boolean[]
--   $12 has_8bit boolean[]
--   $13 dsn_return smallint[]
--   $14 envelope_id text[]
--   $15 priority smallint[]
--   $16 client_address text[]
--   $17 client_name text[]
--   $18 protocol text[]
--   $19 tls text[]
--   $20 user_name text[]
--   $21 trace bytea[]
--   $22 transcript text[]
--   $23 group_id bigint[]
--   $24 policy text[]     JSON
--   $25 tags text[]       each an array, as text
--   $26 metadata text[]   JSON
--   $27 is_sandboxed boolean[]
INSERT INTO baton.message (
    account_id, message_id, accepted_at, expires_at, sender, from_address,
    subject, internet_message_id, size_bytes, recipient_count, is_smtputf8,
    has_8bit, dsn_return, envelope_id, priority, client_address, client_name,
    protocol, tls, user_name, trace, transcript, group_id, policy, tags,
    metadata, is_sandboxed)
SELECT account_id, message_id, accepted_at, expires_at, sender, from_address,
       subject, internet_message_id, size_bytes, recipient_count, is_smtputf8,
       has_8bit, dsn_return, envelope_id, priority, client_address, client_name,
       protocol, tls, user_name, trace, transcript, group_id, policy::jsonb,
       tags::text[], metadata::jsonb, is_sandboxed
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[],
            $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
            $10::integer[], $11::boolean[], $12::boolean[], $13::smallint[],
            $14::text[], $15::smallint[], $16::text[], $17::text[], $18::text[],
            $19::text[], $20::text[], $21::bytea[], $22::text[], $23::bigint[],
            $24::text[], $25::text[], $26::text[], $27::boolean[])
    AS given (account_id, message_id, accepted_at, expires_at, sender,
              from_address, subject, internet_message_id, size_bytes,
              recipient_count, is_smtputf8, has_8bit, dsn_return, envelope_id,
              priority, client_address, client_name, protocol, tls, user_name,
              trace, transcript, group_id, policy, tags, metadata,
              is_sandboxed)
-- again: ON CONFLICT DO NOTHING;
