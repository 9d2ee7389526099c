-- What looks at the whole queue goes from account to account in an index: it
-- takes as long with ten million rows as with ten. And a recipient's mail is
-- found without reading everybody else's.

CREATE INDEX delivery_recipient
    ON baton.delivery (account_id, lower(recipient), delivery_id);

-- The accounts that have something in the queue.
CREATE VIEW baton.queue_account AS
WITH RECURSIVE walk (account_id) AS (
    (SELECT account_id
     FROM baton.queue
     ORDER BY account_id
     LIMIT 1)
    UNION ALL
    SELECT next.account_id
    FROM walk
    CROSS JOIN LATERAL (
        SELECT queue.account_id
        FROM baton.queue
        WHERE queue.account_id > walk.account_id
        ORDER BY queue.account_id
        LIMIT 1
    ) AS next
)
SELECT account_id FROM walk;

-- The rows that workers have in hand, of all workers: those without due_at,
-- which stand together in the due index.
CREATE VIEW baton.queue_leased AS
SELECT leased.*
FROM baton.queue_account
CROSS JOIN (VALUES (0::smallint), (1::smallint)) AS lane (priority)
CROSS JOIN LATERAL (
    SELECT queue.account_id, queue.delivery_id, queue.worker_id
    FROM baton.queue
    WHERE queue.account_id = queue_account.account_id
      AND queue.priority = lane.priority
      AND queue.due_at IS NULL
) AS leased;

-- Make the days from yesterday to a week ahead of p_now, drop those that ended
-- longer ago than their retention (NULL: never). p_message is for message,
-- delivery and attempt. A day that unfinished deliveries come from stays.
-- Returns how many partitions were made or dropped. Safe from everywhere at
-- once; reads only the catalog when there is nothing to do.
--
-- Dropping needs the parent for a moment: whoever writes a message holds it in
-- the order of this array, and a lock that does not come soon is left for the
-- next time, before a deadlock or a queue of writers can form.
CREATE OR REPLACE FUNCTION baton.maintain(p_now timestamptz, p_body interval,
                               p_message interval, p_event interval,
                               p_sandbox interval)
RETURNS integer LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    v_tables constant text[] := ARRAY['message', 'body', 'delivery', 'attempt',
                                      'event', 'sandbox'];
    v_keep constant interval[] := ARRAY[p_message, p_body, p_message, p_message,
                                        p_event, p_sandbox];
    v_today constant date := (p_now AT TIME ZONE 'UTC')::date;
    v_changes integer := 0;
    v_is_locked boolean := false;
    v_oldest date;
    v_row record;
BEGIN
    -- Twice: the first pass looks without the lock, the second one acts.
    FOR i IN 1 .. 2 LOOP
        FOR v_row IN
            SELECT table_name, day::date
            FROM unnest(v_tables) WITH ORDINALITY AS t (table_name, place),
                 generate_series(v_today - 1, v_today + 7, interval '1 day') day
            WHERE to_regclass(format('baton.%I', table_name || '_'
                              || to_char(day, 'YYYYMMDD'))) IS NULL
            ORDER BY place, day
        LOOP
            EXIT WHEN NOT v_is_locked;
            PERFORM baton.create_partition(v_row.table_name, v_row.day);
            v_changes := v_changes + 1;
        END LOOP;
        EXIT WHEN v_is_locked;
        IF NOT FOUND AND NOT EXISTS (
            SELECT FROM baton.partition p
            JOIN unnest(v_tables, v_keep) AS t (table_name, keep)
                USING (table_name)
            WHERE (p.day + 1)::timestamp AT TIME ZONE 'UTC' <= p_now - keep)
        THEN
            RETURN 0;
        END IF;
        PERFORM pg_advisory_xact_lock(hashtext('baton.maintain'));
        v_is_locked := true;
    END LOOP;

    SET LOCAL lock_timeout = '500ms';
    -- A message is a little older than its deliveries.
    SELECT ((baton.id_instant(min(oldest.delivery_id)) - interval '1 hour')
            AT TIME ZONE 'UTC')::date
    INTO v_oldest
    FROM baton.queue_account
    CROSS JOIN LATERAL (
        SELECT delivery_id
        FROM baton.queue
        WHERE queue.account_id = queue_account.account_id
        ORDER BY delivery_id
        LIMIT 1
    ) AS oldest;
    FOR v_row IN
        SELECT p.partition_name
        FROM baton.partition p
        JOIN unnest(v_tables, v_keep) WITH ORDINALITY
            AS t (table_name, keep, place) USING (table_name)
        WHERE (p.day + 1)::timestamp AT TIME ZONE 'UTC' <= p_now - keep
          AND p.day < least(v_oldest, v_today - 1)
        ORDER BY place, p.day
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE baton.%I', v_row.partition_name);
            v_changes := v_changes + 1;
        EXCEPTION WHEN lock_not_available THEN
            EXIT;
        END;
    END LOOP;
    RETURN v_changes;
END;
$$;
