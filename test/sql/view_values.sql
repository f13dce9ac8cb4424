-- after any batches, in any order of time, the view is the same query by hand
CREATE SCHEMA values_test;
SET search_path = values_test;
SET TIME ZONE 'UTC';
-- rows in the order of the stream, for lists and sums of floating point numbers
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;
SET extra_float_digits = 3;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);

-- aggregates of users: no combine function; polymorphic; strict that returns NULL;
-- expanded arrays; internal arithmetic by the final function's extra arguments
CREATE FUNCTION last_step(text, text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT coalesce($2, $1)';
CREATE AGGREGATE last_value(text) (SFUNC = last_step, STYPE = text);
CREATE FUNCTION first_step(anyelement, anyelement) RETURNS anyelement IMMUTABLE STRICT LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE first_of(anyelement) (SFUNC = first_step, STYPE = anyelement);
CREATE FUNCTION poison_step(int, int) RETURNS int IMMUTABLE STRICT LANGUAGE sql AS 'SELECT CASE WHEN $2 = 13 THEN NULL ELSE $1 + $2 END';
CREATE AGGREGATE poison(int) (SFUNC = poison_step, STYPE = int);
CREATE AGGREGATE poison_from(int) (SFUNC = poison_step, STYPE = int, INITCOND = '100');
CREATE AGGREGATE collect(anycompatible) (SFUNC = array_append, STYPE = anycompatiblearray, INITCOND = '{}');
CREATE FUNCTION pair_step(pair, int, text) RETURNS pair IMMUTABLE LANGUAGE sql
AS 'SELECT row(coalesce($1.a, 0) + coalesce($2, 1), greatest($1.b, $3))::pair';
CREATE FUNCTION pair_final(pair, int, text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1.a || ''/'' || $1.b';
CREATE AGGREGATE pair_agg(int, text) (SFUNC = pair_step, STYPE = pair, FINALFUNC = pair_final, FINALFUNC_EXTRA);

CREATE TABLE s (
	at timestamptz, i2 int2, i4 int4, i8 int8, n numeric, f4 float4, f8 float8, t text, c text COLLATE "C",
	v varchar(20), ch char(5), b bool, d date, ts timestamp, iv interval, by bytea, u uuid, m mood, p positive,
	a int[], j jsonb, ip inet, mo money, bi bit(4), x float8
) USING streamq;

CREATE FUNCTION fill(n int, seed float8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	INSERT INTO s
	SELECT CASE WHEN random() < 0.02 THEN NULL WHEN random() < 0.01 THEN 'infinity'
			ELSE '2024-03-01'::timestamptz + (i * 20 + random() * 20000 - 10000) * interval '1 s' END,
		nullif((random() * 20)::int, 7)::int2, nullif((random() * 20)::int, 7), nullif((random() * 20)::int, 7)::int8 * 1000000007,
		CASE WHEN random() < 0.1 THEN NULL WHEN random() < 0.002 THEN 'NaN' ELSE (random() * 1000)::numeric(20,8) END,
		random(), CASE WHEN random() < 0.1 THEN NULL ELSE random() * 1e6 END,
		nullif('t' || (random() * 4)::int, 't2'), chr(65 + (random() * 40)::int), 'v' || (random() * 3)::int, chr(97 + (random() * 3)::int),
		CASE WHEN random() < 0.5 THEN random() < 0.7 END, '2024-01-01'::date + (random() * 5)::int,
		'2024-01-01'::timestamp + (random() * 5)::int * interval '1 day', (random() * 3)::int * interval '1 hour 1 s',
		decode(md5((random() * 3)::int::text), 'hex'), md5((random() * 3)::int::text)::uuid,
		(enum_range(NULL::mood))[1 + (random() * 2)::int], 1 + (random() * 3)::int,
		ARRAY[(random() * 2)::int, NULL], jsonb_build_object('k', (random() * 2)::int),
		('10.0.0.' || (random() * 3)::int)::inet, (random() * 3)::int::money, (random() * 15)::int::bit(4),
		CASE (random() * 3)::int WHEN 0 THEN 0.0 WHEN 1 THEN '-0' WHEN 2 THEN 'NaN' END
	FROM generate_series(1, n) i;
END $$;

CREATE TABLE queries (name text, query text);
INSERT INTO queries VALUES
('v_ints', $$ SELECT window_start, window_end, t, count(*) AS n, count(i4) AS c, sum(i2) AS s2, sum(i4) AS s4, sum(i8) AS s8,
	avg(i2) AS a2, avg(i4) AS a4, avg(i8) AS a8, min(i4) AS mi, max(i8) AS ma,
	stddev(i4) AS sd, var_pop(i8) AS vp, bit_and(i4) AS ba, bit_or(i8) AS bo, bit_xor(i2) AS bx
	FROM s, streamq.tumble(at, '1 h') GROUP BY window_start, window_end, t $$),
('v_numeric', $$ SELECT window_start, sum(n) AS s, avg(n) AS a, min(n) AS mi, max(n) AS ma, stddev_samp(n) AS ss, var_samp(n) AS vs,
	sum(mo) AS money, sum(iv) AS siv, avg(iv) AS aiv
	FROM s, streamq.tumble(at, '90 minutes', '2024-01-01 00:10:00+00') GROUP BY window_start $$),
('v_floats', $$ SELECT window_end, b, sum(f4) AS s4, avg(f4) AS a4, sum(f8) AS s8, avg(f8) AS a8, stddev(f8) AS sd,
	corr(f8, i4) AS co, regr_slope(f8, i4) AS sl, regr_count(f8, i4) AS rc, covar_pop(f8, f4) AS cv, min(x) AS mi
	FROM s, streamq.tumble(at, '1 day') GROUP BY window_end, b $$),
('v_minmax', $$ SELECT window_start, min(t) AS t, max(c) AS c, min(v) AS v, max(ch) AS ch, min(d) AS d, max(ts) AS ts, min(iv) AS iv,
	max(m) AS m, min(p) AS p, max(a) AS a, min(ip) AS ip, max(mo) AS mo, bool_and(b) AS ba, bool_or(b) AS bo, every(b) AS ev, max(t COLLATE "C") AS tc
	FROM s, streamq.tumble(at, '6 h') GROUP BY window_start $$),
('v_users', $$ SELECT window_start, last_value(t) AS lv, first_of(i4) AS f4, first_of(t) AS ft, poison(i4) AS po, poison_from(i4) AS pf,
	collect(i4) AS co, collect(t) AS ct, pair_agg(i4, t) AS pa
	FROM s, streamq.tumble(at, '12 h') GROUP BY window_start $$),
('v_filter', $$ SELECT window_start, count(*) FILTER (WHERE b) AS yes, count(*) FILTER (WHERE false) AS none, sum(n) FILTER (WHERE i4 > 100) AS empty,
	avg(n) FILTER (WHERE i4 > 10) AS some, count(*) FILTER (WHERE at < window_start + interval '10 min') AS early,
	sum(CASE WHEN b THEN i4 ELSE -1 END) AS cases, sum(i4) + avg(n) * count(*) AS expr, coalesce(max(t), 'none') || min(c) AS txt
	FROM s, streamq.tumble(at, '1 h') WHERE i4 <> 3 GROUP BY window_start HAVING count(*) > 2 AND sum(i4) IS NOT NULL $$),
('v_month', $$ SELECT window_start, window_end, count(*) AS n FROM s, streamq.tumble(at, '1 month') GROUP BY 1, 2 $$),
('v_local', $$ SELECT window_start, date_trunc('minute', window_start) AS m, count(*) AS n FROM s, streamq.tumble(ts, '1 day') GROUP BY 1, 2 $$),
('v_keys1', $$ SELECT i2, i8, n > 500 AS big, t, v, ch, count(*) AS k FROM s GROUP BY 1, 2, 3, 4, 5, 6 $$),
('v_keys2', $$ SELECT d, ts, iv, by, u, m, p, count(*) AS k FROM s GROUP BY 1, 2, 3, 4, 5, 6, 7 $$),
('v_keys3', $$ SELECT a, j, ip, mo, bi, count(*) AS k FROM s GROUP BY 1, 2, 3, 4, 5 $$),
('v_keys4', $$ SELECT x, c, upper(t) AS ut, i4 % 3 AS m3, 'const' AS k0, count(*) AS k FROM s GROUP BY x, c, upper(t), i4 % 3 $$),
('v_noagg', $$ SELECT window_start, t FROM s, streamq.tumble(at, '1 h') GROUP BY window_start, t $$),
('v_total', $$ SELECT count(*) AS n, sum(n) AS s, avg(f8) AS a FROM s WHERE i4 > 1000 $$),
('v_join', $$ SELECT w.window_start, count(*) AS n FROM s JOIN LATERAL streamq.tumble(s.at, size => '2 h') w ON s.i4 > 5 WHERE s.b GROUP BY w.window_start $$);

CREATE FUNCTION make_views() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	q queries;
BEGIN
	FOR q IN SELECT * FROM queries LOOP
		PERFORM streamq.create_continuous_view(q.name, q.query);
		PERFORM streamq.pause(q.name);
		-- EXCEPT needs comparable columns and would take 0 and -0 for one: compare text
		EXECUTE format('CREATE VIEW %I AS %s', 'batch_' || q.name, q.query);
	END LOOP;
END $$;

CREATE FUNCTION run_views(batch_rows int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	q queries;
BEGIN
	FOR q IN SELECT * FROM queries LOOP
		PERFORM streamq.run_job(q.name, batch_rows);
	END LOOP;
END $$;

CREATE FUNCTION differences() RETURNS TABLE (name text, missing bigint, wrong bigint, has_rows bool) LANGUAGE plpgsql AS $$
DECLARE
	q queries;
BEGIN
	FOR q IN SELECT * FROM queries LOOP
		name := q.name;
		EXECUTE format('SELECT count(*) FROM (SELECT batch::text FROM %1$I batch EXCEPT ALL SELECT kept::text FROM %2$I kept) x', 'batch_' || q.name, q.name) INTO missing;
		EXECUTE format('SELECT count(*) FROM (SELECT kept::text FROM %2$I kept EXCEPT ALL SELECT batch::text FROM %1$I batch) x', 'batch_' || q.name, q.name) INTO wrong;
		EXECUTE format('SELECT count(*) > 0 FROM %I', q.name) INTO has_rows;
		RETURN NEXT;
	END LOOP;
END $$;

SELECT make_views();
SELECT * FROM differences();
SELECT fill(500, 0.1);
SELECT run_views(1000000);
SELECT * FROM differences();
SELECT fill(300, 0.2);
SELECT run_views(1);
SELECT fill(1500, 0.3);
SELECT fill(700, 0.4);
SELECT run_views(97);
SELECT * FROM differences();

-- columns have the names and types of the query's
SELECT count(*) FROM queries q
JOIN pg_attribute v ON v.attrelid = q.name::regclass AND v.attnum > 0
FULL JOIN pg_attribute b ON b.attrelid = ('batch_' || q.name)::regclass AND b.attnum = v.attnum
WHERE q.name IS NOT NULL AND (v.attname, v.atttypid, v.atttypmod, v.attcollation) IS DISTINCT FROM (b.attname, b.atttypid, b.atttypmod, b.attcollation);

-- a view's text can be read back
DO $$
DECLARE
	q queries;
BEGIN
	FOR q IN SELECT * FROM queries LOOP
		EXECUTE format('CREATE VIEW %I AS %s', 'again_' || q.name, pg_get_viewdef(q.name::regclass));
		EXECUTE format('SELECT 1 FROM %I', 'again_' || q.name);
	END LOOP;
END $$;

-- lists can be kept where their states can be serialized, from version 16 on
DO $$
DECLARE
	query text := 'SELECT window_start, string_agg(t, '','') AS l, array_agg(i4) AS a, array_agg(t) AS ta, string_agg(by, ''-'') AS b,
		array_agg(a) AS aa FROM s, streamq.tumble(at, ''3 h'') GROUP BY window_start';
	different bigint;
BEGIN
	IF current_setting('server_version_num')::int < 160000 THEN
		RETURN;
	END IF;
	PERFORM streamq.create_continuous_view('v_lists', query);
	PERFORM streamq.pause('v_lists');
	PERFORM streamq.run_job('v_lists', 97);
	EXECUTE format('SELECT count(*) FROM (SELECT kept::text FROM v_lists kept EXCEPT ALL SELECT batch::text FROM (%s) batch) x', query)
		INTO different;
	IF different <> 0 OR (SELECT count(*) FROM v_lists) = 0 THEN
		RAISE EXCEPTION '% rows differ', different;
	END IF;
END $$;

-- keys longer than an index entry can be
CREATE TABLE long_keys (k text, v int) USING streamq;
SELECT streamq.create_continuous_view('by_long', 'SELECT k, sum(v) FROM long_keys GROUP BY k');
SELECT streamq.pause('by_long');
INSERT INTO long_keys SELECT (SELECT string_agg(md5(i::text || g::text), '') FROM generate_series(1, 400) g), i
FROM generate_series(1, 3) i, generate_series(1, 2);
SELECT streamq.run_job('by_long', 2);
SELECT length(k), sum FROM by_long ORDER BY 2;

-- a collation that takes different strings for equal
DO $$
BEGIN
	CREATE COLLATION values_test.ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN
	CREATE COLLATION values_test.ignore_case FROM "C";
END $$;
CREATE TABLE words (w text COLLATE ignore_case) USING streamq;
SELECT streamq.create_continuous_view('by_word', 'SELECT w, count(*) FROM words GROUP BY w');
SELECT streamq.pause('by_word');
INSERT INTO words VALUES ('a'), ('A'), ('b');
SELECT streamq.run_job('by_word', 1);
INSERT INTO words VALUES ('B'), ('c'), ('C');
SELECT streamq.run_job('by_word');
SELECT count(*) FROM (SELECT count FROM by_word EXCEPT ALL SELECT count(*) FROM words GROUP BY w) x;

SET client_min_messages = warning;
DROP SCHEMA values_test CASCADE;
