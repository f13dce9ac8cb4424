-- aggregate_merge() makes one stored state of several: the states of subgroups, merged,
-- give the aggregate over all rows of the group.
CREATE SCHEMA view_merge;
SET search_path = view_merge;

-- strict, no initial value, and null for good after a negative number
CREATE FUNCTION keep_positive(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT CASE WHEN $2 >= 0 THEN $1 + $2 END';
CREATE AGGREGATE positive_sum(int) (SFUNC = keep_positive, STYPE = int, COMBINEFUNC = keep_positive);
-- the same with an initial value
CREATE AGGREGATE positive_sum_from_0(int) (SFUNC = keep_positive, STYPE = int, COMBINEFUNC = keep_positive, INITCOND = '0');
-- not strict: null means something, and both functions see it
CREATE FUNCTION count_nulls(text, int) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT CASE WHEN $2 IS NULL THEN coalesce($1, '') || 'n' ELSE $1 END$$;
CREATE FUNCTION join_nulls(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT CASE WHEN $1 IS NOT NULL OR $2 IS NOT NULL THEN coalesce($1, '') || coalesce($2, '') END$$;
CREATE AGGREGATE nulls(int) (SFUNC = count_nulls, STYPE = text, COMBINEFUNC = join_nulls, FINALFUNC = length);
-- an expanded array as its state
CREATE FUNCTION sorted(int[]) RETURNS int[] LANGUAGE sql IMMUTABLE AS 'SELECT array_agg(x ORDER BY x) FROM unnest($1) x';
CREATE AGGREGATE gather(int) (SFUNC = array_append, STYPE = int[], COMBINEFUNC = array_cat, INITCOND = '{}', FINALFUNC = sorted);
-- no combine function
CREATE AGGREGATE loner(int) (SFUNC = int4_sum, STYPE = int8);

CREATE TABLE s (k int, j int, i int, n numeric, f float8, t text COLLATE "C", b bool, v interval, a int[]) USING streamq;
INSERT INTO s
SELECT k, j, CASE WHEN k = 3 AND j = 2 AND x = 3 THEN -1 WHEN x % 4 <> 0 THEN x + j END,
	CASE WHEN j <> 1 THEN x * 1.10 + j END, CASE WHEN x % 3 <> 0 THEN x END,
	CASE WHEN k <> 2 THEN chr(65 + (x * 7 + j) % 26) END, (x + j) % 5 > 0, x * interval '1 hour', ARRAY[x, j]
FROM generate_series(1, 5) k, generate_series(1, 4) j, generate_series(1, 6) x;
-- a group without input
INSERT INTO s SELECT 6, j FROM generate_series(1, 3) j;

-- the aggregates, with their argument types and the argument
CREATE TABLE aggs (n int GENERATED ALWAYS AS IDENTITY, aggregate regprocedure, types regtype[], arg text, result text);
INSERT INTO aggs (aggregate, types, arg, result) VALUES
	('count("any")', '{int}', 'i', 'int8'), ('sum(int)', '{int}', 'i', 'int8'), ('avg(int)', '{int}', 'i', 'numeric'),
	('sum(int8)', '{int8}', 'i::int8', 'numeric'), ('sum(numeric)', '{numeric}', 'n', 'numeric'), ('avg(numeric)', '{numeric}', 'n', 'numeric'),
	('stddev(int8)', '{int8}', 'i::int8', 'numeric'), ('sum(float8)', '{float8}', 'f', 'float8'), ('avg(float8)', '{float8}', 'f', 'float8'),
	('max(text)', '{text}', 't', 'text COLLATE "C"'), ('min(anyarray)', '{int[]}', 'a', 'int[]'), ('bool_and(bool)', '{bool}', 'b', 'bool'),
	('sum(interval)', '{interval}', 'v', 'interval'), ('avg(interval)', '{interval}', 'v', 'interval'), ('bit_xor(int)', '{int}', 'i', 'int'),
	('regr_count(float8,float8)', '{float8,float8}', 'f, i', 'int8'), ('positive_sum(int)', '{int}', 'i', 'int'),
	('positive_sum_from_0(int)', '{int}', 'i', 'int'), ('nulls(int)', '{int}', 'i', 'int4'), ('gather(int)', '{int}', 'i', 'int[]');

-- a view of the subgroups, whose states are merged
DO $$
BEGIN
	PERFORM streamq.create_continuous_view('parts', format('SELECT k, j, %s FROM s GROUP BY k, j',
		(SELECT string_agg(format('%s(%s) AS a%s', split_part(aggregate::text, '(', 1), arg, n), ', ' ORDER BY n) FROM aggs)));
	EXECUTE format('ALTER TABLE %s RENAME TO parts_state', (SELECT state_table FROM streamq.job WHERE target = 'parts'::regclass));
END $$;
SELECT streamq.wait_until_caught_up('parts');

-- the rows in which merged states and the query differ
CREATE FUNCTION differences(by text) RETURNS TABLE (aggregate regprocedure, k int, merged text, expected text) LANGUAGE plpgsql AS $$
DECLARE
	a aggs;
BEGIN
	FOR a IN SELECT * FROM aggs ORDER BY n LOOP
		RETURN QUERY EXECUTE format($q$
			SELECT %1$L::regprocedure, k, m.v::text, q.v::text
			FROM (SELECT %7$s AS k, streamq.aggregate_result(%1$L, %2$L, streamq.aggregate_merge(%1$L, %2$L, agg_%3$s, sealed, %4$s, NULL), NULL::%5$s) AS v
				FROM streamq.parts_state %8$s) m
			FULL JOIN (SELECT %9$s AS k, %6$s AS v FROM s %10$s) q USING (k)
			WHERE m.v IS DISTINCT FROM q.v$q$,
			a.aggregate, a.types, a.n, a.n - 1, a.result, format('%s(%s)', split_part(a.aggregate::text, '(', 1), a.arg),
			CASE by WHEN 'k' THEN 'key_1' ELSE '0' END, CASE by WHEN 'k' THEN 'GROUP BY key_1' ELSE '' END,
			CASE by WHEN 'k' THEN 'k' ELSE '0' END, CASE by WHEN 'k' THEN 'GROUP BY k' ELSE '' END);
	END LOOP;
END $$;
SELECT * FROM differences('k');
SELECT * FROM differences('');
SET enable_hashagg = off;
SELECT * FROM differences('k');
RESET enable_hashagg;

-- what the comparison compares
SELECT k, positive_sum(i), positive_sum_from_0(i), nulls(i), gather(i) FROM s WHERE k IN (3, 6) GROUP BY k ORDER BY k;

-- one state for a whole parallel scan
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT * FROM differences('');
SELECT * FROM differences('k');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- one state needs no combine function, two do
SELECT streamq.aggregate_merge('loner(int)', '{int}', x, NULL, 0, NULL) FROM (VALUES (NULL::int8), (5), (NULL)) v (x);
SELECT streamq.aggregate_merge('loner(int)', '{int}', x, NULL, 0, NULL) FROM (VALUES (5::int8), (6)) v (x);
-- nothing, and only states without input
SELECT streamq.aggregate_merge('sum(int)', '{int}', x, NULL, 0, NULL) IS NULL AS none FROM generate_series(1::int8, 2) x WHERE x > 2;
SELECT streamq.aggregate_merge('sum(int)', '{int}', NULL::int8, NULL, 0, NULL) IS NULL AS none FROM generate_series(1::int8, 2) x;
-- a sealed state wins
SELECT streamq.aggregate_merge('sum(int)', '{int}', x, s, n, NULL)
FROM (VALUES (1, 5::int8, NULL::bytea), (2, NULL, '\x02'), (3, 7, NULL)) v (i, x, s), (VALUES (0), (1), (8), (-1)) w (n) GROUP BY n ORDER BY n;
SELECT streamq.aggregate_merge('positive_sum(int)', '{int}', x, s, n, NULL)
FROM (VALUES (1, 5, NULL::bytea), (2, NULL, '\x02'), (3, 7, NULL)) v (i, x, s), (VALUES (0), (1), (8), (-1)) w (n) GROUP BY n ORDER BY n;

-- states that belong to something else
SELECT streamq.aggregate_merge(NULL, '{int}', 1::int8, NULL, 0, NULL);
SELECT streamq.aggregate_merge('sum(int)', NULL, 1::int8, NULL, 0, NULL);
SELECT streamq.aggregate_merge('sum(int)', '{int}', 1::int4, NULL, 0, NULL);
SELECT streamq.aggregate_merge('sum(int)', '{int,int,NULL}', 1::int8, NULL, 0, NULL);
SELECT streamq.aggregate_merge('int4_sum(int8,int)', '{int}', 1::int8, NULL, 0, NULL);
SELECT streamq.aggregate_merge('mode(anyelement)', '{int}', 1::int8, NULL, 0, NULL);
SELECT streamq.aggregate_merge('sum(numeric)', '{numeric}', 1::numeric, NULL, 0, NULL);
SELECT streamq.aggregate_merge(a, '{int}', 1::int8, NULL, 0, NULL) FROM (VALUES ('sum(int)'::regprocedure), ('count("any")')) v (a);
SELECT streamq.aggregate_merge('sum(int)', '{int}', 1::int8, NULL, 0, NULL) OVER ();

-- an aggregate that the reader may not execute
CREATE ROLE view_merge_user;
GRANT USAGE ON SCHEMA view_merge, streamq TO view_merge_user;
REVOKE EXECUTE ON FUNCTION positive_sum(int) FROM PUBLIC;
SET ROLE view_merge_user;
SELECT streamq.aggregate_merge('positive_sum(int)', '{int}', 1, NULL, 0, NULL);
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA view_merge CASCADE;
DROP OWNED BY view_merge_user;
DROP ROLE view_merge_user;
