-- what continuous views emit: closed windows, corrections, late rows
CREATE SCHEMA view_emit;
SET search_path = view_emit;
SET TIME ZONE 'UTC';
SET DateStyle TO ISO;
-- run by hand, so that what has been processed when is certain
CREATE FUNCTION paused_view(name text, query text, late_rows text DEFAULT 'update', late_stream regclass DEFAULT NULL,
	emit_into regclass DEFAULT NULL, allowed_lateness interval DEFAULT '0', start_at text DEFAULT 'earliest',
	retention interval DEFAULT NULL)
RETURNS regclass LANGUAGE plpgsql AS $$
DECLARE
	result regclass := streamq.create_continuous_view(name, query, late_rows => late_rows, late_stream => late_stream,
		emit_into => emit_into, allowed_lateness => allowed_lateness, start_at => start_at, retention => retention);
BEGIN
	PERFORM streamq.pause(name);
	RETURN result;
END $$;
CREATE TABLE clicks (at timestamptz NOT NULL, url text, ms int) USING streamq;
CREATE TABLE per_minute_out (window_start timestamptz, window_end timestamptz, url text,
	hits bigint, slowest int, revision int, deleted bool) USING streamq;
CREATE VIEW emitted AS
SELECT streamq.msg_id(tableoid, ctid) AS id, to_char(window_start, 'HH24:MI') AS window, url, hits,
	   slowest, revision, deleted
FROM per_minute_out;
SELECT paused_view('per_minute', $$
	SELECT w.window_start, w.window_end, url, count(*) AS hits, max(ms) AS slowest
	FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, w.window_end, url
	HAVING count(*) FILTER (WHERE ms >= 0) > 0 $$, emit_into => 'per_minute_out') AS v;

-- a window is emitted when the watermark reaches its end, and only then
INSERT INTO clicks VALUES ('2026-03-01 12:00:10', '/b', 10), ('2026-03-01 12:00:20', '/a', 20),
	('2026-03-01 12:00:30', '/a', 30), ('2026-03-01 12:00:40', NULL, 1), ('2026-03-01 12:00:59.999999', '/c', -1);
SELECT streamq.run_job('per_minute');
SELECT * FROM emitted ORDER BY id;
INSERT INTO clicks VALUES ('2026-03-01 12:01:00', '/a', 5);
SELECT streamq.run_job('per_minute');
SELECT * FROM emitted ORDER BY id;
SELECT streamq.run_job('per_minute');
SELECT count(*) FROM emitted;

-- a late row corrects its group, and no other
INSERT INTO clicks VALUES ('2026-03-01 12:00:50', '/a', 90);
SELECT streamq.run_job('per_minute');
SELECT * FROM emitted WHERE id >= 3 ORDER BY id;
-- a row that changes no result is no correction
CREATE TABLE maximum_out (window_end timestamptz, slowest int, revision int) USING streamq;
SELECT paused_view('maximum', $$
	SELECT w.window_end, max(ms) AS slowest FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_end $$, emit_into => 'maximum_out') AS v;
SELECT streamq.run_job('maximum');
SELECT * FROM maximum_out;
INSERT INTO clicks VALUES ('2026-03-01 12:00:50', '/b', 1);
SELECT streamq.run_job('maximum');
SELECT * FROM maximum_out;
-- a group that appears late is a new result
INSERT INTO clicks VALUES ('2026-03-01 12:00:51', '/late', 2);
SELECT streamq.run_job('per_minute');
SELECT * FROM emitted WHERE id >= 4 ORDER BY id;

-- HAVING takes a result away, and gives it back
CREATE TABLE even_out (window_end timestamptz, url text, hits bigint, revision int, deleted bool) USING streamq;
SELECT paused_view('even', $$
	SELECT w.window_end, url, count(*) AS hits FROM clicks, streamq.tumble(at, '1 minute') w
	WHERE url = '/x' GROUP BY w.window_end, url HAVING count(*) % 2 = 0 $$, emit_into => 'even_out') AS v;
INSERT INTO clicks VALUES ('2026-03-01 12:01:50', '/x'), ('2026-03-01 12:01:51', '/x'), ('2026-03-01 12:02:00', '/x');
SELECT streamq.run_job('even');
INSERT INTO clicks VALUES ('2026-03-01 12:01:52', '/x');
SELECT streamq.run_job('even');
INSERT INTO clicks VALUES ('2026-03-01 12:01:53', '/x');
SELECT streamq.run_job('even');
INSERT INTO clicks VALUES ('2026-03-01 12:01:54', '/x'), ('2026-03-01 12:01:54', '/x');
SELECT streamq.run_job('even');
SELECT * FROM even_out ORDER BY streamq.msg_id(tableoid, ctid);
-- the stream's last revision of each result is the view
SELECT window_end, url, hits FROM even WHERE window_end <= streamq.watermark('even');

-- a batch that fails or is rolled back emits nothing, and the next one everything
BEGIN;
INSERT INTO clicks VALUES ('2026-03-01 12:05:00', '/y', 1);
COMMIT;
BEGIN;
SELECT streamq.run_job('per_minute') > 0 AS done;
SELECT count(*) FROM emitted;
ROLLBACK;
SELECT count(*) FROM emitted;
SELECT streamq.run_job('per_minute') > 0 AS done;
SELECT * FROM emitted ORDER BY id DESC LIMIT 1;
SELECT name, late_rows FROM streamq.jobs WHERE name = 'per_minute';

-- an envelope gets the row as payload, the revision as header, and the first key that is selected
SELECT streamq.create_stream('envelope');
SELECT paused_view('in_envelope', $$
	SELECT w.window_start, url, ms / 10 AS slow, count(*) AS hits FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, url, ms / 10 $$, emit_into => 'envelope') AS v;
SELECT streamq.run_job('in_envelope') > 0 AS done;
SELECT key, payload, headers FROM envelope ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 4;
INSERT INTO clicks VALUES ('2026-03-01 12:00:01', '/a', 25);
SELECT streamq.run_job('in_envelope');
SELECT key, payload, headers FROM envelope ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 1;
SELECT streamq.drop_continuous_view('in_envelope');

-- columns: converted as in an assignment, defaults, generated, key, and what the stream lacks
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TABLE shaped (hits small, note text DEFAULT 'from a view', key text, double bigint GENERATED ALWAYS AS (hits * 2) STORED,
	revision text, slowest numeric(6, 2)) USING streamq;
SELECT paused_view('into_shaped', $$
	SELECT w.window_start, url, count(*) AS hits, max(ms) AS slowest FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, url $$, emit_into => 'shaped') AS v;
SELECT streamq.run_job('into_shaped') > 0 AS done;
SELECT * FROM shaped ORDER BY streamq.msg_id(tableoid, ctid) LIMIT 3;

-- a result that cannot be written fails the batch; nothing is lost
SELECT paused_view('failing', $$
	SELECT w.window_start, url AS key, max(ms) AS hits, 1 AS slowest FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, url $$, emit_into => 'shaped') AS v;
INSERT INTO clicks VALUES ('2026-03-01 12:05:01', '/a', 100);
SELECT streamq.run_job('failing') > 0 AS done;
INSERT INTO clicks VALUES ('2026-03-01 12:07:01', '/a', 1);
SELECT streamq.run_job('failing');
ALTER DOMAIN small DROP CONSTRAINT small_check;
SELECT streamq.run_job('failing');
SELECT count(*), max(hits) FROM shaped WHERE slowest = 1;
SELECT errors FROM streamq.jobs WHERE name = 'failing';
ALTER TABLE shaped RENAME hits TO renamed;
INSERT INTO clicks VALUES ('2026-03-01 12:09:01', '/a', 1);
SELECT streamq.run_job('failing');
ALTER TABLE shaped RENAME renamed TO hits;
SELECT streamq.run_job('failing');

-- late rows that are routed
CREATE TABLE late (url text, ms bigint, at timestamptz) USING streamq;
SELECT streamq.create_stream('late_envelope');
SELECT paused_view('routed', $$
	SELECT w.window_end, count(*) AS hits, sum(ms) AS ms FROM clicks, streamq.tumble(at, '1 minute') w
	WHERE at >= '2026-03-01 13:00' AND url IS DISTINCT FROM '/health'
	GROUP BY w.window_end $$, late_rows => 'route', late_stream => 'late', allowed_lateness => '30 s',
	start_at => 'latest') AS v;
SELECT paused_view('routed_envelope', $$
	SELECT w.window_end, count(*) AS hits FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_end $$, late_rows => 'route', late_stream => 'late_envelope', start_at => 'latest') AS v;
-- late iff watermark >= window_end + allowed_lateness
INSERT INTO clicks VALUES
	('2026-03-01 13:00:10', '/', 1),
	('2026-03-01 13:01:29.999999', '/', 2),
	('2026-03-01 13:00:20', 'in time', 3),
	('2026-03-01 13:01:30', '/', 4),
	('2026-03-01 13:00:30', 'late', 5),
	('2026-03-01 13:00:31', '/health', 6),
	('2026-03-01 13:01:20', '/', 7);
SELECT streamq.run_job('routed'), streamq.run_job('routed_envelope');
SELECT * FROM routed ORDER BY 1;
SELECT * FROM late;
SELECT * FROM routed_envelope ORDER BY 1;
SELECT key, payload, headers FROM late_envelope ORDER BY streamq.msg_id(tableoid, ctid);
SELECT name, rows_processed, late_rows, errors FROM streamq.jobs WHERE name ~ '^routed' ORDER BY 1;
-- one that the late stream refuses is recorded as a row that failed, and the others go on
ALTER TABLE late ADD CONSTRAINT not_13 CHECK (ms <> 13);
INSERT INTO clicks VALUES ('2026-03-01 13:00:30', 'late', 12), ('2026-03-01 13:00:30', 'late', 13), ('2026-03-01 13:00:30', 'late', 14);
SELECT streamq.run_job('routed');
SELECT ms FROM late ORDER BY 1;
SELECT job, sqlstate, message FROM streamq.job_errors WHERE job = 'routed';

-- streams that a view writes to are needed
DROP TABLE late;
DROP TABLE shaped;
ALTER TABLE late RENAME ms TO renamed;
SELECT streamq.run_job('routed');
INSERT INTO clicks VALUES ('2026-03-01 13:00:30', 'late', 15);
SELECT streamq.run_job('routed');
ALTER TABLE late RENAME renamed TO ms;
SELECT streamq.run_job('routed');
SELECT count(*) FROM late WHERE ms = 15;
SET client_min_messages = warning;
DROP TABLE shaped CASCADE;
RESET client_min_messages;
SELECT name FROM streamq.jobs WHERE name IN ('failing', 'into_shaped');

-- arguments
CREATE TABLE other (a int) USING streamq;
CREATE TABLE typed (window_end timestamptz, hits point) USING streamq;
CREATE TABLE heap (window_end timestamptz, hits bigint);
CREATE FUNCTION refused(late_rows text DEFAULT 'update', late_stream regclass DEFAULT NULL, emit_into regclass DEFAULT NULL,
	idle_timeout interval DEFAULT NULL, retention interval DEFAULT NULL, start_at text DEFAULT 'earliest',
	query text DEFAULT 'SELECT w.window_end, count(*) AS hits FROM clicks, streamq.tumble(at, ''1 minute'') w GROUP BY w.window_end')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; hint text; state text;
BEGIN
	PERFORM streamq.create_continuous_view('refused', query, late_rows => late_rows, late_stream => late_stream,
		emit_into => emit_into, idle_timeout => idle_timeout, retention => retention, start_at => start_at);
	RAISE 'not refused' USING ERRCODE = 'PZ001';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', state, message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT refused(late_rows => 'drops');
SELECT refused(late_rows => NULL);
SELECT refused(late_rows => 'route');
SELECT refused(late_stream => 'other');
SELECT refused(late_rows => 'route', late_stream => 'other');
SELECT refused(late_rows => 'route', late_stream => 'typed');
SELECT refused(late_rows => 'route', late_stream => 'heap');
SELECT refused(emit_into => 'other');
SELECT refused(emit_into => 'typed');
SELECT refused(emit_into => 'heap');
-- loops: directly, and through another view
CREATE TABLE loop (at timestamptz, window_end timestamptz, url text, ms int, hits int) USING streamq;
SELECT refused(emit_into => 'loop', query => 'SELECT w.window_end, max(at) AS at, max(url) AS url, max(ms) AS ms, count(*) AS hits
	FROM loop, streamq.tumble(at, ''1 minute'') w GROUP BY w.window_end');
SELECT refused(late_rows => 'route', late_stream => 'clicks');
SELECT paused_view('loop_1', 'SELECT w.window_end, max(at) AS at, max(url) AS url, max(ms) AS ms, count(*) AS hits
	FROM clicks, streamq.tumble(at, ''1 minute'') w GROUP BY w.window_end', emit_into => 'loop') AS v;
SELECT refused(emit_into => 'clicks', query => 'SELECT max(at) AS at, max(url) AS url, max(ms) AS ms
	FROM loop, streamq.tumble(at, ''1 minute'') w GROUP BY w.window_end');
SELECT refused(late_rows => 'route', late_stream => 'clicks', query => 'SELECT max(at) AS at, max(url) AS url, max(ms) AS ms
	FROM loop, streamq.tumble(at, ''1 minute'') w GROUP BY w.window_end');
DROP VIEW loop_1;
SELECT refused(emit_into => 'envelope', query => 'SELECT url, count(*) FROM clicks GROUP BY url');
SELECT refused(idle_timeout => '0');
SELECT refused(idle_timeout => '-1 s');
SELECT refused(idle_timeout => '1 month');
SELECT refused(retention => '-1 s');
SELECT refused(start_at => 'soon');

-- privileges of the view's owner: checked at creation and in each batch
CREATE ROLE regress_view_emit;
GRANT USAGE, CREATE ON SCHEMA view_emit TO regress_view_emit;
GRANT SELECT ON clicks TO regress_view_emit;
SET ROLE regress_view_emit;
SELECT refused(emit_into => 'envelope');
SELECT refused(late_rows => 'route', late_stream => 'late_envelope');
RESET ROLE;
GRANT INSERT ON envelope TO regress_view_emit;
SET ROLE regress_view_emit;
SELECT paused_view('theirs', $$
	SELECT w.window_start, count(*) AS hits FROM clicks, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start $$, emit_into => 'envelope') AS v;
RESET ROLE;
REVOKE INSERT ON envelope FROM regress_view_emit;
SELECT streamq.run_job('theirs');
GRANT INSERT ON envelope TO regress_view_emit;
SELECT streamq.run_job('theirs') > 0 AS done;
SELECT count(*) FROM envelope WHERE payload - 'window_start' - 'hits' = '{}';

-- the tables below the view cannot be changed, and go with it
SELECT result_table::text AS results FROM streamq.job WHERE target = 'theirs'::regclass \gset
DELETE FROM :results;
INSERT INTO clicks VALUES ('2026-03-01 14:00:30', 'x', 15);
DROP VIEW theirs;
SELECT to_regclass(:'results');
SELECT count(*) FROM pg_class WHERE relname ~ '^view_result' AND relkind = 'r' AND oid NOT IN (SELECT result_table FROM streamq.job WHERE result_table IS NOT NULL);

SET client_min_messages = warning;
DROP SCHEMA view_emit CASCADE;
DROP ROLE regress_view_emit;
