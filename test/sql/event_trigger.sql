-- What the functions do to streams and continuous views is what DDL commands do, for event
-- triggers too.
CREATE SCHEMA event_test;
CREATE ROLE event_role;
GRANT ALL ON SCHEMA event_test TO event_role;
SET search_path = event_test;
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, event text, tag text, object text);
CREATE FUNCTION note_start() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO event_test.seen (event, tag) VALUES (tg_event, tg_tag);
END $$;
CREATE FUNCTION note_end() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO event_test.seen (event, tag, object)
	SELECT tg_event, command_tag, object_type || ' ' || object_identity FROM pg_event_trigger_ddl_commands();
END $$;
CREATE FUNCTION note_drop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	INSERT INTO event_test.seen (event, tag, object)
	SELECT tg_event, tg_tag, object_type || ' ' || object_identity FROM pg_event_trigger_dropped_objects() WHERE original;
END $$;
CREATE FUNCTION seen() RETURNS TABLE (event text, tag text, object text) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	-- the numbers of state tables are counted up
	RETURN QUERY SELECT s.event, s.tag, regexp_replace(s.object, 'view_state_\d+', 'view_state_N')
		FROM event_test.seen s ORDER BY n;
	TRUNCATE event_test.seen;
END $$;
CREATE EVENT TRIGGER note_start ON ddl_command_start EXECUTE FUNCTION note_start();
CREATE EVENT TRIGGER note_end ON ddl_command_end EXECUTE FUNCTION note_end();
CREATE EVENT TRIGGER note_drop ON sql_drop EXECUTE FUNCTION note_drop();
SET ROLE event_role;

SELECT streamq.create_stream('s', 'k text, n numeric') AS stream;
SELECT * FROM seen();
SELECT streamq.alter_stream('s', partitions => 2, retention => '1 day');
SELECT * FROM seen();
SELECT streamq.create_continuous_view('v', 'SELECT k, avg(n) AS mean FROM s GROUP BY k') AS view;
SELECT * FROM seen();
-- no DDL, or nothing done
SELECT streamq.alter_stream('s', partitions => 2);
SELECT streamq.create_continuous_view('v', 'SELECT 1', if_not_exists => true) AS view;
SELECT streamq.create_stream('s', if_not_exists => true) AS stream;
SELECT streamq.drop_continuous_view('nothing', if_exists => true);
SELECT streamq.pause('v');
SELECT * FROM seen();
SELECT streamq.drop_continuous_view('v');
SELECT * FROM seen();
SELECT streamq.drop_stream('s');
SELECT * FROM seen();
RESET ROLE;

-- a trigger may refuse, or do more to what was made: give it to somebody else
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'no %', tg_tag;
END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN tag IN ('CREATE VIEW', 'DROP VIEW', 'ALTER TABLE', 'DROP TABLE')
EXECUTE FUNCTION refuse();
SET ROLE event_role;
SELECT streamq.create_stream('s', 'k text, n numeric') AS stream;
\set SHOW_CONTEXT never
SELECT streamq.alter_stream('s', retention => '1 day');
SELECT streamq.create_continuous_view('v', 'SELECT k, avg(n) AS mean FROM s GROUP BY k') AS view;
SELECT streamq.drop_stream('s');
\set SHOW_CONTEXT errors
SELECT retention FROM streamq.streams WHERE stream = 's'::regclass;
RESET ROLE;
DROP EVENT TRIGGER refuse;
CREATE FUNCTION give_away() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'ALTER VIEW event_test.v OWNER TO event_role';
END $$;
CREATE EVENT TRIGGER give_away ON ddl_command_end WHEN tag IN ('CREATE VIEW') EXECUTE FUNCTION give_away();
SELECT streamq.create_continuous_view('v', 'SELECT k, sum(n) AS total FROM s GROUP BY k') AS view;
DROP EVENT TRIGGER give_away;
INSERT INTO s VALUES ('a', 1), ('b', 2), ('a', 3);
SELECT streamq.wait_until_caught_up('v');
SET ROLE event_role;
SELECT * FROM v ORDER BY k;
RESET ROLE;
CREATE FUNCTION rename() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'ALTER VIEW event_test.v2 RENAME TO v3';
END $$;
CREATE EVENT TRIGGER rename ON ddl_command_end WHEN tag IN ('CREATE VIEW') EXECUTE FUNCTION rename();
SELECT streamq.create_continuous_view('v2', 'SELECT k, sum(n) AS total FROM s GROUP BY k') AS view;
DROP EVENT TRIGGER rename;
CREATE FUNCTION rename_state() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
	made regclass;
BEGIN
	FOR made IN SELECT objid FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
		EXECUTE format('ALTER TABLE %s RENAME TO other', made);
	END LOOP;
END $$;
CREATE EVENT TRIGGER rename_state ON ddl_command_end WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION rename_state();
DO $$
BEGIN
	PERFORM streamq.create_continuous_view('v2', 'SELECT k, sum(n) AS total FROM s GROUP BY k');
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	RAISE NOTICE '%', regexp_replace(sqlerrm, '[0-9]+', 'N');
END $$;
DROP EVENT TRIGGER rename_state;

DROP EVENT TRIGGER note_start;
DROP EVENT TRIGGER note_end;
DROP EVENT TRIGGER note_drop;
SET client_min_messages = warning;
DROP SCHEMA event_test CASCADE;
DROP ROLE event_role;
