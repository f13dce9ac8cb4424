-- tumble() cuts time as date_bin() does; the batch query is its own oracle
SET TIME ZONE 'UTC';
SELECT * FROM streamq.tumble('2024-02-29 12:34:56+00'::timestamptz, '1 minute');
SELECT * FROM streamq.tumble('2024-02-29 12:34:56'::timestamp, '1 minute');
SELECT * FROM streamq.tumble('2024-02-29', '1 day');
SELECT * FROM streamq.tumble('1969-12-31 23:59:59+00'::timestamptz, '1 hour');

CREATE SCHEMA window_test;
CREATE TABLE window_test.t AS
SELECT '2000-01-01 00:00:00+00'::timestamptz + (g * 7919 % 100003) * '7 hours 13 seconds'::interval - '30 years'::interval AS at
FROM generate_series(1, 3000) g;

SELECT count(*) FROM window_test.t, streamq.tumble(at, '17 minutes 3 seconds') w
WHERE (w.window_start, w.window_end) IS DISTINCT FROM
	(date_bin('17 minutes 3 seconds', at, '1970-01-01 00:00:00+00'),
	 date_bin('17 minutes 3 seconds', at, '1970-01-01 00:00:00+00') + '17 minutes 3 seconds');
SELECT count(*) FROM window_test.t, streamq.tumble(at, '3 days', '2001-01-01 05:00:00+00') w
WHERE w.window_start IS DISTINCT FROM date_bin('3 days', at, '2001-01-01 05:00:00+00');
SELECT count(*) FROM window_test.t, streamq.tumble(at::timestamp, '5 hours', origin => '2030-01-01') w
WHERE w.window_start IS DISTINCT FROM date_bin('5 hours', at::timestamp, '2030-01-01');

-- months are calendar months, in UTC whatever the session's time zone
SELECT count(*) FROM window_test.t, streamq.tumble(at, '1 month') w
WHERE (w.window_start, w.window_end) IS DISTINCT FROM
	(date_trunc('month', at), date_trunc('month', at) + '1 month');
SELECT count(*) FROM window_test.t, streamq.tumble(at, '1 year') w
WHERE w.window_start IS DISTINCT FROM date_trunc('year', at);
SELECT count(*) FROM window_test.t, streamq.tumble(at, '3 months') w
WHERE w.window_start IS DISTINCT FROM date_trunc('quarter', at);
SET TIME ZONE 'Asia/Tokyo';
SELECT window_start AT TIME ZONE 'UTC' AS utc FROM streamq.tumble('2024-03-01 05:00:00+09', '1 month');
SET TIME ZONE 'UTC';
-- an origin late in the month: days that a month lacks are its last one
SELECT DISTINCT w.* FROM generate_series('2023-01-30'::timestamp, '2023-04-01', '1 day') at,
	streamq.tumble(at, '1 month', '2020-01-31') w ORDER BY 1;

-- no event time, no window
SELECT * FROM streamq.tumble(NULL::timestamptz, '1 minute');
SELECT * FROM streamq.tumble('infinity'::timestamptz, '1 minute');
SELECT * FROM streamq.tumble('-infinity'::timestamp, '1 minute');
SELECT * FROM streamq.tumble('2024-01-01'::timestamp, NULL);

-- the planner sees through it
CREATE FUNCTION window_test.has_function_scan(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		IF line ~ 'Function Scan' THEN RETURN true; END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT window_test.has_function_scan($$
	SELECT w.window_start, count(*) FROM window_test.t, streamq.tumble(at, '1 minute') w GROUP BY 1 $$);

-- sizes that make no sense
DO $$
DECLARE
	size interval;
	state text; message text; hint text;
BEGIN
	FOREACH size IN ARRAY ARRAY['0', '-1 minute', '-1 month', '1 month 1 day', '1 month 00:00:01', '1 month -1 day']::interval[]
	LOOP
		BEGIN
			PERFORM * FROM streamq.tumble('2024-01-01'::timestamptz, size);
			RAISE NOTICE '%: no error', size;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
			RAISE INFO '%: % % %', size, state, message, hint;
		END;
	END LOOP;
END $$;
SELECT * FROM streamq.tumble('2024-01-01'::timestamptz, '1 minute', 'infinity');
SELECT * FROM streamq.tumble('294276-12-31 23:59:59'::timestamp, '1 week');
SELECT * FROM streamq.tumble('4714-11-24 00:00:00 BC'::timestamp, '1 year');

SET client_min_messages = warning;
DROP SCHEMA window_test CASCADE;
RESET TIME ZONE;
