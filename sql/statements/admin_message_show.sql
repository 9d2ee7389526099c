-- One message, by its id alone: the id names the day. All columns of
-- report.message.
-- $1 message_id bigint
SELECT * FROM report.message WHERE message_id = $1::bigint;
