-- What a pipe cannot be is refused by name, when it is created.
CREATE SCHEMA pipe_refuse;
CREATE ROLE pipe_refused;
CREATE ROLE pipe_reader;
SET search_path = pipe_refuse;
CREATE TABLE s (at timestamptz, k int, v numeric, t text) USING streamq;
CREATE TABLE s2 (at timestamptz, k int) USING streamq;
CREATE TABLE plain (at timestamptz, k int);
CREATE TABLE dst (k int, v numeric) USING streamq;
CREATE VIEW stream_view AS SELECT * FROM s;
CREATE UNLOGGED TABLE fast (k int) USING streamq;
CREATE TEMP TABLE temp (k int);

CREATE FUNCTION attempt(query text, target regclass DEFAULT 'dst') RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM streamq.create_pipe('refused', query, target);
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
SELECT * FROM attempt('SELEC 1');
SELECT * FROM attempt('SELECT k INTO x FROM s');
SELECT * FROM attempt('SELECT k FROM s WHERE k = $1');
SELECT * FROM attempt('VALUES (1)');
SELECT * FROM attempt('SELECT FROM s');

-- where rows come from
SELECT * FROM attempt('SELECT 1 AS k');
SELECT * FROM attempt('SELECT k FROM nowhere');
SELECT * FROM attempt('SELECT k FROM plain');
SELECT * FROM attempt('SELECT k FROM stream_view');
SELECT * FROM attempt('SELECT s.k FROM s, s2');
SELECT * FROM attempt('SELECT a.k FROM s a, s b');
SELECT * FROM attempt('SELECT k FROM plain RIGHT JOIN s2 USING (k) LEFT JOIN s USING (k)');
SELECT * FROM attempt('SELECT k FROM s RIGHT JOIN plain USING (k)');
SELECT * FROM attempt('SELECT k FROM s FULL JOIN plain USING (k)');
SELECT * FROM attempt('SELECT k FROM plain LEFT JOIN s USING (k)');
SELECT * FROM attempt('SELECT k FROM (SELECT * FROM s) x');
SELECT * FROM attempt('SELECT k FROM s2 WHERE EXISTS (SELECT FROM s)');
SELECT * FROM attempt('WITH x AS (SELECT * FROM s) SELECT k FROM x');
SELECT * FROM attempt('WITH x AS (INSERT INTO plain VALUES (now(), 1) RETURNING k) SELECT s.k FROM s, x');
SELECT * FROM attempt('SELECT k FROM s TABLESAMPLE system (10)');
SELECT * FROM attempt('SELECT k FROM fast');
SELECT * FROM attempt('SELECT s.k FROM s JOIN temp USING (k)');

-- what looks at several rows
SELECT * FROM attempt('SELECT count(*) AS k FROM s');
SELECT * FROM attempt('SELECT k FROM s GROUP BY k');
SELECT * FROM attempt('SELECT row_number() OVER () AS k FROM s');
SELECT * FROM attempt('SELECT DISTINCT k FROM s');
SELECT * FROM attempt('SELECT k FROM s ORDER BY k');
SELECT * FROM attempt('SELECT k FROM s LIMIT 1');
SELECT * FROM attempt('SELECT k FROM s UNION ALL SELECT k FROM s');
SELECT * FROM attempt('SELECT k FROM s FOR UPDATE');
SELECT * FROM attempt('SELECT xmin::text::int AS k FROM s');

-- the target and its columns
SELECT * FROM attempt('SELECT k, t FROM s');
SELECT * FROM attempt('SELECT k, k + 1 FROM s');
SELECT * FROM attempt('SELECT t AS k FROM s');
SELECT * FROM attempt('SELECT k, k FROM s');
SELECT * FROM attempt('SELECT row(k, v) AS k FROM s');
SELECT * FROM attempt('SELECT k FROM s', 'stream_view');
SELECT * FROM attempt('SELECT k FROM s', 'temp');
SELECT * FROM attempt('SELECT k FROM s', 0);
CREATE RULE r AS ON INSERT TO plain DO INSTEAD NOTHING;
SELECT * FROM attempt('SELECT k FROM s', 'plain');
DROP RULE r ON plain;

-- loops
SELECT * FROM attempt('SELECT k FROM dst', 'dst');
SELECT streamq.create_pipe('first', 'SELECT k FROM s', 's2');
SELECT streamq.create_pipe('second', 'SELECT k FROM s2', 'dst');
SELECT * FROM attempt('SELECT k FROM dst', 's');
SELECT * FROM attempt('SELECT k FROM s2', 's');
SELECT streamq.create_pipe('aside', 'SELECT k FROM dst', 'plain');
\x off
\t off

-- names and arguments
SELECT streamq.create_pipe('first', 'SELECT k FROM s', 's2');
SELECT streamq.create_pipe('first', 'SELECT k FROM s', 's2', if_not_exists => true);
SELECT streamq.create_pipe('', 'SELECT k FROM s', 's2');
SELECT streamq.create_pipe(repeat('x', 64), 'SELECT k FROM s', 's2');
SELECT streamq.create_pipe(NULL, 'SELECT k FROM s', 's2');
SELECT streamq.create_pipe('x', NULL, 's2');
SELECT streamq.create_pipe('x', 'SELECT k FROM s', NULL);
SELECT streamq.create_pipe('x', 'SELECT k FROM s', 's2', NULL);
SELECT streamq.create_pipe('x', 'SELECT k FROM s', 's2', if_not_exists => NULL);
SELECT streamq.create_pipe('x', 'SELECT k FROM s', 's2', 'beginning');
-- versions write the name of the setting in the hint in different ways
\set VERBOSITY terse
SELECT streamq.create_pipe('x', 'SELECT k FROM s', 's2', '2026-13-01');
\set VERBOSITY default
SELECT streamq.create_pipe('x', 'SELECT k FROM s', 's2', error_limit => 0);
SELECT streamq.create_pipe('x', 'SELECT k FROM s', 's2', job_timeout => '-1 s');
SELECT streamq.drop_pipe(NULL);
SELECT streamq.drop_pipe('first', NULL);
SELECT streamq.drop_pipe('nothing');
SELECT streamq.pause('nothing at all');
BEGIN READ ONLY;
SELECT streamq.create_pipe('x', 'SELECT k FROM s', 's2');
ROLLBACK;
BEGIN READ ONLY;
SELECT streamq.drop_pipe('first');
ROLLBACK;
-- a name that is longer than that of a view can be, with its kind
SELECT streamq.create_pipe(repeat('ü', 31), 'SELECT k FROM s', 's2');
SELECT streamq.wait_until_caught_up(repeat('ü', 31));
SELECT streamq.drop_pipe(repeat('ü', 31));

-- privileges: of the creator, then of the owner in each batch
GRANT USAGE ON SCHEMA pipe_refuse TO pipe_refused;
SET ROLE pipe_refused;
SELECT streamq.pause('first');
SELECT streamq.drop_pipe('first');
SELECT name FROM streamq.jobs;
SELECT streamq.create_pipe('mine', 'SELECT k FROM s2 WHERE k > 0', 'dst');
RESET ROLE;
GRANT SELECT (k) ON s2 TO pipe_refused;
SET ROLE pipe_refused;
SELECT streamq.create_pipe('mine', 'SELECT k FROM s2 WHERE k > 0', 'dst');
RESET ROLE;
GRANT INSERT ON dst TO pipe_refused;
SET ROLE pipe_refused;
SELECT streamq.create_pipe('mine', 'SELECT k FROM s2 WHERE at > now()', 'dst');
SELECT streamq.create_pipe('mine', 'SELECT k FROM s2 WHERE k > 0', 'dst');
SELECT name FROM streamq.jobs;
RESET ROLE;
INSERT INTO s2 VALUES (now(), 1);
SELECT streamq.wait_until_caught_up('mine'), streamq.wait_until_caught_up('second');
SELECT count(*) FROM dst WHERE v IS NULL AND k = 1;
SELECT streamq.pause('mine');
REVOKE SELECT (k) ON s2 FROM pipe_refused;
INSERT INTO s2 VALUES (now(), 2);
SELECT streamq.run_job('mine');
GRANT SELECT (k) ON s2 TO pipe_refused;
REVOKE INSERT ON dst FROM pipe_refused;
SELECT streamq.run_job('mine');
GRANT INSERT ON dst TO pipe_refused;
SELECT streamq.run_job('mine');
-- row-level security on the source, and on the target
ALTER TABLE s2 ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON s2 USING (true);
INSERT INTO s2 VALUES (now(), 3);
SELECT streamq.run_job('mine');
SET ROLE pipe_refused;
SELECT streamq.create_pipe('rls', 'SELECT k FROM s2 WHERE k > 0', 'dst');
RESET ROLE;
ALTER TABLE s2 DISABLE ROW LEVEL SECURITY;
ALTER TABLE dst ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON dst FOR INSERT WITH CHECK (k < 4);
INSERT INTO s2 VALUES (now(), 4);
SELECT streamq.run_job('mine');
SELECT rows_processed, rows_written, errors, last_error FROM streamq.jobs WHERE name = 'mine';
ALTER TABLE dst DISABLE ROW LEVEL SECURITY;
-- who may read the view of a pipe sees its figures, but not what may quote messages
GRANT SELECT ON streamq."pipe mine" TO pipe_reader;
SET ROLE pipe_reader;
SELECT name, errors, last_error FROM streamq.jobs;
SELECT streamq.pause('mine');
RESET ROLE;

-- a column of the target that a pipe writes is dropped
ALTER TABLE dst DROP COLUMN k CASCADE;
INSERT INTO s2 VALUES (now(), 5);
SELECT streamq.run_job('mine');
-- a new column takes its place, and may be renamed
ALTER TABLE dst ADD COLUMN k int;
SELECT streamq.run_job('mine');
ALTER TABLE dst RENAME k TO number;
INSERT INTO s2 VALUES (now(), 6);
SELECT streamq.run_job('mine');
SELECT number FROM dst WHERE number > 4 ORDER BY 1;
CREATE TABLE whole (payload jsonb) USING streamq;
BEGIN;
SELECT streamq.create_pipe('whole', 'SELECT k FROM s2', 'whole');
SELECT streamq.pause('whole');
COMMIT;
SELECT streamq.run_job('whole') > 0;
ALTER TABLE whole DROP COLUMN payload;
INSERT INTO s2 VALUES (now(), 7);
SELECT streamq.run_job('whole');
ALTER TABLE whole ADD COLUMN payload text;
SELECT streamq.run_job('whole');
SELECT payload FROM whole ORDER BY 1;
SET client_min_messages = warning;
DROP SCHEMA pipe_refuse CASCADE;
DROP ROLE pipe_refused, pipe_reader;
