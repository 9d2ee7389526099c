-- Write down what came back of deliveries, in the order of their keys: who stores
-- others of the same ones waits here. Sent again it changes nothing.
-- Parameters, one element a report:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 event_id bigint[]
--   $4 occurred_at timestamptz[]
--   $5 kind text[]   bounced, deferred, autoreplied, complained or feedback
--   $6 detail text[]   JSON
--   $7 reply text[]
--   $8 client_address text[]
SELECT count(baton.take_report(account_id, delivery_id, event_id, occurred_at,
                               kind, detail::jsonb, reply, client_address))
FROM (SELECT *
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[],
                  $5::text[], $6::text[], $7::text[], $8::text[])
          AS given (account_id, delivery_id, event_id, occurred_at, kind,
                    detail, reply, client_address)
      ORDER BY account_id, delivery_id, event_id) AS given;
