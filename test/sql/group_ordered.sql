-- Ordered consumer groups: handing out, acknowledging, looking at it.
CREATE SCHEMA group_ordered;
SET search_path = group_ordered;
CREATE TABLE s (key text, payload jsonb NOT NULL, headers jsonb) USING streamq;
INSERT INTO s SELECT 'k' || i, jsonb_build_object('i', i) FROM generate_series(0, 9) i;

-- The first consume creates the group; messages come in order.
SELECT msg_id, partition, msg_offset, deliveries, key, payload FROM streamq.consume('s', 'g', max_messages => 3);

-- The holder may take more before it acknowledges; nobody else gets anything.
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2);
SELECT msg_id FROM streamq.consume('s', 'g', consumer => 'somebody else');
SELECT partition, first_msg_id, last_msg_id, deliveries, consumer ~ '^pid \d+/' AS session,
	expires_at - now() BETWEEN '20 s' AND '30 s' AS thirty_seconds
FROM streamq.leases WHERE stream = 's'::regclass;

-- Acknowledging: once, only what was delivered, in any order.
SELECT streamq.ack('s', 'g', 1) AS "in the middle", streamq.ack('s', 'g', 1) AS again,
	streamq.ack('s', 'g', 7) AS "not delivered", streamq.ack('s', 'g', 281474976710656) AS "no such partition";
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT streamq.ack('s', 'g', 0);
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT first_msg_id, last_msg_id FROM streamq.leases WHERE stream = 's'::regclass;
SELECT streamq.ack_batch('s', 'g', '{4, 4, 1, 9}');
SELECT streamq.ack_through('s', 'g', 9) AS "not delivered", streamq.ack_through('s', 'g', 4) AS "what is left",
	streamq.ack_through('s', 'g', 4) AS again;

-- When all is acknowledged the lease is over: others may go on.
SELECT count(*) FROM streamq.leases WHERE stream = 's'::regclass;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, consumer => 'somebody else');
SELECT streamq.ack_through('s', 'g', 6);

-- Auto-acknowledged messages are done at once.
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, auto_ack => true);
SELECT streamq.ack('s', 'g', 7);
SELECT group_name, mode, partition, acked_offset, lag, lag_time >= '0' AS lag_time, in_flight, redelivered,
	dead_lettered, expired, last_consumed_at <= now() AS last_consumed_at
FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- Together with leased ones, too.
SELECT msg_id FROM streamq.consume('s', 'g', 1);
INSERT INTO s (payload) SELECT '{}' FROM generate_series(10, 12);
SELECT msg_id FROM streamq.consume('s', 'g', 2, auto_ack => true);
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT streamq.ack('s', 'g', 9);
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- Groups are independent of each other; rolled-back messages are for nobody.
BEGIN;
INSERT INTO s (payload) VALUES ('"rolled back"');
ROLLBACK;
INSERT INTO s (payload) VALUES ('"kept"');
SELECT msg_id, payload FROM streamq.consume('s', 'h', 100) OFFSET 12;
SELECT group_name, acked_offset, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass ORDER BY 1;
SELECT streamq.ack_through('s', 'h', 14);
SELECT streamq.ack('s', 'h', 13) AS "rolled back";
SELECT acked_offset, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass AND group_name = 'h';

-- A gap at the end does not hold anything up, and counts for nothing.
BEGIN;
INSERT INTO s (payload) SELECT '{}' FROM generate_series(1, 1000);
ROLLBACK;
SELECT msg_id FROM streamq.consume('s', 'h');
SELECT acked_offset, lag, expired FROM streamq.consumer_groups WHERE stream = 's'::regclass AND group_name = 'h';

-- What one session may hold is limited.
SELECT streamq.create_group('s', 'narrow', max_in_flight => 3);
SELECT count(*) FROM streamq.consume('s', 'narrow');
SELECT count(*) FROM streamq.consume('s', 'narrow');
SELECT streamq.ack('s', 'narrow', 1);
SELECT msg_id FROM streamq.consume('s', 'narrow');

-- The typed form.
CREATE TABLE t (at timestamptz, n int, note text) USING streamq;
INSERT INTO t VALUES ('2020-01-01 UTC', 1, 'one'), (NULL, 2, repeat('long ', 5000));
SELECT msg_id, partition, msg_offset, deliveries, (message).n, length((message).note), produced_at <= now() AS produced
FROM streamq.consume_as(NULL::t, 'g', max_messages => 10);
SELECT streamq.ack_through('t', 'g', 1);
ALTER TABLE t ADD COLUMN added int DEFAULT 7;
ALTER TABLE t DROP COLUMN n;
INSERT INTO t VALUES (NULL, 'three', 3);
SELECT streamq.seek('t', 'g', 'earliest');
SELECT (m.message).note = 'three' AS three, (m.message).added FROM streamq.consume_as(NULL::t, 'g') m;

-- Names may hold anything.
SELECT count(*) FROM streamq.consume('t', 'it''s "quoted" %s');
SELECT streamq.drop_group('t', 'it''s "quoted" %s');
SELECT group_name FROM streamq.consumer_groups WHERE stream = 't'::regclass;

-- A dropped group's pages are used again: the file does not grow.
CREATE PROCEDURE create_and_drop(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..n LOOP
		PERFORM streamq.create_group('group_ordered.t', 'temporary');
		PERFORM streamq.drop_group('group_ordered.t', 'temporary');
		COMMIT;
	END LOOP;
END $$;
CALL create_and_drop(5);
SELECT pg_relation_size('t') AS size \gset
CALL create_and_drop(50);
SELECT pg_relation_size('t') - :size AS growth;

SET client_min_messages = warning;
DROP SCHEMA group_ordered CASCADE;
SELECT count(*) FROM streamq.consumer_group WHERE stream NOT IN (SELECT oid FROM pg_class);
