-- the life of a continuous view
CREATE SCHEMA view_test;
SET search_path = view_test;
SET TIME ZONE 'UTC';
-- run by hand, so that what has been processed when is certain
CREATE FUNCTION paused_view(name text, query text, watermark_delay interval = '0',
	late_rows text = 'update', allowed_lateness interval = '0', start_at text = 'earliest')
RETURNS regclass LANGUAGE plpgsql AS $$
DECLARE
	result regclass := streamq.create_continuous_view(name, query, watermark_delay => watermark_delay,
		late_rows => late_rows, allowed_lateness => allowed_lateness, start_at => start_at);
BEGIN
	PERFORM streamq.pause(name);
	RETURN result;
END $$;
CREATE TABLE clicks (at timestamptz NOT NULL, url text, ms numeric) USING streamq;

SELECT paused_view('per_minute', $$
  SELECT w.window_start, w.window_end, url, count(*) AS hits, round(avg(ms), 2) AS mean_ms,
		 max(ms) - min(ms) AS spread
  FROM clicks, streamq.tumble(at, '1 minute') w
  WHERE url <> '/health'
  GROUP BY w.window_start, w.window_end, url
  HAVING count(*) > 0 $$);
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'per_minute'::regclass AND attnum > 0 ORDER BY attnum;
SELECT relkind FROM pg_class WHERE oid = 'per_minute'::regclass;
SELECT * FROM per_minute;
SELECT streamq.watermark('per_minute');

-- open windows are visible, and what is filtered counts for the watermark only
INSERT INTO clicks VALUES ('2024-01-01 00:00:10', '/', 10), ('2024-01-01 00:00:20', '/', 20),
	('2024-01-01 00:00:59', '/a', NULL), ('2024-01-01 00:01:30', '/health', 1);
SELECT streamq.run_job('per_minute');
SELECT streamq.run_job('per_minute');
SELECT * FROM per_minute ORDER BY 1, 3;
SELECT streamq.watermark('per_minute');

-- groups go on where they were
INSERT INTO clicks VALUES ('2024-01-01 00:01:31', '/', 5), ('2024-01-01 00:00:40', '/', 1);
SELECT streamq.run_job('per_minute');
SELECT window_start, url, hits, mean_ms, spread FROM per_minute ORDER BY 1, 2;
SELECT name, kind, state, source, lag, watermark, rows_processed, late_rows, errors, last_error
FROM streamq.jobs WHERE name = 'per_minute';

-- what a transaction has not committed is not processed; a rollback leaves nothing
BEGIN;
INSERT INTO clicks VALUES ('2024-01-01 00:01:32', '/', 5);
SELECT streamq.run_job('per_minute');
ROLLBACK;
BEGIN;
INSERT INTO clicks VALUES ('2024-01-01 00:01:33', '/b', 7);
COMMIT;
BEGIN;
SELECT streamq.run_job('per_minute');
SELECT count(*) FROM per_minute WHERE url = '/b';
ROLLBACK;
SELECT count(*) FROM per_minute WHERE url = '/b';
SELECT streamq.run_job('per_minute');
SELECT count(*) FROM per_minute WHERE url = '/b';

-- late rows: the watermark is that of the rows before, less the delay
CREATE TABLE ev (at timestamptz, n int) USING streamq;
SELECT paused_view('ev_update', $$
  SELECT window_start, count(*), sum(n) FROM ev, streamq.tumble(at, '10 s') GROUP BY window_start $$,
  watermark_delay => '5 s');
SELECT paused_view('ev_drop', $$
  SELECT window_start, count(*), sum(n) FROM ev, streamq.tumble(at, '10 s') GROUP BY window_start $$,
  watermark_delay => '5 s', late_rows => 'drop');
SELECT paused_view('ev_lateness', $$
  SELECT window_start, count(*), sum(n) FROM ev, streamq.tumble(at, '10 s') GROUP BY window_start $$,
  watermark_delay => '5 s', late_rows => 'drop', allowed_lateness => '10 s');
INSERT INTO ev VALUES
	('2024-01-01 00:00:01', 1), ('2024-01-01 00:00:14', 2),
	('2024-01-01 00:00:02', 4),		-- watermark 00:09: in time
	('2024-01-01 00:00:15', 8),
	('2024-01-01 00:00:03', 16),	-- watermark 00:10: late
	(NULL, 32), ('infinity', 64),	-- no event time
	('2024-01-01 00:00:25', 128),
	('2024-01-01 00:00:04', 256),	-- watermark 00:20: late in spite of lateness
	('2024-01-01 00:00:11', 512);	-- late without lateness
SELECT streamq.run_job('ev_update', 1), streamq.run_job('ev_drop', 3), streamq.run_job('ev_lateness', 100);
SELECT * FROM ev_update ORDER BY 1;
SELECT * FROM ev_drop ORDER BY 1;
SELECT * FROM ev_lateness ORDER BY 1;
SELECT name, watermark, rows_processed, late_rows FROM streamq.jobs WHERE name LIKE 'ev%' ORDER BY 1;

-- a view without window: one group for ever; without GROUP BY one row from the start
SELECT paused_view('by_url', 'SELECT url, count(*) AS n FROM clicks GROUP BY url');
SELECT paused_view('total', 'SELECT count(*) AS n, sum(ms), avg(ms), now() IS NULL AS never FROM clicks');
SELECT * FROM by_url;
SELECT * FROM total;
SELECT streamq.run_job('by_url'), streamq.run_job('total');
SELECT * FROM by_url ORDER BY 1;
SELECT * FROM total;
SELECT streamq.watermark('total');

-- beginning behind what is there
SELECT paused_view('from_now', 'SELECT count(*) FROM clicks', start_at => 'latest');
INSERT INTO clicks VALUES ('2024-01-01 00:05:00', '/', 5);
SELECT streamq.run_job('from_now');
SELECT * FROM from_now;

-- rows that raise an error are recorded and passed over, one by one
CREATE TABLE input (at timestamptz, v text) USING streamq;
SELECT paused_view('numbers', $$
  SELECT window_start, count(*), sum(v::int8) AS sum, sum((v::int8 * 1000000000000)) AS big
  FROM input, streamq.tumble(at, '1 h') GROUP BY window_start $$);
INSERT INTO input SELECT '2024-01-01 00:00:00', CASE WHEN i IN (1, 2, 50, 99, 100) THEN 'bad' || i ELSE i::text END
FROM generate_series(1, 100) i;
INSERT INTO input VALUES ('2024-01-01', '9223372036854775807'), ('2024-01-01', '1');
SELECT streamq.run_job('numbers', 30);
SELECT * FROM numbers;
SELECT msg_id, sqlstate, message FROM streamq.job_errors WHERE job = 'numbers' ORDER BY 1;
SELECT state, rows_processed, errors, last_error, lag FROM streamq.jobs WHERE name = 'numbers';

-- also errors of what a value is parsed as
CREATE TABLE searches (words text) USING streamq;
SELECT paused_view('found', $$SELECT count(*) FROM searches WHERE to_tsvector('some text to look in') @@ to_tsquery(words)$$);
INSERT INTO searches VALUES ('text'), ('some text'), ('look');
SELECT streamq.run_job('found');
SELECT count FROM found;
SELECT sqlstate, message FROM streamq.job_errors WHERE job = 'found';

-- of values that are equal the first is shown, as in the query run by hand
CREATE TABLE amounts (amount numeric, f float8) USING streamq;
SELECT paused_view('by_amount', 'SELECT amount, f, count(*) FROM amounts GROUP BY amount, f');
INSERT INTO amounts VALUES (1.0, 0), (1.00, '-0'), (2, NULL);
SELECT streamq.run_job('by_amount');
INSERT INTO amounts VALUES (1.000, '-0'), (2.0, NULL), (1, 0);
SELECT streamq.run_job('by_amount');
SELECT * FROM by_amount ORDER BY 1;

-- an index for those who read the view
SELECT paused_view('by_word', 'SELECT words, count(*) FROM searches GROUP BY words');
SELECT state_table AS state FROM streamq.job WHERE target = 'by_word'::regclass \gset
CREATE INDEX by_word_idx ON :state (key_1);
SELECT streamq.run_job('by_word');
INSERT INTO searches VALUES ('look'), ('words');
REINDEX TABLE CONCURRENTLY :state;
SELECT streamq.run_job('by_word');
SELECT * FROM by_word ORDER BY 1;
SET enable_seqscan = off;
SELECT * FROM by_word WHERE words = 'words';
RESET enable_seqscan;
DROP INDEX streamq.by_word_idx;
CREATE INDEX by_word_idx ON :state (upper(key_1));
INSERT INTO searches VALUES ('more');
CREATE FUNCTION error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ' ' || regexp_replace(sqlerrm, '\d+', 'N');
END $$;
SELECT error_of($$SELECT streamq.run_job('by_word')$$);
DROP INDEX streamq.by_word_idx;
SELECT streamq.run_job('by_word');

-- messages that quote a large value are cut
INSERT INTO input VALUES ('2024-01-01', 'x' || repeat('0123456789', 10000)), ('2024-01-01', '1');
SELECT streamq.run_job('numbers');
SELECT count, sum FROM numbers;
SELECT sqlstate, octet_length(message) FROM streamq.job_errors WHERE job = 'numbers' AND msg_id > 100;
SELECT errors, octet_length(last_error) FROM streamq.jobs WHERE name = 'numbers';

-- conditions protect: rows that WHERE or FILTER remove raise nothing
SELECT paused_view('guarded', $$
  SELECT count(*), sum(v::int8) FILTER (WHERE length(v) < 10) AS sum FROM input WHERE v ~ '^\d+$' $$);
SELECT streamq.run_job('guarded');
SELECT * FROM guarded;
SELECT errors FROM streamq.jobs WHERE name = 'guarded';

-- the settings of the session that made the view hold for its job
SET TIME ZONE 'Asia/Tokyo';
SELECT paused_view('by_day', $$
  SELECT date_trunc('day', at) AS day, count(*) FROM clicks GROUP BY 1 $$);
SET TIME ZONE 'UTC';
SELECT streamq.run_job('by_day');
SELECT * FROM by_day ORDER BY 1;

-- pausing and going on
SELECT streamq.resume('by_day');
SELECT state FROM streamq.jobs WHERE name = 'by_day';
SELECT streamq.pause('by_day');
SELECT state FROM streamq.jobs WHERE name = 'by_day';

-- a worker does it all by itself
SELECT streamq.create_continuous_view('live', 'SELECT count(*), sum(ms) FROM clicks');
SELECT streamq.wait_until_caught_up('live');
SELECT * FROM live;
INSERT INTO clicks VALUES ('2024-01-01 00:05:30', '/', 100);
SELECT streamq.wait_until_caught_up('live', timeout => '30 s');
SELECT * FROM live;
-- own rows are not committed yet: nobody waits for them
BEGIN;
INSERT INTO clicks VALUES ('2024-01-01 00:05:30', '/', 100);
SELECT streamq.wait_until_caught_up('live');
ROLLBACK;
-- a paused job does not catch up
SELECT streamq.pause('live');
INSERT INTO clicks VALUES ('2024-01-01 00:05:31', '/', 100);
SELECT streamq.wait_until_caught_up('live', '100 ms');
SELECT streamq.resume('live');
SELECT streamq.wait_until_caught_up('live', '30 s');
SELECT * FROM live;
SELECT streamq.drop_continuous_view('live');

-- the stream and its columns may be renamed, the view moved
ALTER TABLE clicks RENAME COLUMN url TO link;
ALTER TABLE clicks RENAME TO visits;
ALTER TABLE visits ADD COLUMN extra int;
ALTER VIEW per_minute RENAME TO renamed;
INSERT INTO visits VALUES ('2024-01-01 00:06:00', '/', 5, 1);
SELECT streamq.run_job('renamed');
SELECT count(*) FROM renamed;

-- several partitions, read in the order of appending
SELECT streamq.create_stream('parts', 'key text, at timestamptz', partitions => 4, partition_by => 'key');
SELECT paused_view('by_key', $$
  SELECT window_start, key, count(*) FROM parts, streamq.tumble(at, '1 h') GROUP BY 1, 2 $$);
INSERT INTO parts SELECT 'k' || i % 10, '2024-01-01'::timestamptz + i * interval '1 min' FROM generate_series(1, 1000) i;
SELECT streamq.run_job('by_key', 77);
SELECT sum(count), count(*), (SELECT count(DISTINCT (key, date_trunc('hour', at))) FROM parts) AS groups FROM by_key;

-- privileges: the owner of the view reads the stream, nobody writes the state
CREATE ROLE view_owner;
CREATE ROLE view_reader;
GRANT EXECUTE ON FUNCTION paused_view TO view_owner;
GRANT USAGE, CREATE ON SCHEMA view_test TO view_owner;
GRANT USAGE ON SCHEMA view_test TO view_reader;
SET ROLE view_owner;
SELECT paused_view('owned', 'SELECT count(*) FROM view_test.ev');
RESET ROLE;
GRANT SELECT ON ev TO view_owner;
SET ROLE view_owner;
SELECT paused_view('owned', 'SELECT count(*), avg(n) FROM ev');
SELECT streamq.run_job('owned');
SELECT * FROM owned;
SELECT streamq.pause('ev_update');
SELECT streamq.run_job('ev_update');
SELECT streamq.watermark('ev_update');
SELECT name FROM streamq.jobs;
SELECT * FROM streamq.job;
DO $$ BEGIN DELETE FROM owned; EXCEPTION WHEN feature_not_supported THEN RAISE NOTICE 'not allowed'; END $$;
DO $$
BEGIN
	EXECUTE (SELECT format('DELETE FROM streamq.%I', relname) FROM pg_class
		WHERE relname LIKE 'view\_state\_%' AND relkind = 'r' AND has_table_privilege(oid, 'SELECT'));
EXCEPTION WHEN feature_not_supported THEN
	RAISE NOTICE 'not allowed';
END $$;
RESET ROLE;
SET ROLE view_reader;
SELECT * FROM owned;
RESET ROLE;
GRANT SELECT ON owned TO view_reader;
SET ROLE view_reader;
SELECT * FROM owned;
RESET ROLE;
-- without SELECT on the stream the job stops, nothing is lost
REVOKE SELECT ON ev FROM view_owner;
INSERT INTO ev VALUES ('2024-01-01 00:00:01', 1);
SELECT streamq.run_job('owned');
-- another owner, who can read what is below the view
ALTER VIEW owned OWNER TO view_reader;
GRANT SELECT ON ev TO view_reader;
SELECT streamq.run_job('owned');
SELECT * FROM owned;
SET ROLE view_owner;
SELECT * FROM owned;
RESET ROLE;

-- dropping, by whatever way, leaves nothing
SELECT streamq.drop_continuous_view('owned');
REVOKE ALL ON FUNCTION paused_view FROM view_owner;
REVOKE ALL ON ev FROM view_owner, view_reader;
REVOKE ALL ON SCHEMA view_test FROM view_owner, view_reader;
DROP ROLE view_owner, view_reader;
DROP VIEW renamed;
BEGIN;
DROP VIEW by_url;
ROLLBACK;
SELECT streamq.run_job('by_url');
DROP TABLE visits;
SET client_min_messages = warning;
DROP TABLE visits CASCADE;
RESET client_min_messages;
SELECT name FROM streamq.jobs j JOIN pg_class c ON c.oid = j.name::regclass AND relnamespace = 'view_test'::regnamespace ORDER BY 1;
SELECT streamq.wait_until_caught_up('by_url');
SET client_min_messages = warning;
DROP SCHEMA view_test CASCADE;
SELECT count(*) AS rows_left FROM (
	SELECT job_id FROM streamq.job_progress UNION ALL SELECT job_id FROM streamq.job_stats
	UNION ALL SELECT job_id FROM streamq.job_error_log) x
WHERE NOT EXISTS (SELECT FROM streamq.job j WHERE j.job_id = x.job_id);
SELECT count(*) AS tables_left FROM pg_class c
WHERE relname LIKE 'view\_state\_%' AND relkind = 'r' AND NOT EXISTS (SELECT FROM streamq.job j WHERE j.state_table = c.oid);
