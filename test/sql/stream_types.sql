-- Other types of the names "text" and "jsonb" earlier in search_path change nothing.
CREATE SCHEMA stream_types;
CREATE DOMAIN stream_types.text AS pg_catalog.text CHECK (VALUE <> 'refused');
CREATE TYPE stream_types.jsonb AS ENUM ('none');
CREATE DOMAIN stream_types.int8 AS pg_catalog.int8 CHECK (VALUE < 0);
CREATE FUNCTION stream_types.sum(pg_catalog.int8) RETURNS pg_catalog.int8 LANGUAGE sql AS 'SELECT 0::pg_catalog.int8';
SET search_path = stream_types, pg_catalog;
SELECT streamq.create_stream('s');
SELECT attname, atttypid::pg_catalog.regtype FROM pg_attribute WHERE attrelid = 's'::regclass AND attnum > 0;
SELECT streamq.produce('s', '{"a": 1}'::pg_catalog.jsonb, key => 'refused');
SELECT msg_id, key, payload FROM streamq.consume('s', 'g');
SELECT group_name, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- Columns that the caller gives mean what they mean in CREATE TABLE.
SELECT streamq.create_stream('own', 'word text');
SELECT attname, atttypid::pg_catalog.regtype FROM pg_attribute WHERE attrelid = 'own'::regclass AND attnum > 0;

-- The tables below a continuous view have the types of its query.
SELECT streamq.create_continuous_view('v', 'SELECT key, count(*) AS n FROM s GROUP BY key');
SELECT streamq.wait_until_caught_up('v');
SELECT * FROM v;
SELECT attname, atttypid::pg_catalog.regtype
FROM pg_attribute WHERE attrelid = (SELECT state_table FROM streamq.job WHERE target = 'v'::regclass) AND attname = 'key_1';
SELECT streamq.drop_continuous_view('v');

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA stream_types CASCADE;
