-- All that these addresses are suppressed for by an account: whole account and
-- groups, expired or not (suppression_applies).
-- $1 account_id bigint
-- $2 addresses text[]   in any case of letters
-- Columns: place bigint (of the address among those given, from 1), address text,
-- group_id bigint (NULL: the whole account), reason text, evidence text,
-- created_at timestamptz, expires_at timestamptz (NULL: never), group_name text
-- (NULL: the whole account)
SELECT wanted.place, s.address, s.group_id, s.reason, s.evidence, s.created_at,
       s.expires_at,
       CASE WHEN s.group_id IS NOT NULL
       THEN coalesce((SELECT name
                      FROM baton.message_group
                      WHERE message_group.account_id = s.account_id
                        AND message_group.group_id = s.group_id), '')
       END AS group_name
FROM unnest($2::text[]) WITH ORDINALITY AS wanted (address, place)
CROSS JOIN LATERAL (
    SELECT *
    FROM baton.suppression
    WHERE suppression.account_id = $1::bigint
      AND suppression.address = lower(wanted.address)
) AS s
ORDER BY wanted.place, s.group_id NULLS FIRST;
