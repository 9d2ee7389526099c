-- Days of history: made ahead of time, dropped when they are old.

-- The ids of core/id.h in SQL: 41 bits of milliseconds since 2024-01-01 UTC,
-- 10 bits of worker, 12 bits of count.
CREATE FUNCTION baton.id_lowest_at(p_at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(extract(epoch FROM p_at) * 1000 - 1704067200000)::bigint << 22;

CREATE FUNCTION baton.id_instant(p_id bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN timestamptz '2024-01-01 00:00:00+00'
    + (p_id >> 22) * interval '1 millisecond';

-- Ids for what an operator does by SQL, without a worker's number: they carry
-- the highest one, which is the last that a worker would get.
CREATE SEQUENCE baton.operator_id AS integer MINVALUE 0 MAXVALUE 4095 CYCLE;

CREATE FUNCTION baton.make_id() RETURNS bigint
LANGUAGE sql VOLATILE
RETURN baton.id_lowest_at(clock_timestamp()) | (1023 << 12)
    | nextval('baton.operator_id');

-- The history that exists: one row a partition, its day taken from its name.
CREATE VIEW baton.partition AS
SELECT parent.relname::text AS table_name,
       child.relname::text AS partition_name,
       to_date(right(child.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid
JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relkind = 'p'
  AND parent.relnamespace = 'baton'::regnamespace
  AND child.relname ~ ('^' || parent.relname || '_[0-9]{8}$');

-- Make one day of one table. The table is made first and attached then: unlike
-- CREATE TABLE … PARTITION OF this does not lock out those who write. LIKE
-- brings indexes and compression along, but no storage parameters: a delivery
-- is updated once or twice, which stays on its page if there is room; bytes
-- that need half a page at most once they are compressed stay in their row.
CREATE FUNCTION baton.create_partition(p_table text, p_day date)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_name text := format('%s_%s', p_table, to_char(p_day, 'YYYYMMDD'));
BEGIN
    EXECUTE format('CREATE TABLE baton.%I (LIKE baton.%I INCLUDING ALL)%s',
                   v_name, p_table,
                   CASE p_table
                   WHEN 'delivery' THEN ' WITH (fillfactor = 85)'
                   WHEN 'body' THEN ' WITH (toast_tuple_target = 4080)'
                   WHEN 'sandbox' THEN ' WITH (toast_tuple_target = 4080)'
                   ELSE '' END);
    EXECUTE format('ALTER TABLE baton.%I ATTACH PARTITION baton.%I'
                   ' FOR VALUES FROM (%s) TO (%s)', p_table, v_name,
                   baton.id_lowest_at(p_day::timestamp AT TIME ZONE 'UTC'),
                   baton.id_lowest_at((p_day + 1)::timestamp
                                      AT TIME ZONE 'UTC'));
END;
$$;

-- Make the days from yesterday to a week ahead of p_now, drop those that ended
-- longer ago than their retention (NULL: never). p_message is for message,
-- delivery and attempt. A day that unfinished deliveries come from stays.
-- Returns how many partitions were made or dropped. Safe from everywhere at
-- once; reads only the catalog when there is nothing to do.
--
-- Dropping needs the parent for a moment: whoever writes a message holds it in
-- the order of this array, and a lock that does not come soon is left for the
-- next time, before a deadlock or a queue of writers can form.
CREATE FUNCTION baton.maintain(p_now timestamptz, p_body interval,
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
    SELECT (baton.id_instant(min(message_id)) AT TIME ZONE 'UTC')::date
    INTO v_oldest FROM baton.queue;
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
