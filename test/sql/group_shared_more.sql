-- The modes shared and key_shared with retention, prepared transactions, dumps and other keys.
CREATE SCHEMA group_shared_more;
SET search_path = group_shared_more;

-- Retention drops messages that are waiting, and new ones; those under a lease may still be
-- acknowledged.
CREATE TABLE r (key text, payload text NOT NULL) USING streamq;
INSERT INTO r SELECT 'k' || i % 7, repeat('x', 500) FROM generate_series(0, 9999) i;
SELECT streamq.create_group('r', mode, mode => mode) FROM unnest('{shared, key_shared}'::text[]) mode;
SELECT count(*) FROM streamq.consume('r', 'shared', 10, consumer => 'a', lease => '1 h');
SELECT count(*) FROM streamq.consume('r', 'shared', 20, consumer => 'b', lease => '1 ms');
SELECT count(*) FROM streamq.consume('r', 'key_shared', 10, consumer => 'a', lease => '1 ms');
SELECT pg_sleep(0.01);
SELECT streamq.alter_stream('r', max_messages => 1000);
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN (SELECT first_offset > 5000 FROM streamq.partitions WHERE stream = 'group_shared_more.r'::regclass);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT first_offset AS first FROM streamq.partitions WHERE stream = 'r'::regclass \gset
SELECT group_name, acked_offset < :first AS behind, lag = 10000 - :first AS lag, in_flight, expired - :first AS expired
FROM streamq.consumer_groups WHERE stream = 'r'::regclass ORDER BY 1;
SELECT msg_id - :first AS next FROM streamq.consume('r', 'shared', 1);
SELECT msg_id - :first AS next FROM streamq.consume('r', 'key_shared', 1);
SELECT streamq.ack_batch('r', 'shared', '{0, 1, 2, 3, 4, 15}') AS "under a lease", streamq.ack('r', 'key_shared', 0) AS expired;
SELECT group_name, acked_offset < :first AS behind, in_flight, expired - :first AS expired
FROM streamq.consumer_groups WHERE stream = 'r'::regclass ORDER BY 1;
SELECT first_msg_id < :first AS gone, last_msg_id - first_msg_id + 1 AS n, consumer IN ('a', 'b') AS named
FROM streamq.leases WHERE stream = 'r'::regclass ORDER BY group_name, first_msg_id;
SELECT * FROM streamq.check_stream('r');

-- Keys in other columns: messages that are outstanding keep their place.
CREATE TABLE c (a text, b text) USING streamq;
SELECT streamq.alter_stream('c', partition_by => 'a');
INSERT INTO c VALUES ('1', 'x'), ('1', 'y'), ('2', 'x'), ('1', 'z');
SELECT streamq.create_group('c', 'g', mode => 'key_shared');
SELECT msg_id FROM streamq.consume('c', 'g', 1, consumer => 'one');
SELECT msg_id FROM streamq.consume('c', 'g', 10, consumer => 'two');
SELECT streamq.alter_stream('c', partition_by => 'b');
SELECT streamq.ack_batch('c', 'g', '{2}') AS "by the session that has it";
\c -
SET search_path = group_shared_more;
SELECT streamq.ack_batch('c', 'g', '{0, 2}') AS "by another session";
SELECT msg_id FROM streamq.consume('c', 'g', 10, consumer => 'two');
SELECT streamq.nack('c', 'g', 1), streamq.ack('c', 'g', 3), streamq.ack('c', 'g', 3) AS again;
SELECT msg_id, deliveries FROM streamq.consume('c', 'g', 10, consumer => 'one');
SELECT streamq.ack('c', 'g', 1);
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'c'::regclass;

-- A key with many messages in a row holds back itself alone.
CREATE TABLE hot (key text, n int) USING streamq;
INSERT INTO hot SELECT 'hot', i FROM generate_series(0, 19999) i;
INSERT INTO hot SELECT 'k' || i, i FROM generate_series(20000, 20009) i;
SELECT streamq.create_group('hot', 'g', mode => 'key_shared');
SELECT msg_id FROM streamq.consume('hot', 'g', 1, consumer => 'one');
SELECT count(*), min(msg_id), max(msg_id) FROM streamq.consume('hot', 'g', 20, consumer => 'two');
SELECT lag, in_flight FROM streamq.consumer_groups WHERE stream = 'hot'::regclass;

-- What a dump says: messages that are done from the first one on, and islands behind them.  What
-- is done out of order with keys is in the dump, too.
CREATE TABLE d (key text, n int) USING streamq;
INSERT INTO d SELECT 'k' || i, i FROM generate_series(0, 9) i;
BEGIN;
INSERT INTO d VALUES ('rolled back', 10);
ROLLBACK;
INSERT INTO d SELECT 'k' || i, i FROM generate_series(11, 14) i;
SELECT streamq.create_group('d', mode, mode => mode) FROM unnest('{shared, key_shared}'::text[]) mode;
SELECT group_id AS shared FROM streamq.consumer_group WHERE stream = 'd'::regclass AND group_name = 'shared' \gset
SELECT group_id AS keyed FROM streamq.consumer_group WHERE stream = 'd'::regclass AND group_name = 'key_shared' \gset
SELECT count(*) FROM streamq.consume('d', 'shared', 12);
SELECT count(*) FROM streamq.consume('d', 'key_shared', 12);
SELECT streamq.ack_batch('d', mode, '{0, 1, 4, 5, 9, 11}') FROM unnest('{shared, key_shared}'::text[]) mode;
SELECT messages, done, islands FROM streamq.group_progress('d'::regclass, :shared);
SELECT messages, done, islands FROM streamq.group_progress('d'::regclass, :keyed);
BEGIN;
SELECT streamq.ack_batch('d', 'shared', '{2, 3}');
SELECT messages, done, islands FROM streamq.group_progress('d'::regclass, :shared);
ROLLBACK;
SELECT messages, done, islands FROM streamq.group_progress('d'::regclass, :shared);

-- Prepared transactions hold what they took, and decide about what they acknowledged, later.
SELECT current_setting('max_prepared_transactions')::int = 0 AS none \gset
\if :none
\else
CREATE TABLE p (key text, payload jsonb NOT NULL) USING streamq;
INSERT INTO p SELECT 'k' || i % 2, to_jsonb(i) FROM generate_series(0, 5) i;
SELECT streamq.create_group('p', mode, mode => mode) FROM unnest('{shared, key_shared}'::text[]) mode;
SELECT count(*) FROM streamq.consume('p', 'shared', 2, consumer => 'a');
SELECT count(*) FROM streamq.consume('p', 'key_shared', 1, consumer => 'a');
BEGIN;
SELECT streamq.ack('p', 'shared', 0), count(*) FROM streamq.consume('p', 'shared', 2, consumer => 'a');
SELECT streamq.ack('p', 'key_shared', 0);
PREPARE TRANSACTION 'group_shared_more';
SELECT streamq.ack('p', 'shared', 0), streamq.ack('p', 'shared', 1), streamq.ack('p', 'shared', 2);
SELECT msg_id FROM streamq.consume('p', 'shared', 10, consumer => 'b');
SELECT msg_id FROM streamq.consume('p', 'key_shared', 10, consumer => 'b');
COMMIT PREPARED 'group_shared_more';
SELECT group_name, acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'p'::regclass ORDER BY 1;
SELECT msg_id FROM streamq.consume('p', 'key_shared', 10, consumer => 'b');
BEGIN;
SELECT streamq.ack_batch('p', 'key_shared', '{1, 2, 3}'), streamq.nack('p', 'shared', 4);
PREPARE TRANSACTION 'group_shared_more';
ROLLBACK PREPARED 'group_shared_more';
SELECT group_name, acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'p'::regclass ORDER BY 1;
\endif

SET client_min_messages = warning;
DROP SCHEMA group_shared_more CASCADE;
