-- The planner knows which part of the log is wanted, and in which order it is.
CREATE SCHEMA planning;
SET search_path = planning;
SET timezone = 'UTC';
SET max_parallel_workers_per_gather = 0;

CREATE TABLE s (n int, t text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 3);
CREATE FUNCTION fill(p int, low int, high int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM streamq.produce_batch('planning.b', (SELECT array_agg(to_jsonb(i)::text ORDER BY i) FROM generate_series(low, high) i), partition => p);
END $$;
-- b has its messages where they are put, in runs of different times
CREATE TABLE b (payload jsonb) USING streamq;
SELECT streamq.alter_stream('b', partitions => 3);
SELECT count(fill(p, r * 1000, r * 1000 + 999)) FROM generate_series(0, 2) p, generate_series(0, 4) r;
INSERT INTO s SELECT i, repeat('x', i % 50) FROM generate_series(1, 3000) i;
CREATE TABLE ids (id bigint, high bigint) WITH (autovacuum_enabled = off);
INSERT INTO ids VALUES (10, 12), (streamq.make_msg_id(1, 4999), streamq.make_msg_id(2, 1)), (99999, 99999), (-5, -1);
INSERT INTO ids SELECT i, i FROM generate_series(100000, 102000) i;
ANALYZE b, s, ids;

-- what a query returns, in order, is the same without our scans
CREATE FUNCTION same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    planned text[];
    unplanned text[];
BEGIN
    EXECUTE format('SELECT array_agg(x::text) FROM (%s) x', query) INTO planned;
    SET LOCAL streamq.enable_stream_scan = off;
    EXECUTE format('SELECT array_agg(x::text) FROM (%s) x', query) INTO unplanned;
    SET LOCAL streamq.enable_stream_scan = on;
    RETURN CASE WHEN planned IS NOT DISTINCT FROM unplanned THEN 'same ' ELSE 'DIFFERENT ' END || coalesce(cardinality(planned), 0);
END $$;
-- rows as estimated, at the top
CREATE FUNCTION estimated(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;

-- a plan, without OIDs
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        RETURN NEXT regexp_replace(line, '[0-9'']+::oid', 'OID', 'g');
    END LOOP;
END $$;

-- ranges of msg_id
EXPLAIN (COSTS OFF) SELECT payload FROM b WHERE streamq.msg_id(tableoid, ctid) >= 1000 AND streamq.msg_id(tableoid, ctid) < 1010;
EXPLAIN (COSTS OFF) SELECT payload FROM b WHERE streamq.msg_id(tableoid, ctid) BETWEEN streamq.make_msg_id(0, 4990) AND streamq.make_msg_id(1, 9) AND payload > '5';
EXPLAIN (COSTS OFF) SELECT payload FROM b x WHERE 4999 = streamq.msg_id(x.tableoid, x.ctid);
SELECT plan('SELECT payload FROM b WHERE 4990::int2 < streamq.msg_id(''b''::regclass, ctid)');
SELECT condition, same('SELECT tableoid, ctid, payload FROM b WHERE ' || condition), estimated('SELECT 1 FROM b WHERE ' || condition)
FROM unnest(ARRAY[
    'streamq.msg_id(tableoid, ctid) >= 1000 AND streamq.msg_id(tableoid, ctid) < 1010',
    'streamq.msg_id(tableoid, ctid) BETWEEN streamq.make_msg_id(0, 4990) AND streamq.make_msg_id(1, 9)',
    'streamq.msg_id(tableoid, ctid) > streamq.make_msg_id(0, 4990) AND streamq.msg_id(tableoid, ctid) <= streamq.make_msg_id(2, 0)',
    'streamq.msg_id(tableoid, ctid) = 4999',
    'streamq.msg_id(tableoid, ctid) = 5000',
    'streamq.msg_id(tableoid, ctid) = streamq.make_msg_id(2, 4999)',
    '4990::int2 < streamq.msg_id(tableoid, ctid)',
    'streamq.msg_id(tableoid, ctid) <= -1',
    'streamq.msg_id(tableoid, ctid) >= -9223372036854775808 AND streamq.msg_id(tableoid, ctid) < 3',
    'streamq.msg_id(tableoid, ctid) < -9223372036854775808',
    'streamq.msg_id(tableoid, ctid) > 9223372036854775807',
    'streamq.msg_id(tableoid, ctid) <= 9223372036854775807',
    'streamq.msg_id(tableoid, ctid) >= 7 AND streamq.msg_id(tableoid, ctid) <= 5',
    'streamq.msg_id(tableoid, ctid) > NULL',
    'streamq.msg_id(tableoid, ctid) >= streamq.make_msg_id(200, 0)',
    'streamq.msg_id(tableoid, ctid) > 4000 AND streamq.msg_id(tableoid, ctid) > 4500 AND payload < ''4600''',
    'NOT streamq.msg_id(tableoid, ctid) >= 5',
    'streamq.msg_id(tableoid, ctid) = 5 OR streamq.msg_id(tableoid, ctid) = 6',
    'streamq.msg_id(tableoid, ctid) + 0 = 5',
    'ctid >= ''(0,4001)'' AND ctid < ''(0,4011)''',
    'ctid > ''(0,4001)'' AND ctid <= ''(0,4011)''',
    '''(0,4990)'' < ctid AND ctid <= ''(33554432,0)''',
    'ctid > ''(0,0)'' AND ctid < ''(0,0)''',
    'ctid >= ''(0,0)'' AND ctid <= ''(0,1)''',
    'ctid > ''(0,32768)'' AND ctid < ''(16777216,65535)''',
    'ctid >= ''(0,40000)'' AND ctid <= ''(16777216,40000)'' AND ctid > ''(16777216,4990)''',
    'ctid > ''(33554432,4990)'' AND ctid <= ''(4294967295,0)''',
    'ctid >= ''(50331648,1)''',
    'ctid > ''(16777215,32768)'' AND streamq.msg_id(tableoid, ctid) < streamq.make_msg_id(1, 10)',
    'ctid > NULL'
]) condition;
EXPLAIN (COSTS OFF) SELECT payload FROM b WHERE ctid >= '(0,4001)' AND '(0,4011)' > ctid;

-- of produced_at
CREATE VIEW times AS SELECT (SELECT streamq.produced_at(tableoid, ctid) FROM b WHERE streamq.msg_id(tableoid, ctid) = streamq.make_msg_id(1, n)) AS at
FROM unnest(ARRAY[0, 999, 1000, 2500]) n;
EXPLAIN (COSTS OFF) SELECT payload FROM b WHERE streamq.produced_at(tableoid, ctid) >= now() - interval '1 hour';
EXPLAIN (COSTS OFF) SELECT payload FROM b WHERE streamq.produced_at(tableoid, ctid) >= '2020-01-01' AND streamq.produced_at(tableoid, ctid) < '2020-01-02'::date
    AND streamq.msg_id(tableoid, ctid) > 5 AND streamq.produced_at(tableoid, ctid) > '2020-01-01 12:00'::timestamp;
SELECT op, bool_and(same(format('SELECT ctid FROM b WHERE streamq.produced_at(tableoid, ctid) %s %L', op, at)) LIKE 'same%'),
    bool_and(estimated(format('SELECT ctid FROM b WHERE streamq.produced_at(tableoid, ctid) %s %L', op, at)) =
        regexp_replace(same(format('SELECT ctid FROM b WHERE streamq.produced_at(tableoid, ctid) %s %L', op, at)), '\D', '', 'g')::bigint) AS true_estimates
FROM times, unnest(ARRAY['>=', '>', '<=', '=']) op GROUP BY op ORDER BY op;
SELECT condition, same('SELECT ctid FROM b WHERE ' || condition), estimated('SELECT 1 FROM b WHERE ' || condition)
FROM unnest(ARRAY[
    'streamq.produced_at(tableoid, ctid) >= now() - interval ''1 day''',
    'streamq.produced_at(tableoid, ctid) > now() + interval ''1 day''',
    'streamq.produced_at(tableoid, ctid) > clock_timestamp() - interval ''1 day''',
    'streamq.produced_at(tableoid, ctid) > ''2020-01-01''::date',
    'streamq.produced_at(tableoid, ctid) < ''5000000-01-01''::date',
    'streamq.produced_at(tableoid, ctid) > ''2020-01-01 10:00''::timestamp AND streamq.produced_at(tableoid, ctid) < ''infinity''::timestamp',
    'streamq.produced_at(tableoid, ctid) < ''infinity''',
    'streamq.produced_at(tableoid, ctid) <= ''-infinity''',
    'streamq.produced_at(tableoid, ctid) > ''-infinity''',
    'streamq.produced_at(tableoid, ctid) >= ''infinity''',
    'streamq.produced_at(tableoid, ctid) = ''infinity''',
    'streamq.produced_at(tableoid, ctid) > NULL'
]) condition;

-- log order
EXPLAIN (COSTS OFF) SELECT payload FROM b ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 10;
EXPLAIN (COSTS OFF) SELECT payload FROM b ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 10;
EXPLAIN (COSTS OFF) SELECT payload FROM b WHERE streamq.msg_id(tableoid, ctid) > 1000 ORDER BY streamq.msg_id(tableoid, ctid) DESC NULLS LAST, payload LIMIT 10;
EXPLAIN (COSTS OFF) SELECT streamq.msg_id(tableoid, ctid) / 1000, count(*) FROM b GROUP BY 1 ORDER BY 1;
SELECT same('SELECT ctid FROM b ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 10'),
    same('SELECT ctid FROM b ORDER BY streamq.msg_id(tableoid, ctid) DESC'),
    same('SELECT ctid FROM b WHERE streamq.msg_id(tableoid, ctid) > 1000 ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 10'),
    same('SELECT ctid FROM b WHERE streamq.msg_id(tableoid, ctid) < streamq.make_msg_id(1, 2) ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 10'),
    same('SELECT row_number() OVER (ORDER BY streamq.msg_id(tableoid, ctid)), ctid FROM b ORDER BY 1');

-- bounds known when the query runs
SELECT same('SELECT ctid FROM b WHERE streamq.msg_id(tableoid, ctid) >= (SELECT max(id) FROM ids WHERE id < 100)'), same('SELECT ctid FROM b WHERE streamq.msg_id(tableoid, ctid) = (SELECT max(id) FROM ids WHERE id < 100)');
SELECT count(*) FROM plan('SELECT * FROM b WHERE streamq.msg_id(tableoid, ctid) >= (SELECT max(id) FROM ids WHERE id < 100)') line WHERE line LIKE '%Message Range%';
SET plan_cache_mode = force_generic_plan;
PREPARE next_ones(bigint, int) AS SELECT streamq.msg_id(tableoid, ctid), payload FROM b
    WHERE streamq.msg_id(tableoid, ctid) > $1 ORDER BY streamq.msg_id(tableoid, ctid) LIMIT $2;
EXPLAIN (COSTS OFF) EXECUTE next_ones(4998, 3);
EXECUTE next_ones(4998, 3);
EXECUTE next_ones(0, 1);
EXECUTE next_ones(NULL, 1);
-- appends of their own: pages, and extents, end between them
CREATE TABLE e (a int, t text) USING streamq;
DO $$ BEGIN FOR i IN 1..2000 LOOP INSERT INTO e VALUES (i, repeat('x', 300 + i % 500)); COMMIT; END LOOP; END $$;
SELECT sum(extents) > 8 AS many FROM streamq.partition_stats('e'::regclass);
WITH x AS MATERIALIZED (SELECT streamq.produced_at(tableoid, ctid) AS at FROM e),
    y AS MATERIALIZED (SELECT DISTINCT at, count(*) OVER (ORDER BY at DESC) AS since, count(*) OVER (ORDER BY at) AS until FROM x)
SELECT count(*) FILTER (WHERE since <> (SELECT count(*) FROM e WHERE streamq.produced_at(tableoid, ctid) >= at)) AS since,
    count(*) FILTER (WHERE until <> (SELECT count(*) FROM e WHERE streamq.produced_at(tableoid, ctid) <= at)) AS until
FROM y;
PREPARE since(timestamptz) AS SELECT count(*) FROM b WHERE streamq.produced_at(tableoid, ctid) >= $1;
EXECUTE since('2020-01-01');
EXECUTE since('infinity');
DEALLOCATE ALL;
RESET plan_cache_mode;

-- the whole stream, and columns of it: of each type, null, added later, of rows that go on
-- behind their page
CREATE TABLE w (a smallint, gone text, u uuid, t text, iv interval, c "char", b boolean, n numeric, nm name, big bigint, f float4) USING streamq;
INSERT INTO w SELECT i, 'x', md5(i::text)::uuid, repeat('é', i % 300), i * interval '1 minute', chr(65 + i % 26)::"char", i % 2 = 0, i / 7.0, 'n' || i, i * 1000000000000, i / 3.0
FROM generate_series(1, 500) i;
INSERT INTO w SELECT CASE WHEN i % 2 = 0 THEN i END, NULL, CASE WHEN i % 3 = 0 THEN md5(i::text)::uuid END, CASE WHEN i % 5 > 0 THEN repeat('t', i % 11 * 700) END,
    CASE WHEN i % 3 > 0 THEN i * interval '1 minute' END, CASE WHEN i % 7 > 0 THEN 'c' END::"char", CASE WHEN i % 4 > 0 THEN true END, CASE WHEN i % 4 > 1 THEN i END,
    CASE WHEN i % 6 > 2 THEN 'n' || i END, CASE WHEN i % 5 > 1 THEN i END, CASE WHEN i % 8 > 3 THEN i END
FROM generate_series(501, 900) i;
BEGIN; INSERT INTO w SELECT i FROM generate_series(1, 10) i; ROLLBACK;
ALTER TABLE w DROP gone, ADD later text DEFAULT 'later', ADD last int;
INSERT INTO w (a, t, last) SELECT i, i, i FROM generate_series(901, 950) i;
EXPLAIN (COSTS OFF) SELECT count(*) FROM w;
SELECT columns, same('SELECT ' || columns || ' FROM w'), same('SELECT ' || columns || ' FROM w WHERE a > 400 OR t IS NULL'),
    same('SELECT ' || columns || ' FROM w WHERE ctid >= ''(0,450)'' LIMIT 100')
FROM unnest(ARRAY['a', 'u', 't', 'iv', 'c', 'b', 'n', 'nm', 'big', 'f', 'later', 'last', 't, a', 'f, big, nm, n, b, c, iv, t, u, a', 'a, u, t, iv, c, b, n, nm, big, f, later, last', 'later, t, t AS again',
    'ctid', 'tableoid, a', 'n, ctid, tableoid', 'streamq.msg_id(tableoid, ctid), u', 'streamq.produced_at(tableoid, ctid), t, streamq.msg_id(tableoid, ctid)', 'w', 'w, a', 'a + 1, t', '1',
    'CASE WHEN b THEN t END, upper(nm)', 'coalesce(later, t), n + f, a::text || big', '(SELECT count(*) FROM generate_series(1, a % 3)), last + 1', 'ctid, u::text || c::text']) columns;
SELECT count(*), sum(length(t)), max(a), count(last) FROM w;
SELECT count(streamq.produced_at(tableoid, ctid)) FROM w;
SELECT xmin FROM w;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT last, a FROM w;
MOVE 897 FROM c;
FETCH 5 FROM c;
FETCH BACKWARD 4 FROM c;
MOVE ABSOLUTE 100 IN c;
FETCH 1 FROM c;
FETCH LAST FROM c;
FETCH BACKWARD 1 FROM c;
FETCH ABSOLUTE 1 FROM c;
DECLARE d SCROLL CURSOR FOR SELECT a, length(t) FROM w ORDER BY streamq.msg_id(tableoid, ctid) DESC;
FETCH 1 FROM d;
MOVE 100 IN d;
FETCH 2 FROM d;
FETCH BACKWARD 2 FROM d;
COMMIT;
-- scans begin again
SELECT count(*), sum(n) FROM generate_series(1, 3) i, LATERAL (SELECT count(*) + i * 0 AS n FROM w WHERE a < i * 10) x;
DROP TABLE w;

-- nested loops: each outer row reads its part
EXPLAIN (COSTS OFF) SELECT id, payload FROM ids JOIN b ON streamq.msg_id(b.tableoid, b.ctid) = id WHERE id < 100;
EXPLAIN (COSTS OFF) SELECT id, payload FROM ids JOIN b ON streamq.msg_id(b.tableoid, b.ctid) BETWEEN id AND high WHERE id < 100;
SELECT count(*) FROM plan('SELECT id, (SELECT count(*) FROM b WHERE streamq.msg_id(tableoid, ctid) <= id) FROM ids WHERE id < 100') line WHERE line LIKE '%Message Range%';
SELECT same('SELECT id, payload FROM ids JOIN b ON streamq.msg_id(b.tableoid, b.ctid) = id ORDER BY 1, 2'),
    same('SELECT id, b.payload FROM ids LEFT JOIN b ON streamq.msg_id(b.tableoid, b.ctid) BETWEEN id AND high AND id < 100000 WHERE id < 100100 ORDER BY 1, 2'),
    same('SELECT id, (SELECT count(*) FROM b WHERE streamq.msg_id(tableoid, ctid) <= id) FROM ids WHERE id < 100 ORDER BY 1'),
    same('SELECT id, l.* FROM ids, LATERAL (SELECT id AS again, payload FROM b WHERE streamq.msg_id(tableoid, ctid) > id ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 2) l WHERE id < 100 ORDER BY 1, 3');

-- merge joins in log order
SET enable_hashjoin = off; SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM b x JOIN b y ON streamq.msg_id(x.tableoid, x.ctid) = streamq.msg_id(y.tableoid, y.ctid);
SELECT count(*) FROM b x JOIN b y ON streamq.msg_id(x.tableoid, x.ctid) = streamq.msg_id(y.tableoid, y.ctid);
RESET enable_hashjoin; RESET enable_nestloop;

-- partitioned tables and inheritance
CREATE TABLE p (at date, n int) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') USING streamq;
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') USING streamq;
INSERT INTO p SELECT '2026-01-01'::date + i % 58, i FROM generate_series(0, 5799) i;
ANALYZE p;
EXPLAIN (COSTS OFF) SELECT * FROM p WHERE streamq.msg_id(tableoid, ctid) >= 1000 AND n > 5;
EXPLAIN (COSTS OFF) SELECT * FROM p ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM ids JOIN p ON streamq.msg_id(p.tableoid, p.ctid) = id WHERE id < 100;
SELECT same('SELECT * FROM p WHERE streamq.msg_id(tableoid, ctid) BETWEEN 1000 AND 1009'),
    estimated('SELECT * FROM p WHERE streamq.msg_id(tableoid, ctid) BETWEEN 1000 AND 1009'),
    same('SELECT streamq.msg_id(tableoid, ctid) FROM p ORDER BY 1 LIMIT 100'),
    same('SELECT * FROM ids JOIN p ON streamq.msg_id(p.tableoid, p.ctid) = id ORDER BY id, n'),
    same('SELECT * FROM p WHERE streamq.produced_at(tableoid, ctid) < now() - interval ''1 hour''');
CREATE TABLE child () INHERITS (b) USING streamq;
INSERT INTO child SELECT to_jsonb(i) FROM generate_series(1, 2000) i;
ANALYZE child;
EXPLAIN (COSTS OFF) SELECT * FROM b WHERE streamq.msg_id(tableoid, ctid) >= 1000 AND streamq.msg_id(tableoid, ctid) < 1010;
-- named by the parent's oid, only the parent can be meant
SELECT plan('SELECT * FROM ONLY b WHERE streamq.msg_id(''b''::regclass, ctid) = 1000');
SELECT same('SELECT ctid, payload FROM b WHERE streamq.msg_id(tableoid, ctid) >= 1000 AND streamq.msg_id(tableoid, ctid) < 1010');
DROP TABLE child;

-- cursors turn round
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT streamq.msg_id(tableoid, ctid) AS id FROM b WHERE streamq.msg_id(tableoid, ctid) BETWEEN 4997 AND streamq.make_msg_id(1, 1);
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ALL FROM c;
FETCH BACKWARD 3 FROM c;
MOVE ABSOLUTE 0 IN c;
FETCH 1 FROM c;
FETCH LAST FROM c;
DECLARE d SCROLL CURSOR FOR SELECT streamq.msg_offset(streamq.msg_id(tableoid, ctid)) AS off FROM b ORDER BY streamq.msg_id(tableoid, ctid) DESC;
FETCH 2 FROM d;
FETCH BACKWARD 1 FROM d;
FETCH LAST FROM d;
FETCH BACKWARD 2 FROM d;
COMMIT;

-- the transaction's own rows, and those that are rolled back
BEGIN;
INSERT INTO s SELECT i, 'own' FROM generate_series(1, 3) i;
SELECT same('SELECT n FROM s WHERE t = ''own'' AND streamq.produced_at(tableoid, ctid) > now() - interval ''1 hour'' ORDER BY n');
SAVEPOINT a;
INSERT INTO s SELECT i, 'own' FROM generate_series(4, 6) i;
ROLLBACK TO a;
SELECT same('SELECT n FROM s WHERE t = ''own'' AND streamq.msg_id(tableoid, ctid) >= 0 ORDER BY n');
ROLLBACK;
SELECT same('SELECT n FROM s WHERE t = ''own'' AND streamq.msg_id(tableoid, ctid) >= 0');

-- not in the way of conditions that come first
CREATE ROLE regress_streamq_plan;
GRANT USAGE ON SCHEMA planning, streamq TO regress_streamq_plan;
GRANT SELECT ON s, b, ids TO regress_streamq_plan;
ALTER TABLE s ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON s USING (n <= 10);
CREATE FUNCTION leak(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN $1; END $$;
SET ROLE regress_streamq_plan;
EXPLAIN (COSTS OFF) SELECT * FROM s WHERE streamq.msg_id(tableoid, ctid) < streamq.make_msg_id(1, 0) AND t LIKE 'x%';
EXPLAIN (COSTS OFF) SELECT * FROM ids JOIN s ON streamq.msg_id(s.tableoid, s.ctid) = leak(id) WHERE id < 100;
SELECT count(*) FROM s WHERE streamq.msg_id(tableoid, ctid) >= 0;
RESET ROLE;
CREATE VIEW barrier WITH (security_barrier) AS SELECT tableoid, ctid, payload FROM b WHERE payload < '10';
EXPLAIN (COSTS OFF) SELECT * FROM barrier WHERE streamq.msg_id(tableoid, ctid) > 1 AND leak((payload #>> '{}')::bigint) > 8;
SELECT payload FROM barrier WHERE streamq.msg_id(tableoid, ctid) BETWEEN 8 AND 4000 AND leak((payload #>> '{}')::bigint) > 8;

-- parallel plans return each row once
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT same('SELECT count(*), count(DISTINCT id) FROM ids JOIN b ON streamq.msg_id(b.tableoid, b.ctid) BETWEEN 100 AND 199'),
    same('SELECT count(*) FROM b WHERE streamq.msg_id(tableoid, ctid) > 2000');
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; SET max_parallel_workers_per_gather = 0;

-- what is no bound, or no stream
EXPLAIN (COSTS OFF) SELECT * FROM b WHERE streamq.msg_id(tableoid, ctid) < random() * 10;
EXPLAIN (COSTS OFF) SELECT * FROM b WHERE streamq.msg_id(tableoid, ctid) < (random() * 10)::bigint;
SELECT plan('SELECT * FROM b WHERE streamq.msg_id(''s''::regclass, ctid) < 10');
EXPLAIN (COSTS OFF) SELECT * FROM b TABLESAMPLE SYSTEM (10) WHERE streamq.msg_id(tableoid, ctid) < 10;
SELECT * FROM ids WHERE streamq.msg_id(tableoid, ctid) < 10;
UPDATE b SET payload = '1' WHERE streamq.msg_id(tableoid, ctid) < 10;
SET streamq.enable_stream_scan = off;
EXPLAIN (COSTS OFF) SELECT * FROM b WHERE streamq.msg_id(tableoid, ctid) < 10;
RESET streamq.enable_stream_scan;

-- truncated: nothing below the first offset, offsets go on
CREATE TABLE emptied (n int) USING streamq;
SELECT same('SELECT n FROM emptied WHERE streamq.msg_id(tableoid, ctid) < 10'), same('SELECT n FROM emptied ORDER BY streamq.msg_id(tableoid, ctid) DESC');
INSERT INTO emptied SELECT generate_series(1, 5);
TRUNCATE emptied;
INSERT INTO emptied SELECT generate_series(6, 9);
EXPLAIN (COSTS OFF) SELECT * FROM emptied ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 2;
EXPLAIN (COSTS OFF) SELECT * FROM emptied WHERE streamq.produced_at(tableoid, ctid) > now() - interval '1 hour';
SELECT same('SELECT n FROM emptied WHERE streamq.msg_id(tableoid, ctid) BETWEEN 2 AND 6'), same('SELECT n FROM emptied ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 2');

-- read() in FROM hands out messages as they are asked for
EXPLAIN (COSTS OFF) SELECT msg_id, payload FROM streamq.read('b', 100, 1000) WHERE payload > '5' ORDER BY msg_id LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id, r.msg_id FROM ids, streamq.read('b', id, 2) r WHERE id BETWEEN 0 AND 100;
EXPLAIN (VERBOSE, COSTS OFF) SELECT r FROM streamq.read('b', max_messages => 2) r;
SELECT estimated('SELECT FROM streamq.read(''b'', 0, 50)'), estimated('SELECT FROM streamq.read(''b'', streamq.make_msg_id(2, 4990), 50)'),
    estimated('SELECT FROM streamq.consume(''b'', ''g'', 7)'), estimated('SELECT FROM streamq.consume_as(NULL::b, ''g'')');
SELECT call, same('SELECT * FROM ' || call)
FROM unnest(ARRAY[
    'streamq.read(''b'')',
    'streamq.read(''b'', 4990, 20)',
    'streamq.read(''b'', 0, 0)',
    'streamq.read(''b'', streamq.make_msg_id(200, 0))',
    'streamq.read(''s'', 0, 4000)',
    'streamq.read(''b'', 10, 100000) ORDER BY msg_id OFFSET 1000 LIMIT 10',
    'streamq.read(''b'') r WHERE r IS NOT NULL',
    '(SELECT r, r.payload FROM streamq.read(''b'', 3, 4) r) x',
    '(SELECT count(*) FROM streamq.read(''b'', 3, 4)) x',
    '(SELECT to_jsonb(r) FROM streamq.read(''s'', 3, 4) r) x',
    'ids, streamq.read(''b'', id, 2) WHERE id BETWEEN 0 AND 100',
    'ids LEFT JOIN LATERAL streamq.read(''b'', id, 3) r ON r.msg_id > id + 1 WHERE id BETWEEN 0 AND 100',
    'streamq.read(''b'', 0, 5) x, streamq.read(''b'', 3, 5) y WHERE x.msg_id = y.msg_id',
    'streamq.read(''b'', (SELECT min(id) FROM ids WHERE id > 0), 3)',
    'streamq.read(''b'', 0, 3) WITH ORDINALITY',
    'ROWS FROM (streamq.read(''b'', 0, 3), generate_series(1, 2)) x'
]) call;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT msg_id FROM streamq.read('b', 5, 4);
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
FETCH ALL FROM c;
DECLARE h CURSOR WITH HOLD FOR SELECT msg_id FROM streamq.read('b', 5, 2);
COMMIT;
FETCH ALL FROM h;
CLOSE h;
-- own messages are never among them
CREATE TABLE copied (payload jsonb) USING streamq;
INSERT INTO copied SELECT payload FROM streamq.read('b', 0, 5);
INSERT INTO copied SELECT payload FROM streamq.read('copied');
SELECT count(*) FROM copied;
-- rows of ids are locked and checked again: messages are kept as a whole
SELECT ltrim(line, ' ->') AS line FROM plan('SELECT id FROM ids, streamq.read(''b'', 10, 1) r WHERE id = r.msg_id FOR UPDATE OF ids') line WHERE line LIKE '%Function Scan%';
SELECT ltrim(line, ' ->') AS line FROM plan('UPDATE ids SET high = high FROM streamq.read(''b'', 10, 1) r WHERE id = r.msg_id') line WHERE line LIKE '%Function Scan%';
UPDATE ids SET high = high FROM streamq.read('b', 10, 1) r WHERE id = r.msg_id RETURNING id;
EXPLAIN (COSTS OFF) SELECT FROM streamq.read('b', (random() * 10)::int);
-- mistakes and privileges are found when it runs
SELECT * FROM streamq.read(NULL);
SELECT * FROM streamq.read('b', -1);
SELECT * FROM streamq.read('b', 0, -1);
SELECT * FROM streamq.read('ids');
SELECT * FROM streamq.read(0);
SET ROLE regress_streamq_plan;
SELECT count(*) FROM streamq.read('b', 0, 3);
SELECT * FROM streamq.read('s');
SELECT * FROM streamq.read('copied');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION streamq.read FROM PUBLIC;
SET ROLE regress_streamq_plan;
SELECT * FROM streamq.read('b');
RESET ROLE;
GRANT EXECUTE ON FUNCTION streamq.read TO PUBLIC;

SET client_min_messages = warning;
DROP SCHEMA planning CASCADE;
REVOKE USAGE ON SCHEMA streamq FROM regress_streamq_plan;
DROP ROLE regress_streamq_plan;
