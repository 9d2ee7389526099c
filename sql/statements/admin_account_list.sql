-- Every account. Columns: account_id, name, manager_email, user_count,
-- network_count, domain_count, queued_count, created_at
SELECT a.account_id, a.name, a.manager_email,
       (SELECT count(*) FROM baton.credential c
        WHERE c.account_id = a.account_id) AS user_count,
       (SELECT count(*) FROM baton.network n
        WHERE n.account_id = a.account_id) AS network_count,
       (SELECT count(*) FROM baton.domain d
        WHERE d.account_id = a.account_id) AS domain_count,
       (SELECT count(*) FROM baton.queue q
        WHERE q.account_id = a.account_id) AS queued_count,
       date_trunc('second', a.created_at) AS created_at
FROM baton.account a
ORDER BY a.name;
