-- Views of the latest message of each key.
CREATE SCHEMA latest_test;
SET search_path = latest_test;
-- a plan, without the number of the state table
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, 'view_state_\d+', 'view_state_N', 'g');
	END LOOP;
END $$;
SELECT streamq.create_stream('prices', partitions => 4);
ALTER TABLE prices ALTER payload DROP NOT NULL;
SELECT streamq.create_latest_view('price', 'prices');
\d price
SELECT pg_get_viewdef('price') LIKE '%streamq.view_state%' AS reads_state;
DO $$ BEGIN
	EXECUTE (SELECT format('CREATE VIEW stored_prices AS SELECT * FROM %s', state_table) FROM streamq.job WHERE target = 'price'::regclass);
END $$;
SELECT query FROM streamq.jobs WHERE name = 'price';

INSERT INTO prices (key, payload, headers) VALUES
	('a', '1', NULL), ('b', '2', '{"by": "x"}'), (NULL, '3', NULL), ('', '4', NULL), ('a', '5', NULL);
SELECT streamq.wait_until_caught_up('price');
SELECT key, payload, headers FROM price ORDER BY key;
SELECT p.key, p.payload = s.payload AS same FROM price p JOIN prices s ON p.msg_id = streamq.msg_id(s.tableoid, s.ctid) ORDER BY 1;

-- a null replaces a value; a null payload takes the key away
INSERT INTO prices (key, payload, headers) VALUES ('b', '6', NULL), ('a', NULL, NULL);
SELECT streamq.produce('prices', NULL, key => 'c') >= 0 AS done;
SELECT streamq.wait_until_caught_up('price');
SELECT key, payload, headers FROM price ORDER BY key;
SELECT count(*) AS stored FROM stored_prices;
-- until it comes back, also in the same batch
INSERT INTO prices (key, payload) VALUES ('a', '7'), ('d', '1'), ('d', NULL), ('b', NULL), ('b', '8');
SELECT streamq.wait_until_caught_up('price');
SELECT key, payload, headers FROM price ORDER BY key;
SELECT streamq.verify_continuous_view('price');

-- a key is found by an index
INSERT INTO prices (key, payload) SELECT 'k' || i, to_jsonb(i) FROM generate_series(1, 20000) i;
INSERT INTO prices (key, payload) VALUES (repeat('long', 2000), '9');
SELECT streamq.wait_until_caught_up('price');
SELECT * FROM plan_of($q$SELECT payload FROM price WHERE key = 'k77'$q$);
SELECT key, payload FROM price WHERE key IN ('k77', 'k20000', 'a');
SELECT payload FROM price WHERE key = repeat('long', 2000);
-- rounds with thousands of removed keys
INSERT INTO prices (key, payload) SELECT 'k' || i, CASE WHEN i % 10 = 0 THEN to_jsonb(-i) END FROM generate_series(1, 20000) i;
SELECT streamq.wait_until_caught_up('price');
SELECT count(*), min(payload::text::int) FROM price WHERE key LIKE 'k%';
SELECT count(*) AS stored FROM stored_prices;
SELECT streamq.verify_continuous_view('price');

-- streams with columns of their own, several columns as the key, no payload
CREATE TABLE "Readings" (plant int, device text COLLATE "C", "At" timestamptz, gone int, vals float8[]) USING streamq;
SELECT streamq.create_latest_view('unkeyed', '"Readings"');
SELECT streamq.alter_stream('"Readings"', partition_by => 'plant, device');
ALTER TABLE "Readings" DROP COLUMN gone;
SELECT streamq.create_latest_view('latest reading', '"Readings"');
SELECT streamq.create_latest_view('"latest reading"', '"Readings"');
SELECT streamq.create_latest_view('"latest reading"', '"Readings"');
SELECT streamq.create_latest_view('"latest reading"', '"Readings"', if_not_exists => true);
INSERT INTO "Readings" VALUES (1, 'x', '2026-01-01', '{1,2}'), (1, 'y', '2026-01-01', '{3}'), (2, 'x', NULL, NULL), (1, 'x', '2026-01-02', '{4,NULL}'),
	(NULL, 'z', NULL, '{5}'), (NULL, NULL, NULL, '{6}');
SELECT streamq.wait_until_caught_up('"latest reading"');
SELECT plant, device, "At" = '2026-01-02' AS second, vals FROM "latest reading" ORDER BY 1, 2;
SELECT * FROM plan_of($q$SELECT * FROM "latest reading" WHERE plant = 1 AND device = 'x'$q$);
SELECT streamq.verify_continuous_view('"latest reading"');
SELECT name, kind, state, errors FROM streamq.jobs WHERE name LIKE '%latest%' ORDER BY name;

-- latest() in other views
SELECT streamq.create_continuous_view('by_plant', 'SELECT plant, streamq.latest(device) AS device, count(*) AS n FROM "Readings" GROUP BY plant');
SELECT streamq.wait_until_caught_up('by_plant');
SELECT streamq.verify_continuous_view('by_plant');
SELECT * FROM by_plant ORDER BY 1;
SELECT streamq.create_continuous_view('by_day', $$SELECT window_start, streamq.latest(vals) AS vals FROM "Readings", streamq.hop("At", '1 day', '2 days') GROUP BY window_start$$);
SELECT streamq.wait_until_caught_up('by_day');
SELECT streamq.verify_continuous_view('by_day');
SELECT (window_start AT TIME ZONE 'UTC')::date - '2026-01-01'::date AS day, vals FROM by_day ORDER BY 1;
-- HAVING about something else removes nothing
SELECT streamq.create_continuous_view('partly', 'SELECT plant, streamq.latest(device) AS device FROM "Readings" GROUP BY plant HAVING streamq.latest("At") IS NULL');
SELECT streamq.wait_until_caught_up('partly');
SELECT * FROM partly ORDER BY 1;

-- bad arguments
CREATE FUNCTION error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ': ' || sqlerrm;
END $$;
SELECT error_of(format('SELECT streamq.create_latest_view(%s)', arguments)) FROM (VALUES
	($$NULL, 'prices'$$), ($$'x', NULL$$), ($$'x', 'prices', NULL$$), ($$'x', 'pg_class'$$), ($$'', 'prices'$$), ($$'prices', 'prices'$$),
	($$'x', 'nothing'$$)) v (arguments);
CREATE ROLE latest_user;
GRANT ALL ON SCHEMA latest_test TO latest_user;
SET ROLE latest_user;
SELECT error_of($$SELECT streamq.create_latest_view('x', 'prices')$$);
RESET ROLE;
REVOKE ALL ON SCHEMA latest_test FROM latest_user;
DROP ROLE latest_user;
BEGIN READ ONLY;
SELECT error_of($$SELECT streamq.create_latest_view('x', 'prices')$$);
ROLLBACK;

SELECT streamq.drop_continuous_view('"latest reading"');
\set VERBOSITY terse
DROP TABLE prices;
DROP SCHEMA latest_test CASCADE;
