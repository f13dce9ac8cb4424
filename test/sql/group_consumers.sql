-- Who consumes, and what each consumer holds.
CREATE SCHEMA group_consumers;
SET search_path = group_consumers;
SELECT streamq.create_stream('s', partitions => 3);
CREATE VIEW consumers AS
SELECT group_name, regexp_replace(consumer, '^pid.*', 'a session') AS consumer,
	pid = pg_backend_pid() AS "this session", partitions, in_flight,
	oldest_lease_expires_at - now() > interval '20 s' AS leased,
	now() - last_seen_at < interval '1 min' AS seen
FROM streamq.consumers WHERE stream = 's'::regclass;

-- A consumer that gets nothing is one, too.
SELECT streamq.create_group('s', 'g');
SELECT * FROM consumers;
SELECT count(*) FROM streamq.consume('s', 'g', consumer => 'a');
SELECT * FROM consumers;

-- Partitions go to whoever comes first.
SELECT count(*) FROM generate_series(1, 10) i, streamq.produce('s', to_jsonb(i), partition => 0);
SELECT count(*) FROM streamq.consume('s', 'g', 5, consumer => 'a');
SELECT count(*) FROM generate_series(1, 10) i, streamq.produce('s', to_jsonb(i), partition => 2);
SELECT count(*) FROM streamq.consume('s', 'g', consumer => 'a');
SELECT count(*) FROM generate_series(1, 10) i, streamq.produce('s', to_jsonb(i), partition => 1);
SELECT count(*) FROM streamq.consume('s', 'g', 3);
SELECT count(*) FROM streamq.consume('s', 'g', consumer => 'b');
SELECT * FROM consumers ORDER BY consumer;

-- What was acknowledged in between is not held any more.
SELECT streamq.ack('s', 'g', 1), streamq.ack('s', 'g', 3);
SELECT consumer, partitions, in_flight FROM consumers WHERE consumer = 'a';

-- The modes that share a partition.
CREATE TABLE modes AS SELECT unnest('{shared, key_shared}'::text[]) AS mode;
SELECT streamq.create_group('s', mode, mode => mode) FROM modes;
SELECT mode, name, count(msg_id) FROM modes, unnest('{a, b}'::text[]) name,
	LATERAL streamq.consume('s', mode, 12, consumer => name, partitions => '{0, 2}') GROUP BY 1, 2 ORDER BY 1, 2;
SELECT mode, streamq.ack_batch('s', mode, '{1, 3, 12}') FROM modes;
SELECT group_name, count(*), sum(in_flight) FROM consumers JOIN modes ON group_name = mode GROUP BY 1 ORDER BY 1;
SELECT streamq.drop_group('s', mode) FROM modes;
DROP TABLE modes;

-- A name that rolled back is not given twice.
BEGIN;
SELECT count(*) FROM streamq.consume('s', 'other', 1, consumer => 'x', auto_ack => true);
ROLLBACK;
SELECT streamq.create_group('s', 'other');
BEGIN;
SELECT count(*) FROM streamq.consume('s', 'other', 1, consumer => 'x', auto_ack => true);
ROLLBACK;
SELECT count(*) FROM streamq.consume('s', 'other', 1, consumer => 'y', auto_ack => true);
SELECT group_name, consumer, partitions, in_flight FROM consumers WHERE group_name = 'other' ORDER BY consumer;

-- Names that belong to sessions cannot be chosen.
SELECT * FROM streamq.consume('s', 'g', consumer => 'pid 1/1700000000.000000');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM streamq.consume('s', 'other', 1, consumer => 'pid 1', auto_ack => true);
SELECT count(*) FROM streamq.consume('s', 'other', 1, consumer => 'pid 1/1.000000 or so', auto_ack => true);

-- A session that ends gives its messages back at once, and is forgotten.
SELECT streamq.create_stream('t');
SELECT streamq.create_group('t', 'g', lease => '1 hour');
SELECT count(*) FROM streamq.produce_batch('t', '{1, 2, 3}');
SELECT msg_id FROM streamq.consume('t', 'g', 2);
SELECT msg_id FROM streamq.consume('t', 'g', consumer => 'next');
\c -
SET search_path = group_consumers;
SELECT clock_timestamp() AS start \gset
SELECT msg_id, deliveries FROM streamq.consume('t', 'g', 2, consumer => 'next', wait => '30 s');
SELECT clock_timestamp() - :'start' < interval '10 s' AS soon;
SELECT consumer, partitions, in_flight FROM streamq.consumers WHERE stream = 't'::regclass;

-- A name that was chosen keeps what it holds.
\c -
SET search_path = group_consumers;
SELECT pg_sleep(0.2);
SELECT msg_id, deliveries FROM streamq.consume('t', 'g', 2);
SELECT msg_id, deliveries FROM streamq.consume('t', 'g', 1, consumer => 'next');
SELECT consumer, pid = pg_backend_pid() AS "this session", in_flight FROM streamq.consumers WHERE stream = 't'::regclass AND consumer = 'next';

-- Many consumers.
SELECT streamq.create_group('s', 'many');
SELECT count(*) FROM generate_series(1, 300) i, streamq.consume('s', 'many', 4, consumer => 'c' || i);
SELECT count(*), sum(in_flight) FROM streamq.consumers WHERE group_name = 'many';
SELECT * FROM streamq.check_stream('s');

-- Consumers survive TRUNCATE; those of a dropped group go with it.
TRUNCATE s;
SELECT count(*) FROM streamq.consumers WHERE group_name = 'many';
SELECT streamq.drop_group('s', 'many');
SELECT streamq.create_group('s', 'many');
SELECT count(*) FROM streamq.consumers WHERE group_name = 'many';
SELECT * FROM streamq.check_stream('s');

-- Consumers of a stream that may not be read are not shown.
CREATE ROLE regress_consumers;
SET ROLE regress_consumers;
SELECT count(*) FROM streamq.consumers;
RESET ROLE;
GRANT SELECT ON t TO regress_consumers;
SET ROLE regress_consumers;
SELECT count(*) > 0 AS shown FROM streamq.consumers;
RESET ROLE;
DROP OWNED BY regress_consumers;
DROP ROLE regress_consumers;
DROP VIEW consumers;
DROP TABLE s, t;
SELECT count(*) FROM streamq.consumers;
DROP SCHEMA group_consumers CASCADE;
