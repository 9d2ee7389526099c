-- The next keys of a domain sign from now on; those that signed are retired.
-- Columns: selector, state
-- $1 account_id bigint
-- $2 domain text
UPDATE baton.dkim_key
SET state = CASE state WHEN 'next' THEN 'signing' ELSE 'retired' END,
    retired_at = CASE state WHEN 'signing' THEN now() END
WHERE account_id = $1::bigint AND domain = $2::text
  AND state IN ('signing', 'next')
  AND EXISTS (SELECT FROM baton.dkim_key AS waiting
              WHERE waiting.account_id = $1::bigint
                AND waiting.domain = $2::text
                AND waiting.state = 'next')
RETURNING selector, state;
