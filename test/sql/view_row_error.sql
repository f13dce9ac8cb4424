-- A row on which the query raises an error is passed over, whatever the error is,
-- unless it is known to be the system's.
CREATE SCHEMA row_error;
SET search_path = row_error;
CREATE TABLE ev (at timestamptz, v text) USING streamq;
CREATE FUNCTION raise(code text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF code IS NOT NULL THEN
		RAISE EXCEPTION 'raised: %', code USING ERRCODE = code;
	END IF;
	RETURN 'fine';
END $$;
CREATE FUNCTION try_run() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN streamq.run_job('v') || ' rows';
EXCEPTION WHEN OTHERS OR QUERY_CANCELED OR ASSERT_FAILURE THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE TABLE result (n serial, code text, result text);
SELECT streamq.create_continuous_view('v', 'SELECT raise(v) AS k, count(*) AS n FROM ev GROUP BY 1') AS v;
SELECT streamq.pause('v');

-- SQLSTATEs of the function's own, and those that PostgreSQL gives to data
SELECT format('INSERT INTO ev VALUES (''2026-03-01'', %L)', code),
	format('INSERT INTO result (code, result) VALUES (%L, try_run())', code)
FROM unnest('{U0001,ZZ999,P0001,P0002,P0004,22012,22P02,23505,23514,0A000,21000,2F002,38000,39004,
	42P01,42703,42704,42883,42601,42602,42804,3F000,3D000,34000,54000,54001,55000,2BP01,XZ000,99999}'::text[]) code
\gexec
SELECT r.code, r.result, e.message FROM result r LEFT JOIN streamq.job_errors e ON e.job = 'v' AND e.sqlstate = r.code
ORDER BY r.n;
-- the system's: nothing is passed over
TRUNCATE result, ev;
SELECT format('INSERT INTO ev VALUES (''2026-03-01'', NULL), (''2026-03-01'', %L), (''2026-03-01'', NULL)', code),
	format('INSERT INTO result (code, result) VALUES (%L, try_run())', code),
	'TRUNCATE ev'
FROM unnest('{40001,40P01,53000,53100,53200,53300,53400,55006,55P03,57014,57P01,58000,58030,XX000,XX001,
	42501,08006,25006,28000,F0000,HV00N}'::text[]) code
\gexec
SELECT r.code, r.result, e.message FROM result r LEFT JOIN streamq.job_errors e ON e.job = 'v' AND e.sqlstate = r.code
ORDER BY r.n;
INSERT INTO ev VALUES ('2026-03-01', NULL), ('2026-03-01', NULL);
SELECT streamq.run_job('v');
SELECT * FROM v;
SELECT streamq.drop_continuous_view('v');

-- names in values that nothing has
CREATE TABLE casts (kind text, v text) USING streamq;
SELECT streamq.create_continuous_view('c', $$
	SELECT CASE kind
		WHEN 'class' THEN v::regclass::oid::int8
		WHEN 'type' THEN v::regtype::oid::int8
		WHEN 'proc' THEN v::regproc::oid::int8
		WHEN 'procedure' THEN v::regprocedure::oid::int8
		WHEN 'oper' THEN v::regoper::oid::int8
		WHEN 'operator' THEN v::regoperator::oid::int8
		WHEN 'role' THEN v::regrole::oid::int8
		WHEN 'namespace' THEN v::regnamespace::oid::int8
		WHEN 'config' THEN v::regconfig::oid::int8
		WHEN 'dictionary' THEN v::regdictionary::oid::int8
		WHEN 'collation' THEN v::regcollation::oid::int8
		WHEN 'privilege' THEN has_table_privilege(v, 'SELECT')::int::int8
		WHEN 'path' THEN jsonb_path_exists('{}', v::jsonpath)::int::int8
		WHEN 'query' THEN numnode(v::tsquery)::int8
		WHEN 'regexp' THEN ('a' ~ v)::int::int8
		WHEN 'uuid' THEN length(v::uuid::text)::int8
		ELSE v::int8 END > 0 AS known, count(*) AS n
	FROM casts GROUP BY 1 $$) AS c;
SELECT streamq.pause('c');
-- one in a batch of its own, then all of them among good ones
INSERT INTO casts VALUES ('class', 'nosuch');
SELECT streamq.run_job('c');
INSERT INTO casts SELECT k, 'pg_class' FROM unnest('{class,type}'::text[]) k;
INSERT INTO casts SELECT k, 'no such thing (' FROM unnest('{class,type,proc,procedure,oper,operator,role,namespace,
	config,dictionary,collation,privilege,path,query,regexp,uuid,number}'::text[]) k;
INSERT INTO casts VALUES ('class', 'a.b.c.d'), ('class', 'no.such'), ('class', 'no.such.thing'), ('type', 'nosuch'),
	('type', 'no.such'), ('proc', 'nosuch'), ('procedure', 'nosuch(int)'), ('operator', '+(int,point)'),
	('role', 'nosuch'), ('namespace', 'nosuch'), ('number', '1');
SELECT streamq.run_job('c');
SELECT * FROM c ORDER BY known;
SELECT sqlstate, count(*) FROM streamq.job_errors WHERE job = 'c' GROUP BY 1 ORDER BY 1;
SELECT rows_processed, errors, lag FROM streamq.jobs WHERE name = 'c';
SELECT streamq.drop_continuous_view('c');

-- A statement in a function of the query that cannot be analyzed is the job's error
-- as long as it stops every row: the table comes back, and nothing was left out.
CREATE TABLE lookup (v text, name text);
CREATE FUNCTION look_up(w text) RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	IF w = 'skip' THEN
		RETURN 'skipped';
	END IF;
	RETURN (SELECT name FROM row_error.lookup WHERE v = w);
END $$;
CREATE TABLE lv (v text) USING streamq;
SELECT streamq.create_continuous_view('l', 'SELECT look_up(v) AS name, count(*) AS n FROM lv GROUP BY 1') AS l;
SELECT streamq.pause('l');
INSERT INTO lookup VALUES ('a', 'Anna'), ('b', 'Bert');
INSERT INTO lv VALUES ('a'), ('b');
SELECT streamq.run_job('l');
ALTER TABLE lookup RENAME TO gone;
INSERT INTO lv SELECT CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 200) i;
\set VERBOSITY terse
SELECT streamq.run_job('l');
SELECT streamq.run_job('l', 1);
ALTER TABLE gone RENAME COLUMN name TO names;
ALTER TABLE gone RENAME TO lookup;
SELECT streamq.run_job('l');
\set VERBOSITY default
ALTER TABLE lookup RENAME COLUMN names TO name;
SELECT streamq.run_job('l');
SELECT * FROM l ORDER BY name;
-- when others get through it is that of the row
ALTER TABLE lookup RENAME TO gone;
INSERT INTO lv VALUES ('a'), ('skip'), ('b');
SELECT streamq.run_job('l');
SELECT * FROM l ORDER BY name;
SELECT sqlstate, message FROM streamq.job_errors WHERE job = 'l' ORDER BY msg_id;
SELECT streamq.drop_continuous_view('l');

-- statements that are made of values: the error is another one each time
CREATE TABLE dv (v text) USING streamq;
CREATE FUNCTION rows_of(tab text) RETURNS bigint STABLE LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE 'SELECT count(*) FROM ' || tab INTO n;
	RETURN n;
END $$;
SELECT streamq.create_continuous_view('d', 'SELECT sum(rows_of(v)) AS n FROM dv') AS d;
SELECT streamq.pause('d');
INSERT INTO dv VALUES ('nosuch'), ('nosuch2'), ('gone');
SELECT streamq.run_job('d');
SELECT * FROM d;
SELECT sqlstate, message FROM streamq.job_errors WHERE job = 'd' ORDER BY msg_id;
SELECT streamq.drop_continuous_view('d');

-- what cannot be stored: a key of a type that stays in the row, too large for a page
CREATE TABLE q (words text, n int) USING streamq;
SELECT streamq.create_continuous_view('qv', 'SELECT words::tsquery AS q, sum(n) AS n FROM q GROUP BY 1') AS qv;
SELECT streamq.pause('qv');
INSERT INTO q VALUES ((SELECT string_agg('word' || i, '|') FROM generate_series(1, 2000) i), 0);
SELECT streamq.run_job('qv');
INSERT INTO q SELECT 'w' || i % 7, i FROM generate_series(1, 1000) i;
INSERT INTO q VALUES ((SELECT string_agg('word' || i, '|') FROM generate_series(1, 1000) i), 0);
INSERT INTO q SELECT 'w' || i % 7, i FROM generate_series(1, 1000) i;
SELECT streamq.run_job('qv') > 0 AS ran;
SELECT streamq.run_job('qv') >= 0 AS ran;
SELECT * FROM qv EXCEPT SELECT words::tsquery, sum(n) FROM q WHERE length(words) < 10 GROUP BY 1;
SELECT count(*) FROM qv;
SELECT rows_processed, errors, lag FROM streamq.jobs WHERE name = 'qv';
SELECT msg_id, sqlstate FROM streamq.job_errors WHERE job = 'qv' ORDER BY 1;
SELECT streamq.drop_continuous_view('qv');

-- a batch does not run itself: the query calls a function that does
CREATE TABLE own (v int) USING streamq;
CREATE FUNCTION run_again(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE CASE v WHEN 1 THEN 'SELECT streamq.run_job(''row_error.o'')'
		WHEN 2 THEN 'SELECT streamq.run_job(''row_error.other'')'
		WHEN 3 THEN 'SELECT streamq.drop_continuous_view(''row_error.o'')' ELSE 'SELECT 1' END;
	RETURN v;
END $$;
SELECT streamq.create_continuous_view('o', 'SELECT sum(run_again(v)) AS n FROM own') AS o;
SELECT streamq.pause('o');
SELECT streamq.create_continuous_view('other', 'SELECT sum(run_again(v)) AS n FROM own') AS other;
SELECT streamq.pause('other');
INSERT INTO own VALUES (0), (1), (0);
\set SHOW_CONTEXT never
SELECT streamq.run_job('o');
TRUNCATE own;
-- nor by way of another
INSERT INTO own VALUES (2);
SELECT streamq.run_job('o');
TRUNCATE own;
-- nor does it drop its view
INSERT INTO own VALUES (3);
SELECT streamq.run_job('o');
TRUNCATE own;
\set SHOW_CONTEXT errors
-- after that it runs
INSERT INTO own VALUES (0), (5);
SELECT streamq.run_job('o'), streamq.run_job('other');
SELECT * FROM o, other;

SET client_min_messages = warning;
DROP SCHEMA row_error CASCADE;
