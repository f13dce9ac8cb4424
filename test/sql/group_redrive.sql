-- redrive: messages that a group has dead-lettered are delivered once more.

SET client_min_messages = warning;
CREATE SCHEMA group_redrive;
SET search_path = group_redrive, public;
SELECT streamq.create_stream('s');
SELECT streamq.create_stream('dead');
RESET client_min_messages;

CREATE FUNCTION got(g text, n int DEFAULT 100, a bool DEFAULT false) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg((payload #>> '{}') || '/' || deliveries, ' ') FROM streamq.consume('s', g, n, auto_ack => a) $$;
CREATE VIEW figures AS SELECT group_name, acked_offset, lag, in_flight, redelivered, dead_lettered
FROM streamq.consumer_groups WHERE stream = 's'::regclass;

SELECT count(streamq.produce('s', to_jsonb(i))) FROM generate_series(0, 9) i;

-- While a consumer holds the partition, it gets redriven messages, too.
SELECT streamq.create_group('s', 'g', dead_letter => 'dead');
SELECT streamq.create_group('s', 'other');
SELECT got('g', 6);
SELECT streamq.reject('s', 'g', 1), streamq.reject_batch('s', 'g', ARRAY[3, 4]);
TABLE figures;
SELECT streamq.redrive('s', 'g', ARRAY[1, 2, 4, 99]);
TABLE figures;
-- They are not held before they are delivered.
SELECT streamq.ack('s', 'g', 1), streamq.nack('s', 'g', 1), streamq.reject('s', 'g', 4);
SELECT first_msg_id, last_msg_id, deliveries FROM streamq.leases WHERE stream = 's'::regclass;
SELECT got('g', 3);
TABLE figures;
SELECT first_msg_id, last_msg_id, deliveries FROM streamq.leases WHERE stream = 's'::regclass;
SELECT streamq.ack_batch('s', 'g', ARRAY[0, 1, 2, 4, 5, 6]);
TABLE figures;
-- The rest, below the position: nobody holds the partition.
SELECT streamq.redrive('s', 'g');
SELECT streamq.redrive('s', 'g');
TABLE figures;
SELECT got('g', 2);
TABLE figures;
SELECT streamq.ack('s', 'g', 3);
TABLE figures;
SELECT streamq.ack_through('s', 'g', 7);
TABLE figures;
-- No other group gets them.
SELECT got('other', a => true);
SELECT got('other');

-- Counted from 1: max_deliveries begins again.
SELECT streamq.alter_group('s', 'g', max_deliveries => 2);
SELECT got('g', 1);
SELECT streamq.nack('s', 'g', 8);
SELECT got('g', 1);
SELECT streamq.nack('s', 'g', 8);
SELECT count(*) FROM dead;
SELECT streamq.redrive('s', 'g', ARRAY[8]);
SELECT got('g', 1);
SELECT streamq.nack('s', 'g', 8);
SELECT got('g', 1);
SELECT streamq.nack('s', 'g', 8);
SELECT count(*) FROM dead;

-- A rollback undoes it.
BEGIN;
SELECT streamq.redrive('s', 'g');
SELECT got('g', 1);
ROLLBACK;
SELECT got('g');
SELECT streamq.ack('s', 'g', 9);
SELECT streamq.redrive('s', 'g');
BEGIN;
SELECT got('g');
ROLLBACK;
SELECT got('g', a => true);
SELECT got('g');
SELECT streamq.redrive('s', 'g');

-- seek forgets what was redriven and not delivered yet.
SELECT streamq.create_group('s', 'moved');
SELECT got('moved', 5);
SELECT streamq.reject_batch('s', 'moved', ARRAY[0, 1, 2, 3, 4]);
SELECT streamq.redrive('s', 'moved', ARRAY[2]);
SELECT streamq.seek('s', 'moved', to_msg_id => 9);
SELECT got('moved');

-- Many in any order, with a lease and without one.
SET client_min_messages = warning;
SELECT streamq.create_stream('many');
RESET client_min_messages;
SELECT count(streamq.produce('many', to_jsonb(i))) FROM generate_series(0, 999) i;
SELECT streamq.create_group('many', 'g');
CREATE TABLE wanted AS
SELECT (i * 37) % 1000 AS id FROM generate_series(0, 299) i;
SELECT count(*) FROM streamq.consume('many', 'g', 1000);
SELECT streamq.reject_batch('many', 'g', (SELECT array_agg(id::bigint) FROM wanted));
CREATE TABLE got (id bigint, deliveries int);
DO $$
DECLARE
	n bigint;
	turn int := 0;
BEGIN
	LOOP
		turn := turn + 1;
		n := streamq.redrive('many', 'g');
		INSERT INTO got SELECT msg_id, deliveries FROM streamq.consume('many', 'g', 20);
		EXIT WHEN NOT FOUND;
		IF turn % 5 <> 0 THEN
			PERFORM streamq.ack_batch('many', 'g', array_agg(id)) FROM got;
		END IF;
		IF turn = 10 THEN
			PERFORM streamq.ack_batch('many', 'g', array_agg(i::bigint)) FROM generate_series(0, 999) i WHERE i NOT IN (SELECT id FROM wanted);
		END IF;
	END LOOP;
	RAISE NOTICE 'more than one turn: %', turn > 10;
END $$;
SELECT count(*), count(DISTINCT id), max(deliveries) FROM got;
SELECT count(*) FROM wanted FULL JOIN got USING (id) WHERE wanted.id IS NULL OR got.id IS NULL;
SELECT count(*) FROM streamq.check_stream('many');
SELECT streamq.redrive('many', 'g');

-- What retention has removed is not counted.
SELECT streamq.create_group('many', 'late');
SELECT count(*) FROM streamq.consume('many', 'late', 10);
SELECT streamq.reject_batch('many', 'late', ARRAY[1, 2, 3]);
SELECT streamq.redrive('many', 'late', ARRAY[1]);
TRUNCATE many;
SELECT streamq.redrive('many', 'late');
SELECT count(*) FROM streamq.dead_lettered JOIN streamq.consumer_group USING (group_id) WHERE group_name = 'late';
SELECT count(*) FROM streamq.consume('many', 'late', 10);

-- The rows go with the group, and with the stream.
SELECT streamq.drop_group('s', 'moved');
SELECT count(*) FROM streamq.dead_lettered d WHERE NOT EXISTS (SELECT FROM streamq.consumer_group WHERE group_id = d.group_id);
DROP VIEW figures;
DROP TABLE s, many;
SELECT count(*) FROM streamq.dead_lettered d WHERE NOT EXISTS (SELECT FROM streamq.consumer_group WHERE group_id = d.group_id);

-- errors
SELECT streamq.redrive('dead', 'g');
SELECT streamq.redrive(NULL, 'g');
SELECT streamq.create_group('dead', 'g');
SELECT streamq.redrive('dead', 'g', ARRAY[NULL::bigint]);
SELECT streamq.redrive('dead', 'g', ARRAY[1]);

SET client_min_messages = warning;
DROP SCHEMA group_redrive CASCADE;
