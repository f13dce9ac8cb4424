-- Where groups start, and moving them.
CREATE SCHEMA group_seek;
SET search_path = group_seek;
CREATE TABLE s (payload jsonb NOT NULL) USING streamq;
CREATE VIEW state AS
SELECT group_name, acked_offset, lag, in_flight, expired FROM streamq.consumer_groups WHERE stream = 's'::regclass;
INSERT INTO s SELECT to_jsonb(i) FROM generate_series(0, 4) i;

SELECT streamq.create_group('s', 'old');
SELECT streamq.create_group('s', 'new', start_at => 'latest');
SELECT streamq.create_group('s', 'old', if_not_exists => true);
SELECT clock_timestamp() AS between \gset
INSERT INTO s SELECT to_jsonb(i) FROM generate_series(5, 9) i;
TABLE state ORDER BY 1;
SELECT min(msg_id), max(msg_id) FROM streamq.consume('s', 'old', 8);
SELECT min(msg_id), max(msg_id) FROM streamq.consume('s', 'new', 3);

-- Moving forgets what is outstanding.
SELECT streamq.seek('s', 'old', to_msg_id => 4);
SELECT streamq.ack('s', 'old', 4);
TABLE state ORDER BY 1;
SELECT min(msg_id), max(msg_id), max(deliveries) FROM streamq.consume('s', 'old', 3);
SELECT streamq.seek('s', 'old', to_time => :'between');
SELECT min(msg_id), max(msg_id) FROM streamq.consume('s', 'old', 3);
SELECT streamq.seek('s', 'old', to_time => 'infinity');
TABLE state ORDER BY 1;
SELECT streamq.seek('s', 'old', to_time => '-infinity');
TABLE state ORDER BY 1;
SELECT streamq.seek('s', 'old', to_position => 'latest');
TABLE state ORDER BY 1;
SELECT streamq.seek('s', 'old', to_position => 'earliest');
TABLE state ORDER BY 1;
SELECT streamq.seek('s', 'old', to_msg_id => 10);
SELECT streamq.seek('s', 'old', to_msg_id => 11);
SELECT streamq.seek('s', 'old', to_msg_id => 281474976710656);
SELECT streamq.seek('s', 'old', to_msg_id => -1);
SELECT streamq.seek('s', 'old');
SELECT streamq.seek('s', 'old', 'earliest', to_msg_id => 1);
SELECT streamq.seek('s', 'old', 'somewhere');

-- A move that is rolled back.
BEGIN;
SELECT streamq.seek('s', 'new', 'earliest');
SELECT min(msg_id), max(msg_id) FROM streamq.consume('s', 'new', 3);
ROLLBACK;
TABLE state ORDER BY 1;

-- TRUNCATE keeps groups: they go on with what comes next, and what expired is counted.
SELECT min(msg_id), max(msg_id) FROM streamq.consume('s', 'new', 3);
BEGIN;
SELECT streamq.ack('s', 'new', 5);
TRUNCATE s;
TABLE state ORDER BY 1;
ROLLBACK;
TABLE state ORDER BY 1;
TRUNCATE s;
TABLE state ORDER BY 1;
SELECT streamq.ack('s', 'new', 6);
INSERT INTO s VALUES ('"after"');
SELECT msg_id, payload FROM streamq.consume('s', 'new');
SELECT msg_id, payload FROM streamq.consume('s', 'old');

SET client_min_messages = warning;
DROP SCHEMA group_seek CASCADE;
