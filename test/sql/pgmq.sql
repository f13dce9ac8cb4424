-- The extension streamq_pgmq: what pgmq documents, with its results.
CREATE EXTENSION streamq_pgmq;
-- what clients do when they connect
CREATE EXTENSION IF NOT EXISTS pgmq CASCADE;
SET timezone = 'UTC';

-- ---- queues ----
SELECT pgmq.create('jobs');
SELECT pgmq.create('jobs');
SELECT pgmq.create_non_partitioned('plain');
SELECT pgmq.create_unlogged('Fast');
SELECT pgmq.create_partitioned('many', '10000', '100000');
SELECT pgmq.create_partitioned('days', '1 day', '7 days', premake => 2);
SELECT queue_name, is_partitioned, is_unlogged, created_at <= now() AS created FROM pgmq.list_queues() ORDER BY 1;
SELECT stream, retention, max_messages, keep_unacked FROM streamq.stream_options ORDER BY stream::text;
SELECT pgmq.drop_queue('plain'), pgmq.drop_queue('many'), pgmq.drop_queue('DAYS');
SELECT pgmq.drop_queue('plain');
SELECT pgmq.drop_queue('plain', true);
SELECT queue_name FROM pgmq.list_queues() ORDER BY 1;

-- ---- sending: numbers begin at 1 ----
SELECT * FROM pgmq.send('jobs', '{"n": 1}');
SELECT * FROM pgmq.send('jobs', '{"n": 2}', '{"trace": "a"}'::jsonb);
SELECT * FROM pgmq.send('jobs', '{"n": 3}', 3600);
SELECT * FROM pgmq.send(queue_name => 'jobs', msg => '{"n": 4}', delay => now() + interval '1 hour');
SELECT * FROM pgmq.send('jobs', '{"n": 5}', '{"trace": "b"}'::jsonb, 3600);
SELECT * FROM pgmq.send('jobs', '{"n": 6}', '{"trace": "c"}'::jsonb, now() - interval '1 hour');
SELECT * FROM pgmq.send_batch('jobs', ARRAY['{"n": 7}', '{"n": 8}']::jsonb[]);
SELECT * FROM pgmq.send_batch('jobs', ARRAY['{"n": 9}', '{"n": 10}']::jsonb[], ARRAY['{"trace": "d"}', NULL]::jsonb[]);
SELECT * FROM pgmq.send_batch('jobs', ARRAY['{"n": 11}', '{"n": 12}']::jsonb[], 3600);
SELECT * FROM pgmq.send_batch('jobs', ARRAY['{"n": 13}']::jsonb[], now() + interval '1 hour');
SELECT * FROM pgmq.send_batch('jobs', ARRAY['{"n": 14}']::jsonb[], ARRAY['{"trace": "e"}']::jsonb[], 3600);
SELECT * FROM pgmq.send_batch('jobs', ARRAY['{"n": 15}']::jsonb[], ARRAY['{"trace": "f"}']::jsonb[], now() + interval '1 hour');
SELECT * FROM pgmq.send('jobs', NULL);

-- what is in the queue
SELECT msg_id, read_ct, last_read_at, vt > now() + interval '30 min' AS later, message, headers FROM pgmq.q_jobs ORDER BY msg_id;
SELECT queue_name, queue_length, newest_msg_age_sec < 60 AS newest, oldest_msg_age_sec < 60 AS oldest,
	total_messages, queue_visible_length, default_partition_length FROM pgmq.metrics('jobs');

-- ---- reading ----
SELECT msg_id, read_ct, enqueued_at <= last_read_at AS read, vt - last_read_at AS invisible, message, headers
FROM pgmq.read('jobs', 600, 3);
-- only what contains a value, wherever it is; what lies before it stays
SELECT msg_id, read_ct, message FROM pgmq.read('jobs', 600, 5, '{"n": 10}');
SELECT msg_id FROM pgmq.read('jobs', 600, 5, '{"n": 10}');
SELECT msg_id FROM pgmq.read('jobs', 600, 5, '{"n": 3}');
SELECT msg_id FROM pgmq.read('jobs', 0, 1);
SELECT msg_id, read_ct FROM pgmq.read('jobs', 0, 1);
SELECT msg_id, read_ct FROM pgmq.read('jobs', 600, 100);
SELECT count(*) FROM pgmq.read('jobs', 600, 100);
SELECT count(*) FROM pgmq.read_with_poll('jobs', 600, 1, 1, 50);
SELECT count(*) FROM pgmq.read_with_poll('jobs', 600, 1, 1, 50, '{"n": 3}');
SELECT msg_id, read_ct, last_read_at IS NOT NULL AS was_read, vt > now() AS hidden FROM pgmq.q_jobs ORDER BY msg_id;
SELECT queue_length, queue_visible_length FROM pgmq.metrics('jobs');

-- ---- when a message is visible ----
SELECT msg_id, read_ct, last_read_at IS NOT NULL AS was_read, vt <= clock_timestamp() AS visible, message FROM pgmq.set_vt('jobs', 2, 0);
SELECT msg_id, read_ct FROM pgmq.read('jobs', 600, 1);
-- also one that nobody has read, and that was to be delivered later
SELECT msg_id, read_ct, last_read_at FROM pgmq.set_vt('jobs', 3, 0);
SELECT msg_id, read_ct FROM pgmq.read('jobs', 600, 10);
SELECT msg_id, vt FROM pgmq.set_vt('jobs', ARRAY[5, 1, 4, 99], '2100-01-01 00:00+00'::timestamptz);
SELECT msg_id, vt > now() + interval '50 s' AS hidden FROM pgmq.set_vt('jobs', ARRAY[1, 4]::bigint[], 60);
SELECT msg_id, vt FROM pgmq.set_vt('jobs', 1, '2100-01-01 00:00+00'::timestamptz);
SELECT * FROM pgmq.set_vt('jobs', 99, 10);
-- parameters without types, as some drivers send them
SELECT msg_id, vt FROM pgmq.set_vt('jobs', '4', '2100-01-01 00:00+00');
SELECT msg_id, vt > now() + interval '50 s' AS hidden FROM pgmq.set_vt('jobs', '{4,5}', '60');

-- ---- deleting and archiving: whoever has the message, and if nobody had it ----
SELECT pgmq.delete('jobs', 1), pgmq.delete('jobs', 1), pgmq.delete('jobs', 99), pgmq.delete('jobs', 0), pgmq.delete('jobs', -7);
SELECT * FROM pgmq.delete('jobs', ARRAY[2, 3, 1, NULL, 99, 3]);
SELECT pgmq.archive('jobs', 6), pgmq.archive('jobs', 6);
SELECT * FROM pgmq.archive('jobs', ARRAY[7, 14, 99]);
SELECT msg_id, read_ct, last_read_at IS NOT NULL AS was_read, archived_at <= clock_timestamp() AS archived,
	vt > now() AS hidden, message, headers FROM pgmq.a_jobs ORDER BY msg_id;
SELECT msg_id FROM pgmq.q_jobs ORDER BY msg_id;

-- a rollback undoes all of it
BEGIN;
SELECT pgmq.delete('jobs', 8);
SELECT msg_id FROM pgmq.archive('jobs', ARRAY[9, 10]) msg_id;
SELECT msg_id FROM pgmq.set_vt('jobs', 11, 0);
SELECT msg_id, read_ct FROM pgmq.read('jobs', 60, 10);
SELECT count(*) FROM pgmq.a_jobs;
SELECT msg_id, read_ct FROM pgmq.q_jobs ORDER BY msg_id;
ROLLBACK;
SELECT msg_id, read_ct FROM pgmq.q_jobs ORDER BY msg_id;
SELECT count(*) FROM pgmq.a_jobs;

-- ---- pop, purge ----
SELECT msg_id, read_ct, message FROM pgmq.pop('jobs');
SELECT pgmq.set_vt('jobs', ARRAY[8, 9, 15]::bigint[], 0) IS NOT NULL;
SELECT msg_id, read_ct, message FROM pgmq.pop('jobs', 5);
SELECT pgmq.purge_queue('jobs');
SELECT pgmq.purge_queue('jobs');
SELECT * FROM pgmq.send('jobs', '{"n": 17}');
SELECT queue_length, total_messages FROM pgmq.metrics('jobs');
SELECT msg_id, read_ct, message FROM pgmq.read('jobs', 600, 10);
SELECT queue_name, queue_length FROM pgmq.metrics_all() ORDER BY 1;

-- ---- groups ----
SELECT pgmq.create('fifo');
SELECT pgmq.create_fifo_index('fifo'), pgmq.create_fifo_indexes_all();
SELECT * FROM pgmq.send_batch('fifo',
	ARRAY['"a1"', '"a2"', '"b1"', '"a3"', '"b2"', '"none1"', '"c1"', '"none2"']::jsonb[],
	ARRAY['{"x-pgmq-group": "a"}', '{"x-pgmq-group": "a"}', '{"x-pgmq-group": "b"}', '{"x-pgmq-group": "a"}',
		'{"x-pgmq-group": "b"}', NULL, '{"x-pgmq-group": "c"}', '{}']::jsonb[]);
BEGIN;
SELECT msg_id, message, read_ct FROM pgmq.read_grouped('fifo', 60, 4);
-- the group that is not complete is left out: its first message is hidden
SELECT msg_id, message FROM pgmq.read_grouped('fifo', 60, 4);
ROLLBACK;
BEGIN;
SELECT msg_id, message FROM pgmq.read_grouped_rr('fifo', 60, 6);
ROLLBACK;
BEGIN;
SELECT msg_id, message FROM pgmq.read_grouped_head('fifo', 60, 3);
SELECT msg_id, message FROM pgmq.read_grouped_head('fifo', 60, 3);
SELECT msg_id, message FROM pgmq.read_grouped_head_with_poll('fifo', 60, 3, 1, 50);
-- the next one of a group, when the first one is done
SELECT pgmq.delete('fifo', 1), pgmq.archive('fifo', 7);
SELECT msg_id, message FROM pgmq.read_grouped_with_poll('fifo', 60, 9, 1, 50);
SELECT msg_id, message FROM pgmq.read_grouped_rr_with_poll('fifo', 60, 9, 0);
ROLLBACK;

-- ---- topics ----
SELECT pgmq.create('errors'), pgmq.create('all'), pgmq.create('api');
SELECT pgmq.bind_topic('logs.*.error', 'errors'), pgmq.bind_topic('#', 'all'), pgmq.bind_topic('logs.api.#', 'api'), pgmq.bind_topic('logs.#', 'all');
SELECT pgmq.bind_topic('#', 'all');
SELECT * FROM pgmq.test_routing('logs.api.error');
SELECT * FROM pgmq.test_routing('logsxapi.error');
SELECT pgmq.send_topic('logs.api.error', '{"m": 1}'), pgmq.send_topic('logs.db.error', '{"m": 2}', 0),
	pgmq.send_topic('other', '{"m": 3}', '{"h": 1}'::jsonb, 3600);
SELECT * FROM pgmq.send_batch_topic('logs.api.x', ARRAY['{"m": 4}', '{"m": 5}']::jsonb[]);
SELECT * FROM pgmq.send_batch_topic('logs.api.x', ARRAY['{"m": 6}']::jsonb[], ARRAY['{"h": 2}']::jsonb[], 3600);
SELECT msg_id, message, headers FROM pgmq.q_all ORDER BY msg_id;
SELECT msg_id, message FROM pgmq.q_errors ORDER BY msg_id;
SELECT pattern, queue_name, compiled_regex FROM pgmq.list_topic_bindings() ORDER BY 2, 1;
SELECT pattern, queue_name, compiled_regex FROM pgmq.list_topic_bindings('api');
SELECT pgmq.unbind_topic('#', 'all'), pgmq.unbind_topic('#', 'all');
SELECT pgmq.drop_queue('all');
SELECT pattern, queue_name FROM pgmq.list_topic_bindings() ORDER BY 2, 1;
SELECT pgmq.validate_routing_key('a.b-c_d.1'), pgmq.validate_topic_pattern('a.*.#');

-- ---- notifications ----
SELECT pgmq.enable_notify_insert('jobs', 0);
SELECT pgmq.enable_notify_insert('jobs', 0);
LISTEN "pgmq.q_jobs.INSERT";
\o /dev/null
SELECT pgmq.send('jobs', '1');
\o
SELECT queue_name, throttle_interval_ms, last_notified_at > now() - interval '1 min' AS notified FROM pgmq.list_notify_insert_throttles();
SELECT pgmq.update_notify_insert('jobs', 3600000);
\o /dev/null
SELECT pgmq.send_batch('jobs', ARRAY['2', '3']::jsonb[]);
SELECT pgmq.send('jobs', '4');
\o
UNLISTEN *;
SELECT pgmq.disable_notify_insert('jobs');
SELECT count(*) FROM pgmq.list_notify_insert_throttles();
SELECT count(*) FROM pgmq.notify_insert_throttle;

-- ---- errors ----
\set VERBOSITY sqlstate
SELECT pgmq.create(repeat('x', 48));
SELECT pgmq.create('');
SELECT pgmq.create('a;b');
SELECT pgmq.create(NULL);
SELECT pgmq.create_partitioned('p', premake => 0);
SELECT pgmq.create_partitioned('p', retention_interval => 'soon');
SELECT pgmq.send('nothing', '{}');
SELECT pgmq.read('nothing', 1, 1);
SELECT pgmq.pop('nothing');
SELECT pgmq.delete('nothing', 1);
SELECT pgmq.archive('nothing', 1);
SELECT pgmq.set_vt('nothing', 1, 1);
SELECT pgmq.purge_queue('nothing');
SELECT pgmq.metrics('nothing');
SELECT pgmq.read_grouped('nothing', 1, 1);
SELECT pgmq.read('jobs', 1, -1);
SELECT pgmq.read('jobs', 1, NULL);
SELECT pgmq.set_vt('jobs', 1, NULL::timestamptz);
SELECT pgmq.send_batch('jobs', ARRAY[]::jsonb[]);
SELECT pgmq.send_batch('jobs', NULL);
SELECT pgmq.send_batch('jobs', ARRAY['1', '2']::jsonb[], ARRAY['{}']::jsonb[]);
SELECT pgmq.bind_topic('#', 'nothing');
SELECT pgmq.bind_topic('a..b', 'jobs');
SELECT pgmq.bind_topic('a.**', 'jobs');
SELECT pgmq.bind_topic('a.*#', 'jobs');
SELECT pgmq.bind_topic('a b', 'jobs');
SELECT pgmq.bind_topic(repeat('a', 256), 'jobs');
SELECT pgmq.bind_topic('', 'jobs');
SELECT pgmq.bind_topic('a', '');
SELECT pgmq.unbind_topic(NULL, 'jobs');
SELECT pgmq.unbind_topic('a', NULL);
SELECT pgmq.send_topic('a.*', '{}');
SELECT pgmq.send_topic('.a', '{}');
SELECT pgmq.send_topic('a', NULL);
SELECT pgmq.send_topic('a', '{}', -1);
SELECT pgmq.enable_notify_insert('jobs', -1);
SELECT pgmq.enable_notify_insert('jobs', NULL);
SELECT pgmq.enable_notify_insert('nothing');
SELECT pgmq.update_notify_insert('jobs', 10);
SELECT pgmq._change('pgmq.s_jobs', 'pgmq', '{1}', 'lose', now());
SELECT pgmq._change('pgmq.a_jobs', 'pgmq', '{1}', 'finish', now());
\set VERBOSITY default
SELECT pgmq.create('a--b');
SELECT pgmq.send('nothing', '{}');
SELECT pgmq.bind_topic('a..b', 'jobs');
SELECT pgmq.detach_archive('jobs');
SELECT pgmq.convert_archive_partitioned('nothing');
SELECT pgmq.convert_archive_partitioned('jobs', '1 day', '30 days');
SELECT retention FROM streamq.stream_options WHERE stream = 'pgmq.a_jobs'::regclass;

-- ---- other roles: privileges on the stream, the archive and the view ----
CREATE ROLE regress_pgmq;
GRANT USAGE ON SCHEMA pgmq TO regress_pgmq;
SET ROLE regress_pgmq;
\set VERBOSITY sqlstate
SELECT pgmq.send('jobs', '1');
SELECT pgmq.read('jobs', 1, 1);
SELECT pgmq.delete('jobs', 17);
SELECT * FROM pgmq.q_jobs;
RESET ROLE;
\set VERBOSITY default
GRANT SELECT, INSERT ON pgmq.s_jobs, pgmq.a_jobs, pgmq.q_jobs TO regress_pgmq;
SET ROLE regress_pgmq;
SELECT * FROM pgmq.send('jobs', '5');
SELECT msg_id, message FROM pgmq.read('jobs', 60, 1);
SELECT pgmq.archive('jobs', 17), pgmq.delete('jobs', 20);
SELECT count(*) FROM pgmq.q_jobs;
RESET ROLE;
DROP OWNED BY regress_pgmq;
DROP ROLE regress_pgmq;

-- ---- moving to streams ----
SELECT streamq.import_pgmq('jobs', streamq.create_stream('moved'));
SELECT payload FROM moved ORDER BY streamq.msg_id(tableoid, ctid);

-- everything says what it is
SELECT oid::regprocedure FROM pg_proc
WHERE pronamespace = 'pgmq'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL;

SELECT count(pgmq.drop_queue(queue_name)) FROM pgmq.list_queues();
DROP TABLE moved;
DROP EXTENSION streamq_pgmq;

-- nobody else may have a say in the schema
CREATE TABLE pgmq.q_left (msg_id bigint);
CREATE EXTENSION streamq_pgmq;
DROP TABLE pgmq.q_left;
CREATE EXTENSION streamq_pgmq;
DROP EXTENSION streamq_pgmq;
DROP SCHEMA pgmq;
