-- Messages with a deliver_at are appended when they are due.
CREATE SCHEMA delay;
SET search_path = delay;
SET client_min_messages = warning;
SELECT streamq.create_stream('s');

-- wait until a condition holds
CREATE PROCEDURE wait_until(condition text) LANGUAGE plpgsql AS $$
DECLARE
	ok bool;
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXECUTE 'SELECT ' || condition INTO ok;
		EXIT WHEN ok;
		COMMIT;
		PERFORM pg_sleep(0.05);
	END LOOP;
	IF ok IS NOT TRUE THEN
		RAISE EXCEPTION 'still not: %', condition;
	END IF;
END $$;

-- in the past or now: at once
SELECT streamq.produce('s', '"past"', deliver_at => now() - interval '1 hour');
SELECT streamq.produce('s', '"now"', deliver_at => clock_timestamp());
SELECT streamq.produce('s', '"always"', deliver_at => '-infinity');
SELECT streamq.produce('s', '"never"', deliver_at => 'infinity');
\set VERBOSITY sqlstate
SELECT streamq.produce('s', '"never"', deliver_at => 'infinity');
\set VERBOSITY default

-- in the future: the result is null, and the view shows the message
SELECT streamq.produce('s', '{"n": 1}', 'k', '{"h": 1}', NULL, '2100-01-01 00:00+00', 0);
SELECT streamq.produce('s', '{"n": 2}'::jsonb, deliver_at => '2100-01-02 00:00+00'), streamq.produce('s', '{"n": 3}'::json, deliver_at => '2100-01-03 00:00+00'),
	streamq.produce('s', '{"n": 4}'::bytea, deliver_at => '2100-01-04 00:00+00');
SELECT stream, deliver_at AT TIME ZONE 'UTC' AS deliver_at, key, payload, headers, partition, dedup_id, attempts, last_error, next_attempt_at FROM streamq.delayed_messages ORDER BY deliver_at;
SELECT payload FROM s;

-- other payloads, as consumers would receive them
SELECT streamq.create_stream('t', 'payload text'), streamq.create_stream('b', 'payload bytea');
SELECT streamq.produce('t', 'plain "text"', deliver_at => '2100-01-01'), streamq.produce('t', NULL::text, deliver_at => '2100-01-02'),
	streamq.produce('b', '\x00ff'::bytea, deliver_at => '2100-01-01'), streamq.produce('b', '\x0102', deliver_at => '2100-01-02');
SELECT stream, payload FROM streamq.delayed_messages WHERE stream <> 's'::regclass ORDER BY 1, delayed_id;

-- what cannot be a message is refused at once
SELECT streamq.produce('s', 'no json', deliver_at => '2100-01-01');
SELECT streamq.produce('t', 'x', key => 'k', deliver_at => '2100-01-01');
SELECT streamq.produce('t', 'x', partition => 1, deliver_at => '2100-01-01');
SELECT streamq.produce('t', '\xff'::bytea, deliver_at => '2100-01-01');
CREATE TABLE not_envelope (n int) USING streamq;
SELECT streamq.produce('not_envelope', 'x', deliver_at => '2100-01-01');

-- cancel_delayed: once
SELECT delayed_id AS id FROM streamq.delayed_messages WHERE payload = '{"n": 2}' \gset
SELECT streamq.cancel_delayed('t', :id);
BEGIN;
SELECT streamq.cancel_delayed('s', :id);
ROLLBACK;
SELECT streamq.cancel_delayed('s', :id);
SELECT streamq.cancel_delayed('s', :id);
SELECT streamq.cancel_delayed(NULL, :id);
SELECT streamq.cancel_delayed('s', NULL);
CREATE TABLE ordinary (n int);
SELECT streamq.cancel_delayed('ordinary', 1);
SELECT payload FROM streamq.delayed_messages WHERE stream = 's'::regclass ORDER BY deliver_at;

-- who sees and cancels them: SELECT and INSERT on the stream
CREATE ROLE regress_delay_writer;
CREATE ROLE regress_delay_reader;
GRANT USAGE ON SCHEMA delay TO regress_delay_writer, regress_delay_reader;
GRANT INSERT ON s TO regress_delay_writer;
GRANT SELECT ON s TO regress_delay_reader;
SET ROLE regress_delay_reader;
SELECT count(*) FROM streamq.delayed_messages;
SELECT streamq.cancel_delayed('s', delayed_id) FROM streamq.delayed_messages;
SELECT count(*) FROM streamq.delayed_message;
SET ROLE regress_delay_writer;
SELECT count(*) FROM streamq.delayed_messages;
SELECT streamq.produce('s', '"by the writer"', deliver_at => '2100-02-01');
SELECT streamq.produce('t', 'x', deliver_at => '2100-02-01');
RESET ROLE;
SELECT delayed_id AS id FROM streamq.delayed_messages WHERE payload = '"by the writer"' \gset
SET ROLE regress_delay_writer;
SELECT streamq.cancel_delayed('s', :id);
RESET ROLE;
ALTER TABLE s ENABLE ROW LEVEL SECURITY;
SET ROLE regress_delay_reader;
SELECT count(*) FROM streamq.delayed_messages;
SET ROLE regress_delay_writer;
SELECT streamq.produce('s', '1', deliver_at => '2100-02-01');
RESET ROLE;
ALTER TABLE s DISABLE ROW LEVEL SECURITY;

-- due messages are appended in the order of their time
SELECT streamq.create_stream('d', partitions => 2);
SELECT streamq.produce('d', '1', partition => 1, deliver_at => clock_timestamp() + interval '300 ms'),
	streamq.produce('d', '2', partition => 1, deliver_at => clock_timestamp() + interval '100 ms'),
	streamq.produce('d', '3', partition => 0, deliver_at => clock_timestamp() + interval '200 ms'),
	streamq.produce('d', '4', key => 'k', headers => '{"h": 4}', deliver_at => clock_timestamp() + interval '500 ms');
CALL wait_until($$(SELECT count(*) = 4 FROM delay.d)$$);
SELECT payload, key, headers, streamq.msg_partition(streamq.msg_id(tableoid, ctid)) AS partition FROM d WHERE key IS NULL ORDER BY streamq.produced_at(tableoid, ctid);
INSERT INTO d (key, payload) VALUES ('k', '5');
SELECT payload, key, headers, count(*) OVER (PARTITION BY streamq.msg_partition(streamq.msg_id(tableoid, ctid))) > 1 AS together FROM d WHERE key = 'k' ORDER BY payload;
SELECT count(*) FROM streamq.delayed_messages WHERE stream = 'd'::regclass;
-- an earlier one that is added later comes first
SELECT streamq.produce('d', '"late"', partition => 0, deliver_at => clock_timestamp() + interval '2 s');
SELECT streamq.produce('d', '"early"', partition => 0, deliver_at => clock_timestamp() + interval '200 ms');
CALL wait_until($$EXISTS (SELECT FROM delay.d WHERE payload = '"early"')$$);
SELECT count(*) FROM streamq.delayed_messages WHERE payload = '"late"';
CALL wait_until($$EXISTS (SELECT FROM delay.d WHERE payload = '"late"')$$);
-- rolled back, and committed late
BEGIN;
SELECT streamq.produce('d', '"rolled back"', deliver_at => clock_timestamp() + interval '50 ms');
ROLLBACK;
BEGIN;
SELECT streamq.produce('d', '"committed late"', deliver_at => clock_timestamp() + interval '50 ms');
SELECT pg_sleep(0.5);
SELECT streamq.produce('d', '"in time"', deliver_at => clock_timestamp() + interval '50 ms');
COMMIT;
CALL wait_until($$(SELECT count(*) = 2 FROM delay.d WHERE payload IN ('"committed late"', '"in time"'))$$);
SELECT count(*) FROM d WHERE payload = '"rolled back"';
-- the payloads come out as they went in
SELECT streamq.produce('t', E'a "b"\\ \n', deliver_at => clock_timestamp() + interval '10 ms'), streamq.produce('t', NULL::text, deliver_at => clock_timestamp() + interval '10 ms'),
	streamq.produce('b', '\x00ff'::bytea, deliver_at => clock_timestamp() + interval '10 ms');
CALL wait_until($$(SELECT count(*) = 2 FROM delay.t) AND (SELECT count(*) = 1 FROM delay.b)$$);
SELECT payload = E'a "b"\\ \n' AS same FROM t;
SELECT payload FROM b;

-- dedup_id: taken when produce() is called
SELECT streamq.produce('d', '"once"', dedup_id => 'i', partition => 1, deliver_at => clock_timestamp() + interval '700 ms');
SELECT streamq.produce('d', '"twice"', dedup_id => 'i', deliver_at => clock_timestamp() + interval '700 ms'), streamq.produce('d', '"twice"', dedup_id => 'i');
SELECT streamq.produce_batch('d', ARRAY['"twice"', '"other"'], dedup_ids => ARRAY['i', 'j'], partition => 0) = ARRAY[NULL, streamq.make_msg_id(0, max(streamq.msg_offset(streamq.msg_id(tableoid, ctid))) + 1)]
	FROM d WHERE streamq.msg_partition(streamq.msg_id(tableoid, ctid)) = 0;
CALL wait_until($$EXISTS (SELECT FROM delay.d WHERE payload = '"once"')$$);
SELECT count(*) FROM d WHERE streamq.msg_id(tableoid, ctid) = (SELECT streamq.produce('d', '"twice"', dedup_id => 'i')) AND payload = '"once"';
SELECT streamq.produce('d', '"twice"', dedup_id => 'j', deliver_at => '2100-01-01') IS NOT NULL;
SELECT count(*) FROM d WHERE payload = '"twice"';
-- cancelled: free again
SELECT streamq.produce('d', '1', dedup_id => 'c', deliver_at => '2100-01-01');
SELECT streamq.cancel_delayed(stream, delayed_id) FROM streamq.delayed_messages WHERE dedup_id = 'c';
SELECT streamq.produce('d', '1', dedup_id => 'c') IS NOT NULL;

-- a message that cannot be appended waits longer each time, and stops no other
CREATE TABLE f (key text, payload text CHECK (payload <> 'bad')) USING streamq;
SELECT streamq.produce('f', CASE WHEN i = 3 THEN 'bad' ELSE 'good ' || i END, deliver_at => clock_timestamp() + interval '50 ms') FROM generate_series(1, 5) i;
CALL wait_until($$(SELECT count(*) = 4 FROM delay.f) AND EXISTS (SELECT FROM streamq.delayed_messages WHERE attempts > 0)$$);
SELECT payload FROM f;
SELECT payload, attempts > 0 AS failed, last_error, next_attempt_at > deliver_at AS later FROM streamq.delayed_messages WHERE stream = 'f'::regclass;
ALTER TABLE f DROP CONSTRAINT f_payload_check;
CALL wait_until($$(SELECT count(*) = 5 FROM delay.f)$$);
SELECT count(*) FROM streamq.delayed_messages WHERE stream = 'f'::regclass;
-- a column that is gone
SELECT streamq.produce('f', 'keyed', key => 'k', deliver_at => clock_timestamp() + interval '100 ms');
ALTER TABLE f DROP COLUMN key;
CALL wait_until($$EXISTS (SELECT FROM streamq.delayed_messages WHERE attempts > 0)$$);
SELECT payload, last_error FROM streamq.delayed_messages WHERE stream = 'f'::regclass;
-- triggers run as the owner of the stream
CREATE ROLE regress_delay_owner;
GRANT ALL ON SCHEMA delay TO regress_delay_owner;
CREATE TABLE o (payload text, who text) USING streamq;
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF new.payload = 'suppressed' THEN RETURN NULL; END IF; new.who := current_user; RETURN new; END $$;
CREATE TRIGGER who BEFORE INSERT ON o FOR EACH ROW EXECUTE FUNCTION who();
ALTER TABLE o OWNER TO regress_delay_owner;
GRANT INSERT ON o TO regress_delay_writer;
SET ROLE regress_delay_writer;
SELECT streamq.produce('o', 'suppressed', dedup_id => 'x', deliver_at => clock_timestamp() + interval '20 ms');
SELECT streamq.produce('o', 'x', deliver_at => clock_timestamp() + interval '50 ms');
RESET ROLE;
CALL wait_until($$(SELECT count(*) = 1 FROM delay.o)$$);
SELECT * FROM o;
SELECT streamq.produce('o', 'y', dedup_id => 'x') IS NOT NULL;
-- what a trigger sets does not reach other streams
CREATE TABLE p (payload text, path text) USING streamq;
CREATE FUNCTION set_path() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'elsewhere', false); RETURN new; END $$;
CREATE FUNCTION get_path() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.path := current_setting('search_path'); RETURN new; END $$;
CREATE TABLE q (payload text) USING streamq;
CREATE TRIGGER set_path BEFORE INSERT ON q FOR EACH ROW EXECUTE FUNCTION set_path();
CREATE TRIGGER get_path BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION get_path();
SELECT streamq.produce('q', 'x', deliver_at => clock_timestamp() + interval '20 ms');
CALL wait_until($$(SELECT count(*) = 1 FROM delay.q)$$);
SELECT streamq.produce('p', 'x', deliver_at => clock_timestamp() + interval '20 ms');
CALL wait_until($$(SELECT count(*) = 1 FROM delay.p)$$);
SELECT payload, path <> 'elsewhere' AS unchanged FROM p;

-- a stream that has used up its max_rate does not keep others waiting
CREATE TABLE r (payload text) USING streamq;
SELECT streamq.alter_stream('r', partitions => 2, max_rate => 0.01);
SELECT streamq.produce('r', i::text, partition => i % 2, deliver_at => now() + interval '50 ms') FROM generate_series(1, 4) i;
CALL wait_until($$(SELECT count(*) = 4 FROM delay.r)$$);
SELECT streamq.produce('r', 'late', deliver_at => now() + interval '20 ms'), streamq.produce('p', 'y', deliver_at => now() + interval '30 ms');
CALL wait_until($$(SELECT count(*) = 2 FROM delay.p)$$);
SELECT count(*) FROM r;
SELECT attempts, streamq.cancel_delayed(stream, delayed_id) FROM streamq.delayed_messages WHERE stream = 'r'::regclass;
-- messages that are large are appended in several transactions
CREATE TABLE l (payload text, xid xid8 DEFAULT pg_current_xact_id()) USING streamq;
BEGIN;
SELECT streamq.produce('l', repeat('x', 9000000), deliver_at => clock_timestamp() + interval '50 ms') FROM generate_series(1, 3);
SELECT FROM pg_sleep(0.1);
COMMIT;
CALL wait_until($$(SELECT count(*) = 3 FROM delay.l)$$);
SELECT count(DISTINCT xid), sum(length(payload)) FROM l;
DROP TABLE l;

-- TRUNCATE leaves them, DROP does not
TRUNCATE s;
SELECT payload FROM streamq.delayed_messages WHERE stream = 's'::regclass ORDER BY deliver_at;
BEGIN;
DROP TABLE s;
ROLLBACK;
SELECT count(*) FROM streamq.delayed_messages WHERE stream = 's'::regclass;
DROP TABLE s;
SELECT payload FROM streamq.delayed_messages ORDER BY delayed_id;
DROP SCHEMA delay CASCADE;
SELECT count(*) FROM streamq.delayed_message;
DROP ROLE regress_delay_writer;
DROP ROLE regress_delay_reader;
DROP ROLE regress_delay_owner;
