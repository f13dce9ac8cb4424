-- Aggregates of users in a continuous view: every kind of state and of final function, errors,
-- and aggregates that are replaced or dropped while a view uses them.
CREATE SCHEMA view_user_aggregates;
SET search_path = view_user_aggregates;
SET TIME ZONE 'UTC';
CREATE TYPE part AS (n int8, total numeric);

-- a composite state, with and without a combine function
CREATE FUNCTION part_add(part, numeric) RETURNS part LANGUAGE sql IMMUTABLE AS $$SELECT CASE WHEN $2 IS NULL THEN $1 ELSE ROW(coalesce($1.n, 0) + 1, coalesce($1.total, 0) + $2)::part END$$;
CREATE FUNCTION part_combine(part, part) RETURNS part LANGUAGE sql IMMUTABLE AS $$SELECT CASE WHEN $1 IS NULL THEN $2 WHEN $2 IS NULL THEN $1 ELSE ROW($1.n + $2.n, $1.total + $2.total)::part END$$;
CREATE FUNCTION part_mean(part) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT round($1.total / $1.n, 3)';
CREATE AGGREGATE mean(numeric) (SFUNC = part_add, STYPE = part, COMBINEFUNC = part_combine, FINALFUNC = part_mean);
CREATE AGGREGATE mean_alone(numeric) (SFUNC = part_add, STYPE = part, FINALFUNC = part_mean);
-- with functions for moving windows, which a view does not need
CREATE FUNCTION part_remove(part, numeric) RETURNS part LANGUAGE sql IMMUTABLE AS $$SELECT CASE WHEN $2 IS NULL THEN $1 ELSE ROW($1.n - 1, $1.total - $2)::part END$$;
CREATE AGGREGATE mean_moving(numeric) (SFUNC = part_add, STYPE = part, FINALFUNC = part_mean, COMBINEFUNC = part_combine,
	MSFUNC = part_add, MINVFUNC = part_remove, MSTYPE = part, MFINALFUNC = part_mean);
-- a state of type internal: serialized, and one that cannot be
CREATE AGGREGATE mean_internal(numeric) (SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg,
	COMBINEFUNC = numeric_avg_combine, SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = numeric_avg_deserialize);
CREATE AGGREGATE mean_opaque(numeric) (SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg);
CREATE AGGREGATE list_opaque(anynonarray) (SFUNC = array_agg_transfn, STYPE = internal, FINALFUNC = array_agg_finalfn, FINALFUNC_EXTRA);
-- strict, without an initial value and with one
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, COMBINEFUNC = int4pl);
CREATE AGGREGATE total_from(int) (SFUNC = int4pl, STYPE = int, INITCOND = '1000');
-- a polymorphic state; a final function that takes more than the state
CREATE AGGREGATE list(anycompatible) (SFUNC = array_append, STYPE = anycompatiblearray, COMBINEFUNC = array_cat, INITCOND = '{}');
CREATE FUNCTION list_or(anycompatiblearray, anycompatible) RETURNS anycompatiblearray LANGUAGE sql IMMUTABLE AS $$SELECT coalesce($1, ARRAY[$2, $2])$$;
CREATE AGGREGATE list_extra(anycompatible) (SFUNC = array_append, STYPE = anycompatiblearray, FINALFUNC = list_or, FINALFUNC_EXTRA, FINALFUNC_MODIFY = READ_ONLY);
-- a VARIADIC one
CREATE FUNCTION add_greatest(int8, VARIADIC int[]) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT $1 + coalesce(max(x), 0) FROM unnest($2) x';
CREATE AGGREGATE greatest_sum(VARIADIC int[]) (SFUNC = add_greatest, STYPE = int8, INITCOND = '0', COMBINEFUNC = int8pl);
-- ordered-set ones
CREATE AGGREGATE middle(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
CREATE AGGREGATE place(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
-- one whose sort operator an index could serve
CREATE AGGREGATE least_of(int) (SFUNC = int4smaller, STYPE = int, SORTOP = <, COMBINEFUNC = int4smaller, PARALLEL = SAFE);

CREATE TABLE s (at timestamptz NOT NULL, k int, i int, x int, n numeric, t text) USING streamq;
CREATE TABLE queries (name text, query text);
INSERT INTO queries SELECT w.name, format('SELECT %s, mean(n), mean_alone(n), mean_moving(n), mean_internal(n), round(mean_opaque(n), 5) AS mo, list_opaque(t ORDER BY i) AS lo, list_opaque(x ORDER BY i) FILTER (WHERE i %% 2 = 0) AS lx,
		total(x), total_from(x) AS tf, total(DISTINCT x) AS td, list(t ORDER BY i) AS lt, list(x ORDER BY i) AS li, list_extra(n ORDER BY i) AS le, list_extra(i ORDER BY i) FILTER (WHERE i < 0) AS none,
		greatest_sum(x, i) AS gs, greatest_sum(VARIADIC ARRAY[x, 3, i]) AS gv, greatest_sum(x) AS g1, middle(0.4) WITHIN GROUP (ORDER BY n) AS mn, middle(0.4) WITHIN GROUP (ORDER BY t DESC) AS mt,
		place(3, ''m'') WITHIN GROUP (ORDER BY x, t) AS p, least_of(x), mean(n) + total(x) AS e FROM s %s GROUP BY %1$s HAVING least_of(x) IS NOT NULL OR mean(n) > 0', keys, fro)
FROM (VALUES ('groups', 'k', ''), ('tumbles', 'window_start, k', $$, streamq.tumble(at, '2 min')$$), ('hops', 'window_start, k', $$, streamq.hop(at, '1 min', '3 min')$$),
	('sessions', 'window_start, window_end, k', $$, streamq.session(at, '10 s')$$)) w (name, keys, fro);
SELECT count(streamq.create_continuous_view(name, query)) FROM queries;
SELECT count(streamq.pause(name)) FROM queries;
CREATE PROCEDURE feed(first int, last int) LANGUAGE sql AS $$
	INSERT INTO s SELECT '2026-01-01'::timestamptz + i * 7 % 150 * interval '4 s', nullif(i % 4, 3), i, nullif(i * 5 % 11, 4), CASE WHEN i % 6 <> 0 THEN i % 13 / 4.0 END, CASE WHEN i % 5 <> 0 THEN chr(97 + i % 26) END
	FROM generate_series(first, last) i
$$;
CALL feed(1, 60);
SELECT count(streamq.run_job(name, 13)) FROM queries;
CALL feed(61, 200);
SELECT count(streamq.run_job(name, 50)) FROM queries;
SELECT name, streamq.verify_continuous_view(name::regclass), errors FROM queries JOIN streamq.jobs USING (name) ORDER BY 1;
SELECT (SELECT count(*) FROM groups) AS groups, (SELECT count(*) > 10 FROM sessions) AS sessions;
SELECT * FROM groups WHERE k = 1 \gx

-- a state that windows would have to merge, without a combine function: the input is kept
SELECT v.name, (SELECT string_agg(DISTINCT atttypid::regtype::text, ', ' ORDER BY atttypid::regtype::text) FROM pg_attribute WHERE attrelid = state_table AND attname ~ '^agg') AS kept
FROM (VALUES ('SELECT mean_alone(n), mean_internal(n) FROM s', 'whole'), ($$SELECT window_start, mean_alone(n), mean_internal(n) FROM s, streamq.hop(at, '1 min', '2 min') GROUP BY window_start$$, 'merged')) v (query, name),
	LATERAL (SELECT streamq.create_continuous_view(v.name, query) AS view OFFSET 0) c JOIN streamq.job j ON j.target = c.view ORDER BY 1;
DROP VIEW whole, merged;

-- a function that raises an error on a value: of a state, the row is left out
CREATE FUNCTION add_small(int8, int) RETURNS int8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF $2 > 9 THEN
		RAISE EXCEPTION 'number % is too large', $2 USING ERRCODE = '22003';
	END IF;
	RETURN $1 + coalesce($2, 0);
END $$;
CREATE AGGREGATE small_sum(int) (SFUNC = add_small, STYPE = int8, INITCOND = '0', COMBINEFUNC = int8pl);
SELECT streamq.create_continuous_view('small', 'SELECT k, small_sum(x), count(*) FROM s GROUP BY k');
SELECT streamq.pause('small');
SELECT streamq.run_job('small') >= 0;
SELECT count(*), min(sqlstate), min(message) FROM streamq.job_errors WHERE job = 'small';
SELECT * FROM small ORDER BY k;
SELECT streamq.verify_continuous_view('small');
SELECT streamq.drop_continuous_view('small');
-- a final function that raises an error fails the reader
CREATE FUNCTION no_result(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'no result' USING ERRCODE = '22000'; END$$;
CREATE AGGREGATE fails_at_last(int) (SFUNC = int4pl, STYPE = int, FINALFUNC = no_result);
SELECT streamq.create_continuous_view('last', 'SELECT fails_at_last(x), count(*) FROM s');
SELECT streamq.pause('last');
SELECT streamq.run_job('last') >= 0;
\set SHOW_CONTEXT never
SELECT * FROM last;
SELECT count FROM last;
SELECT streamq.drop_continuous_view('last');

-- a final function is added: the view uses it, as the query does
CREATE AGGREGATE changing(int) (SFUNC = int4pl, STYPE = int, COMBINEFUNC = int4pl);
SELECT streamq.create_continuous_view('plain', 'SELECT k, changing(x) FROM s GROUP BY k');
SELECT streamq.create_continuous_view('merged', $$SELECT window_start, changing(x) FROM s, streamq.hop(at, '1 min', '3 min') GROUP BY window_start$$);
SELECT streamq.create_continuous_view('ordered', 'SELECT k, changing(x ORDER BY i) FROM s GROUP BY k');
SELECT streamq.pause('plain'), streamq.pause('merged'), streamq.pause('ordered');
SELECT streamq.run_job('plain') >= 0, streamq.run_job('merged') >= 0, streamq.run_job('ordered') >= 0;
CREATE FUNCTION halve(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2';
CREATE OR REPLACE AGGREGATE changing(int) (SFUNC = int4pl, STYPE = int, FINALFUNC = halve, COMBINEFUNC = int4pl);
SELECT streamq.verify_continuous_view('plain'), streamq.verify_continuous_view('merged'), streamq.verify_continuous_view('ordered');
CALL feed(201, 240);
SELECT streamq.run_job('plain') >= 0, streamq.run_job('merged') >= 0, streamq.run_job('ordered') >= 0;
SELECT streamq.verify_continuous_view('plain'), streamq.verify_continuous_view('merged'), streamq.verify_continuous_view('ordered');

-- the combine function goes: states cannot be merged any more
CREATE OR REPLACE AGGREGATE changing(int) (SFUNC = int4pl, STYPE = int, FINALFUNC = halve);
SELECT streamq.verify_continuous_view('plain');
SELECT * FROM merged;
CALL feed(241, 250);
SELECT streamq.run_job('plain') >= 0;
SELECT streamq.run_job('merged');
\echo :LAST_ERROR_SQLSTATE
-- the state gets another type: values that were stored cannot be read as those
CREATE FUNCTION append_number(text, int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$SELECT concat($1, ',', $2)$$;
CREATE FUNCTION text_length(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1)';
CREATE OR REPLACE AGGREGATE changing(int) (SFUNC = append_number, STYPE = text, INITCOND = '', FINALFUNC = text_length);
SELECT * FROM plain;
SELECT streamq.verify_continuous_view('plain');
CALL feed(251, 260);
SELECT streamq.run_job('plain');
\echo :LAST_ERROR_SQLSTATE
-- what keeps its input is as good as before
SELECT streamq.run_job('ordered') >= 0;
SELECT streamq.verify_continuous_view('ordered');
-- and the old state is
CREATE OR REPLACE AGGREGATE changing(int) (SFUNC = int4pl, STYPE = int, COMBINEFUNC = int4pl);
SELECT streamq.run_job('plain') >= 0, streamq.run_job('merged') >= 0;
SELECT streamq.verify_continuous_view('plain'), streamq.verify_continuous_view('merged'), streamq.verify_continuous_view('ordered');
-- another function adds from now on
CREATE OR REPLACE AGGREGATE changing(int) (SFUNC = int4mi, STYPE = int, COMBINEFUNC = int4pl);
CALL feed(261, 270);
SELECT streamq.run_job('plain') >= 0;
SELECT streamq.verify_continuous_view('plain') > 0 AS differs;

-- an aggregate that a view uses, and the functions of an aggregate, stay
\set VERBOSITY terse
DROP AGGREGATE changing(int);
DROP FUNCTION part_add(part, numeric);
ALTER AGGREGATE changing(int) RENAME TO renamed;
CALL feed(271, 280);
SELECT streamq.run_job('plain') >= 0;
SET client_min_messages = warning;
DROP AGGREGATE renamed(int) CASCADE;
SELECT name FROM streamq.jobs ORDER BY 1;
DROP SCHEMA view_user_aggregates CASCADE;
SELECT count(*) FROM streamq.jobs;
