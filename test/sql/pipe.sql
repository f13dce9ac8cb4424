-- A pipe writes what a query makes of each message into another stream or a table, once.
-- For an owner who is no superuser.
CREATE SCHEMA pipe_test;
CREATE ROLE pipe_owner;
GRANT CREATE, USAGE ON SCHEMA pipe_test TO pipe_owner;
SET search_path = pipe_test;
SET ROLE pipe_owner;

CREATE TABLE clicks (user_id int, url text, ms int) USING streamq;
SELECT streamq.alter_stream('clicks', partitions => 2, partition_by => 'user_id');
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO users VALUES (1, 'one'), (2, 'two'), (4, 'four');

-- filter and re-key; columns that the query does not have get their defaults
CREATE TABLE slow (note text DEFAULT 'slow', url text, ms bigint, user_id int, twice int GENERATED ALWAYS AS (ms * 2) STORED) USING streamq;
SELECT streamq.alter_stream('slow', partitions => 3, partition_by => 'url');
SELECT streamq.create_pipe('slow clicks', 'SELECT ms, user_id, url FROM clicks WHERE ms >= 100', 'slow');

-- an envelope gets the row as JSON, unless the query has a payload
SELECT streamq.create_stream('alerts');
SELECT streamq.create_pipe('alerts', 'SELECT user_id::text AS key, url, ms FROM clicks WHERE ms > 150', 'alerts');
SELECT streamq.create_stream('own_payload');
SELECT streamq.create_pipe('own_payload', $$SELECT jsonb_build_object('ms', ms) AS payload, url AS key FROM clicks$$, 'own_payload');

-- enrich: inner and left join
SELECT streamq.create_stream('named');
SELECT streamq.create_pipe('named', 'SELECT name, url FROM clicks c JOIN users u ON u.id = c.user_id', 'named');
CREATE TABLE kept (name text, url text, msg_id bigint, id serial PRIMARY KEY);
SELECT streamq.create_pipe('kept', 'SELECT name, url, streamq.msg_id(c.tableoid, c.ctid) AS msg_id FROM clicks c LEFT JOIN users u ON u.id = c.user_id', 'kept');

-- fan-out: functions in FROM and in the select list
SELECT streamq.create_stream('words');
SELECT streamq.create_pipe('words', $$SELECT n || w AS key FROM clicks, unnest(string_to_array(url, '/')) WITH ORDINALITY x (w, n)$$, 'words');
CREATE TABLE copies (url text, n int) USING streamq;
SELECT streamq.create_pipe('copies', 'SELECT url, generate_series(1, ms / 100) AS n FROM clicks', 'copies');

-- subqueries over tables
SELECT streamq.create_stream('known');
SELECT streamq.create_pipe('known', 'SELECT url AS key, (SELECT count(*) FROM users) AS users FROM clicks WHERE EXISTS (SELECT FROM users WHERE id = user_id)', 'known');

INSERT INTO clicks SELECT i % 5, 'a/b' || i, i * 10 FROM generate_series(1, 20) i;
SELECT name, streamq.wait_until_caught_up(name, '30 s') FROM streamq.jobs WHERE source = 'clicks'::regclass ORDER BY name;
SELECT name, kind, state, source, emit_into, lag, rows_processed, rows_written, errors, last_error FROM streamq.jobs WHERE source = 'clicks'::regclass ORDER BY name;
SELECT * FROM slow ORDER BY ms;
SELECT * FROM alerts;
SELECT * FROM own_payload ORDER BY payload LIMIT 2;
SELECT payload FROM named ORDER BY payload->>'url';
SELECT name, url, msg_id = (SELECT streamq.msg_id(tableoid, ctid) FROM clicks c WHERE c.url = k.url) AS same FROM kept k ORDER BY url;
SELECT * FROM words ORDER BY key LIMIT 4;
SELECT * FROM copies ORDER BY url, n;
SELECT * FROM known ORDER BY key LIMIT 2;

-- the order within a partition of the source is kept, whatever the plan does
CREATE TABLE numbers (part int, n int) USING streamq;
SELECT streamq.alter_stream('numbers', partitions => 3, partition_by => 'part');
CREATE TABLE small (n int);
INSERT INTO small SELECT generate_series(1, 3000);
CREATE TABLE ordered (part int, n int) USING streamq;
SELECT streamq.create_pipe('ordered', 'SELECT part, n FROM small JOIN numbers USING (n)', 'ordered');
INSERT INTO numbers SELECT n % 7, n FROM generate_series(1, 5000) n ORDER BY n % 13, n;
SELECT streamq.wait_until_caught_up('ordered');
SELECT count(*), bool_and(expected = n) AS in_order FROM (
	SELECT n, lead(n) OVER (PARTITION BY part ORDER BY streamq.msg_id(tableoid, ctid)) AS next FROM ordered) o
JOIN (SELECT n AS expected, lead(n) OVER (PARTITION BY part ORDER BY streamq.msg_id(tableoid, ctid)) AS next
	  FROM numbers WHERE n <= 3000) e ON o.n = e.expected AND o.next IS NOT DISTINCT FROM e.next;

-- two pipes in a row; renames and new columns do not disturb them
SELECT streamq.create_stream('last');
SELECT streamq.create_pipe('last', 'SELECT url AS key, ms FROM slow WHERE ms > 190', 'last');
ALTER TABLE clicks RENAME TO presses;
ALTER TABLE presses RENAME COLUMN ms TO millis;
ALTER TABLE slow RENAME COLUMN url TO address;
ALTER TABLE slow ADD COLUMN more text DEFAULT 'more';
INSERT INTO presses VALUES (1, 'renamed', 200);
SELECT streamq.wait_until_caught_up('slow clicks'), streamq.wait_until_caught_up('last');
SELECT address, ms, more FROM slow WHERE ms > 190 ORDER BY address;
SELECT key, payload FROM last ORDER BY key;

-- pause, resume, run by hand; what a rolled-back transaction wrote is not there
SELECT streamq.pause('slow clicks');
INSERT INTO presses VALUES (1, 'paused', 300);
BEGIN;
INSERT INTO presses VALUES (1, 'gone', 300);
ROLLBACK;
SELECT state, lag FROM streamq.jobs WHERE name = 'slow clicks';
SELECT streamq.run_job('slow clicks');
SELECT address FROM slow WHERE ms = 300;
BEGIN;
INSERT INTO presses VALUES (1, 'undone', 301);
ROLLBACK;
SELECT streamq.resume('slow clicks');
SELECT state FROM streamq.jobs WHERE name = 'slow clicks';

-- starts: earliest, latest, a time
SELECT streamq.create_stream('from_earliest');
SELECT streamq.create_stream('from_latest');
SELECT streamq.create_stream('from_time');
SELECT pg_sleep(0.01);
SELECT clock_timestamp() AS since \gset
SELECT pg_sleep(0.01);
INSERT INTO presses VALUES (1, 'since', 5);
SELECT streamq.create_pipe('from_earliest', 'SELECT url AS key FROM presses WHERE millis < 15', 'from_earliest');
SELECT streamq.create_pipe('from_latest', 'SELECT url AS key FROM presses WHERE millis < 15', 'from_latest', 'latest');
SELECT streamq.create_pipe('from_time', 'SELECT url AS key FROM presses WHERE millis < 15', 'from_time', start_at => :'since');
INSERT INTO presses VALUES (1, 'after', 5);
SELECT streamq.wait_until_caught_up(name) FROM streamq.jobs WHERE name LIKE 'from%';
SELECT array_agg(key ORDER BY key) FROM from_earliest;
SELECT array_agg(key ORDER BY key) FROM from_latest;
SELECT array_agg(key ORDER BY key) FROM from_time;

-- triggers and constraints of the target; a message that fails is left out, the rest goes on
CREATE TABLE strict (url text NOT NULL, ms int CHECK (ms < 50), by text);
CREATE FUNCTION by_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.by := 'trigger'; RETURN NEW; END $$;
CREATE TRIGGER by_trigger BEFORE INSERT ON strict FOR EACH ROW EXECUTE FUNCTION by_trigger();
CREATE TABLE strict_stream (LIKE strict INCLUDING ALL) USING streamq;
CREATE TRIGGER by_trigger BEFORE INSERT ON strict_stream FOR EACH ROW EXECUTE FUNCTION by_trigger();
CREATE TABLE numbers2 (n int) USING streamq;
SELECT streamq.create_pipe('strict', $$SELECT 'n' || n AS url, 100 / n AS ms FROM numbers2$$, 'strict');
SELECT streamq.create_pipe('strict_stream', $$SELECT 'n' || n AS url, 100 / n AS ms FROM numbers2$$, 'strict_stream');
INSERT INTO numbers2 SELECT n FROM generate_series(-3, 30) n;
SELECT streamq.wait_until_caught_up('strict'), streamq.wait_until_caught_up('strict_stream');
SELECT count(*), min(ms), max(ms), min(by) FROM strict;
SELECT count(*), min(ms), max(ms), min(by) FROM strict_stream;
SELECT job, msg_id, sqlstate, message FROM streamq.job_errors WHERE job LIKE 'strict%' ORDER BY job, msg_id;
SELECT name, errors, last_error, rows_processed, rows_written FROM streamq.jobs WHERE name LIKE 'strict%' ORDER BY name;

-- with error_limit the pipe pauses, and resume() counts from zero
CREATE FUNCTION wait_for_state(job text, wanted text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN (SELECT state FROM streamq.jobs WHERE name = job) = wanted;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
CREATE TABLE limited (ms int);
SELECT streamq.create_pipe('limited', 'SELECT 100 / (n % 2) AS ms FROM numbers2', 'limited', error_limit => 4);
SELECT wait_for_state('limited', 'paused');
SELECT state, errors, last_error, rows_processed, rows_written, error_limit FROM streamq.jobs WHERE name = 'limited';
SELECT streamq.resume('limited');
SELECT wait_for_state('limited', 'paused');
SELECT state, errors, last_error, rows_processed, rows_written FROM streamq.jobs WHERE name = 'limited';
-- by hand it goes on to the end
SELECT streamq.run_job('limited');
SELECT state, errors, rows_processed, rows_written FROM streamq.jobs WHERE name = 'limited';
SELECT streamq.drop_pipe('limited');

-- a partitioned table
CREATE TABLE parts (n int) PARTITION BY RANGE (n);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (-100) TO (0);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (0) TO (100);
SELECT streamq.create_pipe('parts', 'SELECT n FROM numbers2', 'parts');
SELECT streamq.wait_until_caught_up('parts');
SELECT tableoid::regclass, count(*) FROM parts GROUP BY 1 ORDER BY 1;

-- what a pipe would write can be read; nothing can be written there
SELECT count(*) FROM streamq."pipe strict_stream" WHERE url = 'n30';
DELETE FROM streamq."pipe parts";
CREATE OR REPLACE VIEW streamq."pipe parts" AS SELECT 1 AS n;
ALTER VIEW streamq."pipe parts" SET (security_invoker = true);

-- what a pipe needs cannot go, and with CASCADE the pipe goes with it
\set VERBOSITY terse
DROP TABLE numbers2;
DROP TABLE strict;
DROP TABLE users;
\set VERBOSITY default
DROP TABLE parts;
\set VERBOSITY terse
DROP TABLE parts CASCADE;
DROP TABLE numbers2 CASCADE;
\set VERBOSITY default
SELECT name FROM streamq.jobs WHERE source NOT IN ('presses'::regclass, 'slow'::regclass, 'numbers'::regclass);
SELECT streamq.drop_pipe('ordered');
SELECT streamq.drop_pipe('ordered');
SELECT streamq.drop_pipe('ordered', if_exists => true);
SELECT count(*) FROM ordered;
DROP VIEW streamq."pipe slow clicks";
SELECT count(*) FROM streamq.jobs WHERE name = 'slow clicks';

-- roles
RESET ROLE;
DROP ROLE pipe_owner;
CREATE ROLE pipe_other;
REASSIGN OWNED BY pipe_owner TO pipe_other;
SELECT DISTINCT viewowner FROM pg_views WHERE viewname LIKE 'pipe %';
SET client_min_messages = warning;
DROP SCHEMA pipe_test CASCADE;
SELECT count(*) FROM streamq.job WHERE kind = 'pipe';
DROP OWNED BY pipe_owner, pipe_other;
DROP ROLE pipe_owner, pipe_other;
