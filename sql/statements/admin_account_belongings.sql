-- How much goes with an account. Columns: user_count, network_count,
-- domain_count, tracking_host_count, group_count, suppression_count,
-- untracked_count
-- $1 account_id bigint
SELECT (SELECT count(*) FROM baton.credential
        WHERE account_id = $1::bigint) AS user_count,
       (SELECT count(*) FROM baton.network
        WHERE account_id = $1::bigint) AS network_count,
       (SELECT count(*) FROM baton.domain
        WHERE account_id = $1::bigint) AS domain_count,
       (SELECT count(*) FROM baton.tracking_host
        WHERE account_id = $1::bigint) AS tracking_host_count,
       (SELECT count(*) FROM baton.message_group
        WHERE account_id = $1::bigint) AS group_count,
       (SELECT count(*) FROM baton.suppression
        WHERE account_id = $1::bigint) AS suppression_count,
       (SELECT count(*) FROM baton.untracked
        WHERE account_id = $1::bigint) AS untracked_count;
