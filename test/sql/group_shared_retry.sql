-- Retries, dead letters, filters and backoff in the modes shared and key_shared.
CREATE SCHEMA group_shared_retry;
SET search_path = group_shared_retry;
CREATE TABLE s (key text, payload jsonb NOT NULL, headers jsonb) USING streamq;
SELECT streamq.create_stream('dead') AS dead;
CREATE VIEW state AS
	SELECT group_name AS g, acked_offset AS acked, lag, in_flight AS held, redelivered AS again, dead_lettered AS dead, expired
	FROM streamq.consumer_groups WHERE stream = 's'::regclass ORDER BY 1;
CREATE VIEW letters AS
	SELECT key, payload, headers->>'streamq_group' AS g, headers->>'streamq_msg_id' AS msg_id,
		headers->>'streamq_deliveries' AS deliveries, headers->>'streamq_reason' AS reason
	FROM dead ORDER BY streamq.msg_id(tableoid, ctid);

-- After max_deliveries a message goes to the dead letter: by nack, and when its lease has ended.
INSERT INTO s SELECT 'k' || i, to_jsonb(i) FROM generate_series(0, 3) i;
SELECT streamq.create_group('s', mode, mode => mode, max_deliveries => 2, dead_letter => 'dead')
FROM unnest('{shared, key_shared}'::text[]) mode;
SELECT msg_id, deliveries FROM streamq.consume('s', 'shared', 2, consumer => 'a');
SELECT streamq.nack_batch('s', 'shared', '{0, 1}');
SELECT msg_id, deliveries FROM streamq.consume('s', 'shared', 2, consumer => 'b');
SELECT streamq.nack('s', 'shared', 0, reason => 'cannot');
SELECT * FROM letters;
SELECT msg_id, deliveries FROM streamq.consume('s', 'shared', 2, consumer => 'c', lease => '1 ms');
SELECT pg_sleep(0.01);
SELECT msg_id, deliveries FROM streamq.consume('s', 'shared', 2, consumer => 'c', lease => '1 ms');
SELECT pg_sleep(0.01);
BEGIN;
SELECT msg_id, deliveries FROM streamq.consume('s', 'shared', 2, consumer => 'c') AS none;
SELECT * FROM state;
ROLLBACK;
SELECT * FROM state;
SELECT * FROM letters;
SELECT msg_id, deliveries FROM streamq.consume('s', 'shared', 2, consumer => 'c') AS none;
SELECT * FROM state;
SELECT * FROM letters;

-- Deliveries are counted when they are committed, also if VACUUM meets them first.
CREATE TABLE counted (key text, payload text) USING streamq;
INSERT INTO counted SELECT 'k' || i, '' FROM generate_series(1, 4) i;
SELECT streamq.create_group('counted', mode, mode => mode) FROM unnest('{ordered, shared, key_shared}'::text[]) mode;
CREATE VIEW again AS SELECT group_name, redelivered FROM streamq.consumer_groups WHERE stream = 'counted'::regclass ORDER BY 1;
SELECT mode, streamq.nack_batch('counted', mode, ids) FROM unnest('{ordered, shared, key_shared}'::text[]) mode,
	LATERAL (SELECT array_agg(msg_id) AS ids FROM streamq.consume('counted', mode, 4)) c;
SELECT * FROM again;
BEGIN;
SELECT mode, max(deliveries) FROM unnest('{ordered, shared, key_shared}'::text[]) mode, streamq.consume('counted', mode, 4) GROUP BY 1 ORDER BY 1;
SELECT * FROM again;
ROLLBACK;
SELECT * FROM again;
BEGIN;
SELECT mode, max(deliveries) FROM unnest('{ordered, shared, key_shared}'::text[]) mode, streamq.consume('counted', mode, 4) GROUP BY 1 ORDER BY 1;
SAVEPOINT a;
SELECT mode, streamq.nack_batch('counted', mode, '{0, 1, 2, 3}') FROM unnest('{ordered, shared, key_shared}'::text[]) mode;
SELECT mode, max(deliveries) FROM unnest('{ordered, shared, key_shared}'::text[]) mode, streamq.consume('counted', mode, 1) GROUP BY 1 ORDER BY 1;
SELECT * FROM again;
ROLLBACK TO a;
COMMIT;
SELECT * FROM again;
VACUUM (FREEZE) counted;
SELECT * FROM again;
SELECT mode, streamq.ack_batch('counted', mode, '{0, 1, 2, 3}') FROM unnest('{ordered, shared, key_shared}'::text[]) mode;
SELECT mode, count(msg_id) FROM unnest('{ordered, shared, key_shared}'::text[]) mode LEFT JOIN LATERAL streamq.consume('counted', mode, 10) ON true GROUP BY 1 ORDER BY 1;
SELECT * FROM again;
SELECT * FROM streamq.check_stream('counted');

-- reject: to the dead letter at once, only what is held; in a transaction that rolls back, not.
BEGIN;
SELECT streamq.reject('s', 'shared', 1, reason => 'bad'), streamq.reject('s', 'shared', 1) AS again;
SELECT * FROM state;
ROLLBACK;
SELECT * FROM state;
SELECT streamq.reject('s', 'shared', 1, reason => 'bad'), streamq.reject('s', 'shared', 0) AS "dead already";
SELECT * FROM state;
SELECT * FROM letters OFFSET 3;

-- redrive: once more, counted from 1.
BEGIN;
SELECT streamq.redrive('s', 'shared');
SELECT * FROM state;
ROLLBACK;
SELECT * FROM state;
SELECT streamq.redrive('s', 'shared', '{1, 2, 3}');
SELECT * FROM state;
SELECT msg_id, deliveries FROM streamq.consume('s', 'shared', 10);
SELECT streamq.ack_batch('s', 'shared', '{1, 2, 3}');
SELECT * FROM state;

-- The same with keys.  A dead message lets its key go on.
INSERT INTO s SELECT 'k0', to_jsonb(i) FROM generate_series(4, 5) i;
SELECT msg_id, deliveries FROM streamq.consume('s', 'key_shared', 1, consumer => 'a');
SELECT msg_id FROM streamq.consume('s', 'key_shared', 10, consumer => 'b');
SELECT streamq.ack_batch('s', 'key_shared', '{1, 2, 3}');
SELECT streamq.reject('s', 'key_shared', 0);
SELECT msg_id FROM streamq.consume('s', 'key_shared', 1, consumer => 'a');
SELECT streamq.redrive('s', 'key_shared') AS "behind what a has";
SELECT msg_id, deliveries FROM streamq.consume('s', 'key_shared', 10, consumer => 'b') AS none;
SELECT streamq.ack('s', 'key_shared', 4);
SELECT msg_id, deliveries FROM streamq.consume('s', 'key_shared', 10, consumer => 'b');
SELECT streamq.ack_batch('s', 'key_shared', '{0, 5}');
SELECT * FROM state;
BEGIN;
SELECT streamq.redrive('s', 'key_shared', '{0}');
INSERT INTO s VALUES ('k0', '6');
ROLLBACK;
INSERT INTO s VALUES ('k0', '7');
SELECT msg_id FROM streamq.consume('s', 'key_shared', 10, auto_ack => true) AS "nothing blocks it";

-- A filter: what does not match is done.  Nobody gets it, and it does not block its key.
INSERT INTO s SELECT 'k', to_jsonb(i) FROM generate_series(100, 199) i;
SELECT streamq.create_group('s', 'even_' || mode, mode => mode, filter => 'payload::int % 2 = 0 AND payload::int >= 100', max_in_flight => 10)
FROM unnest('{shared, key_shared}'::text[]) mode;
SELECT min(payload::text), max(payload::text), count(*) FROM streamq.consume('s', 'even_shared', 5, consumer => 'a');
SELECT min(payload::text), max(payload::text), count(*) FROM streamq.consume('s', 'even_shared', 50, consumer => 'b');
SELECT min(payload::text), max(payload::text), count(*) FROM streamq.consume('s', 'even_key_shared', 5, consumer => 'a');
SELECT count(*) FROM streamq.consume('s', 'even_key_shared', 50, consumer => 'b');
SELECT * FROM state WHERE g LIKE 'even%';
SELECT streamq.ack_batch('s', 'even_key_shared', array_agg(m)) FROM streamq.leases, generate_series(first_msg_id, last_msg_id) m
WHERE group_name = 'even_key_shared';
SELECT min(payload::text), max(payload::text), count(*) FROM streamq.consume('s', 'even_key_shared', 50, consumer => 'b');

-- retry_backoff: a message that came back waits, and those behind it do not.
SELECT streamq.create_group('s', 'slow', mode => 'shared', start_at => 'latest', retry_backoff => '1 h');
INSERT INTO s SELECT 'k', to_jsonb(i) FROM generate_series(200, 203) i;
SELECT payload FROM streamq.consume('s', 'slow', 2, lease => '1 ms', consumer => 'a');
SELECT pg_sleep(0.01);
SELECT payload FROM streamq.consume('s', 'slow', 1, consumer => 'b') AS "after those whose lease ended";
SELECT streamq.nack('s', 'slow', msg_id) FROM streamq.consume('s', 'slow', 1, consumer => 'b');
SELECT payload FROM streamq.consume('s', 'slow', 2, consumer => 'b') AS none;
SELECT lag, in_flight FROM streamq.consumer_groups WHERE group_name = 'slow';

-- Other modes, when nothing is outstanding.
SELECT streamq.alter_group('s', 'slow', mode => 'ordered');
SELECT streamq.seek('s', 'slow', to_msg_id => 0);
SELECT streamq.alter_group('s', 'slow', mode => 'key_shared');
SELECT msg_id FROM streamq.consume('s', 'slow', 2, consumer => 'a');
SELECT streamq.alter_group('s', 'slow', mode => 'shared');
SELECT streamq.ack_batch('s', 'slow', '{0, 1}');
SELECT streamq.alter_group('s', 'slow', mode => 'shared');
SELECT msg_id FROM streamq.consume('s', 'slow', 2, consumer => 'a');
SELECT mode, acked_offset, in_flight FROM streamq.consumer_groups WHERE group_name = 'slow';
SELECT * FROM streamq.check_stream('s');

DROP SCHEMA group_shared_retry CASCADE;
