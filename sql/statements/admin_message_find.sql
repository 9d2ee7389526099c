-- Whether there is a message, and how many of its deliveries are finished. No
-- row: there is none. Columns: finished_count
-- $1 message_id bigint
SELECT (SELECT count(*) FROM baton.delivery d
        WHERE d.account_id = m.account_id AND d.message_id = m.message_id
          AND d.delivery_id BETWEEN $1::bigint - (86400000::bigint << 22)
                                AND $1::bigint + (86400000::bigint << 22)
          AND d.state <> 'queued') AS finished_count
FROM baton.message m
WHERE m.message_id = $1::bigint;
