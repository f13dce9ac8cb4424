-- consume() and consume_as() in FROM are scans of their own: what they take is as by the
-- function, and becomes rows as these are asked for.
\set VERBOSITY terse
CREATE SCHEMA consume_scan;
SET search_path = consume_scan;
CREATE TYPE pair AS (a int, b text);
CREATE TABLE s (id int, at timestamptz, name text, half float8, u uuid, span interval, pair pair, list int[], pad text) USING streamq;
ALTER TABLE s ALTER pad SET STORAGE EXTERNAL;
INSERT INTO s SELECT i, timestamptz '2026-01-01' + i * interval '1 s',
	CASE WHEN i % 3 > 0 THEN 'name ' || i END, i / 2.0, md5(i::text)::uuid, i * interval '1 day',
	CASE WHEN i % 4 > 0 THEN ROW(i, 'b' || i)::pair END, CASE WHEN i % 5 > 0 THEN ARRAY[i, NULL, -i] END,
	repeat('x', CASE WHEN i % 100 = 0 THEN 20000 ELSE i % 50 END)
FROM generate_series(0, 1999) i;
SELECT streamq.create_stream('m', partitions => 3) AS m;
SELECT count(streamq.produce('m', jsonb_build_object('n', i), key => 'k' || i % 7, headers => '{"h": 1}')) FROM generate_series(1, 300) i;

-- the plan; nothing is consumed by it
EXPLAIN (COSTS OFF) SELECT msg_id, payload FROM streamq.consume('s', 'none', 10) WHERE deliveries = 1 LIMIT 3;
EXPLAIN (VERBOSE, COSTS OFF) SELECT c, c.key FROM streamq.consume('s', 'none') c;
EXPLAIN (COSTS OFF) SELECT (message).id FROM streamq.consume_as(NULL::s, 'none', auto_ack => true);
EXPLAIN (COSTS OFF) INSERT INTO m (payload) SELECT payload FROM streamq.consume('s', 'none');
SELECT count(*) FROM streamq.consumer_groups;
-- where rows are checked again they are kept as a whole; other forms stay functions, too
CREATE TABLE t (n bigint, g text) USING heap;
EXPLAIN (COSTS OFF) UPDATE t SET n = 1 FROM streamq.consume('s', 'none') c WHERE n = c.msg_id;
EXPLAIN (COSTS OFF) SELECT c FROM streamq.consume_as(NULL::s, 'none') c;
EXPLAIN (COSTS OFF) SELECT * FROM streamq.consume('s', 'none') WITH ORDINALITY;
EXPLAIN (COSTS OFF) SELECT * FROM streamq.consume('s', 'none', (random() * 3)::int);
EXPLAIN (COSTS OFF) SELECT streamq.consume('s', 'none');

-- what a query returns with and without the scan; undone each time
CREATE FUNCTION outcome(query text, scan bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text;
BEGIN
	PERFORM set_config('streamq.enable_stream_scan', scan::text, true);
	BEGIN
		EXECUTE 'SELECT md5(string_agg(x::text, '','' ORDER BY x::text)) || '' '' || count(*) FROM (' || query || ') x' INTO result;
		SELECT string_agg(concat_ws(' ', partition, acked_offset, lag, in_flight), ', ' ORDER BY partition) INTO state
		FROM streamq.consumer_groups WHERE group_name = 'g';
		RAISE EXCEPTION SQLSTATE 'XX999';
	EXCEPTION
		WHEN SQLSTATE 'XX999' THEN NULL;
		WHEN others THEN RETURN SQLSTATE || ' ' || SQLERRM;
	END;
	RETURN concat_ws(' | ', result, state);
END $$;
CREATE FUNCTION same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a text := outcome(query, true);
	b text := outcome(query, false);
BEGIN
	RETURN CASE WHEN a = b THEN regexp_replace(a, '^[0-9a-f]{32} ', '') ELSE 'DIFFERENT: ' || a || ' / ' || b END;
END $$;
SELECT query, same(query) FROM unnest(ARRAY[
	$q$SELECT msg_id, partition, msg_offset, produced_at, deliveries, key, payload, headers FROM streamq.consume('s', 'g', 10)$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', 3000, auto_ack => true)$q$,
	$q$SELECT * FROM streamq.consume_as(NULL::s, 'g', 10000, auto_ack => true)$q$,
	$q$SELECT (message).*, deliveries FROM streamq.consume_as(NULL::s, 'g', 5)$q$,
	$q$SELECT (message).pair FROM streamq.consume_as(NULL::s, 'g', 3) WHERE (message).id > 0$q$,
	$q$SELECT * FROM streamq.consume('m', 'g', 1000, auto_ack => true)$q$,
	$q$SELECT * FROM streamq.consume_as(NULL::m, 'g', 1000)$q$,
	$q$SELECT c FROM streamq.consume('m', 'g', 1000) c$q$,
	$q$SELECT c IS NULL, to_jsonb(c) FROM streamq.consume('m', 'g', 1000) c$q$,
	$q$SELECT key FROM streamq.consume('m', 'g', 1000) c$q$,
	$q$SELECT payload FROM streamq.consume('m', 'g', 1000) c WHERE headers->>'h' = '1' AND msg_id > 3$q$,
	$q$SELECT partition, headers FROM streamq.consume('m', 'g', 1000) c WHERE key > 'k3'$q$,
	$q$SELECT deliveries FROM streamq.consume_as(NULL::m, 'g', 1000) WHERE message IS NOT NULL$q$,
	$q$SELECT max(produced_at) FROM streamq.consume_as(NULL::m, 'g', 1000)$q$,
	$q$SELECT FROM streamq.consume('s', 'g', 7)$q$,
	$q$SELECT count(*) FROM streamq.consume('s', 'g', 7)$q$,
	$q$SELECT payload FROM streamq.consume('s', 'g', 100) LIMIT 2$q$,
	$q$SELECT payload FROM streamq.consume('s', 'g', 100) OFFSET 90$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', 100) LIMIT 0$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', 100) WHERE payload->>'id' = '7'$q$,
	$q$SELECT a.msg_id FROM streamq.consume('s', 'g', 10) a, streamq.consume('s', 'g', 10) b WHERE a.msg_id = b.msg_id - 10$q$,
	$q$SELECT s.id, c.payload FROM s LEFT JOIN streamq.consume('s', 'g', 10) c ON c.msg_id = s.id WHERE s.id < 20$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', (SELECT 4))$q$,
	$q$SELECT * FROM (SELECT 3 AS n UNION ALL SELECT 4) x, LATERAL (SELECT count(*) FROM streamq.consume('s', 'g', n)) y$q$,
	$q$SELECT * FROM generate_series(1, 3) n, LATERAL (SELECT * FROM streamq.consume('s', 'g', 4) c WHERE c.msg_id >= n OFFSET 0) x$q$,
	$q$SELECT (SELECT max(msg_id) FROM streamq.consume('s', 'g', 4) c WHERE c.msg_id < n) FROM generate_series(1, 3) n$q$,
	$q$WITH c AS MATERIALIZED (SELECT * FROM streamq.consume('s', 'g', 4)) SELECT * FROM c, c AS d$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', 2) UNION ALL SELECT * FROM streamq.consume('s', 'g', 2)$q$,
	$q$SELECT * FROM streamq.consume(NULL, 'g')$q$,
	$q$SELECT * FROM streamq.consume('s', NULL)$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', 0)$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', wait => '-1 s')$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', lease => '0')$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', consumer => '')$q$,
	$q$SELECT * FROM streamq.consume('s', 'g', auto_ack => NULL)$q$,
	$q$SELECT * FROM streamq.consume('pg_class', 'g')$q$,
	$q$SELECT * FROM streamq.consume_as(1, 'g')$q$,
	$q$SELECT * FROM streamq.consume_as(NULL::pg_class, 'g')$q$]) query;
-- only what is asked for is made of a message
CREATE TYPE fragile AS ENUM ('sound');
CREATE FUNCTION fragile_json(fragile) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
CREATE CAST (fragile AS json) WITH FUNCTION fragile_json(fragile);
CREATE TABLE f (a fragile) USING streamq;
INSERT INTO f VALUES ('sound');
SELECT msg_id FROM streamq.consume('f', 'f1', auto_ack => true);
SELECT msg_id FROM streamq.read('f');
SELECT payload FROM streamq.consume('f', 'f2', auto_ack => true);
SELECT payload FROM streamq.read('f');
SELECT group_name, acked_offset FROM streamq.consumer_groups WHERE stream = 'f'::regclass;
DROP TABLE f;
-- beyond work_mem
SET work_mem = '64kB';
SELECT query, same(query) FROM unnest(ARRAY[
	$q$SELECT * FROM streamq.consume('s', 'g', 3000, auto_ack => true)$q$,
	$q$SELECT * FROM streamq.consume_as(NULL::s, 'g', 3000, auto_ack => true)$q$,
	$q$SELECT n, sum(x.n2) FROM generate_series(1, 3) n,
		LATERAL (SELECT msg_id AS n2 FROM streamq.consume('s', 'g', 3000, auto_ack => true) c WHERE c.msg_id >= n OFFSET 0) x GROUP BY n$q$]) query;
BEGIN;
SELECT count(*), count(*) FILTER (WHERE s = c.message) AS equal
FROM streamq.consume_as(NULL::s, 'g', 3000, auto_ack => true) c JOIN s ON s.id = (c.message).id;
ROLLBACK;
RESET work_mem;

-- a scan that is repeated does not consume again, one with other arguments does
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, 'rows=(\d+)(\.\d+)?', 'rows=\1');
	END LOOP;
END $$;
BEGIN;
SELECT plan($q$SELECT n, msg_id FROM generate_series(1, 3) n, LATERAL (SELECT * FROM streamq.consume('s', 'g', 2) c WHERE c.msg_id >= n - 3 OFFSET 0) x$q$) AS line;
SELECT group_name, acked_offset, in_flight FROM streamq.consumer_groups;
INSERT INTO t VALUES (2, 'x'), (3, 'y'), (1, 'x');
SELECT t.g, msg_id, deliveries FROM t, LATERAL streamq.consume('s', t.g, t.n::int) ORDER BY 1, 2;
SELECT group_name, acked_offset, in_flight FROM streamq.consumer_groups ORDER BY 1;
ROLLBACK;

-- what is leased does not depend on how much is fetched
BEGIN;
DECLARE c CURSOR FOR SELECT msg_id FROM streamq.consume('s', 'g', 5);
SELECT count(*) FROM streamq.consumer_groups;
FETCH 2 FROM c;
SELECT in_flight FROM streamq.consumer_groups;
SELECT streamq.ack_through('s', 'g', 4);
-- nor what is fetched on what became of it
SAVEPOINT a;
FETCH 1 FROM c;
ROLLBACK TO a;
FETCH 5 FROM c;
ROLLBACK;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT msg_id FROM streamq.consume('s', 'g', 5);
FETCH 3 FROM c;
FETCH BACKWARD 1 FROM c;
DECLARE h CURSOR WITH HOLD FOR SELECT msg_id FROM streamq.consume('m', 'h', 3) ORDER BY msg_offset;
COMMIT;
SELECT count(*) FROM streamq.consumer_groups WHERE group_name = 'h' AND in_flight > 0;
MOVE ALL FROM h;
CLOSE h;

-- the stream may be changed meanwhile
DO $$
DECLARE
	r record;
	n int := 0;
BEGIN
	FOR r IN SELECT payload->>'id' AS id, payload->>'name' AS name FROM streamq.consume('s', 'loop', 2000) LOOP
		IF n = 10 THEN
			ALTER TABLE s ADD COLUMN later int DEFAULT 7;
			ALTER TABLE s DROP COLUMN name;
			TRUNCATE s;
		END IF;
		IF r.id <> n::text OR r.name IS DISTINCT FROM (CASE WHEN n % 3 > 0 THEN 'name ' || n END) THEN
			RAISE EXCEPTION '% %', n, r;
		END IF;
		n := n + 1;
	END LOOP;
	RAISE NOTICE '% messages', n;
	RAISE EXCEPTION 'undo';
END $$;
-- rows from before a column was added
CREATE TABLE grown (a int) USING streamq;
INSERT INTO grown VALUES (1), (2);
ALTER TABLE grown ADD COLUMN b text DEFAULT 'b', ADD COLUMN c int;
INSERT INTO grown VALUES (3, 'x', 4);
SELECT payload FROM streamq.consume('grown', 'g');
SELECT message, (message).b FROM streamq.consume_as(NULL::grown, 'h');

-- results that go elsewhere
CREATE TABLE copied (n bigint, payload jsonb) USING heap;
CREATE TABLE sums (n bigint PRIMARY KEY, total bigint) USING heap;
WITH c AS (SELECT * FROM streamq.consume('m', 'to_copied', 1000, auto_ack => true)), i AS (
	INSERT INTO copied SELECT msg_id, payload FROM c)
INSERT INTO sums SELECT 0, sum((payload->>'n')::int) FROM c;
INSERT INTO sums SELECT 0, count(*) FROM streamq.consume('m', 'to_sums', 10, auto_ack => true)
ON CONFLICT (n) DO UPDATE SET total = sums.total + excluded.total;
UPDATE sums SET total = total + 1 FROM streamq.consume('m', 'to_update', 1, auto_ack => true);
-- rows that are checked again: the function, and the quick form
MERGE INTO sums USING (SELECT count(*) AS c FROM streamq.consume('m', 'to_merge', 4, auto_ack => true)) x ON n = 0 WHEN MATCHED THEN UPDATE SET total = total + x.c;
MERGE INTO copied USING streamq.consume('m', 'to_merge', 4, auto_ack => true) x ON copied.n = x.msg_id
WHEN MATCHED THEN UPDATE SET payload = 'null' WHEN NOT MATCHED THEN INSERT VALUES (-1, NULL);
SELECT count(*), count(*) FILTER (WHERE payload = 'null') AS merged FROM copied;
DELETE FROM copied USING streamq.consume('m', 'to_delete', 4, auto_ack => true) x WHERE copied.n = x.msg_id;
WITH c AS MATERIALIZED (SELECT * FROM streamq.consume('m', 'to_delete', 4, auto_ack => true)) DELETE FROM copied USING c WHERE copied.n = c.msg_id;
SELECT count(*) FROM copied;
-- parameters
PREPARE take(regclass, text, int) AS SELECT msg_id FROM streamq.consume($1, $2, $3, auto_ack => true);
EXECUTE take('s', 'prepared', 2);
SET plan_cache_mode = force_generic_plan;
EXECUTE take('s', 'prepared', 1);
EXECUTE take('s', 'prepared', NULL);
DEALLOCATE take;
RESET plan_cache_mode;
DO $$
DECLARE
	ids text;
BEGIN
	FOR n IN 1 .. 3 LOOP
		SELECT string_agg(msg_id::text, ' ') INTO ids FROM streamq.consume('s', 'looped', n, auto_ack => true);
		RAISE NOTICE '%', ids;
	END LOOP;
END $$;
CREATE TABLE again AS SELECT msg_id FROM streamq.consume('m', 'to_table', 5, auto_ack => true);
SELECT (SELECT count(*) FROM copied), total, (SELECT count(*) FROM again) FROM sums;
CREATE FUNCTION take() RETURNS SETOF streamq.message LANGUAGE sql AS $$ SELECT * FROM streamq.consume('m', 'to_function', 4) $$;
SELECT count(*), max(deliveries) FROM take();

-- who may not, and when it cannot be
BEGIN READ ONLY;
SELECT * FROM streamq.consume('s', 'g');
ROLLBACK;
CREATE ROLE regress_streamq_consume;
GRANT USAGE ON SCHEMA consume_scan TO regress_streamq_consume;
SET ROLE regress_streamq_consume;
SELECT * FROM streamq.consume('s', 'g');
RESET ROLE;
BEGIN;
REVOKE EXECUTE ON FUNCTION streamq.consume FROM public;
GRANT SELECT ON s TO regress_streamq_consume;
SET ROLE regress_streamq_consume;
SELECT * FROM streamq.consume('s', 'g');
ROLLBACK;
DROP OWNED BY regress_streamq_consume;
DROP ROLE regress_streamq_consume;
SET client_min_messages = warning;
DROP SCHEMA consume_scan CASCADE;
