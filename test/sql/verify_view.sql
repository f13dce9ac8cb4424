-- verify_continuous_view(): a view against its query over what the job has processed.
SET TIME ZONE 'UTC';
CREATE SCHEMA verify_view;
SET search_path = verify_view;
CREATE TABLE s (at timestamptz, k text, n int, x float8, j json) USING streamq;
CREATE TABLE four (at timestamptz, k text, n int, x float8, j json) USING streamq;
SELECT streamq.alter_stream('four', partitions => 4);

-- views of all kinds
CREATE TABLE queries (name text, query text);
INSERT INTO queries VALUES
	('total', 'SELECT count(*), sum(n), avg(x) FROM %1$s'),
	('groups', 'SELECT k, count(*) AS n, sum(n) AS total, max(x) FROM %1$s WHERE n > 3 GROUP BY k HAVING count(*) > 1'),
	('constant', 'SELECT k, k || ''-'' || count(*) AS label, ''fixed''::text FROM %1$s GROUP BY k'),
	('minutes', 'SELECT w.window_start, w.window_end, k, count(*), avg(n) FROM %1$s, streamq.tumble(at, ''1 min'') w GROUP BY w.window_start, w.window_end, k'),
	('hops', 'SELECT w.window_start, k, count(*), sum(n) FROM %1$s, streamq.hop(at, ''1 min'', ''3 min'') w GROUP BY w.window_start, k'),
	('steps', 'SELECT w.window_end, count(*), sum(n) FROM %1$s, streamq.cumulate(at, ''1 min'', ''5 min'') w GROUP BY w.window_start, w.window_end'),
	('visits', 'SELECT w.window_start, w.window_end, k, count(*), sum(n) FROM %1$s, streamq.session(at, ''7 s'') w WHERE n <> 5 GROUP BY w.window_start, w.window_end, k'),
	('collected', 'SELECT k, count(DISTINCT n), array_agg(n ORDER BY n), percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM %1$s GROUP BY k'),
	-- types without equality, without hashing, and without sorting
	('documents', 'SELECT k, json_agg(j ORDER BY n, x), jsonb_agg(n ORDER BY n), max(k)::tsvector AS v, count(*)::text::xid AS id, point(count(*), 0) AS p FROM %1$s GROUP BY k'),
	('hashed', 'SELECT count(*)::text::xid AS id, k FROM %1$s GROUP BY k'),
	('hour', 'SELECT date_trunc(''hour'', at) AS hour, count(*) FROM %1$s GROUP BY 1');
SELECT count(streamq.create_continuous_view(name || suffix, format(query, stream)))
FROM queries, (VALUES ('', 's'), ('_four', 'four')) AS streams (suffix, stream);
SELECT count(streamq.pause(name || suffix)) FROM queries, (VALUES (''), ('_four')) AS streams (suffix);
CREATE FUNCTION differing() RETURNS TABLE (view text, rows bigint) LANGUAGE sql AS $$
	SELECT * FROM (SELECT relname::text, streamq.verify_continuous_view(oid) AS rows FROM pg_class
		WHERE relnamespace = 'verify_view'::regnamespace AND relkind = 'v' OFFSET 0) v
	WHERE v.rows <> 0 ORDER BY relname
$$;
-- without messages
SELECT * FROM differing();
CREATE PROCEDURE feed(first int, rows int) LANGUAGE sql AS $$
	INSERT INTO s SELECT '2026-01-01'::timestamptz + i * i % 700 * interval '1 s', nullif('k' || i % 4, 'k0'), nullif(i % 11 + 1, 7), CASE i % 50 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' ELSE i::text END::float8, json_build_object('i', i)
	FROM generate_series(first, first + rows - 1) i;
	INSERT INTO four SELECT * FROM s OFFSET first - 1;
$$;
CALL feed(1, 200);
-- nothing has been processed; then a part, and all
SELECT * FROM differing();
SELECT count(streamq.run_job(name || suffix, 17)) FROM queries, (VALUES (''), ('_four')) AS streams (suffix);
SELECT * FROM differing();
CALL feed(201, 100);
SELECT * FROM differing();
SELECT streamq.run_job('groups') > 0, streamq.run_job('visits_four') > 0;
SELECT * FROM differing();
SELECT (SELECT count(*) FROM minutes) > 10 AS minutes, (SELECT count(*) FROM visits_four) > 10 AS visits;

-- in a transaction that processes messages itself, and after it was rolled back
BEGIN;
SELECT streamq.run_job('minutes') > 0, streamq.run_job('collected_four') > 0;
SELECT * FROM differing();
ROLLBACK;
SELECT * FROM differing();

-- columns of the view that were renamed; the view in another schema
ALTER VIEW groups RENAME COLUMN n TO "the number";
ALTER VIEW groups RENAME TO "Groups";
CREATE SCHEMA "Verify more";
ALTER VIEW "Groups" SET SCHEMA "Verify more";
SELECT streamq.verify_continuous_view('"Verify more"."Groups"');
-- the settings of the view count, not those of the session
BEGIN;
SET LOCAL search_path = pg_catalog;
SET LOCAL TIME ZONE 'Asia/Kathmandu';
SELECT streamq.verify_continuous_view('verify_view.hour');
SHOW TIME ZONE;
COMMIT;

-- a state that is not what it should be
-- (state tables cannot be changed by hand, so the position or the errors are)
BEGIN;
-- a position that does not fit the state
UPDATE streamq.job_progress SET next_offset = next_offset - 1 WHERE job_id = (SELECT job_id FROM streamq.job WHERE target = 'total'::regclass);
SELECT streamq.verify_continuous_view('total');
UPDATE streamq.job_progress SET next_offset = 0 WHERE job_id IN (SELECT job_id FROM streamq.job WHERE target IN ('constant'::regclass, 'minutes'::regclass, 'visits'::regclass, 'documents'::regclass));
-- rows that the query lacks
SELECT streamq.verify_continuous_view('constant') = (SELECT count(*) FROM constant) AS constant,
	streamq.verify_continuous_view('minutes') = (SELECT count(*) FROM minutes) AS minutes,
	streamq.verify_continuous_view('visits') = (SELECT count(*) FROM visits) AS visits,
	streamq.verify_continuous_view('documents') = (SELECT count(*) FROM documents) AS documents;
-- without the position of a partition
DELETE FROM streamq.job_progress WHERE job_id = (SELECT job_id FROM streamq.job WHERE target = 'total_four'::regclass) AND partition = 0;
SELECT streamq.verify_continuous_view('total_four');
ROLLBACK;
BEGIN;
-- a message that the view has counted, and that failed all the same: a group
-- with another value
INSERT INTO streamq.job_error_log SELECT job_id, source, 0, now(), '22012', 'division by zero' FROM streamq.job WHERE target = 'constant'::regclass;
SELECT streamq.verify_continuous_view('constant');
-- another stream's
UPDATE streamq.job_error_log SET stream = 'four'::regclass;
SELECT streamq.verify_continuous_view('constant');
ROLLBACK;
SELECT * FROM differing();

-- late rows that were dropped are missing
SELECT streamq.create_continuous_view('punctual', $$ SELECT w.window_start, count(*) FROM s, streamq.tumble(at, '1 min') w GROUP BY w.window_start $$, late_rows => 'drop');
SELECT streamq.pause('punctual');
SELECT streamq.run_job('punctual', 1) > 0;
SELECT streamq.verify_continuous_view('punctual') > 0 AS differs;
SELECT streamq.drop_continuous_view('punctual');

-- messages that failed were not processed, and those that the job has not read
-- yet are not looked at
SELECT streamq.create_continuous_view('inverse', $$ SELECT k, sum(100 / (n - 3)) FROM s WHERE 100 / (n - 3) < 50 GROUP BY k $$);
SELECT streamq.pause('inverse');
SELECT streamq.verify_continuous_view('inverse');
SELECT streamq.run_job('inverse') > 0;
SELECT count(*) > 10 AS failed FROM streamq.job_errors WHERE job = 'inverse';
SELECT streamq.verify_continuous_view('inverse');
INSERT INTO s VALUES ('2026-01-01', 'k1', 3), ('2026-01-01', 'k1', 4);
SELECT streamq.verify_continuous_view('inverse');
CREATE ROLE regress_verify;
GRANT USAGE ON SCHEMA verify_view TO regress_verify;

-- errors
SELECT streamq.verify_continuous_view(NULL);
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT streamq.verify_continuous_view('s');
\echo :LAST_ERROR_SQLSTATE
SELECT streamq.verify_continuous_view('queries');
\echo :LAST_ERROR_SQLSTATE
SELECT streamq.verify_continuous_view(0);
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_verify;
SELECT streamq.verify_continuous_view('constant');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT ON constant TO regress_verify;
SET ROLE regress_verify;
SELECT streamq.verify_continuous_view('constant');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT ON s TO regress_verify;
SET ROLE regress_verify;
SELECT streamq.verify_continuous_view('constant');
RESET ROLE;
-- a restored view
BEGIN;
UPDATE streamq.job SET format = 0 WHERE target = 'constant'::regclass;
SELECT streamq.verify_continuous_view('constant');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
\set VERBOSITY default
SELECT streamq.job_has_processed('(0,1)', '{}', '{NULL}', '{}');
SELECT streamq.job_has_processed('(0,1)', '{}', '{{1}}', '{}');
SELECT streamq.job_has_processed('(0,1)', '{NULL}', '{1}', '{}');
SELECT streamq.job_has_processed('(0,1)', '{{0}}', '{1}', '{}');
SELECT streamq.job_has_processed('(0,1)', '{}', '{1}', '{NULL}');
SELECT streamq.job_has_processed('(0,1)', '{}', '{}', '{}'), streamq.job_has_processed('(0,1)', '{}', '{1}', '{}'), streamq.job_has_processed('(0,1)', '{}', '{1}', '{0}'), streamq.job_has_processed('(0,2)', '{}', '{1}', '{}'),
	streamq.job_has_processed('(0,1)', '{0}', '{1}', '{}'), streamq.job_has_processed('(0,1)', '{1}', '{5}', '{}'), streamq.job_has_processed('(0,2)', '{1}', '{5}', '{}');

-- views that began later than the stream: what was there before does not count
SELECT min(streamq.produced_at(tableoid, ctid)) < max(streamq.produced_at(tableoid, ctid)) AS over_time, min(streamq.produced_at(tableoid, ctid)) + (max(streamq.produced_at(tableoid, ctid)) - min(streamq.produced_at(tableoid, ctid))) / 2 AS middle FROM four \gset
SELECT :'over_time' AS over_time;
SELECT count(streamq.create_continuous_view('new_' || name, format(query, 'four'), start_at => 'latest')), count(streamq.create_continuous_view('middle_' || name, format(query, 'four'), start_at => :'middle'))
FROM queries WHERE name IN ('total', 'groups', 'minutes', 'hops', 'visits', 'collected');
SELECT count(streamq.pause(name)) FROM streamq.jobs WHERE name ~ '^new_|^middle_';
SELECT * FROM differing() WHERE view ~ '^new_|^middle_';
CALL feed(301, 100);
SELECT count(streamq.run_job(name, 40)) FROM streamq.jobs WHERE name ~ '^new_|^middle_';
SELECT * FROM differing() WHERE view ~ '^new_|^middle_';
SELECT sum(rows_processed) FILTER (WHERE name ~ '^new_') < sum(rows_processed) FILTER (WHERE name ~ '^middle_') AS fewer, (SELECT count FROM new_total) AS new, (SELECT count FROM middle_total) BETWEEN 101 AND (SELECT count(*) - 1 FROM four) AS middle FROM streamq.jobs;
-- partitions that are added later begin with their first message
SELECT streamq.alter_stream('four', partitions => 6);
CALL feed(401, 100);
SELECT count(streamq.run_job(name, 40)) FROM streamq.jobs WHERE name ~ '^new_|^middle_';
SELECT * FROM differing() WHERE view ~ '^new_|^middle_';
SELECT count FROM new_total;

SET client_min_messages = warning;
DROP SCHEMA verify_view CASCADE;
DROP SCHEMA "Verify more" CASCADE;
DROP ROLE regress_verify;
