-- Other columns to partition by: what was written before is finished first, so
-- the order of the messages of a key holds across the change.
CREATE SCHEMA partition_by_test;
SET search_path = partition_by_test;

-- n counts up in both columns' values: whichever is the key, it has to come in order
CREATE TABLE got (at serial, "user" int, device int, n int);
-- takes everything, in pieces, partitions in an order of their own
CREATE FUNCTION take(stream regclass, pieces int DEFAULT 100000) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	taken int;
	total int := 0;
BEGIN
	FOR i IN 1 .. pieces LOOP
		INSERT INTO got ("user", device, n)
		SELECT (payload ->> 'user')::int, (payload ->> 'device')::int, (payload ->> 'n')::int
		FROM streamq.consume(stream, 'g', 7, auto_ack => true);
		GET DIAGNOSTICS taken = ROW_COUNT;
		EXIT WHEN taken = 0;
		total := total + taken;
	END LOOP;
	RETURN total;
END $$;
CREATE FUNCTION overtaken() RETURNS TABLE (messages bigint, by_device bigint) LANGUAGE sql AS $$
SELECT count(*), count(*) FILTER (WHERE n < before)
FROM (SELECT n, lag(n) OVER (PARTITION BY device ORDER BY at) AS before FROM got) x $$;

-- by "user", then by device: messages of a device that were all over come first
CREATE TABLE s ("user" int, device int, n int) USING streamq;
SELECT streamq.alter_stream('s', partitions => 8, partition_by => '"user"');
INSERT INTO s SELECT 1, i % 5, i FROM generate_series(1, 500) i;
SELECT streamq.alter_stream('s', partition_by => 'device');
INSERT INTO s SELECT i, i % 5, i FROM generate_series(501, 1000) i;
SELECT take('s');
SELECT * FROM overtaken();
TRUNCATE got;
-- the same for a group that begins anew, and one that had acknowledged a part
SELECT streamq.seek('s', 'g', 'earliest');
SELECT take('s', 3);
SELECT take('s');
SELECT * FROM overtaken();

-- nothing behind the change is delivered as long as a message before it is not acknowledged
SELECT streamq.create_group('s', 'slow');
CREATE TABLE held AS SELECT msg_id, payload FROM streamq.consume('s', 'slow', 1000, consumer => 'a');
SELECT count(*), max((payload ->> 'n')::int) FROM held;
SELECT count(*) FROM streamq.consume('s', 'slow', 1000, consumer => 'b');
SELECT streamq.ack_batch('s', 'slow', (SELECT array_agg(msg_id) FROM held WHERE payload ->> 'n' <> '250'));
SELECT count(*) FROM streamq.consume('s', 'slow', 1000, consumer => 'b');
SELECT streamq.ack('s', 'slow', (SELECT msg_id FROM held WHERE payload ->> 'n' = '250'));
SELECT count(*) FROM streamq.consume('s', 'slow', 1000, consumer => 'b', auto_ack => true);

-- several changes, one after the other, partitions added between them
TRUNCATE got;
SELECT streamq.alter_stream('s', partition_by => '"user"');
INSERT INTO s SELECT i % 3, i % 5, i FROM generate_series(1001, 1500) i;
SELECT streamq.alter_stream('s', partitions => 12);
INSERT INTO s SELECT i % 3, i % 5, i FROM generate_series(1501, 2000) i;
SELECT streamq.alter_stream('s', partitions => 20, partition_by => '"user", device');
INSERT INTO s SELECT i % 3, i % 5, i FROM generate_series(2001, 2500) i;
SELECT streamq.alter_stream('s', partition_by => 'device');
INSERT INTO s SELECT i % 3, i % 5, i FROM generate_series(2501, 3000) i;
SELECT take('s');
-- from one to the next, in order of the time of writing
SELECT count(*) FROM (SELECT (n - 1) / 500 AS phase, lag((n - 1) / 500) OVER (ORDER BY at) AS before FROM got) x
WHERE phase < before AND NOT (phase = 2 AND before = 3);
SELECT * FROM streamq.check_stream('s');

-- a change that was rolled back, one that is none, and one without messages
BEGIN;
SELECT streamq.alter_stream('s', partition_by => '');
ROLLBACK;
SELECT streamq.alter_stream('s', partition_by => 'device');
TRUNCATE s;
SELECT streamq.alter_stream('s', partition_by => '"user"');
INSERT INTO s SELECT i, i % 5, i FROM generate_series(3001, 3100) i;
SELECT take('s');

-- the column "key" appears, goes, and gets another name
CREATE TABLE k (device int, key text) USING streamq;
SELECT streamq.alter_stream('k', partitions => 8);
CREATE PROCEDURE phase(change text, INOUT delivered text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
	before int;
	behind int;
BEGIN
	INSERT INTO k SELECT FROM generate_series(1, 40);
	EXECUTE change;
	INSERT INTO k SELECT FROM generate_series(1, 40);
	COMMIT;
	SELECT count(*) INTO before FROM streamq.consume('k', 'g', 1000, consumer => 'c');
	PERFORM streamq.ack_through('k', 'g', last_msg_id) FROM streamq.leases WHERE stream = 'k'::regclass;
	SELECT count(*) INTO behind FROM streamq.consume('k', 'g', 1000, consumer => 'c');
	PERFORM streamq.ack_through('k', 'g', last_msg_id) FROM streamq.leases WHERE stream = 'k'::regclass;
	delivered := before || ' then ' || behind;
END $$;
CALL phase('ALTER TABLE k RENAME device TO gadget');
CALL phase('ALTER TABLE k RENAME key TO device');
CALL phase('ALTER TABLE k RENAME gadget TO key');
CALL phase('ALTER TABLE k ALTER key SET STATISTICS 10, ALTER key SET DEFAULT 1, ALTER key DROP DEFAULT');
CALL phase('ALTER TABLE k DROP key');
CALL phase('ALTER TABLE k ADD other int');
CALL phase('ALTER TABLE k ADD key varchar');
CALL phase('ALTER TABLE k ALTER key TYPE text');
CALL phase('ALTER TABLE k ALTER key TYPE text COLLATE "C"');
CALL phase('ALTER TABLE k ALTER device TYPE varchar');
CALL phase('SELECT streamq.alter_stream(''k'', partition_by => ''device, other'')');
CALL phase('ALTER TABLE k RENAME device TO d');
CALL phase('ALTER TABLE k RENAME key TO no_key');
CALL phase('ALTER TABLE k ADD key int');
CALL phase('ALTER TABLE k DROP other');
SELECT partition_by FROM streamq.stream_options WHERE stream = 'k'::regclass;
-- rows may not become ones that cannot be routed
SET client_min_messages = warning;
CREATE TYPE odd;
CREATE FUNCTION odd_in(cstring) RETURNS odd LANGUAGE internal STRICT IMMUTABLE AS 'textin';
CREATE FUNCTION odd_out(odd) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'textout';
CREATE TYPE odd (INPUT = odd_in, OUTPUT = odd_out, LIKE = text);
CREATE CAST (varchar AS odd) WITHOUT FUNCTION AS ASSIGNMENT;
RESET client_min_messages;
ALTER TABLE k ALTER d TYPE odd;
\echo :LAST_ERROR_SQLSTATE
SELECT streamq.alter_stream('k', partition_by => '');
ALTER TABLE k ALTER d TYPE odd;
INSERT INTO k (d) VALUES ('x');
SELECT count(*) FROM streamq.check_stream('k');

-- so often, but not for ever: those that were rolled back, and those whose messages are
-- gone, do not count
CREATE TABLE often (a int, b int) USING streamq;
SELECT streamq.alter_stream('often', partitions => 2, partition_by => 'a');
DO $$
BEGIN
	FOR i IN 1 .. 40 LOOP
		INSERT INTO partition_by_test.often VALUES (1, 1);
		PERFORM streamq.alter_stream('partition_by_test.often', partition_by => CASE i % 2 WHEN 1 THEN 'b' ELSE 'a' END);
	END LOOP;
END $$;
\echo :LAST_ERROR_SQLSTATE
DO $$
BEGIN
	FOR i IN 1 .. 32 LOOP
		INSERT INTO partition_by_test.often VALUES (1, 1);
		PERFORM streamq.alter_stream('partition_by_test.often', partition_by => CASE i % 2 WHEN 1 THEN 'b' ELSE 'a' END);
	END LOOP;
END $$;
SELECT streamq.alter_stream('often', partition_by => 'b');
SELECT count(*) FROM often;
SELECT count(*) FROM streamq.check_stream('often');
TRUNCATE often;
SELECT streamq.alter_stream('often', partition_by => 'b');
SELECT count(*) FROM streamq.check_stream('often');

SET client_min_messages = warning;
DROP SCHEMA partition_by_test CASCADE;
