-- The settings of a worker's session, and whether what PostgreSQL commits is
-- safe on disk. Plans are made once: with joins that walk indexes they stay
-- right while the queue grows from nothing to millions.
--
-- A session before this one may still be there, with statements that its worker
-- gave up: what is on its way arrives when the network or the server wakes up.
-- It is ended, and waited for, so that nothing of it happens any more.
-- Parameters:
--   $1 timeout text   of each statement, like 30000ms
--   $2 hash_join text on or off
--   $3 lost_process_id text of the session before; 0: none
--   $4 lost_since text      when that began, in seconds
-- Columns: is_durable, is_alone, process_id, since
SELECT set_config('timezone', 'UTC', false),
       set_config('statement_timeout', $1::text, false),
       set_config('idle_in_transaction_session_timeout', '60s', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('jit', 'off', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false),
       set_config('enable_mergejoin', 'off', false),
       set_config('enable_hashjoin', $2::text, false),
       current_setting('fsync') = 'on'
           AND current_setting('synchronous_commit') <> 'off' AS is_durable,
       coalesce((SELECT bool_and(pg_terminate_backend(pid, 5000))
                 FROM pg_stat_activity
                 WHERE pid = $3::text::integer
                   AND extract(epoch FROM backend_start)::text = $4::text
                   AND usename = current_user), true) AS is_alone,
       pg_backend_pid()::bigint AS process_id,
       (SELECT extract(epoch FROM backend_start)::text
        FROM pg_stat_activity
        WHERE pid = pg_backend_pid()) AS since;
