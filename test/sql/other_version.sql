-- A library that is newer or older than the extension's objects says so: it
-- does not read past the columns of a table, or write rows that are too short.
CREATE SCHEMA other_version_test;
SET search_path = other_version_test, public;
CREATE TABLE s (i int) USING streamq;
SELECT streamq.alter_stream('s', partitions => 2);
INSERT INTO s SELECT generate_series(1, 10);
SELECT count(*) FROM streamq.consume('s', 'g', auto_ack => true);
SELECT streamq.create_continuous_view('v', 'SELECT count(*) AS n FROM s');
SELECT streamq.wait_until_caught_up('v');

-- what the user is told, statement by statement
CREATE FUNCTION try(statements text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	statement text;
	message text;
	hint text;
BEGIN
	FOREACH statement IN ARRAY statements LOOP
		BEGIN
			EXECUTE statement;
			RETURN NEXT statement || ': done';
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = message_text, hint = pg_exception_hint;
			RETURN NEXT format('%s: %s %s (%s)', statement, sqlstate, message, hint);
		END;
	END LOOP;
END $$;

-- as an extension without the last column would have it
CREATE FUNCTION make_older(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	last text := (SELECT attname FROM pg_attribute WHERE attrelid = ('streamq.' || name)::regclass
		AND attnum > 0 ORDER BY attnum DESC LIMIT 1);
BEGIN
	EXECUTE format('ALTER EXTENSION streamq DROP TABLE streamq.%I', name);
	EXECUTE format('ALTER TABLE streamq.%I RENAME TO %I', name, name || '_there');
	EXECUTE format('CREATE TABLE other_version_test.%I AS TABLE streamq.%I', name, name || '_there');
	EXECUTE format('ALTER TABLE %I DROP COLUMN %I', name, last);
	-- numbered without a gap
	EXECUTE format('CREATE TABLE streamq.%I AS TABLE %1$I', name);
	EXECUTE format('ALTER EXTENSION streamq ADD TABLE streamq.%I', name);
END $$;

CREATE VIEW cases AS SELECT * FROM (VALUES
	('stream_options', ARRAY[$q$SELECT streamq.alter_stream('s', partitions => 3)$q$,
		$q$SELECT * FROM streamq.read('s')$q$]),
	('consumer_group', ARRAY[$q$SELECT streamq.create_group('s', 'h')$q$,
		$q$SELECT * FROM streamq.consume('s', 'g')$q$, $q$SELECT streamq.ack('s', 'g', 1)$q$,
		$q$SELECT streamq.drop_group('s', 'g')$q$]),
	('restored_group', ARRAY[$q$SELECT * FROM streamq.consume('s', 'new')$q$,
		$q$SELECT streamq.drop_group('s', 'g')$q$]),
	('job', ARRAY[$q$SELECT streamq.pause('v')$q$, $q$SELECT streamq.run_job('v')$q$,
		$q$SELECT streamq.create_continuous_view('w', 'SELECT count(*) AS n FROM s')$q$, 'DROP VIEW v']),
	('job_progress', ARRAY[$q$SELECT streamq.run_job('v')$q$, 'DROP VIEW v']),
	('job_stats', ARRAY[$q$SELECT streamq.run_job('v')$q$, $q$SELECT streamq.watermark('v')$q$, 'DROP VIEW v']),
	('job_error_log', ARRAY['DROP VIEW v'])) AS c(name, statements);

-- the objects are older
BEGIN; SELECT make_older('stream_options'); SELECT try(statements) FROM cases WHERE name = 'stream_options'; ROLLBACK;
BEGIN; SELECT make_older('consumer_group'); SELECT try(statements) FROM cases WHERE name = 'consumer_group'; ROLLBACK;
BEGIN; SELECT make_older('restored_group'); SELECT try(statements) FROM cases WHERE name = 'restored_group'; ROLLBACK;
BEGIN; SELECT make_older('job'); SELECT try(statements) FROM cases WHERE name = 'job'; ROLLBACK;
BEGIN; SELECT make_older('job_progress'); SELECT try(statements) FROM cases WHERE name = 'job_progress'; ROLLBACK;
BEGIN; SELECT make_older('job_stats'); SELECT try(statements) FROM cases WHERE name = 'job_stats'; ROLLBACK;
BEGIN; SELECT make_older('job_error_log'); SELECT try(statements) FROM cases WHERE name = 'job_error_log'; ROLLBACK;

-- other views have nothing to do with it
BEGIN;
CREATE VIEW ordinary AS SELECT 1 AS a;
SELECT make_older('job');
SELECT try(ARRAY['CREATE VIEW another AS SELECT 1 AS a', 'CREATE OR REPLACE VIEW ordinary AS SELECT 2 AS a',
	'ALTER VIEW ordinary OWNER TO pg_monitor', 'DROP VIEW ordinary',
	'CREATE OR REPLACE VIEW v AS SELECT 1::bigint AS n', 'ALTER VIEW v OWNER TO pg_monitor', 'DROP VIEW v']);
ROLLBACK;

-- or do not know a table yet
BEGIN;
ALTER EXTENSION streamq DROP TABLE streamq.restored_group;
ALTER TABLE streamq.restored_group RENAME TO elsewhere;
SELECT try(statements) FROM cases WHERE name = 'restored_group';
ROLLBACK;

-- the objects are newer
BEGIN;
ALTER TABLE streamq.stream_options ADD COLUMN later int;
SELECT try(statements) FROM cases WHERE name = 'stream_options';
ROLLBACK;
BEGIN;
ALTER TABLE streamq.job ADD COLUMN later int;
SELECT try(statements) FROM cases WHERE name = 'job';
ROLLBACK;

-- a table of that name that is not the extension's does not count
BEGIN;
ALTER EXTENSION streamq DROP TABLE streamq.job;
SELECT try(statements) FROM cases WHERE name = 'job';
ROLLBACK;

-- everything is as it was
SELECT try(statements) FROM cases WHERE name = 'consumer_group';
SELECT streamq.run_job('v') >= 0 AS ran;
SELECT * FROM v;

-- after pg_upgrade, which does not keep this dependency, the state is computed anew
SET allow_system_table_mods = on;
BEGIN;
TRUNCATE s;
SELECT streamq.run_job('v');
SELECT * FROM v;
DELETE FROM pg_depend WHERE objid = (SELECT state_table FROM streamq.job WHERE target = 'v'::regclass) AND refobjid = 'v'::regclass RETURNING deptype;
SELECT streamq.run_job('v');
SELECT * FROM v;
SELECT deptype FROM pg_depend WHERE objid = (SELECT state_table FROM streamq.job WHERE target = 'v'::regclass) AND refobjid = 'v'::regclass;
ROLLBACK;
RESET allow_system_table_mods;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA other_version_test CASCADE;
