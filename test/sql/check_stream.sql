-- check_stream: nothing to report about sound streams, whatever was done to them.
CREATE SCHEMA check_stream;
SET search_path = check_stream, public;

-- An empty file, and one with a group but no message.
CREATE TABLE empty (a int) USING streamq;
SELECT * FROM streamq.check_stream('empty');
SELECT streamq.create_group('empty', 'g');
SELECT * FROM streamq.check_stream('empty');
SELECT streamq.create_stream('none', partitions => 7);
SELECT * FROM streamq.check_stream('none');

-- Many small messages in several partitions.
SELECT streamq.create_stream('many', partitions => 3);
INSERT INTO many (key, payload, headers)
SELECT 'k' || g % 50, to_jsonb(g), CASE WHEN g % 3 = 0 THEN '{"a": 1}'::jsonb END
FROM generate_series(1, 20000) g;
DO $$ BEGIN
	FOR i IN 1..200 LOOP
		PERFORM streamq.produce('many', to_jsonb(i), key => i::text);
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM streamq.check_stream('many');

-- Messages longer than a page, than an extent, and empty ones; columns of all layouts.
CREATE TABLE wide (a bool, b "char", c int2, d int4, e int8, f float8, g uuid, h name, i interval,
	j text, k bytea, l numeric, m int[], n timestamptz, o oid, p macaddr) USING streamq;
ALTER TABLE wide ALTER j SET STORAGE external;
INSERT INTO wide DEFAULT VALUES;
INSERT INTO wide (a, b, c, g, h, i, j) VALUES (true, 'x', 1, gen_random_uuid(), 'n', '1 day', repeat('abc', 40000));
INSERT INTO wide (j) SELECT repeat('y', n) FROM generate_series(1, 30000, 997) n;
INSERT INTO wide (j, k) VALUES (repeat('z', 3000000), decode(repeat('00ff', 100000), 'hex'));
INSERT INTO wide SELECT true, 'c', n, n, n, n, gen_random_uuid(), 'name', '1 mon', 'text', 'bytes', n, ARRAY[n, 1], now(), n, '08:00:2b:01:02:03'
FROM generate_series(1, 1000) n;
SELECT * FROM streamq.check_stream('wide');

-- What is rolled back: also under other columns, and in savepoints.
BEGIN;
INSERT INTO wide (j) SELECT repeat('r', 5000 * n) FROM generate_series(1, 10) n;
ROLLBACK;
BEGIN;
ALTER TABLE wide ADD q text;
INSERT INTO wide (q) SELECT repeat('q', n) FROM generate_series(1, 300) n;
SELECT * FROM streamq.check_stream('wide');
ROLLBACK;
ALTER TABLE wide ADD q int8 NOT NULL DEFAULT 5;
BEGIN;
INSERT INTO wide (j) VALUES ('kept');
SAVEPOINT s;
INSERT INTO wide (j) VALUES (repeat('not kept', 2000));
ROLLBACK TO s;
INSERT INTO wide (j) VALUES ('kept, too');
COMMIT;
ALTER TABLE wide DROP COLUMN c;
INSERT INTO wide (d, q) VALUES (1, 2);
SELECT * FROM streamq.check_stream('wide');
SELECT count(*) FROM wide;

-- Its own transaction's messages are no problem either.
BEGIN;
INSERT INTO wide (j) VALUES (repeat('own', 10000));
SELECT * FROM streamq.check_stream('wide');
COMMIT;

-- Groups, in the middle of everything.
SELECT streamq.create_group('many', 'one');
SELECT streamq.create_group('many', 'two', start_at => 'latest');
SELECT count(*) FROM streamq.consume('many', 'one', max_messages => 500);
BEGIN;
SELECT count(*) > 0 AS more FROM streamq.consume('many', 'one', max_messages => 100, auto_ack => true);
SELECT * FROM streamq.check_stream('many');
ROLLBACK;
SELECT streamq.drop_group('many', 'two');
SELECT streamq.create_group('many', 'three');
SELECT * FROM streamq.check_stream('many');

-- VACUUM, partitions added, TRUNCATE.
VACUUM many, wide;
SELECT * FROM streamq.check_stream('many');
SELECT * FROM streamq.check_stream('wide');
SELECT streamq.alter_stream('many', partitions => 8);
INSERT INTO many (key, payload) SELECT 'k' || g, to_jsonb(g) FROM generate_series(1, 3000) g;
SELECT * FROM streamq.check_stream('many');
TRUNCATE many;
SELECT * FROM streamq.check_stream('many');
INSERT INTO many (key, payload) SELECT 'k' || g, to_jsonb(g) FROM generate_series(1, 3000) g;
SELECT * FROM streamq.check_stream('many');
BEGIN;
CREATE TABLE fresh (a int) USING streamq;
INSERT INTO fresh VALUES (1);
TRUNCATE fresh;
INSERT INTO fresh SELECT generate_series(1, 1000);
SELECT * FROM streamq.check_stream('fresh');
COMMIT;
CREATE UNLOGGED TABLE light (a int) USING streamq;
INSERT INTO light SELECT generate_series(1, 1000);
SELECT * FROM streamq.check_stream('light');

-- Expired extents: their blocks are free, and used again by the tails of other partitions.
SET client_min_messages = warning;
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
RESET client_min_messages;
SELECT streamq.create_stream('expired', partitions => 3);
SELECT streamq.create_group('expired', 'behind');
INSERT INTO expired (key, payload)
SELECT 'k' || g % 50, to_jsonb(repeat(md5(g::text), CASE WHEN g % 1000 = 0 THEN 3000 ELSE 10 END))
FROM generate_series(1, 20000) g;
SELECT count(*) FROM streamq.consume('expired', 'behind', 50);
BEGIN;
INSERT INTO expired (key, payload) SELECT 'r' || g, to_jsonb(g) FROM generate_series(1, 3000) g;
ROLLBACK;
VACUUM expired;
SELECT streamq.alter_stream('expired', max_messages => 2000);
CALL wait_until($$(SELECT min(first_offset) > 2000 FROM streamq.partitions WHERE stream = 'expired'::regclass)$$);
SELECT * FROM streamq.check_stream('expired');
INSERT INTO expired (key, payload) SELECT 'l' || g, to_jsonb(g) FROM generate_series(1, 10000) g;
SELECT * FROM streamq.check_stream('expired');
SELECT pg_sleep(1.5);
VACUUM expired;
SELECT * FROM streamq.check_stream('expired');
SELECT count(*) FROM streamq.consume('expired', 'behind', 50, consumer => 'other');
SELECT * FROM streamq.check_stream('expired');

-- Thousands of groups, every other one dropped: more single blocks are free than the
-- list has room for, until VACUUM looks for them.
SELECT streamq.create_stream('crowd');
DO $$ BEGIN
	FOR i IN 1 .. 2400 LOOP
		PERFORM streamq.create_group('crowd', 'g' || i);
	END LOOP;
END $$;
SELECT * FROM streamq.check_stream('crowd');
DO $$ BEGIN
	FOR i IN 1 .. 1200 LOOP
		PERFORM streamq.drop_group('crowd', 'g' || 2 * i);
	END LOOP;
END $$;
SELECT pg_relation_size('crowd') AS size_before \gset
-- a drop frees pages of earlier ones every now and then
DO $$ BEGIN
	FOR i IN 1 .. 100 LOOP
		PERFORM streamq.create_group('crowd', 'one');
		PERFORM streamq.drop_group('crowd', 'one');
		COMMIT;
	END LOOP;
END $$;
-- no problem: it tells (on the side) how many blocks those are
SET client_min_messages = warning;
SELECT * FROM streamq.check_stream('crowd');
RESET client_min_messages;
DO $$ BEGIN
	FOR i IN 1 .. 1200 LOOP
		PERFORM streamq.drop_group('crowd', 'g' || 2 * i - 1);
	END LOOP;
END $$;
DO $$ BEGIN
	FOR i IN 1 .. 100 LOOP
		PERFORM streamq.create_group('crowd', 'one');
		PERFORM streamq.drop_group('crowd', 'one');
		COMMIT;
	END LOOP;
END $$;
VACUUM crowd;
SELECT * FROM streamq.check_stream('crowd');
-- it is used again, but for what somebody looked at just then
INSERT INTO crowd (payload) SELECT to_jsonb(repeat('x', 1000)) FROM generate_series(1, 16000);
SELECT * FROM streamq.check_stream('crowd');
SELECT pg_relation_size('crowd') <= :size_before + 5000000 AS used_again, count(*) FROM crowd;

-- Who may: the owner and members of pg_monitor.
CREATE ROLE check_stream_reader;
CREATE ROLE check_stream_monitor;
GRANT pg_monitor TO check_stream_monitor;
GRANT USAGE ON SCHEMA check_stream TO check_stream_reader, check_stream_monitor;
GRANT SELECT ON many TO check_stream_reader;
SET ROLE check_stream_reader;
SELECT * FROM streamq.check_stream('many');
SET ROLE check_stream_monitor;
SELECT * FROM streamq.check_stream('many');
RESET ROLE;

-- What is no stream.
CREATE TABLE heap (a int);
SELECT * FROM streamq.check_stream('heap');
SELECT * FROM streamq.check_stream(0);
SELECT * FROM streamq.check_stream(NULL);

SET client_min_messages = warning;
DROP SCHEMA check_stream CASCADE;
DROP ROLE check_stream_reader, check_stream_monitor;
