-- What reports back: groups, keys of tokens, hosts of links, hits, counters,
-- suppressions, idempotency keys.

-- A group of messages of an account: "Password reset", "Daily Alert". Made on
-- first use. group_id 0 stands for messages without a group.
CREATE TABLE baton.message_group (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    group_id   bigint GENERATED ALWAYS AS IDENTITY,
    name       text NOT NULL,
    kind       text NOT NULL DEFAULT 'transactional'
               CHECK (kind IN ('transactional', 'marketing')),
    settings   jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, group_id)
);

CREATE UNIQUE INDEX message_group_name
    ON baton.message_group (account_id, lower(name));

-- The group of messages that name none.
ALTER TABLE baton.credential ADD COLUMN group_name text;

-- Secrets that sign tokens. The highest key_id whose time has come signs; all
-- others verify for ever. Two random UUIDs have 244 random bits.
CREATE TABLE baton.token_key (
    key_id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY
                CHECK (key_id < 65536),
    secret      bytea NOT NULL CHECK (length(secret) = 32),
    active_from timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION baton.make_secret() RETURNS bytea
LANGUAGE sql VOLATILE
RETURN sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

INSERT INTO baton.token_key (secret, active_from)
VALUES (baton.make_secret(), now());

-- Hosts whose links are an account's own. Under such a host the tokens of no
-- other account are honoured.
CREATE TABLE baton.tracking_host (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    host       text NOT NULL UNIQUE, -- lower case, A-labels
    scheme     text NOT NULL DEFAULT 'https' CHECK (scheme IN ('https', 'http')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, host)
);

ALTER TABLE baton.message
    ADD COLUMN group_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN policy jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN is_sandboxed boolean NOT NULL DEFAULT false;

-- What the recipient did. *_links: the numbers of the links that were followed,
-- by anybody and by humans. burst_*: the links followed within a second.
ALTER TABLE baton.delivery
    ADD COLUMN group_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN open_count integer NOT NULL DEFAULT 0,
    ADD COLUMN human_open_count integer NOT NULL DEFAULT 0,
    ADD COLUMN first_opened_at timestamptz,
    ADD COLUMN click_count integer NOT NULL DEFAULT 0,
    ADD COLUMN human_click_count integer NOT NULL DEFAULT 0,
    ADD COLUMN first_clicked_at timestamptz,
    ADD COLUMN clicked_links integer[],
    ADD COLUMN human_clicked_links integer[],
    ADD COLUMN burst_began_at timestamptz,
    ADD COLUMN burst_links integer[];

-- link_number to verdict_reason: of opened and clicked. verdict: human, machine.
ALTER TABLE baton.event
    ADD COLUMN group_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN link_number integer,
    ADD COLUMN url text,
    ADD COLUMN client_address text,
    ADD COLUMN user_agent text,
    ADD COLUMN verdict text,
    ADD COLUMN verdict_reason text;

-- Addresses that are no longer sent to. group_id: that group only, 0 the
-- messages without a group, NULL the whole account.
CREATE TABLE baton.suppression (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    address    text NOT NULL, -- lower case
    group_id   bigint,
    reason     text NOT NULL CHECK (reason IN ('hard_bounce', 'complaint',
                                               'unsubscribe', 'manual')),
    evidence   text NOT NULL DEFAULT '', -- the literal reply, report or request
    delivery_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    UNIQUE NULLS NOT DISTINCT (account_id, address, group_id)
);

-- Same key and content within 24 hours: the same message.
CREATE TABLE baton.idempotency (
    account_id bigint NOT NULL,
    key        text NOT NULL,
    content    bytea NOT NULL, -- SHA-256 of envelope and message
    message_id bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, key)
);

CREATE INDEX idempotency_expires ON baton.idempotency (expires_at);

-- Counters of one hour, moved in the transaction of the events they count. A
-- shard for each connection that writes (of each worker): nobody waits for
-- anybody's row. report.counters_hourly adds them up.
CREATE TABLE baton.counter (
    account_id       bigint NOT NULL,
    group_id         bigint NOT NULL,
    hour             timestamptz NOT NULL,
    shard            integer NOT NULL,
    outbound         bigint NOT NULL DEFAULT 0,
    bytes            bigint NOT NULL DEFAULT 0,
    refused          bigint NOT NULL DEFAULT 0,
    sent             bigint NOT NULL DEFAULT 0,
    deferred         bigint NOT NULL DEFAULT 0,
    failed_permanent bigint NOT NULL DEFAULT 0,
    failed_expired   bigint NOT NULL DEFAULT 0,
    failed_suppressed bigint NOT NULL DEFAULT 0,
    cancelled        bigint NOT NULL DEFAULT 0,
    complaints       bigint NOT NULL DEFAULT 0,
    opens            bigint NOT NULL DEFAULT 0,
    opens_unique     bigint NOT NULL DEFAULT 0,
    opens_human      bigint NOT NULL DEFAULT 0, -- first with a human verdict
    clicks           bigint NOT NULL DEFAULT 0,
    clicks_unique    bigint NOT NULL DEFAULT 0,
    clicks_human     bigint NOT NULL DEFAULT 0,
    unsubscribes     bigint NOT NULL DEFAULT 0,
    resubscribes     bigint NOT NULL DEFAULT 0,
    inbound          bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, group_id, hour, shard)
) WITH (fillfactor = 50);

-- What an operator set for all accounts: pass_through.
CREATE TABLE baton.server_setting (
    name       text PRIMARY KEY,
    value      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
