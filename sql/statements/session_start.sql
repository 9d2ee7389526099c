-- The settings of a worker's session, and whether what PostgreSQL commits is
-- safe on disk. Plans are made once: with joins that walk indexes they stay
-- right while the queue grows from nothing to millions.
-- Parameters:
--   $1 timeout text   of each statement, like 30000ms
--   $2 hash_join text on or off
-- Columns: is_durable
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
           AND current_setting('synchronous_commit') <> 'off' AS is_durable;
