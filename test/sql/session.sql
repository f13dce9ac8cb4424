-- Session windows of continuous views.
SET TIME ZONE 'UTC';
CREATE SCHEMA session_test;
SET search_path = session_test;

-- session() is a mark in the query of a continuous view, and cannot be called
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; hint text; detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT error_of($$ SELECT * FROM streamq.session('2026-01-01'::timestamptz, '1 minute') $$);
SELECT error_of($$ SELECT * FROM streamq.session('2026-01-01'::timestamp, '1 minute') $$);
SELECT error_of($$ SELECT * FROM streamq.session('2026-01-01'::date, '1 minute') $$);
SELECT error_of($$ SELECT * FROM streamq.session(NULL::timestamptz, NULL) $$);
CREATE TABLE s (at timestamptz, k text, n int) USING streamq;
INSERT INTO s VALUES ('2026-01-01', 'a', 1);
SELECT error_of($$ SELECT count(*) FROM s, streamq.session(at, '1 minute') w GROUP BY w.window_start $$);

-- arguments
CREATE FUNCTION error_of_gap(gap text) RETURNS text LANGUAGE sql AS $f$
	SELECT error_of(format($$ SELECT streamq.create_continuous_view('bad',
		'SELECT w.window_start, count(*) FROM s, streamq.session(at, %s) w GROUP BY w.window_start') $$, replace(gap, '''', '''''')))
$f$;
SELECT gap, error_of_gap(gap) FROM unnest(ARRAY[$$'0'$$, $$'-1 second'$$, $$'1 day -24 hours'$$, $$'1 month'$$, $$'-1 month'$$,
	$$'1 month -30 days'$$, $$'2147483647 days 2562047788 hours'$$, 'NULL', 'n * interval ''1 s''', $$'x'$$]) WITH ORDINALITY g(gap, i) ORDER BY i;
SELECT error_of($$ SELECT streamq.create_continuous_view('bad',
	'SELECT w.window_start, count(*) FROM s, streamq.session(now(), ''1 minute'') w GROUP BY w.window_start') $$);

-- where the bounds of a session cannot be used
CREATE FUNCTION error_of_query(query text) RETURNS text LANGUAGE sql AS $f$
	SELECT error_of(format('SELECT streamq.create_continuous_view(%L, %L)', 'bad', query))
$f$;
SELECT error_of_query($$ SELECT w.window_start, count(*) FROM s, streamq.session(at, '1 minute') w WHERE w.window_start > '2026-01-01' GROUP BY w.window_start $$);
SELECT error_of_query($$ SELECT w.window_start, count(*) FILTER (WHERE w.window_end > '2026-01-01') FROM s, streamq.session(at, '1 minute') w GROUP BY w.window_start $$);
SELECT error_of_query($$ SELECT w.window_start, max(at - w.window_start) FROM s, streamq.session(at, '1 minute') w GROUP BY w.window_start $$);
SELECT error_of_query($$ SELECT date_trunc('day', w.window_start), count(*) FROM s, streamq.session(at, '1 minute') w GROUP BY w.window_start, date_trunc('day', w.window_start) $$);
SELECT error_of_query($$ SELECT w, count(*) FROM s, streamq.session(at, '1 minute') w GROUP BY w $$);
SELECT error_of_query($$ SELECT k, count(*) FROM s, streamq.session(at, '1 minute') w GROUP BY k $$);
SELECT error_of_query($$ SELECT w.window_start, count(*) FROM s, streamq.session(at, '1 minute') w, streamq.tumble(at, '1 minute') x GROUP BY w.window_start $$);

-- Sessions grow at both ends and merge.  Events exactly one gap apart are in one
-- session, which ends one gap after its last event.
CREATE TABLE clicks (at timestamptz, who text, ms int) USING streamq;
SELECT streamq.create_continuous_view('visits', $$
	SELECT w.window_start, w.window_end, who, count(*) AS n, sum(ms) AS ms, w.window_end - w.window_start AS length
	FROM clicks, streamq.session(at, '30 min') w GROUP BY w.window_start, w.window_end, who $$) AS v;
SELECT streamq.pause('visits');
CREATE FUNCTION run(batch int DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$ SELECT streamq.run_job('visits', batch) $$;
CREATE VIEW shown AS SELECT to_char(window_start, 'HH24:MI:SS') AS "from", to_char(window_end, 'HH24:MI:SS') AS "to", who, n, ms, length FROM visits;
INSERT INTO clicks VALUES ('2026-03-01 09:00', 'ann', 1), ('2026-03-01 09:30', 'ann', 2), ('2026-03-01 10:00:00.000001', 'ann', 4), ('2026-03-01 09:10', 'bob', 8);
SELECT run();
SELECT * FROM shown ORDER BY 1, 2, 3;
-- to the left and to the right, in a later batch; and a row within the session
INSERT INTO clicks VALUES ('2026-03-01 08:40', 'bob', 16), ('2026-03-01 09:35', 'bob', 32), ('2026-03-01 09:00', 'bob', 64);
SELECT run();
SELECT * FROM shown WHERE who = 'bob' ORDER BY 1, 2, 3;
-- one row merges two sessions
INSERT INTO clicks VALUES ('2026-03-01 09:45', 'ann', 8);
SELECT run();
SELECT * FROM shown WHERE who = 'ann' ORDER BY 1, 2, 3;
-- a chain: every second session first, then the rows between them
INSERT INTO clicks SELECT '2026-03-02'::timestamptz + i * interval '1 hour', 'eve', 1 FROM generate_series(0, 10) i;
SELECT run(3);
SELECT count(*), sum(n) FROM shown WHERE who = 'eve';
INSERT INTO clicks SELECT '2026-03-02 00:30'::timestamptz + i * interval '1 hour', 'eve', 1 FROM generate_series(0, 9) i WHERE i % 3 <> 1;
SELECT run();
SELECT * FROM shown WHERE who = 'eve' ORDER BY 1, 2, 3;
INSERT INTO clicks SELECT '2026-03-02 00:30'::timestamptz + i * interval '1 hour', 'eve', 1 FROM generate_series(0, 9) i WHERE i % 3 = 1 ORDER BY i DESC;
SELECT run(1);
SELECT * FROM shown WHERE who = 'eve' ORDER BY 1, 2, 3;
-- no user is a user too; a row without an event time is in no session
INSERT INTO clicks VALUES ('2026-03-03 10:00', NULL, 1), (NULL, NULL, 2), ('infinity', NULL, 4), ('-infinity', NULL, 8), ('2026-03-03 10:20', NULL, 16), ('2026-03-03 10:20', NULL, NULL);
SELECT run();
SELECT * FROM shown WHERE who IS NULL;
-- a session that would end after the last timestamp is an error of its row
INSERT INTO clicks VALUES ('294276-12-31 23:59:00', 'end', 1);
SELECT run();
SELECT sqlstate, message FROM streamq.job_errors WHERE job = 'session_test.visits'::regclass::text;

-- HAVING, FILTER and expressions over bounds; other types of time
CREATE TABLE days (d date, ts timestamp, k int, n numeric) USING streamq;
SELECT streamq.create_continuous_view('by_day', $$
	SELECT lower(tsrange(w.window_start, w.window_end)) AS first, w.window_end AS last, k, count(*) FILTER (WHERE n > 1) AS more, avg(n) AS mean
	FROM days, streamq.session(d, gap => '2 days') w WHERE k > 0 GROUP BY k, w.window_end, w.window_start HAVING count(*) > 1 $$) AS v;
SELECT streamq.create_continuous_view('by_time', $$
	SELECT w.window_start AS first, count(*), min(n), max(n) FROM days, streamq.session(ts, '36 hours') w GROUP BY w.window_start $$) AS v;
SELECT streamq.pause('by_day'), streamq.pause('by_time');
INSERT INTO days SELECT d, d::timestamp + interval '5 hours', k, n FROM (VALUES ('2026-01-01'::date, 1, 1), ('2026-01-03', 1, 2), ('2026-01-06', 1, 3), ('2026-01-05', 2, 4),
	('2026-01-07', 2, 5), ('2026-01-04', 0, 9), ('infinity', 1, 9), ('2026-01-08', 2, NULL), ('2026-01-05', 2, 0.5)) v(d, k, n);
SELECT streamq.run_job('by_day'), streamq.run_job('by_time');
SELECT * FROM by_day ORDER BY 1, 2, 3;
SELECT * FROM by_time ORDER BY 1;

-- keys that are equal but look different: a session shows what is in it
CREATE TABLE prices (at timestamptz, k numeric) USING streamq;
SELECT streamq.create_continuous_view('by_price', $$
	SELECT w.window_start, k, count(*) FROM prices, streamq.session(at, '1 min') w GROUP BY w.window_start, k $$) AS v;
SELECT streamq.pause('by_price');
INSERT INTO prices VALUES ('2026-01-01 00:00', 1.0), ('2026-01-01 01:00', 1.00), ('2026-01-01 02:00', 1.000);
SELECT streamq.run_job('by_price', 2);
INSERT INTO prices VALUES ('2026-01-01 02:00:10', 1), ('2026-01-01 01:00:10', 1), ('2026-01-01 00:00:10', 1), ('2026-01-01 03:00', 1);
SELECT streamq.run_job('by_price');
SELECT to_char(window_start, 'HH24:MI') AS at, k, count FROM by_price ORDER BY 1;

-- sessions that become one: a sum without input so far takes over the other one
CREATE TABLE parts (at timestamptz, k int) USING streamq;
SELECT streamq.create_continuous_view('by_part', $$
	SELECT w.window_start, w.window_end, count(*), sum(k) FROM parts, streamq.session(at, '15 s') w GROUP BY w.window_start, w.window_end $$) AS v;
SELECT streamq.pause('by_part');
INSERT INTO parts VALUES ('2026-01-01 00:00:00', NULL), ('2026-01-01 00:00:20', 5), ('2026-01-01 00:00:10', 1),
	('2026-01-01 01:00:20', NULL), ('2026-01-01 01:00:00', 5), ('2026-01-01 01:00:10', 1);
SELECT streamq.run_job('by_part');
SELECT to_char(window_start, 'HH24:MI') AS at, count, sum FROM by_part ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA session_test CASCADE;
