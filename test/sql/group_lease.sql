-- Leases: expiry, redelivery, giving back, holding on.
CREATE SCHEMA group_lease;
SET search_path = group_lease;
CREATE TABLE s (payload jsonb NOT NULL) USING streamq;
INSERT INTO s SELECT to_jsonb(i) FROM generate_series(0, 9) i;

-- What is not acknowledged within the lease is delivered again, in order,
-- without what was acknowledged.
SELECT msg_id FROM streamq.consume('s', 'g', 5, lease => '700 ms', consumer => 'a');
SELECT streamq.ack('s', 'g', 1), streamq.ack('s', 'g', 3);
SELECT msg_id FROM streamq.consume('s', 'g', 5, consumer => 'b');
SELECT pg_sleep(0.8);
SELECT in_flight, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT count(*) FROM streamq.leases WHERE stream = 's'::regclass;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, lease => '700 ms', consumer => 'b');

-- After the lease ran out an acknowledgement still counts until somebody else
-- was given the message.
SELECT pg_sleep(0.8);
SELECT streamq.ack('s', 'g', 0);
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 4, consumer => 'c');
SELECT first_msg_id, last_msg_id, consumer, deliveries FROM streamq.leases WHERE stream = 's'::regclass ORDER BY 1;
SELECT redelivered, in_flight, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- The lease is renewed by taking more, never shortened.
SELECT msg_id FROM streamq.consume('s', 'g', 1, lease => '1 ms', consumer => 'c');
SELECT expires_at > now() + interval '10 s' AS long FROM streamq.leases WHERE stream = 's'::regclass LIMIT 1;
SELECT msg_id FROM streamq.consume('s', 'g', 1, lease => '1 h', consumer => 'c');
SELECT expires_at > now() + interval '30 min' AS longer FROM streamq.leases WHERE stream = 's'::regclass LIMIT 1;

-- Held for longer: by its holder, not shorter than it was.
SELECT streamq.extend_lease('s', 'g', '{2, 4, 9, 0}', '2 h');
SELECT expires_at > now() + interval '90 min' AS longest FROM streamq.leases WHERE stream = 's'::regclass LIMIT 1;
SELECT streamq.extend_lease('s', 'g', '{2}', '1 s');
SELECT expires_at > now() + interval '90 min' AS longest FROM streamq.leases WHERE stream = 's'::regclass LIMIT 1;

-- Giving back: the message and the later ones are for anybody, those before it stay.
SELECT streamq.nack('s', 'g', 5);
SELECT streamq.nack('s', 'g', 5) AS again, streamq.nack('s', 'g', 0) AS "done before", streamq.nack('s', 'g', 9) AS "not delivered";
SELECT first_msg_id, last_msg_id, deliveries FROM streamq.leases WHERE stream = 's'::regclass ORDER BY 1;
SELECT msg_id FROM streamq.consume('s', 'g', consumer => 'd');
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 2, consumer => 'c');
SELECT streamq.ack_through('s', 'g', 4);
SELECT streamq.nack('s', 'g', 5);
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 1, consumer => 'd');

-- Not before its time, for nobody.
SELECT streamq.nack('s', 'g', 5, retry_after => '700 ms');
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', consumer => 'd');
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 1, consumer => 'e', wait => '10 s');

-- A lease in a transaction that rolls back was never there.
SELECT streamq.ack_through('s', 'g', 5);
BEGIN;
SELECT msg_id FROM streamq.consume('s', 'g', 1, consumer => 'f', lease => '1 day');
ROLLBACK;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g', 1, consumer => 'g');

-- Many redeliveries with different limits: counts stay true.
SELECT streamq.seek('s', 'g', 'earliest');
DO $$
BEGIN
	FOR i IN 1..9 LOOP
		PERFORM * FROM streamq.consume('group_lease.s', 'g', i, consumer => 'x');
		PERFORM streamq.nack('group_lease.s', 'g', 0);
	END LOOP;
END $$;
SELECT msg_id, deliveries FROM streamq.consume('s', 'g');

SET client_min_messages = warning;
DROP SCHEMA group_lease CASCADE;
