-- Groups on streams of several partitions.
CREATE SCHEMA group_partition;
SET search_path = group_partition;
CREATE TABLE s (key text, payload jsonb NOT NULL) USING streamq;
SELECT streamq.alter_stream('s', partitions => 4);
INSERT INTO s SELECT 'k' || i % 50, to_jsonb(i) FROM generate_series(1, 1000) i;

-- All of it, each key's messages in order.
CREATE TABLE got (at serial, partition int, msg_offset int8, key text, n int);
INSERT INTO got (partition, msg_offset, key, n)
SELECT partition, msg_offset, key, payload::int FROM streamq.consume('s', 'g', 1500);
SELECT count(*), sum(n), count(DISTINCT partition) FROM got;
SELECT count(*) FILTER (WHERE n < before) AS "out of order"
FROM (SELECT n, lag(n) OVER (PARTITION BY key ORDER BY at) AS before FROM got) x;
SELECT sum(lag), sum(in_flight), count(*) FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT count(DISTINCT partition) FROM streamq.leases WHERE stream = 's'::regclass;
SELECT sum(streamq.ack_through('s', 'g', (partition::int8 << 48) + last))
FROM (SELECT partition, max(msg_offset) AS last FROM got GROUP BY 1) x;
SELECT sum(lag), sum(in_flight) FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- Consumers share partitions.
TRUNCATE got;
INSERT INTO s SELECT 'k' || i % 50, to_jsonb(i) FROM generate_series(1, 1000) i;
DO $$
BEGIN
	FOR i IN 1..4 LOOP
		INSERT INTO got (partition, msg_offset, key, n)
		SELECT i, msg_offset, key, payload::int
		FROM streamq.consume('group_partition.s', 'g', 10, consumer => 'consumer ' || i);
	END LOOP;
END $$;
SELECT consumer, count(*) AS partitions FROM streamq.leases WHERE stream = 's'::regclass GROUP BY 1 ORDER BY 1;
SELECT partition AS consumer, count(*) FROM got GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM streamq.consume('s', 'g', 10, consumer => 'consumer 5');
SELECT streamq.seek('s', 'g', 'latest');

-- Keys that move to a new partition come there only after what was written before
-- has been acknowledged.
TRUNCATE got;
INSERT INTO s SELECT 'k' || i % 50, to_jsonb(i) FROM generate_series(1, 500) i;
SELECT streamq.alter_stream('s', partitions => 7);
INSERT INTO s SELECT 'k' || i % 50, to_jsonb(i) FROM generate_series(501, 1000) i;
SELECT count(*) > 500 AS "old partitions", max(partition) FROM streamq.consume('s', 'g', 2000);
SELECT count(*) FROM streamq.consume('s', 'g', 2000);
-- begun again, acknowledged piece by piece
SELECT streamq.seek('s', 'g', to_msg_id => (p::int8 << 48) + acked_offset)
FROM generate_series(0, 3) p JOIN streamq.consumer_groups c ON c.partition = p WHERE c.stream = 's'::regclass;
DO $$
DECLARE
	n int;
BEGIN
	LOOP
		INSERT INTO got (partition, msg_offset, key, n)
		SELECT partition, msg_offset, key, payload::int FROM streamq.consume('group_partition.s', 'g', 37, auto_ack => true);
		GET DIAGNOSTICS n = ROW_COUNT;
		EXIT WHEN n = 0;
	END LOOP;
END $$;
SELECT count(*), sum(n), count(DISTINCT partition) FROM got;
SELECT count(*) FILTER (WHERE n < before) AS "out of order"
FROM (SELECT n, lag(n) OVER (PARTITION BY key ORDER BY at) AS before FROM got) x;

-- A parent that ends in rolled-back messages does not hold up its children.
SELECT streamq.create_stream('t', 'key text, n int', partition_by => 'key');
BEGIN;
INSERT INTO t SELECT 'k', i FROM generate_series(1, 10) i;
ROLLBACK;
SELECT streamq.alter_stream('t', partitions => 2);
INSERT INTO t SELECT 'k' || i, i FROM generate_series(1, 100) i;
SELECT count(*), count(DISTINCT partition) FROM streamq.consume('t', 'g', auto_ack => true);

-- Partitions that were not added after all are not shown.
BEGIN;
SELECT streamq.alter_stream('t', partitions => 8);
SELECT count(*) FROM streamq.consumer_groups WHERE stream = 't'::regclass;
ROLLBACK;
SELECT (SELECT count(*) FROM streamq.consumer_groups WHERE stream = 't'::regclass) AS groups,
	(SELECT count(*) FROM streamq.partitions WHERE stream = 't'::regclass) AS partitions;
SELECT streamq.alter_stream('t', partitions => 3);
INSERT INTO t SELECT 'k' || i, i FROM generate_series(1, 100) i;
SELECT count(*), count(DISTINCT partition) FROM streamq.consume('t', 'g', auto_ack => true);

SET client_min_messages = warning;
DROP SCHEMA group_partition CASCADE;
