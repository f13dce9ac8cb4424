-- A handler calls a function for every message, in order, once for what it does here.
CREATE SCHEMA handler_test;
CREATE ROLE handler_owner;
GRANT CREATE, USAGE ON SCHEMA handler_test TO handler_owner;
SET search_path = handler_test;
CREATE FUNCTION wait_for_tries(n int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN EXISTS (SELECT FROM streamq.job_retry WHERE deliveries >= n);
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SET ROLE handler_owner;

CREATE TABLE seen (n int, partition int, msg_offset bigint, deliveries int, by name DEFAULT current_user, id serial);
SELECT streamq.create_stream('orders', partitions => 2);

-- one message in a call
CREATE FUNCTION one(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen VALUES ((m.payload->>'n')::int, m.partition, m.msg_offset, m.deliveries);
	IF (m.payload->>'n')::int % 10 = 7 THEN
		RAISE EXCEPTION 'cannot handle %', m.payload->>'n';
	END IF;
END $$;
SELECT streamq.create_handler('one', 'orders', 'one(streamq.message)', retry_backoff => '1 ms');
SELECT streamq.produce('orders', jsonb_build_object('n', n), key => (n % 3)::text) IS NOT NULL AS produced FROM generate_series(1, 20) n;
SELECT streamq.wait_until_caught_up('one', '30 s');
-- what failed leaves nothing behind, and is recorded; the order within partitions is kept
SELECT n, deliveries, by FROM seen ORDER BY n;
SELECT bool_and(ascending) FROM (SELECT msg_offset > lag(msg_offset) OVER (PARTITION BY partition ORDER BY id) AS ascending FROM seen) x;
SELECT job, sqlstate, message FROM streamq.job_errors ORDER BY message;
SELECT name, kind, state, source, dead_letter, lag, rows_processed, rows_written, errors, last_error, query, batch_size, max_deliveries FROM streamq.jobs;
SELECT count(*) FROM streamq."handler one";
SELECT streamq.drop_handler('one');

-- many messages in a call, and a dead letter
CREATE FUNCTION many(m streamq.message[]) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen SELECT (x.payload->>'n')::int, array_length(m, 1), x.msg_offset, x.deliveries FROM unnest(m) x;
	IF EXISTS (SELECT FROM unnest(m) x WHERE (x.payload->>'n')::int % 10 = 7) THEN
		RAISE EXCEPTION 'cannot handle it';
	END IF;
	RETURN 1;
END $$;
TRUNCATE seen;
SELECT streamq.create_stream('letters');
SELECT streamq.create_handler('many', 'orders', 'many(streamq.message[])', batch_size => 6, max_deliveries => 3, dead_letter => 'letters', retry_backoff => '1 ms');
SELECT streamq.wait_until_caught_up('many', '30 s');
SELECT n, partition <= 6 AS batch, deliveries FROM seen ORDER BY n;
SELECT payload, headers - 'streamq_msg_id' AS headers, headers ? 'streamq_msg_id' AS has_id FROM letters ORDER BY payload->>'n';
SELECT count(*) FROM streamq.job_errors;
SELECT name, errors, last_error, rows_written FROM streamq.jobs;
SELECT streamq.drop_handler('many');

-- while a message waits for its retry, those after it in its partition wait, and others do not
TRUNCATE seen;
CREATE TABLE switch (works bool);
INSERT INTO switch VALUES (false);
CREATE FUNCTION flaky(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF (m.payload->>'n')::int = 3 AND NOT (SELECT works FROM switch) THEN
		RAISE EXCEPTION 'not yet';
	END IF;
	INSERT INTO seen VALUES ((m.payload->>'n')::int, m.partition, m.msg_offset, m.deliveries);
END $$;
SELECT streamq.create_stream('halves', partitions => 2);
SELECT streamq.produce('halves', jsonb_build_object('n', n), partition => n % 2) IS NOT NULL AS produced FROM generate_series(1, 8) n;
BEGIN;
SELECT streamq.create_handler('flaky', 'halves', 'flaky(streamq.message)', retry_backoff => '1 h');
SELECT streamq.pause('flaky');
COMMIT;
SELECT streamq.run_job('flaky') AS ran;
SELECT streamq.run_job('flaky') AS nothing;
SELECT array_agg(n ORDER BY id) FROM seen WHERE partition = 0;
SELECT array_agg(n ORDER BY id) FROM seen WHERE partition = 1;
SELECT lag, errors, last_error FROM streamq.jobs;
SELECT streamq.wait_until_caught_up('flaky', '100 ms');
RESET ROLE;
SELECT partition, msg_offset, deliveries, retry_at > now() + interval '50 min' AS later, message FROM streamq.job_retry;
-- its time comes
UPDATE streamq.job_retry SET retry_at = now();
SET ROLE handler_owner;
UPDATE switch SET works = true;
SELECT streamq.run_job('flaky') AS ran;
SELECT n, deliveries FROM seen WHERE partition = 1 ORDER BY id;
RESET ROLE;
SELECT count(*) FROM streamq.job_retry;
SET ROLE handler_owner;
SELECT streamq.drop_handler('flaky');

-- a worker tries again when the time has come
TRUNCATE seen;
UPDATE switch SET works = false;
SELECT streamq.create_handler('flaky', 'halves', 'flaky(streamq.message)', max_deliveries => 1000, retry_backoff => '50 ms', retry_backoff_max => '50 ms');
SELECT wait_for_tries(3);
SELECT count(*) FROM seen WHERE partition = 1;
UPDATE switch SET works = true;
SELECT streamq.wait_until_caught_up('flaky', '30 s');
SELECT n, deliveries > 2 AS again FROM seen WHERE partition = 1 ORDER BY id;
SELECT streamq.drop_handler('flaky');

-- retention takes a message that waits
UPDATE switch SET works = false;
TRUNCATE seen;
BEGIN;
SELECT streamq.create_handler('flaky', 'halves', 'flaky(streamq.message)', retry_backoff => '1 h');
SELECT streamq.pause('flaky');
COMMIT;
SELECT streamq.run_job('flaky') AS ran;
TRUNCATE halves;
RESET ROLE;
UPDATE streamq.job_retry SET retry_at = now();
SET ROLE handler_owner;
SELECT streamq.produce('halves', '{"n": 9}', partition => 1) IS NOT NULL AS produced;
SELECT streamq.run_job('flaky') AS ran;
SELECT n, deliveries FROM seen WHERE partition = 1 ORDER BY id;
RESET ROLE;
SELECT count(*) FROM streamq.job_retry;
SET ROLE handler_owner;
SELECT streamq.drop_handler('flaky');

-- a stream with columns of its own
CREATE TABLE events (at date, what text, amount numeric) USING streamq;
CREATE TABLE noted (message jsonb);
CREATE FUNCTION note(streamq.message) RETURNS void LANGUAGE sql AS $$ INSERT INTO noted VALUES ($1.payload) $$;
SELECT streamq.create_handler('note', 'events', 'note(streamq.message)', start_at => 'latest');
INSERT INTO events VALUES ('2026-01-01', 'bought', 5), (NULL, 'sold', NULL);
SELECT streamq.wait_until_caught_up('note', '30 s');
SELECT * FROM noted ORDER BY message;

-- what a handler needs cannot go
DROP FUNCTION note;
DROP TABLE events;
ALTER FUNCTION note RENAME TO noting;
INSERT INTO events VALUES ('2026-01-02', 'renamed', 1);
SELECT streamq.wait_until_caught_up('note', '30 s');
SELECT count(*) FROM noted;
DROP FUNCTION noting CASCADE;
SELECT count(*) FROM streamq.jobs;
CREATE FUNCTION note(streamq.message) RETURNS void LANGUAGE sql AS $$ INSERT INTO noted VALUES ($1.payload) $$;
SELECT streamq.create_handler('note', 'events', 'note(streamq.message)', dead_letter => 'letters');
DROP TABLE letters;
DROP TABLE letters CASCADE;
SELECT count(*) FROM streamq.jobs;

-- a constraint that is checked at the end of the transaction isolates its message, too
CREATE TABLE customers (id int PRIMARY KEY);
INSERT INTO customers VALUES (1);
CREATE TABLE bought (customer int REFERENCES customers DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE buys (customer int) USING streamq;
CREATE FUNCTION buy(streamq.message) RETURNS void LANGUAGE sql AS $$ INSERT INTO bought VALUES (($1.payload->>'customer')::int) $$;
SELECT streamq.create_handler('buy', 'buys', 'buy(streamq.message)', max_deliveries => 1);
SELECT streamq.create_pipe('buys', 'SELECT * FROM buys', 'bought');
INSERT INTO buys VALUES (1), (2), (1);
SELECT streamq.wait_until_caught_up('buy', '30 s'), streamq.wait_until_caught_up('buys', '30 s');
SELECT * FROM bought;
SELECT job, msg_id, message FROM streamq.job_errors ORDER BY job;
SELECT streamq.drop_handler('buy'), streamq.drop_pipe('buys');

-- privileges of the owner, in each batch
SELECT streamq.create_handler('note', 'events', 'note(streamq.message)');
SELECT streamq.wait_until_caught_up('note', '30 s');
SELECT streamq.pause('note');
INSERT INTO events VALUES ('2026-01-03', 'revoked', 1);
REVOKE EXECUTE ON FUNCTION note FROM PUBLIC, handler_owner;
SELECT streamq.run_job('note');
GRANT EXECUTE ON FUNCTION note TO handler_owner;
SELECT streamq.run_job('note');

-- arguments
\set VERBOSITY default
CREATE FUNCTION wrong(int) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION a_set(streamq.message) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE proc(streamq.message) LANGUAGE sql AS '';
CREATE TABLE plain (n int);
CREATE UNLOGGED TABLE fast (n int) USING streamq;
SELECT streamq.create_handler('x', 'events', 'wrong(int)');
SELECT streamq.create_handler('x', 'events', 'a_set(streamq.message)');
SELECT streamq.create_handler('x', 'events', 'proc(streamq.message)');
SELECT streamq.create_handler('x', 'events', 0::regprocedure);
SELECT streamq.create_handler('x', 'plain', 'note(streamq.message)');
SELECT streamq.create_handler('x', 'fast', 'note(streamq.message)');
SELECT streamq.create_handler('note', 'events', 'note(streamq.message)');
SELECT streamq.create_handler('note', 'events', 'note(streamq.message)', if_not_exists => true);
SELECT streamq.create_pipe('note', 'SELECT what FROM events', 'events', if_not_exists => true);
SELECT streamq.drop_pipe('note');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', batch_size => 0);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', max_deliveries => 0);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', retry_backoff => '-1 s');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', retry_backoff => '1 month');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', retry_backoff_max => '-1 s');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', error_limit => -1);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', job_timeout => '-1 s');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', start_at => 'never');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', dead_letter => 'events');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', dead_letter => 'plain');
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', dead_letter => 'orders');
SELECT streamq.drop_handler('x');
SELECT streamq.create_handler('x', 'orders', 'note(streamq.message)', dead_letter => 'events');
SELECT streamq.create_handler(NULL, 'events', 'note(streamq.message)');
SELECT streamq.create_handler('x', NULL, 'note(streamq.message)');
SELECT streamq.create_handler('x', 'events', NULL);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', batch_size => NULL);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', max_deliveries => NULL);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', retry_backoff => NULL);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', start_at => NULL);
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)', if_not_exists => NULL);
SELECT streamq.drop_handler('x');
BEGIN READ ONLY;
SELECT streamq.create_handler('x', 'events', 'note(streamq.message)');
ROLLBACK;
-- a loop through a dead letter
SELECT streamq.create_stream('back');
SELECT streamq.create_pipe('back', 'SELECT payload FROM back', 'orders');
SELECT streamq.create_handler('x', 'orders', 'note(streamq.message)', dead_letter => 'back');

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA handler_test CASCADE;
SELECT count(*) FROM streamq.job WHERE kind = 'handler';
DROP OWNED BY handler_owner;
DROP ROLE handler_owner;
