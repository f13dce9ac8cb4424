-- Limits of producers: how far groups may be behind, and how fast messages may come.
CREATE SCHEMA stream_limits;
SET search_path = stream_limits;
SELECT streamq.create_stream('s');

-- options, and what they may be
SELECT streamq.alter_stream('s', backlog_messages => 10, backlog_policy => 'reject', max_rate => 1000, message_ttl => '1 hour');
SELECT message_ttl, backlog_messages, backlog_policy, max_rate FROM streamq.streams WHERE stream = 's'::regclass;
SELECT streamq.alter_stream('s', max_rate => 0, message_ttl => '0');
SELECT message_ttl, backlog_messages, backlog_policy, max_rate FROM streamq.streams WHERE stream = 's'::regclass;
SELECT streamq.alter_stream('s', backlog_messages => -1);
\echo :LAST_ERROR_SQLSTATE
SELECT streamq.alter_stream('s', backlog_policy => 'drop');
\echo :LAST_ERROR_SQLSTATE
SELECT streamq.alter_stream('s', max_rate => -1);
SELECT streamq.alter_stream('s', max_rate => 'NaN');
SELECT streamq.alter_stream('s', max_rate => 'infinity');
\echo :LAST_ERROR_SQLSTATE
SELECT streamq.alter_stream('s', message_ttl => '-1 s');
INSERT INTO streamq.stream_options (stream, partitions, partition_history, backlog_policy) VALUES ('s', 1, '{1}', 'drop');
INSERT INTO streamq.stream_options (stream, partitions, partition_history, max_rate) VALUES ('s', 1, '{1}', 'NaN');

-- reject: without groups nobody is behind
SELECT count(*) FROM generate_series(1, 20) i, streamq.produce('s', to_jsonb(i));
SELECT streamq.create_group('s', 'g', start_at => 'latest');
SELECT count(*) FROM generate_series(1, 10) i, streamq.produce('s', to_jsonb(i));
SELECT streamq.produce('s', '11');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO s (payload) VALUES ('11');
COPY s (payload) FROM stdin;
11
\.
SELECT lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- what is acknowledged makes room, once the acknowledgement is committed or in the same transaction
SELECT count(*) FROM streamq.consume('s', 'g', 4);
SELECT streamq.ack('s', 'g', 20), streamq.ack('s', 'g', 22);
SELECT streamq.produce('s', '11'), streamq.produce('s', '12');
SELECT streamq.produce('s', '13');
BEGIN;
SELECT streamq.ack('s', 'g', 21);
SELECT streamq.produce('s', '13');
ROLLBACK;
SELECT streamq.produce('s', '13');
BEGIN;
SELECT streamq.ack('s', 'g', 21);
SELECT streamq.produce('s', '13');
COMMIT;
SELECT lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- rolled-back messages need no room
SELECT streamq.ack_through('s', 'g', 23);
BEGIN;
SELECT streamq.produce('s', 'null');
ROLLBACK;
SELECT streamq.produce('s', '14');
SELECT streamq.produce('s', '15');
SELECT lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- a batch goes as a whole, or not at all
SELECT count(*) FROM streamq.consume('s', 'g', 5, auto_ack => true);
SELECT array_length(streamq.produce_batch('s', '{1,2,3,4,5,6}'), 1);
INSERT INTO s (payload) SELECT to_jsonb(i) FROM generate_series(1, 6) i;
SELECT array_length(streamq.produce_batch('s', '{1,2,3,4,5}'), 1);
SELECT lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT streamq.produce_batch('s', '{1,2,3,4,5,6,7,8,9,10,11}');
\echo :LAST_ERROR_SQLSTATE

-- the slowest group counts; a new group, or one that goes back, has the say at once
SELECT count(*) FROM streamq.consume('s', 'g', auto_ack => true);
SELECT streamq.produce('s', '16');
SELECT streamq.create_group('s', 'h');
SELECT streamq.produce('s', '17');
SELECT streamq.drop_group('s', 'h');
SELECT streamq.produce('s', '17');
SELECT streamq.seek('s', 'g', 'earliest');
SELECT streamq.produce('s', '18');
SELECT streamq.seek('s', 'g', 'latest');
SELECT streamq.produce('s', '18') IS NOT NULL AS room;
TRUNCATE s;
SELECT count(*) FROM generate_series(1, 10) i, streamq.produce('s', to_jsonb(i));
SELECT streamq.produce('s', '11');

-- a lower limit holds at once, a higher one too
SELECT streamq.alter_stream('s', backlog_messages => 11);
SELECT streamq.produce('s', '11') IS NOT NULL AS room;
SELECT streamq.produce('s', '12');
SELECT streamq.alter_stream('s', backlog_policy => 'none');
SELECT streamq.produce('s', '12') IS NOT NULL AS room;

-- several partitions have one limit
SELECT streamq.create_stream('p', partitions => 3);
SELECT streamq.create_group('p', 'g');
SELECT streamq.alter_stream('p', backlog_messages => 10, backlog_policy => 'reject');
SELECT count(*) FROM generate_series(1, 10) i, streamq.produce('p', to_jsonb(i));
SELECT streamq.produce('p', '11');
SELECT count(*) FROM streamq.consume('p', 'g', auto_ack => true);
SELECT array_length(streamq.produce_batch('p', '{1,2,3,4,5,6,7,8,9,10}', '{a,b,c,d,e,f,g,h,i,j}'), 1);
SELECT streamq.produce_batch('p', '{1}', '{a}');

-- block: a producer waits, as long as statement_timeout says
SELECT streamq.alter_stream('p', backlog_policy => 'block');
SET statement_timeout = '300 ms';
SELECT streamq.produce('p', '11');
\echo :LAST_ERROR_SQLSTATE
RESET statement_timeout;
-- it does not wait for what cannot happen
SELECT streamq.produce_batch('p', '{1,2,3,4,5,6,7,8,9,10,11}');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT count(*) FROM streamq.consume('p', 'g', 5);
SELECT streamq.produce('p', '11');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
SELECT count(*) FROM streamq.consume('p', 'g', 5, auto_ack => true);
SELECT count(*) FROM generate_series(1, 5) i, streamq.produce('p', to_jsonb(i));
COMMIT;
SELECT sum(lag) FROM streamq.consumer_groups WHERE stream = 'p'::regclass;
SELECT streamq.seek('p', 'g', 'latest');
BEGIN;
SELECT count(*) FROM generate_series(1, 6) i, streamq.produce('p', to_jsonb(i));
SELECT streamq.produce_batch('p', '{1,2,3,4,5}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT count(*) FROM generate_series(1, 10) i, streamq.produce('p', to_jsonb(i));

-- evict: every group loses what is too much for it, the oldest first, and no more
SELECT streamq.create_stream('e', partitions => 2);
SELECT streamq.create_group('e', 'ordered'), streamq.create_group('e', 'shared', mode => 'shared'),
	streamq.create_group('e', 'key_shared', mode => 'key_shared'), streamq.create_group('e', 'fast');
SELECT streamq.alter_stream('e', backlog_messages => 6, backlog_policy => 'evict');
SELECT streamq.produce('e', to_jsonb(i), partition => i % 2) FROM generate_series(0, 5) i;
SELECT payload FROM streamq.consume('e', 'fast', 100, auto_ack => true) ORDER BY produced_at, payload;
-- some of them are held already
SELECT count(*) FROM streamq.consume('e', 'shared', 2, consumer => 'a', lease => '500 ms', partitions => '{0}');
SELECT streamq.produce('e', to_jsonb(i), partition => i % 2) FROM generate_series(6, 8) i;
SELECT group_name, sum(lag) AS lag, sum(expired) AS expired FROM streamq.consumer_groups WHERE stream = 'e'::regclass GROUP BY 1 ORDER BY 1;
SELECT pg_sleep(0.6);
SELECT payload FROM streamq.consume('e', 'ordered', 100, auto_ack => true) ORDER BY payload;
SELECT payload FROM streamq.consume('e', 'shared', 100, auto_ack => true) ORDER BY payload;
SELECT payload FROM streamq.consume('e', 'key_shared', 100, auto_ack => true) ORDER BY payload;
SELECT group_name, sum(lag) AS lag, sum(expired) AS expired FROM streamq.consumer_groups WHERE stream = 'e'::regclass GROUP BY 1 ORDER BY 1;
-- the stream still has them, and what is in progress is not evicted
SELECT count(*) FROM e;
BEGIN;
SELECT count(*) FROM generate_series(1, 6) i, streamq.produce('e', to_jsonb(i));
SELECT streamq.produce('e', '7');
ROLLBACK;
SELECT array_length(streamq.produce_batch('e', '{1,2,3,4,5,6,7}'), 1);
SELECT streamq.produce_batch('e', '{1,2,3,4,5,6}') IS NOT NULL AS room;
SELECT group_name, sum(lag) AS lag, sum(expired) AS expired FROM streamq.consumer_groups WHERE stream = 'e'::regclass GROUP BY 1 ORDER BY 1;
SELECT * FROM streamq.check_stream('e');

-- max_rate: a second's messages at once, then one after the other
SELECT streamq.alter_stream('p', backlog_policy => 'none', max_rate => 50);
SELECT clock_timestamp() AS start \gset
SELECT count(*) FROM generate_series(1, 75) i, streamq.produce('p', to_jsonb(i));
SELECT clock_timestamp() - :'start' BETWEEN interval '400 ms' AND interval '10 s' AS "half a second";
-- a batch may be larger; who comes next waits for it
SELECT array_length(streamq.produce_batch('p', array_agg(i::text)), 1) FROM generate_series(1, 500) i;
SET statement_timeout = '300 ms';
SELECT streamq.produce('p', '1');
\echo :LAST_ERROR_SQLSTATE
RESET statement_timeout;
SELECT streamq.alter_stream('p', max_rate => 1000000);
SELECT streamq.produce('p', '1') IS NOT NULL AS "at once";

DROP SCHEMA stream_limits CASCADE;
