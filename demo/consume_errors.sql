-- One transaction: messages are taken, the server errors among them kept, and
-- all acknowledged.  Either all of it happens or nothing: exactly once.
INSERT INTO server_errors
SELECT c.msg_id, (c.message).at, (c.message).status, (c.message).host, (c.message).url
FROM streamq.consume_as(NULL::requests, 'errors', max_messages => 5000,
	wait => '1 second', auto_ack => true) AS c
WHERE (c.message).status >= 500;
