-- Sender domains: the hosts under each that come home to us, the keys its mail
-- is signed with, and what DNS said when it was asked last.

ALTER TABLE baton.domain
    ADD COLUMN return_host text NOT NULL DEFAULT '', -- where bounces come back
    ADD COLUMN link_host text NOT NULL DEFAULT '', -- where links lead to
    ADD COLUMN link_scheme text NOT NULL DEFAULT 'https'
        CHECK (link_scheme IN ('https', 'http')),
    -- DNS says so, or said so until a check found it wrong.
    ADD COLUMN return_is_right boolean NOT NULL DEFAULT false,
    ADD COLUMN link_is_right boolean NOT NULL DEFAULT false,
    ADD COLUMN dkim_is_right boolean NOT NULL DEFAULT false,
    ADD COLUMN checked_at timestamptz,
    ADD COLUMN broken_at timestamptz, -- since when something is no longer right
    ADD COLUMN findings jsonb NOT NULL DEFAULT '{}';

UPDATE baton.domain
SET return_host = 'bounce.' || name, link_host = 'click.' || name;

-- A link host is asked for by name alone. Two accounts may have the same
-- domain: tokens say whose a link is.
CREATE INDEX domain_link_host ON baton.domain (link_host);
CREATE INDEX domain_return_host ON baton.domain (return_host);

-- Keys of a domain. `next` ones wait until DNS has them; `retired` ones sign
-- nothing more, but what they signed is still on its way.
CREATE TABLE baton.dkim_key (
    account_id  bigint NOT NULL,
    domain      text NOT NULL,
    selector    text NOT NULL,
    algorithm   text NOT NULL
                CHECK (algorithm IN ('rsa-sha256', 'ed25519-sha256')),
    state       text NOT NULL CHECK (state IN ('signing', 'next', 'retired')),
    private_key bytea NOT NULL, -- sealed with [dkim] key_encryption
    record      text NOT NULL, -- what is published
    created_at  timestamptz NOT NULL DEFAULT now(),
    retired_at  timestamptz,
    PRIMARY KEY (account_id, domain, selector),
    FOREIGN KEY (account_id, domain) REFERENCES baton.domain
        ON DELETE CASCADE
);

CREATE VIEW report.domain AS
SELECT d.account_id, a.name AS account, d.name AS domain, d.return_host,
       d.link_host, d.return_is_right, d.link_is_right, d.dkim_is_right,
       d.checked_at, d.broken_at, d.findings, d.created_at
FROM baton.domain d
JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.domain IS
    'Sender domains, and what DNS said about them when it was asked last.';
COMMENT ON COLUMN report.domain.account_id IS 'Whose it is.';
COMMENT ON COLUMN report.domain.account IS 'The account''s name.';
COMMENT ON COLUMN report.domain.domain IS
    'What the account may write from, with all that lies under it.';
COMMENT ON COLUMN report.domain.return_host IS
    'Where bounces of its mail come back to, once its records are right.';
COMMENT ON COLUMN report.domain.link_host IS
    'Where links in its mail lead to, once its records are right.';
COMMENT ON COLUMN report.domain.return_is_right IS
    'Bounces come back to us, and SPF passes.';
COMMENT ON COLUMN report.domain.link_is_right IS 'Links lead to us.';
COMMENT ON COLUMN report.domain.dkim_is_right IS
    'Every key that signs is published.';
COMMENT ON COLUMN report.domain.checked_at IS
    'When DNS was asked last; NULL: not yet.';
COMMENT ON COLUMN report.domain.broken_at IS
    'Since when something is no longer right that was; NULL: nothing is.';
COMMENT ON COLUMN report.domain.findings IS
    'For each thing that is published: its state, what was found, what to do.';
COMMENT ON COLUMN report.domain.created_at IS 'When it was added.';

CREATE VIEW report.dkim_key AS
SELECT k.account_id, a.name AS account, k.domain, k.selector, k.algorithm,
       k.state, k.record, k.created_at, k.retired_at
FROM baton.dkim_key k
JOIN baton.account a USING (account_id);

COMMENT ON VIEW report.dkim_key IS
    'The keys that mail is signed with; the private halves are not shown.';
COMMENT ON COLUMN report.dkim_key.account_id IS 'Whose it is.';
COMMENT ON COLUMN report.dkim_key.account IS 'The account''s name.';
COMMENT ON COLUMN report.dkim_key.domain IS 'The domain whose mail it signs.';
COMMENT ON COLUMN report.dkim_key.selector IS
    'Its name: the record stands at SELECTOR._domainkey.DOMAIN.';
COMMENT ON COLUMN report.dkim_key.algorithm IS
    'rsa-sha256 or ed25519-sha256.';
COMMENT ON COLUMN report.dkim_key.state IS
    'signing; next (waits until DNS has it); retired (signs nothing more).';
COMMENT ON COLUMN report.dkim_key.record IS 'What its TXT record says.';
COMMENT ON COLUMN report.dkim_key.created_at IS 'When it was made.';
COMMENT ON COLUMN report.dkim_key.retired_at IS
    'When it signed for the last time; NULL: it still does, or is to.';
