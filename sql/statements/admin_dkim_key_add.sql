-- A new key of a domain; the private half is sealed.
-- Columns: selector
-- $1 account_id bigint
-- $2 domain text
-- $3 selector text
-- $4 algorithm text
-- $5 state text
-- $6 private_key text, in hexadecimal
-- $7 record text
INSERT INTO baton.dkim_key (account_id, domain, selector, algorithm, state,
                            private_key, record)
VALUES ($1::bigint, $2::text, $3::text, $4::text, $5::text,
        decode($6::text, 'hex'), $7::text)
RETURNING selector;
