-- what a continuous view cannot be is refused by name, when it is created
CREATE SCHEMA refuse_test;
SET search_path = refuse_test;
CREATE TABLE s (at timestamptz, k int, v numeric, t text) USING streamq;
CREATE TABLE s2 (at timestamptz, k int) USING streamq;
CREATE TABLE plain (at timestamptz, k int);
CREATE VIEW stream_view AS SELECT * FROM s;
CREATE FUNCTION vol(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1';
CREATE FUNCTION record_of(int) RETURNS record LANGUAGE sql IMMUTABLE AS 'SELECT $1, $1';

CREATE FUNCTION attempt(query text) RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM streamq.create_continuous_view('refused', query);
	RETURN QUERY SELECT '00000', 'no error', '', '';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END $$;
\x on
\t on

-- not one SELECT
SELECT * FROM attempt('');
SELECT * FROM attempt('SELECT 1; SELECT 2');
SELECT * FROM attempt('DELETE FROM s');
SELECT * FROM attempt('INSERT INTO s VALUES (now())');
SELECT * FROM attempt('CREATE TABLE x (a int)');
SELECT * FROM attempt('SELEC 1');
SELECT * FROM attempt('SELECT count(*) INTO x FROM s');
SELECT * FROM attempt('SELECT count(*) FROM s WHERE k = $1');
SELECT * FROM attempt('VALUES (1)');

-- where rows come from
SELECT * FROM attempt('SELECT 1');
SELECT * FROM attempt('SELECT count(*) FROM nowhere');
SELECT * FROM attempt('SELECT count(*) FROM plain');
SELECT * FROM attempt('SELECT count(*) FROM stream_view');
SELECT * FROM attempt('SELECT count(*) FROM s, s2');
SELECT * FROM attempt('SELECT count(*) FROM s JOIN s2 USING (k)');
SELECT * FROM attempt('SELECT count(*) FROM s a, s b');
SELECT * FROM attempt('SELECT count(*) FROM s RIGHT JOIN plain USING (k)');
SELECT * FROM attempt('SELECT count(*) FROM s LEFT JOIN streamq.tumble(at, ''1 min'') w ON true GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM (SELECT * FROM s) x');
SELECT * FROM attempt('WITH x AS (SELECT * FROM s) SELECT count(*) FROM x');
SELECT * FROM attempt('SELECT count(*) FROM s, generate_series(1, k)');
SELECT * FROM attempt('SELECT count(*) FROM s, (VALUES (1)) v');
SELECT * FROM attempt('SELECT count(*) FROM s TABLESAMPLE system (10)');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(at, ''1 min'') w, streamq.tumble(at, ''1 h'') x GROUP BY w.window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(at, ''1 min'') WITH ORDINALITY w GROUP BY w.window_start');

-- windows
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(at, ''0'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(at, ''1 month 1 day'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(at, k * interval ''1 s'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(at, NULL) w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(now(), ''1 min'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.tumble(at, ''1 min'', ''infinity'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT k, count(*) FROM s, streamq.tumble(at, ''1 min'') w GROUP BY k');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.hop(at, ''0'', ''1 min'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.hop(at, ''1 day'', ''1 month'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.hop(at, k * interval ''1 s'', ''1 min'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.hop(at, ''1 min'', NULL) w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.hop(at, ''1 min'', ''1 h'', to_timestamp(k)) w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.hop(at, ''1 min'', ''1 h'', NULL) w GROUP BY window_start');
SELECT * FROM attempt('SELECT k, count(*) FROM s, streamq.hop(at, ''1 min'', ''1 h'') w GROUP BY k, date_trunc(''day'', window_start)');
SELECT * FROM attempt('SELECT max(window_end - at) FROM s, streamq.hop(at, ''1 s'', ''1 day'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.cumulate(at, ''7 min'', ''1 h'') w GROUP BY window_end');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.cumulate(at, ''1 min'', ''1 h'') w GROUP BY window_start');
SELECT * FROM attempt('SELECT count(*) FROM s, streamq.cumulate(at, k * interval ''1 s'', ''1 h'') w GROUP BY window_end');
SELECT * FROM attempt('SELECT window_end FROM s, streamq.hop(at, ''1 ms'', ''1 day'') w GROUP BY window_end');
SELECT * FROM attempt('SELECT window_end FROM s, streamq.cumulate(at, ''1 s'', ''1 h'') w WHERE window_end > at + interval ''2 s'' GROUP BY window_end');

-- clauses
SELECT * FROM attempt('SELECT at, k FROM s');
SELECT * FROM attempt('SELECT DISTINCT k FROM s GROUP BY k');
SELECT * FROM attempt('SELECT k, count(*) FROM s GROUP BY k ORDER BY k');
SELECT * FROM attempt('SELECT k, count(*) FROM s GROUP BY k LIMIT 1');
SELECT * FROM attempt('SELECT k, count(*) FROM s GROUP BY k OFFSET 1');
SELECT * FROM attempt('SELECT k, count(*) FROM s GROUP BY ROLLUP (k)');
SELECT * FROM attempt('SELECT k, count(*) FROM s GROUP BY GROUPING SETS ((k), ())');
SELECT * FROM attempt('SELECT count(*) FROM s UNION SELECT count(*) FROM s2');
SELECT * FROM attempt('SELECT count(*) FROM s WHERE k IN (SELECT k FROM plain)');
SELECT * FROM attempt('SELECT k, count(*), sum(count(*)) OVER () FROM s GROUP BY k');
SELECT * FROM attempt('SELECT k, generate_series(1, 2) FROM s GROUP BY k');

-- aggregates
SELECT * FROM attempt('SELECT count(DISTINCT record_of(k)) FROM s');
SELECT * FROM attempt('SELECT array_agg(ARRAY[(k, t)]) FROM s');
SELECT * FROM attempt('SELECT count(DISTINCT (k, record_of(k))) FROM s');
SELECT * FROM attempt('SELECT string_agg(t, '','' ORDER BY vol(k)) FROM s');
SELECT * FROM attempt('SELECT count(DISTINCT vol(k)) FROM s');
SELECT * FROM attempt('SELECT percentile_cont(vol(1)) WITHIN GROUP (ORDER BY k) FROM s');
SELECT * FROM attempt('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY k) FILTER (WHERE at > now()) FROM s');
SELECT * FROM attempt('SELECT count(DISTINCT generate_series(1, k)) FROM s');
SELECT * FROM attempt('SELECT count(DISTINCT (SELECT k)) FROM s');
SELECT * FROM attempt('SELECT k, grouping(k) FROM s GROUP BY ROLLUP (k)');

-- functions whose answer changes
SELECT * FROM attempt('SELECT count(*) FROM s WHERE random() < 0.5');
SELECT * FROM attempt('SELECT vol(k), count(*) FROM s GROUP BY 1');
SELECT * FROM attempt('SELECT sum(vol(k)) FROM s');
SELECT * FROM attempt('SELECT count(*) + vol(1) FROM s');
SELECT * FROM attempt('SELECT count(*) FROM s WHERE at > now()');
SELECT * FROM attempt('SELECT count(*) FROM s WHERE at > current_timestamp');
SELECT * FROM attempt('SELECT count(*) FILTER (WHERE t = current_user) FROM s');

-- the view itself
SELECT * FROM attempt('SELECT k AS a, count(*) AS a FROM s GROUP BY k');
SELECT * FROM attempt('SELECT k, v FROM s GROUP BY k');
\t off
\x off

-- arguments of the call
SELECT streamq.create_continuous_view(NULL, 'SELECT count(*) FROM s');
SELECT streamq.create_continuous_view('v', NULL);
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s', watermark_delay => '-1 s');
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s', watermark_delay => '1 month');
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s', watermark_delay => NULL);
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s', allowed_lateness => '-1 s');
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s', late_rows => 'route');
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s', start_at => 'tomorrow');
SELECT streamq.create_continuous_view('plain', 'SELECT count(*) FROM s');
SELECT streamq.create_continuous_view('plain', 'SELECT count(*) FROM s', if_not_exists => true);
SELECT streamq.create_continuous_view('nowhere.v', 'SELECT count(*) FROM s');
SELECT streamq.create_continuous_view('', 'SELECT count(*) FROM s');
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s');
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s');
SELECT streamq.create_continuous_view('v', 'SELECT count(*) FROM s', if_not_exists => true);

-- jobs that are not there
SELECT streamq.pause('nothing');
SELECT streamq.resume('plain');
SELECT streamq.pause(NULL);
SELECT streamq.watermark('plain');
SELECT streamq.watermark(NULL);
SELECT streamq.wait_until_caught_up('nothing');
SELECT streamq.wait_until_caught_up('v', NULL);
SELECT streamq.run_job('nothing');
SELECT streamq.run_job('v', 0);
SELECT streamq.drop_continuous_view('nothing');
SELECT streamq.drop_continuous_view('nothing', if_exists => true);
SELECT streamq.drop_continuous_view('plain');
SELECT streamq.drop_continuous_view(NULL);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT streamq.run_job('v');
ROLLBACK;

-- the view cannot be written, nor its state; the stream it reads stays
INSERT INTO v VALUES (1);
DELETE FROM v;
TRUNCATE v;
-- (the names of state tables are counted up)
\set SHOW_CONTEXT never
DO $$ BEGIN EXECUTE (SELECT format('DELETE FROM %s', state_table) FROM streamq.job WHERE target = 'v'::regclass); END $$;
DO $$ BEGIN EXECUTE (SELECT format('TRUNCATE %s', state_table) FROM streamq.job WHERE target = 'v'::regclass); END $$;
\set SHOW_CONTEXT errors
CREATE OR REPLACE VIEW v AS SELECT 1::bigint AS count;
CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING;
DROP TABLE s;
ALTER TABLE s2 DROP COLUMN k;
SELECT streamq.create_continuous_view('v2', 'SELECT sum(v) FROM s');
ALTER TABLE s DROP COLUMN v;
ALTER TABLE s ALTER COLUMN v TYPE float8;

-- states of aggregates are not made by hand
CREATE ROLE refuse_role;
SET ROLE refuse_role;
SELECT '\x00'::streamq.aggregate_state;
SELECT '\x00'::streamq.aggregate_input;
RESET ROLE;
SELECT * FROM streamq.aggregate_inputs('s', '\x00') AS i (a int);
SELECT * FROM streamq.aggregate_inputs('s', '\x0200000000000000000000000000000') AS i (a int);
SELECT * FROM streamq.aggregate_inputs('s', '\x0100000000000000ffffffff00000000') AS i (a int);
SELECT * FROM streamq.aggregate_inputs('s', '\x01000000000000000000000000000000') AS i (a int);
-- other columns than those of the value
SELECT * FROM streamq.aggregate_inputs('s', '\x0100000002000000000000000000000017000000') AS i (a int, b int);
SELECT * FROM streamq.aggregate_inputs('s', '\x0100000001000000000000000000000014000000') AS i (a int);
SELECT * FROM streamq.aggregate_inputs('s', '\x0100000001000000000000000000000017000000') AS i (a int);
-- chunks are read from state tables only
CREATE TABLE fake (window_start text, group_hash text, chunk streamq.aggregate_input);
CREATE INDEX ON fake (window_start, group_hash);
INSERT INTO fake VALUES ('a', 'b', NULL);
SELECT * FROM streamq.aggregate_inputs('fake', ('\x0100000001000000010000000000000017000000' || repeat('00', 24))::streamq.aggregate_input) AS i (a int);
DROP TABLE fake;
SELECT * FROM streamq.aggregate_inputs('s', NULL) AS i (a int);
SELECT streamq.aggregate_inputs('s', NULL);
SELECT streamq.aggregate_input_merge('\x00'::streamq.aggregate_input);
SELECT streamq.aggregate_input_merge(NULL) IS NULL AS none;
SELECT streamq.aggregate_result('avg(numeric)', '{numeric}', '\x00'::bytea, NULL::numeric);
SELECT streamq.aggregate_result('avg(numeric)', '{numeric}', '\x00'::streamq.aggregate_state, NULL::numeric);
SELECT streamq.aggregate_result('avg(numeric)', '{numeric}', NULL::streamq.aggregate_state, NULL::text);
SELECT streamq.aggregate_result('abs(numeric)', '{numeric}', NULL::numeric, NULL::numeric);
SELECT streamq.aggregate_result('avg(int4)', '{int4}', '{2,7}'::int8[], NULL::numeric);

-- offsets of an unlogged stream begin again after a crash, the position of a job would not
CREATE UNLOGGED TABLE light (at timestamptz, k text) USING streamq;
SELECT streamq.create_continuous_view('v3', 'SELECT count(*) FROM light');

-- streams have no system columns but two
SELECT streamq.create_continuous_view('v3', 'SELECT count(xmin) FROM s');
SELECT streamq.create_continuous_view('v3', 'SELECT cmax, count(*) FROM s GROUP BY cmax');

-- nulls where a value is needed
SELECT streamq.create_continuous_view('v3', 'SELECT count(*) FROM s', if_not_exists => NULL);
SELECT streamq.drop_continuous_view('v3', if_exists => NULL);

-- what changes something is refused where nothing may be changed
SELECT streamq.create_continuous_view('v4', 'SELECT count(*) FROM s');
BEGIN READ ONLY;
SELECT streamq.create_continuous_view('v3', 'SELECT count(*) FROM s');
ROLLBACK;
BEGIN READ ONLY;
SELECT streamq.drop_continuous_view('v4');
ROLLBACK;
BEGIN READ ONLY;
SELECT streamq.pause('v4');
ROLLBACK;
BEGIN READ ONLY;
SELECT streamq.resume('v4');
ROLLBACK;

DROP ROLE refuse_role;
SET client_min_messages = warning;
DROP SCHEMA refuse_test CASCADE;
