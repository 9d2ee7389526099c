-- Those of these addresses that an account does not send to, in this group or
-- at all.
-- $1 account_id bigint
-- $2 group_id bigint    0: no group
-- $3 addresses text[]   in any case of letters
-- Columns: place bigint (of the address among those given, from 1), address text,
-- reason text, evidence text, created_at timestamptz, group_name text (NULL: the
-- whole account)
SELECT wanted.place, s.address, s.reason, s.evidence, s.created_at,
       CASE WHEN s.group_id IS NOT NULL
       THEN coalesce((SELECT name
                      FROM baton.message_group
                      WHERE message_group.account_id = s.account_id
                        AND message_group.group_id = s.group_id), '')
       END AS group_name
FROM unnest($3::text[]) WITH ORDINALITY AS wanted (address, place)
CROSS JOIN LATERAL (
    SELECT *
    FROM baton.suppression
    WHERE suppression.account_id = $1::bigint
      AND suppression.address = lower(wanted.address)
      AND (suppression.group_id IS NULL OR suppression.group_id = $2::bigint)
      AND (suppression.expires_at IS NULL OR suppression.expires_at > now())
) AS s
ORDER BY wanted.place, s.group_id NULLS FIRST;
