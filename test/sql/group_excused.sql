-- In ordered mode, a message that is given back takes those after it along.
-- They are delivered again, but are not to blame: such a delivery does not
-- count for max_deliveries.

SET client_min_messages = warning;
CREATE SCHEMA group_excused;
SET search_path = group_excused, public;
\pset format unaligned
\pset tuples_only on

SELECT streamq.create_stream('s'), streamq.create_stream('dead');
SELECT streamq.create_group('s', 'g', max_deliveries => 2, dead_letter => 'dead');
SELECT count(streamq.produce('s', to_jsonb(i))) FROM generate_series(0, 4) i;
CREATE FUNCTION got(n int DEFAULT 100) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg(msg_id || '/' || deliveries, ' ') FROM streamq.consume('s', 'g', n, consumer => 'c') $$;
CREATE FUNCTION letters() RETURNS text LANGUAGE sql
AS $$ SELECT string_agg(headers ->> 'streamq_msg_id' || '/' || (headers ->> 'streamq_deliveries'), ' ' ORDER BY streamq.msg_id(tableoid, ctid)) FROM dead $$;

-- 0 fails twice
SELECT got();
SELECT streamq.nack('s', 'g', 0);
SELECT got();
SELECT streamq.nack('s', 'g', 0), letters();
-- the others have been delivered twice, too, but are delivered again
SELECT got() AS "still leased";
SELECT streamq.nack('s', 'g', 1);
SELECT got();
-- 1 fails for the second time; of its three deliveries one is excused
SELECT streamq.nack('s', 'g', 1), letters();
SELECT streamq.nack('s', 'g', 3);
SELECT got();
SELECT streamq.ack_through('s', 'g', 2);

-- leases that end are not excused
SELECT streamq.extend_lease('s', 'g', '{3, 4}', '1 ms');
SELECT streamq.nack('s', 'g', 3), letters();
SELECT streamq.nack('s', 'g', 4);
SELECT count(*) FROM streamq.consume('s', 'g', 5, lease => '1 ms', consumer => 'c');
SELECT pg_sleep(0.01);
SELECT got(), letters();
SELECT acked_offset, lag, dead_lettered FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- in a rollback, and in savepoints
SELECT streamq.create_group('s', 'r', max_deliveries => 1, dead_letter => 'dead');
TRUNCATE dead;
CREATE FUNCTION got_r(n int DEFAULT 100) RETURNS text LANGUAGE sql
AS $$ SELECT string_agg(msg_id || '/' || deliveries, ' ') FROM streamq.consume('s', 'r', n, consumer => 'c') $$;
SELECT got_r();
BEGIN;
SAVEPOINT a;
SELECT streamq.nack('s', 'r', 2), letters();
ROLLBACK TO a;
SELECT letters();
SELECT streamq.nack('s', 'r', 1), letters();
COMMIT;
SELECT got_r() AS "leased";
SELECT streamq.ack_through('s', 'r', 4), letters();

SET client_min_messages = warning;
DROP SCHEMA group_excused CASCADE;
