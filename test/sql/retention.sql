-- Retention: what a stream keeps.
CREATE SCHEMA retention;
SET search_path = retention;
SET client_min_messages = warning;

-- wait until the maintenance process has brought a stream down to the limit
CREATE PROCEDURE wait_until(condition text) LANGUAGE plpgsql AS $$
DECLARE
	ok bool;
BEGIN
	FOR i IN 1 .. 300 LOOP
		EXECUTE 'SELECT ' || condition INTO ok;
		EXIT WHEN ok;
		COMMIT;
		PERFORM pg_sleep(0.1);
	END LOOP;
	IF ok IS NOT TRUE THEN
		RAISE EXCEPTION 'still not: %', condition;
	END IF;
END $$;
CREATE FUNCTION first_offset(stream regclass) RETURNS bigint LANGUAGE sql AS
'SELECT min(first_offset) FROM streamq.partitions p WHERE p.stream = $1';

-- options: given, changed one by one, taken away by zero
SELECT streamq.create_stream('o', retention => '1 day', max_bytes => 1000000);
SELECT retention, max_bytes, max_messages, keep_unacked FROM streamq.streams WHERE stream = 'o'::regclass;
SELECT streamq.alter_stream('o', max_messages => 5, keep_unacked => true);
SELECT retention, max_bytes, max_messages, keep_unacked FROM streamq.streams WHERE stream = 'o'::regclass;
SELECT streamq.alter_stream('o', retention => '0', max_bytes => 0, keep_unacked => false);
SELECT retention, max_bytes, max_messages, keep_unacked FROM streamq.streams WHERE stream = 'o'::regclass;
SELECT streamq.alter_stream('o', 2, NULL, '1 month', 10);
SELECT partitions, retention, max_bytes, max_messages FROM streamq.streams WHERE stream = 'o'::regclass;
SELECT streamq.create_stream('plain');
SELECT retention, max_bytes, max_messages, keep_unacked FROM streamq.streams WHERE stream = 'plain'::regclass;

-- what makes no sense is refused
\set VERBOSITY sqlstate
SELECT streamq.alter_stream('o', retention => '-1 s');
\set VERBOSITY default
SELECT streamq.alter_stream('o', max_bytes => -1);
SELECT streamq.alter_stream('o', max_messages => -1);
SELECT streamq.create_stream('never', retention => '-1 mon +3 days');
SELECT streamq.create_stream('never', max_bytes => -1);
INSERT INTO streamq.stream_options (stream, partitions, partition_history, max_bytes) VALUES ('plain', 1, '{1}', -1);

-- how long ids of messages are remembered: a day, or as the owner says
SELECT dedup_window FROM streamq.streams WHERE stream = 'plain'::regclass;
SELECT streamq.alter_stream('plain', dedup_window => '1 hour');
SELECT dedup_window, retention, keep_unacked FROM streamq.streams WHERE stream = 'plain'::regclass;
SELECT streamq.alter_stream('plain', dedup_window => '24:00:00', keep_unacked => true);
SELECT dedup_window, retention, keep_unacked FROM streamq.streams WHERE stream = 'plain'::regclass;
SELECT streamq.alter_stream('plain', dedup_window => '0');
SELECT streamq.alter_stream('plain', dedup_window => '1 mon -40 days');
INSERT INTO streamq.stream_options (stream, partitions, partition_history, dedup_window) VALUES ('o', 1, '{1}', '-1 s');
DROP TABLE plain, o;

-- by messages: the newest stay, at least as many as the limit says
CREATE TABLE m (id int, pad text) USING streamq;
INSERT INTO m SELECT i, repeat('x', 1000) FROM generate_series(0, 9999) i;
SELECT count(*) FROM m;
SELECT streamq.create_group('m', 'g');
SELECT streamq.create_group('m', 'late', start_at => 'latest');
SELECT count(*) FROM streamq.consume('m', 'g', 10, auto_ack => true);
SELECT streamq.alter_stream('m', max_messages => 1000);
CALL wait_until($$first_offset('m') > 8500$$);
SELECT count(*) >= 1000 AS enough, count(*) < 2000 AS "not much more", min(id) = first_offset('m') AS oldest, max(id),
	count(*) = max(id) - min(id) + 1 AS dense FROM m;
SELECT messages = (SELECT count(*) FROM m) AS messages FROM streamq.streams WHERE stream = 'm'::regclass;

-- what rolled back does not count as a message once VACUUM has seen it
CREATE TABLE r (id int, pad text) USING streamq;
INSERT INTO r SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i;
BEGIN;
INSERT INTO r SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i;
ROLLBACK;
INSERT INTO r SELECT i, repeat('x', 1000) FROM generate_series(2001, 2500) i;
VACUUM r;
-- again, should somebody have had an old snapshot
SELECT pg_sleep(0.3);
VACUUM r;
SELECT streamq.alter_stream('r', max_messages => 2000);
CALL wait_until($$first_offset('r') > 300$$);
SELECT pg_sleep(1.5);
SELECT count(*) BETWEEN 2000 AND 2300 AS kept, max(id) FROM r;
-- the rolled-back ones go with what is around them
INSERT INTO r SELECT i, repeat('x', 1000) FROM generate_series(2501, 4500) i;
CALL wait_until($$first_offset('r') > 4500$$);
SELECT pg_sleep(1.5);
SELECT count(*) BETWEEN 2000 AND 2300 AS kept, max(id) FROM r;
SELECT * FROM streamq.check_stream('r');
DROP TABLE r;

-- what a group loses is counted before it comes again and after; it goes on at the first that is left
SELECT group_name, expired = CASE group_name WHEN 'g' THEN first_offset('m') - 10 ELSE 0 END AS expired,
	lag = CASE group_name WHEN 'g' THEN (SELECT count(*) FROM m) ELSE 0 END AS lag
FROM streamq.consumer_groups WHERE stream = 'm'::regclass ORDER BY 1;
SELECT msg_offset = first_offset('m') AS first_left FROM streamq.consume('m', 'g', 1, auto_ack => true);
SELECT group_name, expired = CASE group_name WHEN 'g' THEN first_offset('m') - 10 ELSE 0 END AS expired
FROM streamq.consumer_groups WHERE stream = 'm'::regclass ORDER BY 1;

-- reading from what is gone begins at the first that is left
SELECT count(*), min(msg_offset) = first_offset('m') AS first_left FROM streamq.read('m', 17, 10);
SELECT count(*) FROM m WHERE ctid < '(0,100)';
SELECT count(*) FROM m WHERE ctid = '(0,100)';
SELECT streamq.produced_at('m'::regclass, '(0,100)');
SELECT streamq.seek('m', 'g', to_msg_id => 5);
SELECT msg_offset = first_offset('m') AS first_left FROM streamq.consume('m', 'g', 1, auto_ack => true);
SELECT streamq.seek('m', 'g', to_time => '2000-01-01');
SELECT msg_offset = first_offset('m') AS first_left FROM streamq.consume('m', 'g', 1, auto_ack => true);

-- TRUNCATE gives the space back, the limit stays
SELECT pg_relation_size('m') > 8000000 AS big;
TRUNCATE m;
SELECT pg_relation_size('m') < 100000 AS small;
SELECT max_messages FROM streamq.streams WHERE stream = 'm'::regclass;
DROP TABLE m;

-- by time
CREATE TABLE t (id int) USING streamq;
INSERT INTO t SELECT generate_series(1, 100000);
SELECT streamq.alter_stream('t', retention => '1 hour');
SELECT pg_sleep(1.5);
SELECT count(*) FROM t;
SELECT streamq.alter_stream('t', retention => '1 ms');
CALL wait_until($$first_offset('t') > 80000$$);
SELECT count(*) = max(id) - first_offset('t') AS dense, max(id) FROM t;
-- further back than timestamps go: nothing is that old, and the other limit holds
SELECT streamq.alter_stream('t', retention => '10000 years', max_messages => 1000);
INSERT INTO t SELECT generate_series(1, 100000);
CALL wait_until($$first_offset('t') > 180000$$);
DROP TABLE t;

-- nothing that a group has not acknowledged goes with keep_unacked
CREATE TABLE k (id int, pad text) USING streamq;
SELECT streamq.create_group('k', 'slow');
INSERT INTO k SELECT i, repeat('x', 1000) FROM generate_series(0, 4999) i;
SELECT streamq.alter_stream('k', max_bytes => 100000, keep_unacked => true);
SELECT pg_sleep(1.5);
SELECT count(*) FROM k;
SELECT count(*) FROM streamq.consume('k', 'slow', 1000);
SELECT streamq.ack_through('k', 'slow', 799);
CALL wait_until($$first_offset('k') > 0$$);
SELECT pg_sleep(1.5);
SELECT first_offset('k') <= 800 AS kept, count(*) > 4000 AS many FROM k;
SELECT sum(expired) AS expired FROM streamq.consumer_groups WHERE stream = 'k'::regclass;
SELECT streamq.drop_group('k', 'slow');
CALL wait_until($$first_offset('k') > 4500$$);
SELECT bytes < 1000000 AS small FROM streamq.streams WHERE stream = 'k'::regclass;
DROP TABLE k;

-- acknowledging and producing in one transaction that rolls back loses nothing
CREATE TABLE ka (id int, pad text) USING streamq;
SELECT streamq.alter_stream('ka', max_bytes => 1000000, keep_unacked => true);
INSERT INTO ka SELECT i, repeat('x', 1000) FROM generate_series(0, 799) i;
SELECT streamq.create_group('ka', 'g');
BEGIN;
SELECT count(*) FROM streamq.consume('ka', 'g', 1000, auto_ack => true);
INSERT INTO ka SELECT i, repeat('x', 1000) FROM generate_series(800, 2999) i;
ROLLBACK;
INSERT INTO ka SELECT i, repeat('x', 1000) FROM generate_series(3000, 3999) i;
SELECT pg_sleep(1.5);
SELECT count(*), min(msg_offset) FROM streamq.consume('ka', 'g', 1000, auto_ack => true);
SELECT expired FROM streamq.consumer_groups WHERE stream = 'ka'::regclass;
CALL wait_until($$(SELECT bytes <= 2000000 FROM streamq.streams WHERE stream = 'retention.ka'::regclass)$$);
DROP TABLE ka;

-- a partition that was added after the group counts from its beginning
CREATE TABLE late (key text, pad text) USING streamq;
SELECT streamq.create_group('late', 'g');
SELECT streamq.alter_stream('late', partitions => 2, max_bytes => 100000);
INSERT INTO late SELECT 'k' || i, repeat('x', 1000) FROM generate_series(1, 5000) i;
CALL wait_until($$(SELECT min(first_offset) > 0 FROM streamq.partitions WHERE stream = 'retention.late'::regclass)$$);
SELECT streamq.alter_stream('late', max_bytes => 0);
SELECT pg_sleep(1.5);
SELECT bool_and(expired > 0) AS expired, sum(expired) + sum(lag) AS "all" FROM streamq.consumer_groups WHERE stream = 'late'::regclass;
SELECT count(*) = (SELECT count(*) FROM late) AS rest FROM streamq.consume('late', 'g', 5000, auto_ack => true);
SELECT sum(expired) + (SELECT count(*) FROM late) AS "all", sum(lag) AS lag FROM streamq.consumer_groups WHERE stream = 'late'::regclass;
DROP TABLE late;

-- a small stream stays small, whatever goes through it; several partitions too
CREATE TABLE small (key text, payload text) USING streamq;
SELECT streamq.alter_stream('small', partitions => 4, max_bytes => 1000000);
CREATE PROCEDURE produce(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		INSERT INTO retention.small SELECT 'k' || j % 100, repeat('x', 1000 + 30000 * (j % 100 / 99))
		FROM generate_series(1, 250) j;
		COMMIT;
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;
CALL produce(100);
SELECT pg_relation_size('small') < 2000000 AS bounded FROM streamq.streams WHERE stream = 'small'::regclass;
CALL wait_until($$(SELECT bytes <= 1000000 + 4 * 65536 FROM streamq.streams WHERE stream = 'retention.small'::regclass)$$);
SELECT count(*) > 0 AS some, count(DISTINCT ctid) = count(*) AS distinct, min(length(payload)), max(length(payload)) FROM small;
DROP TABLE small;

-- the limit holds while much is written at a time, not only at the next look of the background process
CREATE TABLE fast (pad text) USING streamq;
SELECT streamq.alter_stream('fast', max_bytes => 4000000);
CREATE PROCEDURE produce_fast(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		INSERT INTO retention.fast SELECT repeat('x', 1000) FROM generate_series(1, 500);
		COMMIT;
	END LOOP;
END $$;
CALL produce_fast(100);
SELECT pg_relation_size('fast') BETWEEN 3000000 AND 1.3 * 4000000 AS near_limit,
	count(*) BETWEEN 2500 AND 4000 AS kept FROM fast;
-- messages in flight stay
BEGIN;
INSERT INTO fast SELECT repeat('y', 1000) FROM generate_series(1, 8000);
SELECT count(*) AS own FROM fast WHERE pad LIKE 'y%';
COMMIT;
CALL produce_fast(20);
SELECT bytes < 1.3 * 4000000 AS near_limit FROM streamq.streams WHERE stream = 'fast'::regclass;
-- with rolled-back messages it takes the background process
BEGIN;
INSERT INTO fast SELECT repeat('z', 1000) FROM generate_series(1, 2000);
ROLLBACK;
VACUUM fast;
CALL produce_fast(20);
CALL wait_until($$(SELECT bytes < 1.3 * 4000000 FROM streamq.streams WHERE stream = 'retention.fast'::regclass)$$);
SELECT count(*) > 0 AS some FROM streamq.check_stream('fast') HAVING count(*) > 0;
DROP TABLE fast;

-- a stream that only ever aborts does not grow: VACUUM frees what holds nothing
CREATE TABLE a (id int, pad text) USING streamq;
SELECT streamq.create_group('a', 'g');
CREATE PROCEDURE abort(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		INSERT INTO retention.a SELECT j, repeat('x', 1000) FROM generate_series(1, 1000) j;
		ROLLBACK;
	END LOOP;
END $$;
CALL abort(2);
VACUUM a;
CALL abort(2);
VACUUM a;
CALL abort(2);
VACUUM a;
CALL abort(2);
VACUUM a;
CALL abort(2);
VACUUM a;
SELECT pg_relation_size('a') < 6000000 AS small, count(*) AS messages FROM a;
SELECT first_offset > 7000 AS freed, messages, next_offset FROM streamq.partitions WHERE stream = 'a'::regclass;
-- nobody lost anything
SELECT expired, lag FROM streamq.consumer_groups WHERE stream = 'a'::regclass;
INSERT INTO a VALUES (1, 'here');
SELECT msg_offset, payload->>'pad' AS pad FROM streamq.consume('a', 'g', auto_ack => true);
SELECT expired, lag FROM streamq.consumer_groups WHERE stream = 'a'::regclass;
DROP TABLE a;

-- a continuous view goes on behind what it did not see
CREATE TABLE v (id int, pad text) USING streamq;
SELECT streamq.create_continuous_view('total', 'SELECT count(*) AS n, max(id) AS last FROM v');
INSERT INTO v SELECT i, 'x' FROM generate_series(0, 9) i;
SELECT streamq.wait_until_caught_up('total');
SELECT streamq.pause('total');
INSERT INTO v SELECT i, repeat('x', 1000) FROM generate_series(10, 4999) i;
SELECT streamq.alter_stream('v', max_messages => 1000);
CALL wait_until($$first_offset('v') > 3000$$);
SELECT streamq.alter_stream('v', max_messages => 0);
SELECT streamq.resume('total');
SELECT streamq.wait_until_caught_up('total');
SELECT n = 10 + 5000 - first_offset('v') AS n, last FROM total;
SELECT expired = first_offset('v') - 10 AS expired, errors, lag FROM streamq.jobs WHERE name = 'total' OR name = 'retention.total';
SELECT streamq.drop_continuous_view('total');
DROP TABLE v;

-- with keep_unacked it holds what it has not processed, as a group does
CREATE TABLE kv (id int, pad text) USING streamq;
INSERT INTO kv SELECT i, repeat('x', 1000) FROM generate_series(0, 999) i;
SELECT streamq.create_continuous_view('kept', 'SELECT count(*) AS n, max(id) AS last FROM kv');
SELECT streamq.wait_until_caught_up('kept');
SELECT streamq.pause('kept');
SELECT streamq.alter_stream('kv', max_bytes => 100000, keep_unacked => true);
INSERT INTO kv SELECT i, repeat('x', 1000) FROM generate_series(1000, 4999) i;
CALL wait_until($$first_offset('kv') > 500$$);
SELECT pg_sleep(1.5);
SELECT first_offset('kv') BETWEEN 501 AND 1000 AS kept;
SELECT streamq.resume('kept');
CALL wait_until($$first_offset('kv') > 4500$$);
SELECT n, last FROM kept;
SELECT expired FROM streamq.jobs WHERE name = 'kept' OR name = 'retention.kept';
-- also one that has not begun yet
SELECT streamq.create_continuous_view('later', 'SELECT min(id) AS least FROM kv');
SELECT streamq.pause('later');
INSERT INTO kv SELECT i, repeat('x', 1000) FROM generate_series(5000, 9999) i;
SELECT pg_sleep(1.5);
SELECT first_offset('kv') <= 5000 AS kept;
SELECT streamq.drop_continuous_view('later');
CALL wait_until($$first_offset('kv') > 9000$$);
SELECT streamq.drop_continuous_view('kept');
DROP TABLE kv;

-- seeking costs a few pages, however long the stream is
CREATE TABLE long (id int, pad text) USING streamq;
INSERT INTO long SELECT i, repeat('x', 100) FROM generate_series(0, 99999) i;
INSERT INTO long SELECT i, repeat('x', 100) FROM generate_series(100000, 199999) i;
SELECT streamq.create_group('long', 'g');
CREATE FUNCTION buffers(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
	RETURN (plan->0->'Plan'->>'Shared Hit Blocks')::int + (plan->0->'Plan'->>'Shared Read Blocks')::int;
END $$;
SELECT pg_relation_size('long') / 8192 > 2500 AS pages;
SELECT buffers($$SELECT count(*) FROM long WHERE ctid >= '(4,1)' AND ctid < '(4,101)'$$) < 60 AS range;
CREATE TABLE times AS SELECT streamq.produced_at(tableoid, ctid) AS at FROM long WHERE id = 100000;
SELECT streamq.seek('long', 'g', to_msg_id => 5);
SELECT buffers($$SELECT streamq.seek('long', 'g', to_msg_id => 150000)$$) < 60 AS seek;
SELECT buffers($$SELECT streamq.seek('long', 'g', to_time => (SELECT at FROM times))$$) < 60 AS seek_time;
SELECT msg_offset FROM streamq.consume('long', 'g', 1, auto_ack => true);
SELECT buffers($$SELECT * FROM streamq.read('long', 123456, 10)$$) < 60 AS read;
DROP TABLE long, times;

DROP SCHEMA retention CASCADE;
