-- The tables of Baton, in schema baton. What people read lies in schema report.
--
-- Every tenant row has account_id, and it is in every unique key: nothing joins
-- across accounts. Ids are made by the workers and sort by time (core/id.h), so
-- history is partitioned by day on the id itself. No foreign keys into history.

CREATE SCHEMA baton;

-- The live workers. A queue row belongs to the worker whose worker_id it
-- carries, as long as that worker's row here has not run out. worker_id is new
-- for every process, number (which is in the ids it makes) is used again.
CREATE TABLE baton.worker (
    worker_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number      smallint NOT NULL UNIQUE CHECK (number BETWEEN 0 AND 1023),
    node        text NOT NULL,
    process_id  integer NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    alive_until timestamptz NOT NULL
);

CREATE TABLE baton.account (
    account_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    manager_email text,
    settings      jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- A user name for AUTH. kind generated: secret is the SHA-256 of a password of
-- at least 128 random bits, in hexadecimal; kind chosen: a crypt(5) string.
CREATE TABLE baton.credential (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    user_name  text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('generated', 'chosen')),
    secret     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, user_name)
);

-- Which account a user name belongs to: user names are unique over all
-- accounts, and this table alone knows.
CREATE TABLE baton.user_name (
    user_name  text PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE
);

CREATE TABLE baton.network (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    range      cidr NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, range)
);

-- Domains that an account may write from (F12).
CREATE TABLE baton.domain (
    account_id bigint NOT NULL REFERENCES baton.account ON DELETE CASCADE,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, name)
);

-- Where a destination goes instead of its MX. destination '*' is every other.
-- target: smtp://…, smtps://…, sandbox:, discard:
CREATE TABLE baton.route (
    destination text PRIMARY KEY,
    target      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- What an operator stopped: all, an account, a destination domain or a message.
CREATE TABLE baton.suspension (
    scope      text NOT NULL CHECK (scope IN ('all', 'account', 'domain', 'message')),
    value      text NOT NULL, -- account id, domain, message id; '' for all
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, value)
);

-- What was accepted once, with one or more recipients.
CREATE TABLE baton.message (
    account_id          bigint NOT NULL,
    message_id          bigint NOT NULL,
    accepted_at         timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    sender              text NOT NULL, -- envelope; '' is the null sender
    from_address        text NOT NULL, -- header
    subject             text NOT NULL,
    internet_message_id text NOT NULL,
    size_bytes          bigint NOT NULL,
    recipient_count     integer NOT NULL,
    is_smtputf8         boolean NOT NULL,
    has_8bit            boolean NOT NULL,
    dsn_return          smallint NOT NULL, -- 0 not given, 1 FULL, 2 HDRS
    envelope_id         text,
    priority            smallint NOT NULL, -- 0 normal, 1 high
    client_address      text NOT NULL,
    client_name         text NOT NULL, -- as said in EHLO
    protocol            text NOT NULL, -- ESMTPSA …
    tls                 text,
    user_name           text,
    trace               bytea NOT NULL, -- fields added on top
    transcript          text NOT NULL,
    PRIMARY KEY (account_id, message_id)
) PARTITION BY RANGE (message_id);

-- The message as it came, in chunks of at most 256 KB.
CREATE TABLE baton.body (
    account_id bigint NOT NULL,
    message_id bigint NOT NULL,
    chunk      integer NOT NULL,
    data       bytea COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (account_id, message_id, chunk)
) PARTITION BY RANGE (message_id);

-- One message to one recipient. state changes once or twice in its life.
CREATE TABLE baton.delivery (
    account_id         bigint NOT NULL,
    delivery_id        bigint NOT NULL,
    message_id         bigint NOT NULL,
    recipient          text NOT NULL,
    domain             text NOT NULL,
    notify             smallint NOT NULL, -- bits: 1 never 2 success 4 failure 8 delay
    original_recipient text,
    state              text NOT NULL, -- queued delivered failed expired cancelled rejected withdrawn
    finished_at        timestamptz,
    attempt_count      integer NOT NULL DEFAULT 0,
    last_reply         text,
    PRIMARY KEY (account_id, delivery_id)
) PARTITION BY RANGE (delivery_id);

CREATE INDEX delivery_message ON baton.delivery (account_id, message_id);

-- One try of a delivery at one host.
CREATE TABLE baton.attempt (
    account_id            bigint NOT NULL,
    attempt_id            bigint NOT NULL,
    delivery_id           bigint NOT NULL,
    message_id            bigint NOT NULL,
    number                integer NOT NULL,
    started_at            timestamptz NOT NULL,
    finished_at           timestamptz NOT NULL,
    worker_id             bigint NOT NULL,
    host                  text NOT NULL,
    address               text NOT NULL,
    outcome               text NOT NULL, -- delivered deferred failed uncertain
    scope                 text NOT NULL, -- recipient message host site
    step                  text NOT NULL,
    reply_code            smallint NOT NULL, -- 0: no reply
    enhanced_code         text NOT NULL,
    reply                 text NOT NULL, -- literal, or what happened
    tls                   text,
    queue_milliseconds    bigint NOT NULL,
    connect_milliseconds  bigint NOT NULL,
    transfer_milliseconds bigint NOT NULL,
    transcript            text NOT NULL,
    PRIMARY KEY (account_id, attempt_id)
) PARTITION BY RANGE (attempt_id);

CREATE INDEX attempt_delivery ON baton.attempt (account_id, delivery_id);

-- Something that happened. message_id and delivery_id are NULL for what was
-- refused before there was a message.
CREATE TABLE baton.event (
    account_id  bigint NOT NULL,
    event_id    bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    kind        text NOT NULL, -- accepted deferred delivered bounced rejected expired cancelled
    message_id  bigint,
    delivery_id bigint,
    recipient   text,
    detail      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, event_id)
) PARTITION BY RANGE (event_id);

CREATE INDEX event_message ON baton.event (account_id, message_id);

-- Unfinished deliveries: small, hot, not partitioned. A row is leased while
-- worker_id is set; due_at is then NULL, so that the due index holds only what
-- somebody may claim. Rows are deleted when the delivery is finished.
CREATE TABLE baton.queue (
    account_id    bigint NOT NULL,
    delivery_id   bigint NOT NULL,
    message_id    bigint NOT NULL,
    domain        text NOT NULL,
    priority      smallint NOT NULL,
    due_at        timestamptz,
    worker_id     bigint,
    expires_at    timestamptz NOT NULL,
    attempt_count integer NOT NULL,
    size_bytes    bigint NOT NULL,
    why           text NOT NULL, -- why it waits, for people
    PRIMARY KEY (account_id, delivery_id),
    CHECK ((due_at IS NULL) = (worker_id IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Claims walk from account to account in this index (statements/queue_claim).
CREATE INDEX queue_due ON baton.queue (account_id, priority, due_at);

-- Why deliveries in a worker's hand wait, one row a site: rewritten by the
-- worker every second while something waits there.
CREATE TABLE baton.site_wait (
    worker_id     bigint NOT NULL,
    site          text NOT NULL,
    waiting_count integer NOT NULL,
    busy_count    integer NOT NULL,
    why           text NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (worker_id, site)
);

-- Deliveries that the sandbox route took in.
CREATE TABLE baton.sandbox (
    account_id  bigint NOT NULL,
    delivery_id bigint NOT NULL,
    message_id  bigint NOT NULL,
    recipient   text NOT NULL,
    sender      text NOT NULL,
    received_at timestamptz NOT NULL,
    message     bytea COMPRESSION lz4 NOT NULL, -- the copy as it would have left
    PRIMARY KEY (account_id, delivery_id)
) PARTITION BY RANGE (delivery_id);
