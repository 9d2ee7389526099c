-- Let the role baton_report read the schema report.
SELECT baton.grant_report();
