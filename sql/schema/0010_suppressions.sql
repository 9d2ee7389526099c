-- Suppressions that workers know of without a query each, and replies that
-- suppress by themselves.

-- An operator's INSERT may be written in any case.
DELETE FROM baton.suppression
WHERE ctid IN (
    SELECT ctid
    FROM (SELECT ctid,
                 row_number() OVER (
                     PARTITION BY account_id, lower(address), group_id
                     ORDER BY expires_at DESC NULLS FIRST) AS place
          FROM baton.suppression
          WHERE (account_id, lower(address)) IN (
              SELECT account_id, lower(address)
              FROM baton.suppression
              WHERE address <> lower(address))) AS alike
    WHERE place > 1);

UPDATE baton.suppression
SET address = lower(address)
WHERE address <> lower(address);

CREATE FUNCTION baton.lower_address() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.address := lower(NEW.address);
    RETURN NEW;
END;
$$;

CREATE TRIGGER suppression_address
BEFORE INSERT OR UPDATE OF address ON baton.suppression
FOR EACH ROW WHEN (NEW.address <> lower(NEW.address))
EXECUTE FUNCTION baton.lower_address();

-- The first eight bytes of an address's SHA-256, as suppression_hash of
-- relay/suppression_segments.c has them. What is not immutable by itself
-- (convert_to, a cast to bytea) must not stand here: the column is stored.
CREATE FUNCTION baton.suppression_hash(p_address text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('x' || encode(substr(sha256(decode(replace(p_address, '\', '\\'),
                                           'escape')), 1, 8), 'hex'))
       ::bit(64)::bigint;

ALTER TABLE baton.suppression
    ADD COLUMN hash bigint NOT NULL
    GENERATED ALWAYS AS (baton.suppression_hash(address)) STORED;

-- A worker reads a range of an account's hashes from the index alone.
CREATE INDEX suppression_hash
    ON baton.suppression (account_id, hash) INCLUDE (expires_at);

-- An import fills pages that only vacuum marks as visible to all.
ALTER TABLE baton.suppression
    SET (autovacuum_vacuum_insert_scale_factor = 0.02,
         autovacuum_vacuum_scale_factor = 0.02);

-- What workers have to forget. hash NULL: all of the account; account_id 0:
-- everything. A worker asks for what its snapshot before did not show, so that
-- a transaction that commits late is not missed.
CREATE TABLE baton.suppression_change (
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    account_id  bigint NOT NULL,
    hash        bigint,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX suppression_change_xid ON baton.suppression_change (changed_xid);

-- More than a thousand rows of one statement are told as one for each account.
CREATE FUNCTION baton.note_suppressions() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO baton.suppression_change (account_id, hash)
    SELECT DISTINCT account_id,
                    CASE WHEN row_count <= 1000 THEN hash END
    FROM changed
    CROSS JOIN (SELECT count(*) AS row_count FROM changed) AS counted;
    RETURN NULL;
END;
$$;

CREATE TRIGGER suppression_inserted
AFTER INSERT ON baton.suppression
REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION baton.note_suppressions();

CREATE TRIGGER suppression_updated
AFTER UPDATE ON baton.suppression
REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION baton.note_suppressions();

-- An operator may have changed the address itself.
CREATE TRIGGER suppression_replaced
AFTER UPDATE ON baton.suppression
REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION baton.note_suppressions();

CREATE TRIGGER suppression_deleted
AFTER DELETE ON baton.suppression
REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION baton.note_suppressions();

CREATE FUNCTION baton.note_suppressions_truncated() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO baton.suppression_change (account_id) VALUES (0);
    RETURN NULL;
END;
$$;

CREATE TRIGGER suppression_truncated
AFTER TRUNCATE ON baton.suppression
FOR EACH STATEMENT EXECUTE FUNCTION baton.note_suppressions_truncated();

-- Workers remember groups' names with what they know.
CREATE FUNCTION baton.note_group_renamed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO baton.suppression_change (account_id) VALUES (OLD.account_id);
    RETURN NULL;
END;
$$;

CREATE TRIGGER message_group_renamed
AFTER DELETE OR UPDATE OF name ON baton.message_group
FOR EACH ROW EXECUTE FUNCTION baton.note_group_renamed();

-- Replies that said a mailbox is not used any more; a delivery counts once.
CREATE TABLE baton.inactivity (
    account_id  bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    address     text NOT NULL, -- lower case
    delivery_id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, address, delivery_id)
);

CREATE INDEX inactivity_occurred ON baton.inactivity (occurred_at);

-- Count one of them. p_count of them, the first and this one at least p_span
-- apart and none delivered in between, suppress: returns the evidence; NULL: not
-- yet.
CREATE FUNCTION baton.note_inactive(p_account bigint, p_address text,
                                    p_delivery bigint, p_at timestamptz,
                                    p_reply text, p_count integer,
                                    p_span interval)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_count integer;
    v_first timestamptz;
    v_arrived timestamptz;
    v_lowest bigint;
BEGIN
    INSERT INTO baton.inactivity (account_id, address, delivery_id, occurred_at)
    VALUES (p_account, p_address, p_delivery, p_at)
    ON CONFLICT DO NOTHING;
    SELECT min(occurred_at) INTO v_first
    FROM baton.inactivity
    WHERE account_id = p_account AND address = p_address;
    -- A delivery's id is as old as its message: weeks before it arrived.
    v_lowest := baton.id_lowest_at(v_first - interval '30 days');
    SELECT max(finished_at) INTO v_arrived
    FROM baton.delivery
    WHERE account_id = p_account
      AND lower(recipient) = p_address
      AND state = 'delivered'
      AND delivery_id >= v_lowest;
    DELETE FROM baton.inactivity
    WHERE account_id = p_account AND address = p_address
      AND occurred_at <= v_arrived;
    SELECT count(*), min(occurred_at) INTO v_count, v_first
    FROM baton.inactivity
    WHERE account_id = p_account AND address = p_address;
    IF v_count < p_count OR p_at < v_first + p_span THEN
        RETURN NULL;
    END IF;
    DELETE FROM baton.inactivity
    WHERE account_id = p_account AND address = p_address;
    RETURN format('inactive %s times since %s; the last reply: %s', v_count,
                  to_char(v_first AT TIME ZONE 'UTC', 'YYYY-MM-DD'), p_reply);
END;
$$;
