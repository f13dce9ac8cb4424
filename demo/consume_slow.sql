-- One transaction: messages are taken, the slow statements among them kept, and
-- all acknowledged.  Either all of it happens or nothing: exactly once.
INSERT INTO slow_statements
SELECT msg_id, log_time, ms, statement
FROM (
	SELECT c.msg_id, (c.message).log_time,
		substring((c.message).message FROM '^duration: ([0-9.]+) ms')::float8 AS ms,
		regexp_replace(substring((c.message).message FROM 'statement: *(.*)'), '\s+', ' ', 'g') AS statement
	FROM streamq.consume_as(NULL::server_log, 'slow', max_messages => 5000,
		wait => '1 second', auto_ack => true) AS c
) AS log
WHERE ms >= 10;
