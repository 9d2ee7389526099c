-- What a digest tells: first one row of kind total, then the classes, the
-- domains and the failures, each at most so many.
-- Parameters:
--   $1 account_id bigint
--   $2 notice_id bigint
--   $3 domain_limit bigint
--   $4 failure_limit bigint
-- Columns: kind text (total, class, domain or failure), name text (the class;
-- the domain; of the total a query that lists all, for people), quantity bigint, occurred_at timestamptz (total: of the first),
-- ended_at timestamptz (total: of the last), domain_count bigint (total),
-- recipient text, reply text, message_id bigint, subject text
WITH told AS MATERIALIZED (
    SELECT *
    FROM baton.notice_failure
    WHERE account_id = $1::bigint AND notice_id = $2::bigint
), listed AS MATERIALIZED (
    SELECT *
    FROM told
    ORDER BY occurred_at, delivery_id
    LIMIT $4::bigint
)
SELECT kind, name, quantity, occurred_at, ended_at, domain_count, recipient,
       reply, message_id, subject
FROM (
    SELECT 1 AS part, 0 AS place, 'total' AS kind,
           format('SELECT finished_at, recipient, last_reply, message_id '
                  'FROM report.delivery WHERE account_id = %s AND state IN '
                  '(''failed'', ''expired'', ''suppressed'', ''rejected'') '
                  'AND finished_at BETWEEN ''%s'' AND ''%s'' '
                  'ORDER BY finished_at;', $1::bigint, min(occurred_at),
                  max(occurred_at)) AS name,
           count(*) AS quantity, min(occurred_at) AS occurred_at,
           max(occurred_at) AS ended_at,
           count(DISTINCT domain) AS domain_count, '' AS recipient, '' AS reply,
           0::bigint AS message_id, '' AS subject
    FROM told
    UNION ALL
    SELECT 2, row_number() OVER (ORDER BY count(*) DESC, class), 'class', class,
           count(*), NULL, NULL, 0, '', '', 0, ''
    FROM told
    GROUP BY class
    UNION ALL
    (SELECT 3, row_number() OVER (ORDER BY count(*) DESC, domain), 'domain',
            domain, count(*), NULL, NULL, 0, '', '', 0, ''
     FROM told
     GROUP BY domain
     ORDER BY 2
     LIMIT $3::bigint)
    UNION ALL
    SELECT 4, row_number() OVER (ORDER BY l.occurred_at, l.delivery_id),
           'failure', l.class, 1, l.occurred_at, NULL, 0, l.recipient,
           CASE WHEN l.reply <> '' THEN l.reply ELSE l.explanation END,
           l.message_id,
           coalesce((SELECT m.subject
                     FROM baton.message m
                     WHERE m.account_id = l.account_id
                       AND m.message_id = l.message_id), '')
    FROM listed l) AS lines
ORDER BY part, place;
