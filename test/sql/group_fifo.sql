-- key_shared: order for each key, keys side by side.
CREATE SCHEMA group_fifo;
SET search_path = group_fifo;
-- the functions come before the stream
SET check_function_bodies = off;
CREATE FUNCTION start(messages text[], max_per_key int DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS s;
	PERFORM streamq.create_stream('group_fifo.s');
	PERFORM streamq.create_group('s', 'g', mode => 'key_shared', max_per_key => start.max_per_key);
	INSERT INTO s (key, payload) SELECT left(m, 1), to_jsonb(m) FROM unnest(messages) WITH ORDINALITY x (m, n) ORDER BY n;
END $$;
-- what a consumer is given
CREATE FUNCTION take(consumer text, n int DEFAULT 100, lease interval DEFAULT '1 h') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(payload #>> '{}' || CASE WHEN deliveries > 1 THEN 'x' || deliveries ELSE '' END, ' ' ORDER BY msg_id)
	FROM streamq.consume('group_fifo.s', 'g', n, consumer => take.consumer, lease => take.lease) $$;
CREATE FUNCTION id(m text) RETURNS bigint LANGUAGE sql AS $$
	SELECT streamq.msg_id(tableoid, ctid) FROM group_fifo.s WHERE payload = to_jsonb(m) $$;
CREATE FUNCTION ack(VARIADIC m text[]) RETURNS bigint LANGUAGE sql AS $$
	SELECT streamq.ack_batch('group_fifo.s', 'g', (SELECT array_agg(id(x)) FROM unnest(m) x)) $$;
CREATE FUNCTION nack(m text, retry_after interval DEFAULT '0') RETURNS boolean LANGUAGE sql AS $$
	SELECT streamq.nack('group_fifo.s', 'g', id(m), retry_after => nack.retry_after) $$;
SET client_min_messages = warning;

-- A batch takes several messages of a key at once, in order.
SELECT start('{A1, A2, A3, B1, B2, C1}');
SELECT take('x', 4);
-- Another consumer gets the keys that nobody has; B2 has to wait for B1.
SELECT take('y'), take('z');
SELECT ack('B1'), take('y');
SELECT ack('A1', 'A2'), take('y') AS "A3 is out", take('x');
SELECT ack('A3', 'B2', 'C1'), take('y');
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- One for each key at a time.
SELECT start('{A1, A2, A3, B1, B2, C1}', 1);
SELECT take('x', 4), take('x') AS "x again", take('y') AS "nor y";
SELECT ack('A1', 'B1'), take('y');
SELECT ack('C1'), take('z'), ack('A2'), take('z');
SELECT start('{A1, A2, A3, A4, A5, B1}', 2);
SELECT take('x'), take('y'), ack('A1', 'A2'), take('y'), take('x');

-- Keys that alternate come in the order of the stream.
SELECT start('{A1, B1, C1, A2, B2, A3}');
SELECT take('x', 2), take('y', 2), take('z', 2);
SELECT ack('C1', 'A1'), take('y'), ack('B1'), take('z');

-- The key of a message that is not acknowledged is held back, and no other.
SELECT start('{A1, B1, A2, B2, A3, B3, A4, B4}');
SELECT take('stuck', 1), take('x', 1), ack('B1'), take('x', 1), ack('B2'), take('x'), ack('B3', 'B4');
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT ack('A1'), take('y');

-- A message that waits for its retry holds back its key; it comes first then.
SELECT start('{A1, B1, A2, B2}');
SELECT take('x', 1), nack('A1', '1 h'), take('y'), take('x');
SELECT start('{A1, B1, A2, B2}');
SELECT take('x', 3), nack('A1') AS "what is out of A2 stays out", take('y');
SELECT take('x'), ack('A1', 'A2'), take('y');

-- So does one whose lease ran out.
SELECT start('{A1, A2, B1, A3}');
SELECT take('x', 2, '200 ms');
SELECT pg_sleep(0.3);
SELECT take('y', 1) AS "first of A", take('z') AS "nothing of A", ack('A1'), take('z');

-- Messages without a key wait for nothing.
SELECT start('{}');
INSERT INTO s (key, payload) SELECT NULL, to_jsonb('-' || i) FROM generate_series(1, 4) i;
SELECT take('x', 1), take('y', 1), take('z');

-- A key that is rejected, or rolled back, is free.
SELECT start('{A1, A2, B1}');
SELECT take('x', 1), streamq.reject('s', 'g', id('A1')), take('y');
SELECT start('{A1, A2, B1}');
BEGIN;
SELECT take('x', 2);
ROLLBACK;
SELECT take('y', 1), take('x', 1), take('y');

-- Keys of several columns, and of other types.
DROP TABLE s;
CREATE TABLE s (payload jsonb NOT NULL, a int, b text) USING streamq;
SELECT streamq.alter_stream('s', partition_by => 'a, b');
SELECT streamq.create_group('s', 'g', mode => 'key_shared', max_per_key => 1);
INSERT INTO s SELECT to_jsonb(format('%s%s-%s', a, b, n)), a, b
FROM generate_series(1, 2) n, generate_series(1, 2) a, unnest('{x, y}'::text[]) b;
SELECT string_agg(msg_id || ' ' || key, ', ' ORDER BY msg_id) FROM streamq.consume('s', 'g');
SELECT count(*) FROM streamq.consume('s', 'g', consumer => 'y');

DROP SCHEMA group_fifo CASCADE;
