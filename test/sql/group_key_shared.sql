-- Groups in key_shared mode: order per key, and no key with two consumers.
CREATE SCHEMA group_key_shared;
SET search_path = group_key_shared;
CREATE TABLE s (key text, payload jsonb NOT NULL, headers jsonb) USING streamq;
CREATE VIEW state AS
	SELECT group_name AS g, acked_offset AS acked, lag, in_flight AS held, redelivered AS again, expired
	FROM streamq.consumer_groups WHERE stream = 's'::regclass;
CREATE VIEW leases AS
	SELECT first_msg_id AS first, last_msg_id AS last, consumer, deliveries
	FROM streamq.leases WHERE stream = 's'::regclass ORDER BY 1;

-- Three of A, two of B, one of C: a batch may have several messages of a key.
INSERT INTO s SELECT key, to_jsonb(i) FROM unnest('{A, A, A, B, B, C}'::text[]) WITH ORDINALITY AS t(key, i);
SELECT streamq.create_group('s', 'fifo', mode => 'key_shared');
SELECT msg_id, key FROM streamq.consume('s', 'fifo', 4, consumer => 'a');
SELECT msg_id, key FROM streamq.consume('s', 'fifo', 4, consumer => 'b') AS "B is with a";
SELECT msg_id, key FROM streamq.consume('s', 'fifo', 4, consumer => 'b') AS "and all else is out";
SELECT * FROM state;
SELECT * FROM leases;
SELECT streamq.ack('s', 'fifo', 3);
SELECT msg_id, key FROM streamq.consume('s', 'fifo', 4, consumer => 'b') AS "now B is free";
SELECT streamq.ack_batch('s', 'fifo', '{0, 1, 2, 4, 5}');
SELECT * FROM state;
SELECT streamq.drop_group('s', 'fifo');

-- One message of a key at a time.
SELECT streamq.create_group('s', 'one', mode => 'key_shared', max_per_key => 1);
SELECT msg_id, key FROM streamq.consume('s', 'one', 4, consumer => 'a');
SELECT msg_id, key FROM streamq.consume('s', 'one', 4, consumer => 'a') AS none;
SELECT msg_id, key FROM streamq.consume('s', 'one', 4, consumer => 'b') AS none;
SELECT streamq.ack('s', 'one', 0);
SELECT msg_id, key FROM streamq.consume('s', 'one', 4, consumer => 'b');
SELECT streamq.ack_batch('s', 'one', '{1, 3}') AS two;
SELECT msg_id, key FROM streamq.consume('s', 'one', 4, consumer => 'c') ORDER BY 1;
SELECT streamq.ack_batch('s', 'one', '{2, 4, 5}');
SELECT * FROM state;
SELECT streamq.drop_group('s', 'one');

-- A message that waits for its retry holds back its key alone.
SELECT streamq.create_group('s', 'g', mode => 'key_shared');
SELECT msg_id, key FROM streamq.consume('s', 'g', 2, consumer => 'a');
SELECT streamq.nack('s', 'g', 0, retry_after => '1 h');
SELECT streamq.ack('s', 'g', 1) AS "done out of order";
SELECT msg_id, key FROM streamq.consume('s', 'g', 10, consumer => 'b') AS "no A";
SELECT * FROM state;
SELECT streamq.ack('s', 'g', 0) AS "done while it waited";
SELECT msg_id, key, deliveries FROM streamq.consume('s', 'g', 10, consumer => 'c');
SELECT streamq.ack_batch('s', 'g', '{2, 3, 4, 5}');
SELECT * FROM state;

-- Given back at once: the first of the key comes first, to anybody, when nobody has another one.
INSERT INTO s SELECT key, '0' FROM unnest('{A, A, A}'::text[]) key;
SELECT msg_id FROM streamq.consume('s', 'g', 2, consumer => 'a');
SELECT streamq.nack('s', 'g', 6);
SELECT msg_id FROM streamq.consume('s', 'g', 10, consumer => 'b') AS "a still has 7";
SELECT streamq.nack('s', 'g', 7);
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 10, consumer => 'b');
SELECT * FROM leases;
SELECT streamq.ack_through('s', 'g', 7);
SELECT * FROM state;
SELECT streamq.ack('s', 'g', 8);

-- The lease of one ends: all of the key come in order.
INSERT INTO s SELECT key, '0' FROM unnest('{A, A, A}'::text[]) key;
SELECT msg_id FROM streamq.consume('s', 'g', 2, consumer => 'a', lease => '1 ms');
SELECT pg_sleep(0.01);
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 10, consumer => 'b');
SELECT streamq.ack_batch('s', 'g', '{9, 10, 11}');
SELECT * FROM state;

-- Messages without a key wait for nobody.
INSERT INTO s SELECT NULL, '0' FROM generate_series(12, 15);
SELECT msg_id FROM streamq.consume('s', 'g', 1, consumer => 'a');
SELECT msg_id FROM streamq.consume('s', 'g', 1, consumer => 'b');
SELECT msg_id FROM streamq.consume('s', 'g', 10, consumer => 'c') ORDER BY 1;
SELECT streamq.ack_batch('s', 'g', '{12, 13, 14, 15}');
SELECT * FROM state;

-- Rolled back: the key is free at once, and the order is as before.
INSERT INTO s SELECT key, '0' FROM unnest('{A, A, B, A}'::text[]) key;
BEGIN;
SELECT msg_id FROM streamq.consume('s', 'g', 2, consumer => 'a');
SELECT streamq.ack('s', 'g', 16);
SELECT msg_id FROM streamq.consume('s', 'g', 1, consumer => 'a') AS "B";
ROLLBACK;
SELECT * FROM state;
SELECT msg_id, key, deliveries FROM streamq.consume('s', 'g', 10, consumer => 'b');
SELECT streamq.ack_batch('s', 'g', '{16, 17, 18, 19}');
SELECT * FROM state;

-- Within a transaction, a key goes on after its own acknowledgement, also after a savepoint.
INSERT INTO s SELECT key, '0' FROM unnest('{A, A, A, A}'::text[]) key;
BEGIN;
SELECT msg_id FROM streamq.consume('s', 'g', 1);
SELECT streamq.ack('s', 'g', 20);
SAVEPOINT a;
SELECT msg_id FROM streamq.consume('s', 'g', 1);
SELECT streamq.ack('s', 'g', 21);
ROLLBACK TO a;
SELECT msg_id FROM streamq.consume('s', 'g', 2);
SELECT streamq.ack('s', 'g', 21);
COMMIT;
SELECT msg_id FROM streamq.consume('s', 'g', 10, consumer => 'b') AS "22 is out";
SELECT streamq.ack('s', 'g', 22);
SELECT msg_id FROM streamq.consume('s', 'g', 10, consumer => 'b');
SELECT streamq.ack('s', 'g', 23);
SELECT * FROM state;

-- Auto-acknowledged, one by one.
INSERT INTO s SELECT key, '0' FROM unnest('{A, B, A, B}'::text[]) key;
SELECT msg_id FROM streamq.consume('s', 'g', 1, auto_ack => true);
SELECT msg_id FROM streamq.consume('s', 'g', 2, auto_ack => true);
SELECT msg_id FROM streamq.consume('s', 'g', 2, auto_ack => true);
SELECT * FROM state;

-- A stuck key with many messages: the others go on.
CREATE TABLE many (key int, n int NOT NULL) USING streamq;
INSERT INTO many SELECT CASE WHEN i % 2 = 0 THEN 0 ELSE i % 100 END, i FROM generate_series(0, 9999) i;
SELECT streamq.create_group('many', 'g', mode => 'key_shared', max_in_flight => 1000000);
SELECT msg_id FROM streamq.consume('many', 'g', 1, consumer => 'stuck');
CREATE TABLE done (key int, n int, at serial);
DO $$
DECLARE
	ids bigint[];
BEGIN
	LOOP
		WITH taken AS MATERIALIZED (
			SELECT * FROM streamq.consume_as(NULL::many, 'g', 100, consumer => 'other')),
			work AS (INSERT INTO done SELECT (message).key, (message).n FROM taken)
		SELECT array_agg(msg_id) INTO ids FROM taken;
		EXIT WHEN ids IS NULL;
		PERFORM streamq.ack_batch('many', 'g', ids);
	END LOOP;
END $$;
SELECT count(*), count(DISTINCT n), count(*) FILTER (WHERE key = 0) AS of_the_stuck_key FROM done;
SELECT count(*) AS out_of_order FROM (SELECT n < lag(n) OVER (PARTITION BY key ORDER BY at) AS x FROM done) d WHERE x;
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'many'::regclass;
SELECT streamq.ack('many', 'g', 0);
SELECT count(*), min(msg_id), max(msg_id) FROM streamq.consume('many', 'g', 10000);
SELECT count(*) FILTER (WHERE streamq.ack('many', 'g', i)) FROM generate_series(2, 9998, 2) i;
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'many'::regclass;
SELECT * FROM streamq.check_stream('many');

-- Large batches of the same keys, one after the other, and then a small one.  Every other batch
-- is acknowledged by a session that was not given it.
CREATE TABLE wide (key int, n int NOT NULL) USING streamq;
INSERT INTO wide SELECT i % 1000, i FROM generate_series(0, 6999) i;
SELECT streamq.create_group('wide', 'g', mode => 'key_shared');
SELECT count(DISTINCT key) FROM streamq.consume('wide', 'g', 1000, auto_ack => true);
SELECT count(DISTINCT key), min(msg_id) FROM streamq.consume('wide', 'g', 1000, auto_ack => true);
SELECT array_agg(msg_id) AS ids FROM streamq.consume('wide', 'g', 1000) \gset
SELECT streamq.ack_batch('wide', 'g', :'ids');
SELECT array_agg(msg_id) AS ids FROM streamq.consume('wide', 'g', 1000) \gset
\c -
SET search_path = group_key_shared;
SELECT streamq.ack_batch('wide', 'g', :'ids');
SELECT count(*), min(msg_id) FROM streamq.consume('wide', 'g', 1000, auto_ack => true);
SELECT count(*) FROM streamq.consume('wide', 'g', 1000, consumer => 'a');
SELECT count(*) AS "a has all keys" FROM streamq.consume('wide', 'g', 1000, consumer => 'b');
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'wide'::regclass;
SELECT streamq.ack_through('wide', 'g', 5999);
SELECT msg_id FROM streamq.consume('wide', 'g', 2, consumer => 'b');
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'wide'::regclass;
SELECT * FROM streamq.check_stream('wide');

-- seek, TRUNCATE, and a stream without a key.
SELECT streamq.seek('s', 'g', to_msg_id => 24);
SELECT msg_id FROM streamq.consume('s', 'g', 1, consumer => 'a');
BEGIN;
SELECT streamq.seek('s', 'g', 'latest');
SELECT msg_id FROM streamq.consume('s', 'g', 10);
ROLLBACK;
SELECT msg_id FROM streamq.consume('s', 'g', 10, consumer => 'b') ORDER BY 1;
SELECT * FROM leases;
TRUNCATE s;
SELECT * FROM state;
INSERT INTO s VALUES ('A', '1'), ('A', '2');
SELECT msg_id, payload FROM streamq.consume('s', 'g', 10);
SELECT * FROM state;
CREATE TABLE keyless (n int) USING streamq;
INSERT INTO keyless SELECT generate_series(0, 5);
SELECT streamq.create_group('keyless', 'g', mode => 'key_shared');
SELECT count(*) FROM streamq.consume('keyless', 'g', 2, consumer => 'a');
SELECT count(*) FROM streamq.consume('keyless', 'g', 10, consumer => 'b');
SELECT * FROM streamq.check_stream('s');

-- A message is counted as dead-lettered once, whoever meets it first.
CREATE TABLE big (key text, payload text) USING streamq;
CREATE TABLE dead (key text, payload text, headers jsonb) USING streamq;
SELECT streamq.alter_stream('big', partitions => 2);
SELECT streamq.produce('big', 'x', partition => 1);
SELECT count(*) FROM unnest(streamq.produce_batch('big', array_fill('x'::text, '{1000}'), ARRAY(SELECT i::text FROM generate_series(1, 1000) i), partition => 0));
SELECT streamq.create_group('big', 'g', mode => 'key_shared', dead_letter => 'dead', max_in_flight => 2000);
SELECT count(*) FROM streamq.consume('big', 'g', 2000);
SELECT streamq.nack_batch('big', 'g', ARRAY(SELECT generate_series(200, 999, 3)), retry_after => '0');
SELECT streamq.reject_batch('big', 'g', ARRAY(SELECT generate_series(0, 99)));
SELECT count(m) FROM generate_series(1, 10), streamq.consume('big', 'g', 1) m;
SELECT partition, dead_lettered FROM streamq.consumer_groups WHERE stream = 'big'::regclass ORDER BY 1;

DROP SCHEMA group_key_shared CASCADE;
