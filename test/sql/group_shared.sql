-- Groups in shared mode: single messages, in any order.
CREATE SCHEMA group_shared;
SET search_path = group_shared;
CREATE TABLE s (key text, payload jsonb NOT NULL, headers jsonb) USING streamq;
INSERT INTO s SELECT 'k' || i, jsonb_build_object('i', i) FROM generate_series(0, 19) i;
SELECT streamq.create_group('s', 'g', mode => 'shared');
CREATE VIEW state AS
	SELECT group_name AS g, acked_offset AS acked, lag, in_flight AS held, redelivered AS again,
		dead_lettered AS dead, expired
	FROM streamq.consumer_groups WHERE stream = 's'::regclass;
CREATE VIEW leases AS
	SELECT first_msg_id AS first, last_msg_id AS last, consumer, deliveries
	FROM streamq.leases WHERE stream = 's'::regclass ORDER BY 1;
SELECT mode, partition, acked_offset, lag, in_flight, last_consumed_at FROM streamq.consumer_groups WHERE group_name = 'g';

-- Consumers get disjoint messages of one partition.
SELECT msg_id, partition, msg_offset, deliveries, key, payload FROM streamq.consume('s', 'g', 3, consumer => 'a');
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 3, consumer => 'b');
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, consumer => 'a');
SELECT * FROM leases;
SELECT * FROM state;

-- Acknowledging: once, in any order, only what was delivered.
SELECT streamq.ack('s', 'g', 4) AS "in the middle", streamq.ack('s', 'g', 4) AS again,
	streamq.ack('s', 'g', 8) AS "not delivered", streamq.ack('s', 'g', 281474976710656) AS "no such partition",
	streamq.ack('s', 'g', 1000) AS "no such message";
SELECT * FROM state;
SELECT * FROM leases;
SELECT streamq.ack_batch('s', 'g', '{0, 0, 1, 4, 7, 9}') AS three;
SELECT * FROM state;
SELECT streamq.ack('s', 'g', 2);
SELECT * FROM state;

-- ack_through: what the same consumer was given.
SELECT msg_id FROM streamq.consume('s', 'g', 2, consumer => 'c');
SELECT streamq.ack_through('s', 'g', 6) AS "a's last one";
SELECT * FROM leases;
SELECT streamq.ack_through('s', 'g', 9) AS "those of c, and of this session", streamq.ack_through('s', 'g', 9) AS again;
SELECT * FROM state;

-- Giving back one message leaves the others alone.
SELECT msg_id FROM streamq.consume('s', 'g', 4, consumer => 'a');
SELECT streamq.nack('s', 'g', 11), streamq.nack('s', 'g', 11) AS again, streamq.nack('s', 'g', 15) AS "not delivered";
SELECT * FROM leases;
SELECT * FROM state;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 1, consumer => 'b');
SELECT streamq.nack('s', 'g', 12, retry_after => '1 h');
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 1, consumer => 'b') AS "those behind it go on";
SELECT * FROM leases;
SELECT * FROM state;
SELECT streamq.ack('s', 'g', 12) AS "given back, and done after all";
SELECT streamq.ack_batch('s', 'g', '{10, 11, 13, 14}');
SELECT * FROM state;

-- Leases end one by one; an acknowledgement counts until somebody else has the message.
SELECT msg_id FROM streamq.consume('s', 'g', 3, consumer => 'a', lease => '1 ms');
SELECT streamq.extend_lease('s', 'g', '{16, 19}', '1 h') AS one;
SELECT pg_sleep(0.01);
SELECT * FROM leases;
SELECT * FROM state;
SELECT streamq.ack('s', 'g', 17) AS "late, but before anybody else";
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 5, consumer => 'b');
SELECT * FROM state;
SELECT streamq.ack_batch('s', 'g', '{15, 16, 18, 19}');
SELECT * FROM state;

-- Auto-acknowledged messages are done at once.
INSERT INTO s SELECT 'k' || i, jsonb_build_object('i', i) FROM generate_series(20, 29) i;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, auto_ack => true);
SELECT streamq.ack('s', 'g', 20);
SELECT * FROM state;

-- Rolled back: the messages are for others at once, and were not delivered.
BEGIN;
SELECT msg_id FROM streamq.consume('s', 'g', 2, consumer => 'a');
SELECT streamq.ack('s', 'g', 22);
SELECT * FROM state;
ROLLBACK;
SELECT * FROM state;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 3, consumer => 'b');
BEGIN;
SELECT streamq.ack('s', 'g', 23), streamq.nack('s', 'g', 24);
SELECT * FROM state;
ROLLBACK;
SELECT * FROM state;
SELECT * FROM leases;

-- Savepoints: each level is undone alone.
BEGIN;
SAVEPOINT a;
SELECT streamq.ack('s', 'g', 22);
SAVEPOINT b;
SELECT streamq.ack('s', 'g', 23);
SELECT msg_id FROM streamq.consume('s', 'g', 1);
ROLLBACK TO b;
SELECT * FROM state;
SELECT msg_id FROM streamq.consume('s', 'g', 1);
RELEASE a;
SELECT * FROM state;
COMMIT;
SELECT * FROM state;
SELECT * FROM leases WHERE first < 25;
SELECT streamq.ack_batch('s', 'g', '{23, 24, 25}');

-- A loop with an exception block around each message.
DO $$
DECLARE
	m streamq.message;
BEGIN
	FOR i IN 1 .. 4 LOOP
		BEGIN
			SELECT * INTO m FROM streamq.consume('s', 'g', 1);
			PERFORM streamq.ack('s', 'g', m.msg_id);
			IF i = 2 THEN
				RAISE EXCEPTION 'work on message % failed', m.msg_id;
			END IF;
			RAISE NOTICE 'message % done', m.msg_id;
		EXCEPTION WHEN raise_exception THEN
			RAISE NOTICE '%', sqlerrm;
		END;
	END LOOP;
END $$;
SELECT * FROM state;

-- Consume, work, acknowledge, consume again, all in one transaction.
INSERT INTO s SELECT 'k' || i, jsonb_build_object('i', i) FROM generate_series(30, 39) i;
SELECT streamq.create_group('s', 'limited', mode => 'shared', max_in_flight => 3);
BEGIN;
SELECT msg_id FROM streamq.consume('s', 'limited', 10);
SELECT msg_id FROM streamq.consume('s', 'limited', 10) AS "none above max_in_flight";
SELECT streamq.ack_batch('s', 'limited', '{0, 1}');
SELECT msg_id FROM streamq.consume('s', 'limited', 1) AS "one of two";
SELECT msg_id FROM streamq.consume('s', 'limited', 10);
COMMIT;
SELECT * FROM state ORDER BY 1;
SELECT msg_id FROM streamq.consume('s', 'limited', 10) AS none;
SELECT count(*) FROM streamq.consume('s', 'limited', 10, auto_ack => true) AS "no limit for what is done at once";
SELECT streamq.nack('s', 'limited', 3);
SELECT msg_id, deliveries FROM streamq.consume('s', 'limited', 10) AS "what was given back is within the limit";
SELECT streamq.drop_group('s', 'limited');

-- Gaps of rolled-back messages hold nothing up, and count for nothing.
SELECT streamq.ack_batch('s', 'g', array_agg(msg_id)) FROM streamq.consume('s', 'g', 100);
BEGIN;
INSERT INTO s (payload) VALUES ('"rolled back"');
ROLLBACK;
INSERT INTO s (payload) VALUES ('"kept"');
BEGIN;
INSERT INTO s (payload) SELECT to_jsonb(i) FROM generate_series(1, 3) i;
ROLLBACK;
INSERT INTO s (payload) VALUES ('"kept, too"');
SELECT * FROM state;
SELECT msg_id, payload FROM streamq.consume('s', 'g', 100, consumer => 'a');
SELECT * FROM leases;
SELECT streamq.ack('s', 'g', 40) AS "rolled back", streamq.ack_batch('s', 'g', '{40, 41, 42, 43, 44, 45}');
SELECT * FROM state;

-- seek forgets what is outstanding; a rollback brings it back.
SELECT streamq.seek('s', 'g', to_msg_id => 30);
SELECT * FROM state;
SELECT count(*), min(msg_id) FROM streamq.consume('s', 'g', 4, consumer => 'a');
BEGIN;
SELECT streamq.seek('s', 'g', 'latest');
SELECT * FROM state;
SELECT * FROM leases;
SAVEPOINT a;
SELECT streamq.seek('s', 'g', to_msg_id => 35);
SELECT msg_id FROM streamq.consume('s', 'g', 1);
SELECT * FROM state;
ROLLBACK TO a;
SELECT * FROM state;
ROLLBACK;
SELECT * FROM state;
SELECT * FROM leases;
SELECT streamq.ack_batch('s', 'g', '{31, 33}');
SELECT * FROM state;
SELECT streamq.seek('s', 'g', 'earliest');
SELECT * FROM state;
SELECT streamq.ack('s', 'g', 30) AS "from before the seek";
SELECT streamq.seek('s', 'g', 'latest');

-- REPEATABLE READ: what was committed after the snapshot is delivered.  SERIALIZABLE: only what
-- the snapshot sees.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT 1 AS snapshot;
INSERT INTO s (payload) VALUES ('"own"');
SELECT msg_id FROM streamq.consume('s', 'g') AS "not in its own transaction";
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT msg_id, payload FROM streamq.consume('s', 'g', consumer => 'a');
SELECT streamq.ack('s', 'g', 46);
COMMIT;
SELECT * FROM state;

-- TRUNCATE: nothing is outstanding, and offsets go on.
INSERT INTO s (payload) SELECT to_jsonb(i) FROM generate_series(1, 5) i;
SELECT count(*) FROM streamq.consume('s', 'g', 3);
TRUNCATE s;
SELECT * FROM state;
SELECT * FROM leases;
SELECT streamq.ack('s', 'g', 47) AS truncated;
INSERT INTO s (payload) VALUES ('"after"');
SELECT msg_id, payload FROM streamq.consume('s', 'g', 10, auto_ack => true);
SELECT * FROM state;

-- Many messages, each acknowledged alone: all odd ones, then the rest backwards.
CREATE TABLE many (n int NOT NULL) USING streamq;
INSERT INTO many SELECT generate_series(0, 19999);
SELECT streamq.create_group('many', 'g', mode => 'shared', max_in_flight => 1000000);
SELECT count(*), min(msg_id), max(msg_id) FROM streamq.consume('many', 'g', 20000);
SELECT count(*) FILTER (WHERE streamq.ack('many', 'g', i)) FROM generate_series(1, 19999, 2) i;
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'many'::regclass;
SELECT count(*) FROM streamq.leases WHERE stream = 'many'::regclass;
SELECT count(*) FILTER (WHERE streamq.nack('many', 'g', i)) FROM generate_series(0, 19998, 20) i;
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'many'::regclass;
SELECT count(*), min(msg_id), max(msg_id), sum(deliveries) FROM streamq.consume('many', 'g', 20000);
SELECT count(*) FILTER (WHERE streamq.ack('many', 'g', i)) FROM generate_series(19998, 0, -2) i;
SELECT acked_offset, lag, in_flight, redelivered FROM streamq.consumer_groups WHERE stream = 'many'::regclass;
SELECT * FROM streamq.check_stream('many');

-- What the table is for: a worker's own order of messages, by cursor.
BEGIN;
INSERT INTO many SELECT generate_series(0, 9);
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT msg_id FROM streamq.consume('many', 'g', 5);
FETCH 2 FROM c;
SELECT streamq.ack('many', 'g', 20004), streamq.ack('many', 'g', 20001);
FETCH ALL FROM c;
COMMIT;
SELECT first_msg_id, last_msg_id FROM streamq.leases WHERE stream = 'many'::regclass ORDER BY 1;

-- Errors
SELECT streamq.create_group('s', 'h', mode => 'shared', max_in_flight => 1000001);
SELECT streamq.create_group('s', 'h', mode => 'queue');
SELECT * FROM streamq.check_stream('s');

DROP SCHEMA group_shared CASCADE;
