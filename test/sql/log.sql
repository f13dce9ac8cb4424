-- The log: what a stream does as a table.
CREATE SCHEMA log_test;
SET search_path = log_test;

-- rows come back in append order, with dense offsets in the TID
CREATE TABLE s (at timestamptz, k text, payload text) USING streamq;
INSERT INTO s VALUES ('2026-01-01 00:00+00', 'a', 'one'), ('2026-01-01 00:01+00', 'b', 'two');
INSERT INTO s SELECT '2026-01-02 00:00+00', 'k' || i, repeat('x', 100) FROM generate_series(1, 1000) i;
SELECT ctid, k, payload FROM s LIMIT 2;
SELECT count(*), min(ctid), max(ctid) FROM s;

-- COPY, text and binary
COPY s (k, payload) FROM stdin;
c1	from text
c2	\N
\.
SELECT ctid, at, k, payload FROM s WHERE ctid > '(0,1002)';

-- nothing of a rolled back transaction or savepoint is ever seen
BEGIN;
INSERT INTO s VALUES (NULL, 'kept', NULL);
SAVEPOINT a;
INSERT INTO s SELECT NULL, 'undone', NULL FROM generate_series(1, 500);
ROLLBACK TO a;
INSERT INTO s VALUES (NULL, 'kept too', NULL);
SELECT count(*) FILTER (WHERE k = 'undone'), count(*) FILTER (WHERE k LIKE 'kept%') FROM s;
COMMIT;
BEGIN;
INSERT INTO s SELECT NULL, 'undone', NULL FROM generate_series(1, 500);
ROLLBACK;
SELECT count(*) FILTER (WHERE k = 'undone'), count(*) FILTER (WHERE k LIKE 'kept%') FROM s;
-- the offsets they took are gaps
INSERT INTO s VALUES (NULL, 'later', NULL) RETURNING ctid;

-- a command does not see what it writes itself
INSERT INTO s SELECT at, 'copy', payload FROM s WHERE k IN ('a', 'b');
SELECT count(*) FROM s WHERE k = 'copy';
-- but a cursor opened before does not see later rows either
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM s WHERE k = 'cursor';
INSERT INTO s VALUES (NULL, 'cursor', NULL);
FETCH c;
SELECT count(*) FROM s WHERE k = 'cursor';
COMMIT;

-- rows larger than a page, compressible or not
CREATE TABLE big (id int, payload text) USING streamq;
INSERT INTO big VALUES (1, repeat('0123456789', 100000)), (2, 'small'),
  (3, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 50000) i)), (4, 'small too');
SELECT id, length(payload), md5(payload) FROM big ORDER BY id;
SELECT md5(string_agg(md5(i::text), '')) FROM generate_series(1, 50000) i;
-- every size around a page's
INSERT INTO big SELECT n, (SELECT string_agg(md5((n * 1000 + i)::text), '') FROM generate_series(1, n / 32) i)
  FROM generate_series(100, 17000, 100) n;
SELECT count(*), count(*) FILTER (WHERE length(payload) = id / 32 * 32 AND
  payload = (SELECT string_agg(md5((id * 1000 + i)::text), '') FROM generate_series(1, id / 32) i))
  FROM big WHERE id >= 100;

-- every kind of attribute: by value, fixed length, short, long, null, aligned
CREATE TABLE types (a bool, b "char", c int2, d int4, e int8, f float8, g uuid, h interval,
  i name, j point, k numeric, l bytea, m int[], n jsonb, o text) USING streamq;
INSERT INTO types VALUES
  (true, 'x', 1, 2, 3, 4.5, '00112233-4455-6677-8899-aabbccddeeff', '1 day 2 hours', 'n', '(1,2)', 12.34, '\xdead', '{1,2}', '{"a": 1}', repeat('o', 200)),
  (NULL, NULL, 1, NULL, 3, NULL, '00112233-4455-6677-8899-aabbccddeeff', NULL, 'n', NULL, NULL, '\xdead', NULL, '{"a": 1}', NULL),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, length(o) AS o FROM types;
CREATE TABLE heap_types AS SELECT * FROM types;
SELECT count(*) FROM types x JOIN heap_types y ON to_jsonb(x) = to_jsonb(y);

-- types that know no short header, and those that are aligned to eight bytes, of every length
CREATE TABLE headers (a int2, b oidvector, c int2vector, d tsquery, e polygon, f float8[], g int8multirange, h text) USING streamq;
INSERT INTO headers VALUES
  (1, '1 2 3', '4 5', 'a & b', '((1,1),(2,2),(3,3))', '{1,2.5}', '{[1,5)}', 'h'),
  (NULL, '', '', NULL, NULL, '{}', '{}', repeat('h', 200));
INSERT INTO headers SELECT n, (SELECT string_agg(i::text, ' ') FROM generate_series(1, n % 60) i)::oidvector,
  (SELECT string_agg(i::text, ' ') FROM generate_series(1, n % 7) i)::int2vector, ('a' || repeat(' & b', n % 50))::tsquery,
  ('((0,0)' || repeat(',(1,1)', n % 90) || ')')::polygon, (SELECT array_agg(i / 2.0) FROM generate_series(1, n % 40) i), NULL, repeat('h', n % 13)
  FROM generate_series(1, 2000) n;
SELECT a, b, c, d, e, f, g, length(h) AS h FROM headers LIMIT 2;
CREATE TABLE heap_headers AS SELECT * FROM headers;
SELECT count(*) FROM headers x JOIN heap_headers y ON x.a IS NOT DISTINCT FROM y.a AND to_jsonb(x) = to_jsonb(y);
SELECT * FROM streamq.check_stream('headers');

-- columns added later read as their default, dropped ones are gone
ALTER TABLE types ADD COLUMN p int DEFAULT 42, DROP COLUMN o;
INSERT INTO types (a) VALUES (false);
SELECT a, i, p FROM types ORDER BY ctid;
INSERT INTO types SELECT * FROM types;
SELECT count(*), sum(p) FROM types;

-- cursors go backward too
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT k FROM s;
FETCH 2 FROM c;
FETCH LAST FROM c;
FETCH BACKWARD 3 FROM c;
FETCH FORWARD 1 FROM c;
MOVE BACKWARD ALL FROM c;
FETCH 1 FROM c;
COMMIT;
BEGIN;
DECLARE h SCROLL CURSOR WITH HOLD FOR SELECT k FROM s WHERE k LIKE 'kept%';
COMMIT;
FETCH ALL FROM h;
CLOSE h;

-- a range of TIDs is a range of offsets
SELECT ctid, k FROM s WHERE ctid >= '(0,10)' AND ctid < '(0,13)';
SET streamq.enable_stream_scan = off;
EXPLAIN (COSTS OFF) SELECT k FROM s WHERE ctid >= '(0,10)' AND ctid < '(0,13)';
SELECT ctid, k FROM s WHERE ctid >= '(0,10)' AND ctid < '(0,13)';
RESET streamq.enable_stream_scan;
SELECT k FROM s WHERE ctid = '(0,3)';
SELECT k FROM s WHERE ctid = ANY ('{"(0,1)","(0,40000)","(77,1)","(0,0)"}');
SELECT count(*) FROM s WHERE ctid >= '(4294967295,1)';

-- samples, parallel scans and statistics see what a scan sees
SELECT count(*) FROM s TABLESAMPLE system (100);
SELECT count(*) FROM s TABLESAMPLE bernoulli (100);
-- also of pages with very many rows
CREATE TABLE tiny (b bool) USING streamq;
INSERT INTO tiny SELECT true FROM generate_series(1, 20000);
SELECT (SELECT count(*) FROM tiny TABLESAMPLE system (100)) AS system, (SELECT count(*) FROM tiny TABLESAMPLE bernoulli (100)) AS bernoulli;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM s;
SELECT count(*) FROM s;
SELECT id, length(payload) FROM big WHERE id < 5 ORDER BY id;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
ANALYZE s;
SELECT reltuples FROM pg_class WHERE oid = 's'::regclass;
SELECT n_distinct <> 0 AS has_stats FROM pg_stats WHERE schemaname = 'log_test' AND tablename = 's' AND attname = 'k';

-- VACUUM freezes, and freezing changes nothing that can be seen
VACUUM s;
SELECT count(*), count(*) FILTER (WHERE k = 'undone') FROM s;
SELECT age(relfrozenxid) < 100 AS frozen FROM pg_class WHERE oid = 's'::regclass;
VACUUM (FREEZE) big;
SELECT md5(payload) FROM big WHERE id = 3;

-- triggers, constraints, generated columns
CREATE TABLE g (id int CHECK (id > 0), double int GENERATED ALWAYS AS (id * 2) STORED, note text DEFAULT 'none') USING streamq;
CREATE TABLE audit (id int, double int);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log_test.audit VALUES (NEW.id, NEW.double); RETURN NULL; END $$;
CREATE TRIGGER t AFTER INSERT ON g FOR EACH ROW EXECUTE FUNCTION audit();
INSERT INTO g (id) VALUES (1), (2);
INSERT INTO g (id) VALUES (-1);
SELECT * FROM g;
SELECT * FROM audit ORDER BY id;
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent VALUES (1);
ALTER TABLE g ADD FOREIGN KEY (id) REFERENCES parent NOT VALID;
INSERT INTO g (id) VALUES (1);
INSERT INTO g (id) VALUES (7);

-- TRUNCATE empties a stream and offsets go on; undone, everything is there
BEGIN;
TRUNCATE s;
INSERT INTO s VALUES (NULL, 'in the new file', NULL) RETURNING ctid;
SELECT count(*) FROM s;
ROLLBACK;
SELECT count(*) FROM s;
TRUNCATE s;
SELECT count(*) FROM s;
INSERT INTO s VALUES (NULL, 'after', NULL) RETURNING ctid;
BEGIN;
CREATE TABLE fresh (i int) USING streamq;
INSERT INTO fresh VALUES (1), (2);
TRUNCATE fresh;
INSERT INTO fresh VALUES (3) RETURNING ctid;
COMMIT;
SELECT ctid, i FROM fresh;

-- unlogged, CREATE TABLE AS, LIKE, inheritance, declarative partitions
CREATE UNLOGGED TABLE u (i int) USING streamq;
INSERT INTO u SELECT generate_series(1, 100);
SELECT count(*) FROM u;
CREATE TABLE as_stream USING streamq AS SELECT i FROM generate_series(1, 10) i;
SELECT count(*), max(ctid) FROM as_stream;
CREATE TABLE like_stream (LIKE s INCLUDING ALL) USING streamq;
CREATE TABLE p (i int, t text) PARTITION BY RANGE (i);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) USING streamq;
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT i, 'x' FROM generate_series(0, 199) i;
SELECT tableoid::regclass, count(*) FROM p GROUP BY 1 ORDER BY 1;
-- from and to other access methods
CREATE TABLE conv (i int);
INSERT INTO conv SELECT generate_series(1, 10);
ALTER TABLE conv SET ACCESS METHOD streamq;
SELECT count(*), max(ctid) FROM conv;
ALTER TABLE conv SET ACCESS METHOD heap;
SELECT count(*) FROM conv;

-- values that are out of line or expanded where they come from are written out
CREATE TABLE toasted (i int, t text, c text, a int[]);
ALTER TABLE toasted ALTER t SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat('x', i * 10000), (SELECT string_agg(md5(n::text), '') FROM generate_series(1, i * 1000) n), ARRAY(SELECT generate_series(1, i * 1000))
FROM generate_series(1, 3) i;
CREATE TABLE written (i int, t text, c text, a int[]) USING streamq;
CREATE TABLE written_external (LIKE written) USING streamq;
ALTER TABLE written_external ALTER t SET STORAGE EXTERNAL;
INSERT INTO written TABLE toasted;
INSERT INTO written_external TABLE toasted;
DO $$
DECLARE
	expanded int[] := ARRAY(SELECT generate_series(1, 2000));
BEGIN
	expanded[1] := 0;
	INSERT INTO written VALUES (4, 'expanded', NULL, expanded);
	INSERT INTO toasted VALUES (4, 'expanded', NULL, expanded);
	INSERT INTO written_external VALUES (4, 'expanded', NULL, expanded);
END $$;
SELECT i, length(w.t), length(w.c), array_length(w.a, 1), w = x AS same, w = o AS same
FROM written w JOIN written_external x USING (i) JOIN toasted o USING (i) ORDER BY i;
CREATE TABLE envelope (key text, payload text) USING streamq;
SELECT streamq.produce('envelope', t, c) FROM toasted ORDER BY i;
SELECT (SELECT array_agg((payload, key)::text ORDER BY streamq.msg_id(tableoid, ctid)) FROM envelope) =
	(SELECT array_agg((t, c)::text ORDER BY i) FROM toasted) AS same;
DROP TABLE toasted;

-- space in advance
CREATE TABLE usual_steps (t text) USING streamq;
CREATE TABLE small_steps (t text) USING streamq;
ALTER TABLE usual_steps ALTER t SET STORAGE EXTERNAL;
ALTER TABLE small_steps ALTER t SET STORAGE EXTERNAL;
DO $$ BEGIN
	FOR i IN 1 .. 1001 LOOP
		INSERT INTO usual_steps VALUES (repeat('x', 8000));
	END LOOP;
	SET streamq.extend_size = '64kB';
	FOR i IN 1 .. 1001 LOOP
		INSERT INTO small_steps VALUES (repeat('x', 8000));
	END LOOP;
	RESET streamq.extend_size;
END $$;
SELECT pg_relation_size('usual_steps') - pg_relation_size('small_steps') > 100000 AS less_in_advance;

-- keys that are hashed leave no memory behind, row by row
CREATE TABLE hashed (key numeric, n int) USING streamq;
SELECT streamq.alter_stream('hashed', partitions => 3);
CREATE FUNCTION memory_used() RETURNS bigint LANGUAGE sql AS $$ SELECT max(used_bytes) FROM pg_backend_memory_contexts WHERE name = 'ExecutorState' $$;
INSERT INTO hashed SELECT CASE WHEN n % 20000 = 0 THEN memory_used() ELSE n END, n FROM generate_series(1, 60000) n;
SELECT max(key) - min(key) < 200000 AS steady FROM hashed WHERE n % 20000 = 0;

-- refusals
CREATE TEMPORARY TABLE tmp (i int) USING streamq;
CREATE MATERIALIZED VIEW mv USING streamq AS SELECT 1 AS i;
ALTER TABLE s ALTER COLUMN k TYPE varchar(10);
ALTER TABLE s ADD COLUMN r float8 DEFAULT random();
VACUUM FULL s;
SELECT xmin FROM s;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA log_test CASCADE;
