-- Like event_insert, for rows that may be there already: they stay as they
-- are. Twice as dear, so only for what is sent again.
-- Parameters, one element an event:
--   $1 account_id bigint[]
--   $2 event_id bigint[]
--   $3 occurred_at timestamptz[]
--   $4 kind text[]
--   $5 message_id bigint[]
--   $6 delivery_id bigint[]
--   $7 recipient text[]
--   $8 detail text[]   JSON
INSERT INTO baton.event (
    account_id, event_id, occurred_at, kind, message_id, delivery_id,
    recipient, detail)
SELECT account_id, event_id, occurred_at, kind, message_id, delivery_id,
       recipient, detail::jsonb
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[],
            $5::bigint[], $6::bigint[], $7::text[], $8::text[])
    AS given (account_id, event_id, occurred_at, kind, message_id, delivery_id,
              recipient, detail)
ON CONFLICT DO NOTHING;
