-- Queues of pgmq and PgQ are copied into streams.  The tables here have the
-- columns of theirs.
SET timezone = 'UTC';

-- neither is there
SELECT streamq.import_pgmq('jobs');
SELECT streamq.import_pgq('jobs');
SELECT streamq.import_pgmq(NULL);
SELECT streamq.import_pgq(NULL);

-- ---- pgmq ----
CREATE SCHEMA pgmq;
SELECT streamq.import_pgmq('Jobs');
CREATE TABLE pgmq.q_jobs (
	msg_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	read_ct int DEFAULT 0 NOT NULL,
	enqueued_at timestamptz DEFAULT now() NOT NULL,
	last_read_at timestamptz,
	vt timestamptz NOT NULL,
	message jsonb,
	headers jsonb);
INSERT INTO pgmq.q_jobs (read_ct, vt, message, headers) VALUES
	(0, now(), '{"n": 1}', NULL),
	(2, now() + '1 hour', '{"n": 2}', '{"x-pgmq-group": "a", "trace": 7}'),
	(0, now() + '1 hour', '{"n": 3}', '{"late": true}'),
	(0, now(), '[4]', '{}'),
	(0, now(), NULL, NULL);

-- the stream gets the name of the queue as the caller writes it; what others
-- are reading is copied, and what is to be delivered later is kept for later
SELECT streamq.import_pgmq('Jobs');
SELECT key, payload, headers FROM "Jobs" ORDER BY streamq.msg_id(tableoid, ctid);
SELECT stream, key, payload, headers, deliver_at - now() > '59 min' AS later FROM streamq.delayed_messages;

-- once: later calls copy what is new
SELECT streamq.import_pgmq('Jobs');
DELETE FROM pgmq.q_jobs WHERE msg_id = 1;
INSERT INTO pgmq.q_jobs (vt, message) VALUES (now(), '{"n": 5}');
BEGIN;
SELECT streamq.import_pgmq('Jobs');
ROLLBACK;
SELECT streamq.import_pgmq('Jobs', '"Jobs"');
SELECT payload FROM "Jobs" ORDER BY streamq.msg_id(tableoid, ctid);

-- into a stream of the user's, which may have no place for keys or headers
SELECT streamq.create_stream('plain', 'payload text');
SELECT streamq.import_pgmq(queue => 'jobs', into_stream => 'plain');
SELECT streamq.import_pgmq('jobs', 'plain');
SELECT * FROM plain;

-- the stream's name is taken; an empty queue; tables that are no queues
CREATE TABLE taken (i int);
CREATE TABLE pgmq.q_taken (LIKE pgmq.q_jobs);
\set VERBOSITY terse
SELECT streamq.import_pgmq('taken');
\set VERBOSITY default
CREATE TABLE pgmq.q_empty (LIKE pgmq.q_jobs);
SELECT streamq.import_pgmq('empty');
SELECT streamq.import_pgmq('empty');
SELECT count(*) FROM empty;
CREATE TABLE pgmq.q_other (msg_id bigint, message jsonb);
SELECT streamq.import_pgmq('other', 'plain');
CREATE SEQUENCE pgmq.q_number;
SELECT streamq.import_pgmq('number', 'plain');
SELECT streamq.import_pgmq('jobs', 'taken');

-- a dropped stream forgets what was copied to it
DROP TABLE empty;
SELECT streamq.import_pgmq('empty');

-- privileges: those to read the queue and to produce to the stream
CREATE ROLE regress_importer;
GRANT USAGE ON SCHEMA pgmq TO regress_importer;
SELECT streamq.create_stream('granted');
SET ROLE regress_importer;
SELECT streamq.import_pgmq('jobs', 'granted');
RESET ROLE;
GRANT SELECT ON pgmq.q_jobs TO regress_importer;
SET ROLE regress_importer;
\set VERBOSITY terse
SELECT streamq.import_pgmq('jobs', 'granted');
\set VERBOSITY default
RESET ROLE;
GRANT INSERT ON granted TO regress_importer;
SET ROLE regress_importer;
SELECT streamq.import_pgmq('jobs', 'granted');
RESET ROLE;

-- ---- PgQ ----
CREATE SCHEMA pgq;
SELECT streamq.import_pgq('orders');
CREATE TABLE pgq.queue (queue_name text, queue_data_pfx text);
CREATE TABLE pgq.event_1 (
	ev_id bigint NOT NULL, ev_time timestamptz NOT NULL, ev_txid bigint NOT NULL DEFAULT txid_current(),
	ev_owner int4, ev_retry int4, ev_type text, ev_data text,
	ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text);
CREATE TABLE pgq.event_1_0 () INHERITS (pgq.event_1);
CREATE TABLE pgq.event_1_1 () INHERITS (pgq.event_1);
ALTER TABLE pgq.event_1_0 ALTER ev_txid SET DEFAULT txid_current();
ALTER TABLE pgq.event_1_1 ALTER ev_txid SET DEFAULT txid_current();
INSERT INTO pgq.queue VALUES ('orders', 'pgq.event_1'), ('broken', 'pgq.event_2');
SELECT streamq.import_pgq('order');
SELECT streamq.import_pgq('broken');

INSERT INTO pgq.event_1_1 (ev_id, ev_time, ev_type, ev_data, ev_extra1) VALUES
	(3, '2026-01-01 12:00+00', 'I', 'id=7&name=x', 'public.orders'), (4, '2026-01-01 12:00+00', 'n', '12', NULL);
INSERT INTO pgq.event_1_0 (ev_id, ev_time, ev_type, ev_data) VALUES
	(1, '2026-01-01 12:00+00', 'json', ' {"id": 7}'), (2, '2026-01-01 12:00+00', 'bad', '{"id": 7'), (5, '2026-01-01 12:00+00', 'list', '[1, 2]');
SELECT streamq.import_pgq('orders');
SELECT key, payload, headers FROM orders ORDER BY streamq.msg_id(tableoid, ctid);
SELECT streamq.import_pgq('orders');

-- an event with a lower id that is committed later; the caller's own events
BEGIN;
INSERT INTO pgq.event_1_0 (ev_id, ev_time, ev_type, ev_data) VALUES (7, now(), 'own', 'seven');
SELECT streamq.import_pgq('orders');
SELECT streamq.import_pgq('orders');
COMMIT;
SELECT streamq.import_pgq('orders');
INSERT INTO pgq.event_1_0 (ev_id, ev_time, ev_type, ev_data) VALUES (6, now(), 'late', 'six');
SELECT streamq.import_pgq('orders');
SELECT streamq.import_pgq('orders');
SELECT payload FROM orders WHERE streamq.msg_id(tableoid, ctid) >= 5 ORDER BY streamq.msg_id(tableoid, ctid);

-- as text, and an event without data
SELECT streamq.import_pgq('orders', 'plain');
SELECT payload FROM plain WHERE payload !~ '^[[{]"n"' ORDER BY streamq.msg_id(tableoid, ctid);
INSERT INTO pgq.event_1_0 (ev_id, ev_time, ev_type) VALUES (8, '2026-01-01 12:00+00', 'nothing');
SELECT streamq.import_pgq('orders');
SELECT payload, headers FROM orders WHERE payload = 'null';
SELECT streamq.import_pgq('orders', 'plain');
SELECT count(*) FROM plain WHERE payload IS NULL;

SELECT data, streamq.event_payload(data)
FROM (VALUES (' {}'), ('[1'), ('true'), ('"x"'), ('{"a": "\u0000"}'), (''), (NULL)) v (data);

-- a subscriber of both names is told which one is not there
DROP SCHEMA pgq CASCADE;
SELECT streamq.import_pgq('orders');

DROP SCHEMA pgmq CASCADE;
DROP TABLE "Jobs", plain, taken, empty, granted, orders;
SELECT count(*) FROM streamq.imported;
DROP ROLE regress_importer;
