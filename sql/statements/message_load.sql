-- Some chunks of a message, one a row; one row without a chunk if the bytes are
-- gone, none if the message is.
-- Parameters:
--   $1 account_id bigint
--   $2 message_id bigint
--   $3 first_chunk integer
--   $4 end_chunk integer   the first that is not wanted
-- Columns: trace bytea, size_bytes bigint, chunk integer, data bytea
SELECT message.trace, message.size_bytes, body.chunk, body.data
FROM baton.message
LEFT JOIN baton.body
    ON body.account_id = $1::bigint
   AND body.message_id = $2::bigint
   AND body.chunk >= $3::integer
   AND body.chunk < $4::integer
WHERE message.account_id = $1::bigint
  AND message.message_id = $2::bigint
ORDER BY body.chunk;
