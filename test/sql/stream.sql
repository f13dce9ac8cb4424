-- Streams: creating, altering and dropping them, message ids, views.
CREATE SCHEMA stream_test;
SET search_path = stream_test;

-- without columns a stream has the envelope
SELECT streamq.create_stream('events');
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'events'::regclass AND attnum > 0 ORDER BY attnum;
SELECT streamq.create_stream('events');
SELECT streamq.create_stream('events', if_not_exists => true);
SELECT streamq.create_stream('"Odd name"', 'a int CHECK (a > 0), "b c" text DEFAULT '';''', partitions => 3, partition_by => '"b c", a');
SELECT streamq.create_stream('stream_test.qualified', 'key text, payload text', 2);
SELECT stream, partitions, partition_history, partition_by FROM streamq.stream_options ORDER BY stream::text;

-- the columns are columns, nothing else
CREATE TABLE victim (a int);
SELECT streamq.create_stream('evil', 'a int); DROP TABLE victim; --');
SELECT streamq.create_stream('evil', 'a int); CREATE TABLE evil2 (b int');
SELECT streamq.create_stream('evil', 'a int) USING heap; --');
SELECT streamq.create_stream('evil', 'a int) USING heap /*');
SELECT streamq.create_stream('evil', 'a int) INHERITS (victim');
SELECT streamq.create_stream('evil', 'a int) PARTITION BY LIST (a');
SELECT streamq.create_stream('evil', 'LIKE victim');
SELECT streamq.create_stream('evil', 'a int -- a comment is harmless');
SELECT relname, amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE relnamespace = 'stream_test'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C";

-- mistakes
SELECT streamq.create_stream(NULL);
SELECT streamq.create_stream('');
SELECT streamq.create_stream('a..b');
SELECT streamq.create_stream('nosuch.s');
SELECT streamq.create_stream('bad', partitions => 0);
SELECT streamq.create_stream('bad', partitions => 257);
SELECT streamq.create_stream('bad', partitions => NULL);
SELECT streamq.create_stream('bad', partition_by => 'nosuch');
SELECT streamq.create_stream('bad', partition_by => 'key, key');
SELECT streamq.create_stream('bad', partition_by => 'key,');
SELECT streamq.create_stream('bad', 'a int, p point', partition_by => 'p');
SELECT streamq.create_stream('bad', 'a nosuch');
SELECT streamq.create_stream('bad', 'a int PRIMARY KEY');
SELECT streamq.create_stream('victim', if_not_exists => true);

-- partitions can be added, not taken away
SELECT streamq.alter_stream('events', partitions => 4);
SELECT streamq.alter_stream('events', partitions => 4);
SELECT streamq.alter_stream('events', partitions => 2);
SELECT streamq.alter_stream('events', partitions => 0);
SELECT streamq.alter_stream('events', partitions => 257);
SELECT streamq.alter_stream('victim', partitions => 2);
SELECT streamq.alter_stream(NULL, partitions => 2);
SELECT streamq.alter_stream(0, partitions => 2);
SELECT streamq.alter_stream('events');
BEGIN;
SELECT streamq.alter_stream('events', partitions => 8, partition_by => '');
SELECT partitions, partition_history, partition_by FROM streamq.stream_options WHERE stream = 'events'::regclass;
ROLLBACK;
SELECT partitions, partition_history, partition_by FROM streamq.stream_options WHERE stream = 'events'::regclass;

-- equal keys go to one partition
INSERT INTO events SELECT 'k' || i % 20, to_jsonb(i) FROM generate_series(1, 1000) i;
SELECT count(DISTINCT p), max(n), sum(rows) FROM (
    SELECT key, count(DISTINCT p) AS n, min(p) AS p, sum(rows) AS rows FROM (
        SELECT key, streamq.msg_partition(streamq.msg_id(tableoid, ctid)) AS p, count(*) AS rows
        FROM events GROUP BY 1, 2) x
    GROUP BY key) y;
-- null keys are spread
INSERT INTO events SELECT NULL, to_jsonb(i) FROM generate_series(1, 1000) i;
SELECT count(DISTINCT streamq.msg_partition(streamq.msg_id(tableoid, ctid))) FROM events WHERE key IS NULL;

-- partition_by follows its column
CREATE TABLE follow (a int, b int, c int) USING streamq;
SELECT streamq.alter_stream('follow', 4, 'b, c');
ALTER TABLE follow RENAME b TO d;
ALTER TABLE follow RENAME a TO b;
SELECT partition_by FROM streamq.stream_options WHERE stream = 'follow'::regclass;
ALTER TABLE follow DROP COLUMN d;
SELECT partition_by FROM streamq.stream_options WHERE stream = 'follow'::regclass;
ALTER TABLE follow ADD COLUMN d int;
INSERT INTO follow SELECT i, i % 10 FROM generate_series(1, 100) i;
SELECT c, count(DISTINCT streamq.msg_partition(streamq.msg_id(tableoid, ctid))) FROM follow GROUP BY c ORDER BY c LIMIT 2;

-- a heap table can become a stream, a stream stays one
CREATE TABLE becomes (key text, payload jsonb);
INSERT INTO becomes SELECT i, to_jsonb(i) FROM generate_series(1, 100) i;
ALTER TABLE becomes SET ACCESS METHOD streamq;
SELECT count(*), max(streamq.msg_id(tableoid, ctid)) FROM becomes;
ALTER TABLE becomes SET ACCESS METHOD heap;
SELECT count(*) FROM becomes;
-- said at once, not when a row does not fit a heap page
INSERT INTO becomes SELECT 'large', to_jsonb(string_agg(md5(i::text), '')) FROM generate_series(1, 1000) i;
ALTER TABLE becomes SET ACCESS METHOD heap, ADD COLUMN more int;
ALTER TABLE becomes SET ACCESS METHOD streamq;
ALTER TABLE becomes SET ACCESS METHOD nosuch;

-- message ids
SELECT streamq.make_msg_id(0, 5), streamq.make_msg_id(3, 5);
SELECT streamq.msg_partition(844424930131973), streamq.msg_offset(844424930131973);
SELECT streamq.make_msg_id(255, 281474976710655);
SELECT streamq.make_msg_id(256, 0);
SELECT streamq.make_msg_id(-1, 0);
SELECT streamq.make_msg_id(0, 281474976710656);
SELECT streamq.make_msg_id(0, -1);
SELECT streamq.msg_partition(-1);
SELECT streamq.msg_offset(72057594037927936);
SELECT streamq.msg_id(NULL, '(0,1)') IS NULL AND streamq.produced_at('events'::regclass, NULL) IS NULL;
SELECT streamq.msg_id(tableoid, ctid) FROM victim;
INSERT INTO victim VALUES (1);
SELECT streamq.msg_id(tableoid, ctid) FROM victim;
SELECT streamq.produced_at(1, '(0,1)');
SELECT streamq.msg_id('events'::regclass, '(4294967295,1)');
SELECT streamq.produced_at('events'::regclass, '(16777215,1)');
CREATE TABLE one (a int) USING streamq;
INSERT INTO one VALUES (1), (2), (3);
SELECT streamq.msg_id(tableoid, ctid), a, streamq.produced_at(tableoid, ctid) BETWEEN now() - interval '1 minute' AND clock_timestamp() AS recent
FROM one ORDER BY 1;
-- rows of several streams in one query
CREATE TABLE parent (a int) PARTITION BY LIST (a);
CREATE TABLE child1 PARTITION OF parent FOR VALUES IN (1) USING streamq;
CREATE TABLE child2 PARTITION OF parent FOR VALUES IN (2) USING streamq;
INSERT INTO parent SELECT i % 2 + 1 FROM generate_series(1, 6) i;
SELECT tableoid::regclass, streamq.msg_id(tableoid, ctid) FROM parent ORDER BY 1, 2;

-- the views
SELECT stream, partitions, first_offset, next_offset, messages, bytes > 0 AS bytes, retention, max_bytes,
       oldest_at <= newest_at AS times
FROM streamq.streams WHERE stream IN ('events'::regclass, 'one'::regclass, '"Odd name"'::regclass) ORDER BY stream::text;
SELECT stream, partition, first_offset, next_offset, stable_offset, blocked_by_pid, blocked_since, bytes > 0 AS bytes, extents, reserved_extents
FROM streamq.partitions WHERE stream IN ('one'::regclass, 'qualified'::regclass) ORDER BY 1, 2;
BEGIN;
INSERT INTO one VALUES (4), (5);
SELECT next_offset, stable_offset, blocked_by_pid = pg_backend_pid() AS by_me, blocked_since <= clock_timestamp() AS since
FROM streamq.partitions WHERE stream = 'one'::regclass;
SAVEPOINT a;
INSERT INTO one VALUES (6);
ROLLBACK TO a;
SELECT messages, next_offset FROM streamq.streams WHERE stream = 'one'::regclass;
ROLLBACK;
-- what was rolled back is a gap
INSERT INTO one VALUES (7);
SELECT messages, first_offset, next_offset FROM streamq.streams WHERE stream = 'one'::regclass;
VACUUM one;
SELECT messages, first_offset, next_offset FROM streamq.streams WHERE stream = 'one'::regclass;
TRUNCATE one;
SELECT messages, first_offset, next_offset, oldest_at FROM streamq.streams WHERE stream = 'one'::regclass;

-- others see what they may select, and change nothing
CREATE ROLE regress_stream_user;
GRANT USAGE ON SCHEMA stream_test TO regress_stream_user;
GRANT SELECT ON one TO regress_stream_user;
SET ROLE regress_stream_user;
SELECT stream FROM streamq.streams WHERE stream::text IN ('one', 'events');
SELECT streamq.alter_stream('one', partitions => 2);
SELECT streamq.drop_stream('one');
SELECT streamq.create_stream('mine');
RESET ROLE;
GRANT pg_read_all_stats TO regress_stream_user;
SET ROLE regress_stream_user;
SELECT stream FROM streamq.streams WHERE stream::text IN ('one', 'events') ORDER BY stream::text;
RESET ROLE;
DROP OWNED BY regress_stream_user;
DROP ROLE regress_stream_user;

-- dropped, by whatever name
SELECT streamq.drop_stream('victim');
SELECT streamq.drop_stream(NULL);
SELECT streamq.drop_stream('"Odd name"');
CREATE VIEW on_events AS SELECT * FROM events;
SELECT streamq.drop_stream('events');
DROP VIEW on_events;
BEGIN;
SELECT streamq.drop_stream('events');
ROLLBACK;
SELECT count(*) FROM events;
BEGIN READ ONLY;
SELECT streamq.alter_stream('events', partitions => 9);
ROLLBACK;
BEGIN READ ONLY;
SELECT streamq.create_stream('more');
ROLLBACK;
SELECT count(*) FROM streamq.stream_options;
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP SCHEMA stream_test CASCADE;
SELECT count(*) FROM streamq.stream_options;
