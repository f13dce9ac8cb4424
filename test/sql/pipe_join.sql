-- Pipes that join two streams
CREATE SCHEMA pipe_join;
SET search_path = pipe_join;
SET timezone = 'UTC';

CREATE TABLE a (id int, k text, at timestamptz) USING streamq;
CREATE TABLE b (id int, k text, at timestamptz) USING streamq;
CREATE TABLE pairs (a int, b int) USING streamq;

SELECT streamq.create_pipe('inner', $$
	SELECT a.id AS a, b.id AS b FROM a JOIN b
	ON a.k = b.k AND b.at BETWEEN a.at - interval '1 minute' AND a.at + interval '2 minutes' $$, 'pairs');
INSERT INTO a VALUES (1, 'x', '2024-01-01 00:00'), (2, 'y', '2024-01-01 00:01'), (3, NULL, '2024-01-01 00:01');
INSERT INTO b VALUES (11, 'x', '2024-01-01 00:01'), (12, 'x', '2024-01-01 00:02'), (13, 'x', '2024-01-01 00:02:00.000001'), (14, NULL, '2024-01-01 00:01');
SELECT streamq.run_job('inner');
SELECT * FROM pairs ORDER BY 1, 2;
INSERT INTO a VALUES (4, 'x', '2024-01-01 00:03:00'), (5, 'x', '2024-01-01 00:03:00.000001');
SELECT streamq.run_job('inner');
SELECT * FROM pairs ORDER BY 1, 2;
SELECT name, kind, state, source, lag, rows_processed, late_rows FROM streamq.jobs;
SELECT streamq.drop_pipe('inner');
SELECT relname FROM pg_class WHERE relname LIKE 'pipe\_%' AND relkind = 'r';
DROP TABLE a, b, pairs;
SET client_min_messages = warning;
DROP SCHEMA pipe_join CASCADE;
