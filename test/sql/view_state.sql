-- What a continuous view keeps for a group: composite keys whose type changes, large keys, and
-- many aggregates.
CREATE SCHEMA view_state;
SET search_path = view_state;

-- equal groups stay one group when an attribute is added
CREATE TYPE inner_pair AS (x int, y text);
CREATE TYPE pair AS (a int, b inner_pair);
CREATE DOMAIN pair_domain AS pair;
CREATE TABLE s (k pair, n int) USING streamq;
SELECT streamq.create_continuous_view('by_row', 'SELECT k, count(*) AS c, sum(n) AS n FROM s GROUP BY k') AS v;
SELECT streamq.create_continuous_view('by_array', 'SELECT ARRAY[k, NULL, k] AS k, count(*) AS c, sum(n) AS n FROM s GROUP BY 1') AS v;
SELECT streamq.create_continuous_view('by_domain', 'SELECT k::pair_domain AS k, count(*) AS c, sum(n) AS n FROM s GROUP BY 1') AS v;
SELECT streamq.create_continuous_view('by_stream', 'SELECT s AS k, count(*) AS c, sum(n) AS n FROM s GROUP BY s') AS v;
CREATE FUNCTION caught_up() RETURNS bool LANGUAGE sql AS $$
	SELECT bool_and(streamq.wait_until_caught_up(name)) FROM streamq.jobs WHERE name ~ '^by_'
$$;
-- rows in which a view and its query over the whole stream differ
CREATE FUNCTION differences(pattern text DEFAULT '^by_') RETURNS TABLE (view text, missing bigint, wrong bigint, groups bigint) LANGUAGE plpgsql AS $$
DECLARE
	q text;
BEGIN
	FOR view, q IN SELECT j.name, j.query FROM streamq.jobs j WHERE j.name ~ pattern ORDER BY 1 LOOP
		EXECUTE format('SELECT count(*) FROM (%s EXCEPT ALL SELECT * FROM %I) x', q, view) INTO missing;
		EXECUTE format('SELECT count(*) FROM (SELECT * FROM %I EXCEPT ALL %s) x', view, q) INTO wrong;
		EXECUTE format('SELECT count(*) FROM %I', view) INTO groups;
		RETURN NEXT;
	END LOOP;
END $$;
INSERT INTO s SELECT ROW(i % 3, ROW(i % 2, 'y'))::pair, i % 2 FROM generate_series(1, 60) i;
INSERT INTO s VALUES (NULL, 1), (ROW(NULL, NULL), 1), (ROW(1, ROW(NULL, 'y')), 1), (ROW(1, NULL), 1);
SELECT caught_up();
SELECT * FROM differences();
ALTER TYPE pair ADD ATTRIBUTE c text;
INSERT INTO s SELECT ROW(i % 3, ROW(i % 2, 'y'), CASE WHEN i % 4 = 0 THEN 'c' END)::pair, i % 2 FROM generate_series(1, 60) i;
SELECT caught_up();
SELECT * FROM differences();
ALTER TYPE inner_pair ADD ATTRIBUTE z numeric;
INSERT INTO s SELECT ROW(i % 3, ROW(i % 2, 'y', nullif(i % 2, 0)), NULL)::pair, i % 2 FROM generate_series(1, 60) i;
SELECT caught_up();
SELECT * FROM differences();
ALTER TABLE s ADD COLUMN more text;
INSERT INTO s SELECT ROW(i % 3, ROW(i % 2, 'y', NULL), NULL)::pair, i % 2, CASE WHEN i % 3 = 0 THEN 'm' END FROM generate_series(1, 60) i;
SELECT caught_up();
SELECT * FROM differences();
-- of a type that has no hash function, but can be compared (arrays of it cannot)
SELECT streamq.drop_continuous_view('by_array');
ALTER TYPE pair ADD ATTRIBUTE d tsvector;
INSERT INTO s SELECT ROW(i % 3, ROW(i % 2, 'y', NULL), NULL, CASE WHEN i % 5 = 0 THEN 'd'::tsvector END)::pair, i % 2 FROM generate_series(1, 60) i;
SELECT caught_up();
SELECT * FROM differences('^by_(row|domain)');
SELECT * FROM by_row ORDER BY k LIMIT 3;

-- a dropped one would make groups equal that are not one
ALTER TYPE pair DROP ATTRIBUTE c;
ALTER TYPE pair DROP ATTRIBUTE c CASCADE;
ALTER TYPE inner_pair DROP ATTRIBUTE y;
ALTER TABLE s DROP COLUMN more;
ALTER TYPE pair RENAME ATTRIBUTE c TO cc;
-- what no view groups by may be dropped, also when the view goes with it
CREATE TYPE other AS (a int, b int);
ALTER TYPE other DROP ATTRIBUTE b;
SELECT streamq.drop_continuous_view('by_stream');
ALTER TABLE s DROP COLUMN more;
INSERT INTO s SELECT ROW(i % 3, ROW(i % 2, 'y', NULL), NULL, NULL)::pair, i % 2 FROM generate_series(1, 60) i;
SELECT caught_up();
SELECT * FROM differences();
SET client_min_messages = warning;
ALTER TABLE s DROP COLUMN k CASCADE;
RESET client_min_messages;
ALTER TYPE pair DROP ATTRIBUTE cc;
SELECT count(*) FROM streamq.jobs WHERE name ~ '^by_';

-- large keys: they are not in the index, and go out of the row
CREATE TABLE large (t text, j jsonb, n int) USING streamq;
SELECT streamq.create_continuous_view('by_large', 'SELECT t, j, sum(n) AS n, max(t) AS most FROM large GROUP BY t, j') AS v;
SELECT streamq.pause('by_large');
CREATE TABLE keys AS
SELECT g, (SELECT string_agg(md5(g || ' ' || i), '') FROM generate_series(1, 320) i) AS t,
	(SELECT jsonb_object_agg(i, md5(g || ' ' || i)) FROM generate_series(1, CASE g WHEN 1 THEN 25000 ELSE 300 END) i) AS j
FROM generate_series(1, 5) g;
SELECT length(t) > 10000 AS text, max(octet_length(j::text)) > 1000000 AS jsonb FROM keys GROUP BY 1;
INSERT INTO large SELECT t, j, g FROM keys;
SELECT streamq.run_job('by_large');
-- keys are written once: what changes is the largest text
CREATE FUNCTION toasted() RETURNS oid[] LANGUAGE plpgsql AS $$
DECLARE
	ids oid[];
BEGIN
	EXECUTE (SELECT format('SELECT array_agg(DISTINCT chunk_id) FROM %s', c.reltoastrelid::regclass)
		FROM streamq.job b JOIN pg_class c ON c.oid = b.state_table WHERE b.target = 'by_large'::regclass) INTO ids;
	RETURN ids;
END $$;
CREATE TABLE before AS SELECT unnest(toasted()) AS id;
INSERT INTO large SELECT t, j, g FROM keys;
SELECT streamq.run_job('by_large');
SELECT count(*), count(b.id) AS as_before FROM unnest(toasted()) id LEFT JOIN before b USING (id);
INSERT INTO large SELECT t, j, g FROM keys WHERE g <> 3;
SELECT streamq.run_job('by_large');
SELECT * FROM differences();
SELECT errors FROM streamq.jobs WHERE name = 'by_large';
SELECT k.g, v.n FROM by_large v JOIN keys k USING (t, j) ORDER BY 1;

-- as many aggregates as a row has room for
CREATE TABLE wide (n int) USING streamq;
CREATE FUNCTION many(aggregate text, n int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN streamq.create_continuous_view('by_many', format('SELECT %s FROM wide',
		(SELECT string_agg(format(aggregate, i) || ' AS a' || i, ', ') FROM generate_series(1, n) i)));
EXCEPTION WHEN OTHERS THEN
	RETURN format('%s %s', SQLSTATE, SQLERRM);
END $$;
INSERT INTO wide SELECT generate_series(1, 100);
SELECT many('count(n + %s)', 1500);
SELECT many('sum(n * %s::numeric)', 500);
SELECT many('bool_or(n > %s)', 1620);
SELECT many('count(n + %s)', 990);
SELECT caught_up();
SELECT * FROM differences();
DROP VIEW by_many;
SELECT many('sum(n * %s::numeric)', 310);
SELECT caught_up();
INSERT INTO wide SELECT generate_series(1, 100);
SELECT caught_up();
SELECT * FROM differences();
DROP VIEW by_many;
SELECT streamq.create_continuous_view('by_many', 'SELECT ' || (SELECT string_agg(format('sum(n + %s)', i), ', ') FROM generate_series(1, 1100) i) || ' FROM wide');

-- states that change with every batch are changed on their page: old versions make room for new ones
CREATE TABLE hot (k int, n numeric) USING streamq;
SELECT streamq.create_continuous_view('by_hot', 'SELECT k, count(*) AS c, sum(n) AS n FROM hot GROUP BY k') AS v;
SELECT streamq.pause('by_hot');
DO $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		INSERT INTO hot SELECT j, i FROM generate_series(1, 100) j;
		COMMIT;
		PERFORM streamq.run_job('by_hot');
		COMMIT;
	END LOOP;
END $$;
SELECT * FROM differences('^by_hot');
SELECT pg_relation_size(state_table) < 1000000 AS small FROM streamq.job WHERE target = 'by_hot'::regclass;

-- values of functions that belong to something else
SELECT streamq.aggregate_result('json_agg(anyelement)', '{int}', NULL::streamq.aggregate_state, NULL::json);
SELECT streamq.aggregate_result('sum(int8)', '{int8}', NULL::int8, NULL::numeric);
SELECT streamq.aggregate_result('sum(int8)', '{}', NULL::streamq.aggregate_state, NULL::numeric);
SELECT streamq.aggregate_result('sum(int8)', '{{int8}}', NULL::streamq.aggregate_state, NULL::numeric);
SELECT streamq.aggregate_result('max(anyarray)', '{int4}', NULL::int4, NULL::int4);
SELECT streamq.aggregate_result('max(anyarray)', '{int4[]}', '{1}'::int4[], NULL::int4[]);
SELECT streamq.aggregate_result(0, '{int8}', NULL::int8, NULL::numeric);
SELECT streamq.aggregate_result('sum(int8)', '{0}', NULL::streamq.aggregate_state, NULL::numeric);
SELECT streamq.aggregate_result('mode(anyelement)', '{int8}', NULL::int8, NULL::int8);

SET client_min_messages = warning;
DROP SCHEMA view_state CASCADE;
