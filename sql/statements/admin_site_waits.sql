-- What waits in the workers' hands, by site. Columns: site, waiting_count,
-- busy_count, node, why
SELECT site, waiting_count, busy_count, node, why
FROM report.site_wait
ORDER BY waiting_count DESC, site;
