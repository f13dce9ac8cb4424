-- Every aggregate of the server in a continuous view: views of several kinds of windows are
-- compared with their queries run by hand, column by column.
CREATE SCHEMA view_aggregates;
SET search_path = view_aggregates;
SET TIME ZONE 'UTC';
SET client_min_messages = warning;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);

-- a column of each type: its values, which repeat and may be null, and a constant
CREATE TABLE samples (type regtype PRIMARY KEY, declaration text, value text, constant text, sorts bool NOT NULL DEFAULT true);
INSERT INTO samples (type, declaration, value, constant) VALUES
	('int2', 'int2', '(i * 7 % 11)::int2 - 3::int2', '2::int2'), ('int4', 'int4', 'i * 5 % 13 - 4', '3'), ('int8', 'int8', 'i * 1000000007::int8 % 1000', '500::int8'),
	('numeric', 'numeric', $$CASE i % 40 WHEN 33 THEN 'NaN' WHEN 34 THEN 'Infinity' ELSE (i * 3 % 17)::text || '.' || i % 5 END::numeric$$, '8.5'),
	('float4', 'float4', 'i * 3 % 16 / 4.0::float4', '2::float4'), ('float8', 'float8', $$CASE i % 40 WHEN 31 THEN 'NaN' WHEN 32 THEN '-Infinity' ELSE (i * 7 % 32 / 8.0)::text END::float8$$, '1.5::float8'),
	('money', 'money', '(i * 3 % 8)::money', '4::money'), ('interval', 'interval', $$i * 5 % 9 * interval '1 hour 1 min'$$, $$'3 h'::interval$$),
	('date', 'date', $$'2026-01-01'::date + i % 12$$, $$'2026-01-05'::date$$), ('time', 'time', $$'10:00'::time + i % 10 * interval '1 min'$$, $$'10:05'::time$$),
	('timetz', 'timetz', $$'10:00+02'::timetz + i % 10 * interval '1 min'$$, $$'10:05+02'::timetz$$), ('timestamp', 'timestamp', $$'2026-01-01'::timestamp + i % 9 * interval '1 day'$$, $$'2026-01-05'::timestamp$$),
	('timestamptz', 'timestamptz', $$'2026-01-01'::timestamptz + i % 8 * interval '1 day'$$, $$'2026-01-05'::timestamptz$$), ('text', 'text', 'chr(97 + i * 5 % 26)', $$'m'::text$$),
	('bpchar', 'character(3)', 'chr(65 + i % 20)', $$'M'::bpchar$$), ('bytea', 'bytea', $$decode(lpad(to_hex(i % 64), 2, '0'), 'hex')$$, $$'\x20'::bytea$$), ('bool', 'bool', 'i % 5 < 3', 'true'),
	('bit', 'bit(8)', '(i * 37 % 256)::bit(8)', $$B'00110011'::bit(8)$$), ('oid', 'oid', '(i % 9 + 1)::oid', '4::oid'), ('tid', 'tid', $$format('(%s,1)', i % 9)::tid$$, $$'(4,1)'::tid$$),
	('inet', 'inet', $$'10.0.0.0'::inet + i % 21$$, $$'10.0.0.9'::inet$$), ('pg_lsn', 'pg_lsn', $$'0/0'::pg_lsn + i % 13$$, $$'0/5'::pg_lsn$$), ('xid8', 'xid8', '(i % 17)::text::xid8', $$'8'::xid8$$),
	('int4[]', 'int4[]', 'ARRAY[i % 3, i % 2]', 'ARRAY[1, 1]'), ('text[]', 'text[]', 'ARRAY[chr(97 + i % 9), NULL]', $$ARRAY['c', 'd']$$), ('mood', 'mood', $$(ARRAY['sad', 'ok', 'happy'])[i * 5 % 3 + 1]::mood$$, $$'ok'::mood$$),
	('int4range', 'int4range', 'int4range(i % 5, i % 5 + 20)', 'int4range(3, 9)'), ('tstzrange', 'tstzrange', $$tstzrange('2026-01-01', '2026-02-01'::timestamptz + i % 9 * interval '1 day')$$, $$tstzrange('2026-01-03', NULL)$$),
	('int4multirange', 'int4multirange', '(int4range(i % 5, i % 5 + 20)::int4multirange + int4range(50, 60 + i % 4)::int4multirange)', $$'{[1,5),[9,12)}'::int4multirange$$),
	('jsonb', 'jsonb', $$jsonb_build_object('i', i % 6)$$, $$'{"i": 3}'::jsonb$$), ('pair', 'pair', $$ROW(i % 4, nullif(chr(97 + i % 3), 'b'))::pair$$, $$ROW(2, 'a')::pair$$);
INSERT INTO samples VALUES ('xml', 'xml', $$format('<i>%s</i>', i % 4)::xml$$, NULL, false), ('json', 'json', $$json_build_object('i', i % 6)$$, NULL, false);

DO $$
BEGIN
	EXECUTE (SELECT format('CREATE TABLE s (at timestamptz NOT NULL, g int, i int, %s) USING streamq', string_agg(format('%I %s', 'c ' || type, declaration), ', ' ORDER BY type::text)) FROM samples);
END $$;
CREATE PROCEDURE feed(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE (SELECT format($q$INSERT INTO s SELECT '2026-01-01'::timestamptz + i * 37 %% 200 * interval '5 s', nullif(i %% 4, 3), i, %s FROM generate_series($1, $2) i$q$,
		string_agg(format('CASE WHEN i %% 4 <> 2 OR i %% 7 <> %s THEN %s END', length(type::text) % 7, value), ', ' ORDER BY type::text)) FROM samples) USING first, last;
END $$;

-- the types that stand for a polymorphic one
CREATE TABLE stand_ins (type regtype, candidates regtype[]);
INSERT INTO stand_ins VALUES
	('anyelement', '{int4, text, numeric, pair, jsonb, int4[]}'), ('anynonarray', '{int4, text, float8, pair}'), ('anyarray', '{int4[], text[]}'), ('anyenum', '{mood}'),
	('anyrange', '{int4range, tstzrange}'), ('anymultirange', '{int4multirange}'), ('"any"', '{int4, text, interval, bool}');

-- the calls: one for each aggregate and choice of types
CREATE TABLE calls (n int GENERATED ALWAYS AS IDENTITY, aggregate regprocedure, name text, kind "char", direct text, args text, sorts bool, types text, lists bool);
INSERT INTO calls (aggregate, name, kind, direct, args, sorts, types, lists)
SELECT c.aggregate, c.name, c.kind,
	-- a hypothetical row has the types of the sorted columns
	CASE WHEN c.kind = 'h' THEN string_agg(s.constant, ', ' ORDER BY c.ord)
		ELSE string_agg(CASE WHEN c.direct THEN CASE WHEN c.type = 'float8'::regtype THEN '0.3' ELSE 'ARRAY[0, 0.25, NULL, 1]' END END, ', ') END,
	string_agg(CASE
		-- names of members are unique
		WHEN c.name ~ 'object_agg' AND c.ord = 1 THEN 'i'
		-- null arrays are an error
		WHEN c.aggregate = 'array_agg(anyarray)'::regprocedure THEN format('coalesce(%I, %s)', 'c ' || c.actual, s.constant)
		WHEN c.kind = 'n' AND c.type = 'float8'::regtype AND c.ord = 2 THEN 'i % 5 + "c double precision"'
		WHEN c.type = 'record'::regtype THEN 'ROW("c integer", "c text")'
		WHEN NOT c.direct AND c.type IS NOT NULL THEN format('%I', 'c ' || c.actual) END, ', ' ORDER BY c.ord),
	bool_and(coalesce(s.sorts, true)), string_agg(c.actual::text, ', ' ORDER BY c.ord), c.name ~ 'agg' OR c.name = 'any_value'
FROM (SELECT p.oid::regprocedure AS aggregate, proname AS name, aggkind AS kind, n AS choice, t.ord, t.type, t.ord <= aggnumdirectargs AND aggkind = 'o' AS direct,
		coalesce((SELECT candidates[1 + (n - 1) % array_length(candidates, 1)] FROM stand_ins WHERE stand_ins.type = t.type), t.type) AS actual
	FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid
	LEFT JOIN LATERAL (SELECT type::regtype, ord FROM unnest(proargtypes) WITH ORDINALITY u (type, ord)
		-- a VARIADIC one is called with two
		UNION ALL SELECT 'int4', pronargs + 1 WHERE provariadic <> 0) t ON true,
	generate_series(1, 6) n
	WHERE pronamespace = 'pg_catalog'::regnamespace
		AND n <= coalesce((SELECT max(array_length(candidates, 1)) FROM stand_ins WHERE stand_ins.type = ANY (proargtypes::regtype[])), 1)) c
LEFT JOIN samples s ON s.type = c.actual
GROUP BY c.aggregate, c.name, c.kind, c.choice
ORDER BY c.aggregate::text, c.choice;
-- there are no arrays of arrays
DELETE FROM calls WHERE direct ~ 'ARRAY' AND types ~ 'integer\[\]';

-- no aggregate is missing, and no type of an argument
SELECT p.oid::regprocedure FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid
WHERE pronamespace = 'pg_catalog'::regnamespace AND p.oid NOT IN (SELECT aggregate FROM calls);
SELECT DISTINCT aggregate, types FROM calls c WHERE EXISTS (SELECT FROM regexp_split_to_table(types, ', ') t WHERE t NOT IN ('record', 'double precision[]') AND t NOT IN (SELECT type::text FROM samples));
SELECT count(*) > 180 AS calls, count(DISTINCT aggregate) > 145 AS aggregates FROM calls;

-- what is asked for of each: `form` says how the rows come in.  Lists are in the order of
-- the stream, which the query by hand must ask for.
CREATE TABLE columns AS
SELECT row_number() OVER (ORDER BY n, form)::int AS n, n % 4 AS chunk, aggregate, lists, calls.kind = 'n' AND types ~ 'real|double' AND NOT lists AS rounded, form,
	replace(format(template, name || '(', args, direct), '(, ', '(') AS call,
	replace(format(CASE WHEN lists AND form IN ('all', 'filtered') THEN replace(template, '%2$s)', '%2$s ORDER BY i)') ELSE template END, name || '(', args, direct), '(, ', '(') AS batch
FROM calls, (VALUES
	('all', 'n', '%1$s%2$s)', true), ('filtered', 'n', '%1$s%2$s) FILTER (WHERE i %% 3 <> 1)', true), ('none', 'n', '%1$s%2$s) FILTER (WHERE i < 0)', true),
	('ordered', 'n', '%1$s%2$s ORDER BY i DESC)', true), ('distinct', 'n', '%1$sDISTINCT %2$s)', false),
	('within', 'o', '%1$s%3$s) WITHIN GROUP (ORDER BY %2$s)', true), ('within filtered', 'o', '%1$s%3$s) WITHIN GROUP (ORDER BY %2$s) FILTER (WHERE i %% 3 <> 1)', true)) f (form, kind, template, anything)
WHERE (f.kind = 'n') = (calls.kind = 'n') AND (anything OR sorts) AND (args IS NOT NULL OR form NOT IN ('ordered', 'distinct'));
UPDATE columns SET call = replace(call, '()', '(*)'), batch = replace(call, '()', '(*)') WHERE aggregate = 'count()'::regprocedure;
SELECT * FROM columns WHERE call IS NULL;
-- those that have a syntax of their own
DO $$
BEGIN
	IF current_setting('server_version_num')::int >= 160000 THEN
		INSERT INTO columns SELECT (SELECT max(n) FROM columns) + x.n, 0, NULL, true, false, 'ordered', x.call, x.call
		FROM (VALUES (1, 'JSON_ARRAYAGG("c text" ORDER BY i NULL ON NULL RETURNING jsonb)'), (2, 'JSON_ARRAYAGG("c text" ORDER BY i RETURNING text)'),
			(3, 'JSON_OBJECTAGG("c integer"::text || i : "c text" ABSENT ON NULL WITH UNIQUE KEYS RETURNING jsonb) FILTER (WHERE "c integer" > 0)')) x (n, call);
	END IF;
END $$;
-- the value of a row, which a view cannot show, as text
UPDATE columns SET call = call || '::text', batch = batch || '::text' WHERE call ~ 'ROW';

-- What is tried in which windows.  If windows are merged, any_value() may be that of any
-- row.  The query of sessions over the stream has rows in another order.
CREATE TABLE windows (name text, head text, tail text, forms text, excluded text);
INSERT INTO windows VALUES
	('groups', 'g', 's GROUP BY g', '^all|none|within$', '^$'),
	('tumbles', 'window_start, g', $$s, streamq.tumble(at, '5 min') GROUP BY window_start, g$$, '.', '^$'),
	('hops', 'window_start, g', $$s, streamq.hop(at, '3 min', '10 min') GROUP BY window_start, g$$, '^all|within$', '^any_value'),
	('sessions', 'window_start, window_end, g', $$s, streamq.session(at, '15 s') GROUP BY window_start, window_end, g$$, '^all|within$', '^any_value|agg|AGG');
CREATE TABLE views AS
SELECT w.name || '_' || chunk AS name, head, array_agg(c.n ORDER BY c.n) AS columns,
	format('SELECT %s, %s FROM %s', head, string_agg(format('%s AS a%s', call, c.n), ', ' ORDER BY c.n), tail) AS query,
	format('SELECT %s, %s FROM %s', head, string_agg(format('%s AS a%s', batch, c.n), ', ' ORDER BY c.n), tail) AS batch
FROM windows w, columns c
WHERE c.form ~ w.forms AND c.call !~ w.excluded OR c.form = 'ordered' AND c.call ~ w.excluded
GROUP BY w.name, w.head, w.tail, c.chunk;
SELECT count(streamq.create_continuous_view(name, query)) = 16 AS views FROM views;
SELECT count(streamq.pause(name)) = 16 AS paused FROM views;

CREATE FUNCTION run(rows int) RETURNS int LANGUAGE sql AS 'SELECT sum(errors) FROM (SELECT streamq.run_job(name, rows) FROM views) r, streamq.jobs';

-- the order in which a query by hand adds numbers may change their last bits
CREATE FUNCTION nearly(a text, b text) RETURNS bool LANGUAGE sql IMMUTABLE AS
	'SELECT a IS NOT DISTINCT FROM b OR coalesce(abs(a::float8 - b::float8) <= 1e-9 * abs(b::float8), false)';
CREATE FUNCTION differences() RETURNS TABLE (view text, form text, call text, rows bigint) LANGUAGE plpgsql AS $$
DECLARE
	v views;
BEGIN
	FOR v IN SELECT * FROM views ORDER BY name LOOP
		RETURN QUERY EXECUTE (SELECT format($q$
			SELECT %1$L, c.form, coalesce(c.call, 'rows'), d.rows
			FROM (SELECT array_remove(ARRAY[count(*) FILTER (WHERE v.key IS NULL OR q.key IS NULL), %2$s], NULL) AS rows
				FROM (SELECT ROW(%3$s)::text AS key, * FROM %1$I) v FULL JOIN (SELECT ROW(%3$s)::text AS key, * FROM (%4$s) q) q ON v.key = q.key) counts,
				unnest(counts.rows) WITH ORDINALITY d (rows, i)
			LEFT JOIN columns c ON c.n = (%5$L::int[])[i - 1]
			WHERE d.rows > 0$q$,
			v.name, string_agg(format(CASE WHEN rounded THEN 'count(*) FILTER (WHERE NOT nearly(v.a%1$s::text, q.a%1$s::text))' ELSE 'count(*) FILTER (WHERE v.a%1$s::text IS DISTINCT FROM q.a%1$s::text)' END, n), ', ' ORDER BY i), v.head,
			CASE WHEN v.name ~ 'sessions' THEN streamq.view_batch_query(v.name::regclass) ELSE v.batch END, v.columns)
			FROM unnest(v.columns) WITH ORDINALITY u (n, i) JOIN columns USING (n));
	END LOOP;
END $$;
CALL feed(1, 100);
SELECT run(1000);
CALL feed(101, 220);
SELECT run(50);
CALL feed(221, 300);
SELECT run(1000);
SELECT * FROM differences();
SELECT count(*) = 4 FROM groups_0 UNION ALL SELECT count(*) > 40 FROM sessions_0;

DROP SCHEMA view_aggregates CASCADE;
