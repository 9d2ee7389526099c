-- One message, by its id alone: the id names the day. All columns of
-- report.message, for people tags_text and metadata_text, for programs
-- tags_json.
-- $1 message_id bigint
SELECT *, array_to_string(tags, ', ') AS tags_text, to_jsonb(tags) AS tags_json,
       CASE metadata WHEN '{}' THEN '' ELSE metadata::text END AS metadata_text
FROM report.message
WHERE message_id = $1::bigint;
