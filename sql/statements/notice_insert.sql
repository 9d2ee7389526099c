-- Write down whom failures are told, of deliveries that this transaction ended at
-- that instant (result_finish, inbound_settle, delivery_insert, before this): one
-- that is sent again after it was committed, or that somebody else ended, tells
-- nobody (the setting baton.uncounted of result_finish names those). Nor is a
-- recipient told that he cannot be reached, and nobody twice.
-- Parameters, one element a delivery:
--   $1 account_id bigint[]
--   $2 delivery_id bigint[]
--   $3 occurred_at timestamptz[]
--   $4 manager text[]            NULL: is not told
--   $5 tells_author boolean[]
--   $6 sender text[]             who gets a report of his own; NULL: does not
--   $7 class text[]
--   $8 status text[]
--   $9 reply text[]
--   $10 host text[]
--   $11 explanation text[]
-- and for all:
--   $12 lowest_delivery_id bigint
--   $13 highest_delivery_id bigint
INSERT INTO baton.notice_failure (
    account_id, delivery_id, addressee, message_id, recipient, domain,
    occurred_at, class, status, reply, host, explanation)
SELECT DISTINCT ON (given.account_id, given.delivery_id, lower(told.addressee))
       given.account_id, given.delivery_id, told.addressee, d.message_id,
       d.recipient, d.domain, given.occurred_at, given.class, given.status,
       given.reply, given.host, given.explanation
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[],
            $5::boolean[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::text[], $11::text[])
    AS given (account_id, delivery_id, occurred_at, manager, tells_author, sender,
              class, status, reply, host, explanation)
JOIN baton.account a USING (account_id)
JOIN baton.delivery d
    ON d.account_id = given.account_id
   AND d.delivery_id = given.delivery_id
   AND d.delivery_id BETWEEN $12::bigint AND $13::bigint
   AND d.state IN ('failed', 'expired', 'suppressed', 'rejected')
   AND d.finished_at = given.occurred_at
   AND d.xmin = pg_current_xact_id()::xid
   AND (d.delivery_id IN (
            SELECT unnest(string_to_array(
                current_setting('baton.uncounted', true), ',')::bigint[])))
       IS NOT TRUE
CROSS JOIN LATERAL (
    SELECT given.manager AS addressee
    UNION ALL
    SELECT (SELECT m.from_address
            FROM baton.message m
            WHERE m.account_id = d.account_id AND m.message_id = d.message_id)
    WHERE given.tells_author) AS told
WHERE told.addressee <> ''
  AND lower(told.addressee) NOT IN (lower(d.recipient),
                                    lower(coalesce(given.sender, '')))
ORDER BY given.account_id, given.delivery_id, lower(told.addressee)
ON CONFLICT DO NOTHING;
