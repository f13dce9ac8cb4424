-- Continuous views that join ordinary tables with their stream.
CREATE SCHEMA view_join;
SET search_path = view_join;
SET timezone = 'UTC';

-- a view that only run_job() runs
CREATE FUNCTION make_view(name text, query text, late_rows text DEFAULT 'update', emit_into regclass DEFAULT NULL,
	late_stream regclass DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM streamq.create_continuous_view(name, query, late_rows => make_view.late_rows,
		emit_into => make_view.emit_into, late_stream => make_view.late_stream);
	PERFORM streamq.pause(name);
END $$;

CREATE TABLE customers (id int PRIMARY KEY, country text, active bool, since timestamptz);
INSERT INTO customers VALUES (1, 'de', true, '2024-01-01'), (2, 'fr', true, '2024-01-02'), (3, 'de', false, '2024-01-01'),
	(4, NULL, true, '2024-01-01');
CREATE TABLE tags (customer int, tag text);
INSERT INTO tags VALUES (1, 'x'), (1, 'y'), (2, 'x');
CREATE TABLE clicks (id int, customer int, amount numeric, at timestamptz) USING streamq;

-- ---- the result is that of the query

SELECT make_view('per_country', $$
	SELECT w.window_start, c.country, count(*) AS n, sum(s.amount * c.id) AS total, array_agg(s.id ORDER BY s.id DESC) AS ids
	FROM clicks s JOIN customers c ON c.id = s.customer, streamq.tumble(s.at, '1 min') w
	WHERE c.active GROUP BY w.window_start, c.country HAVING count(*) > 0 $$);
-- rows of nulls, and several rows of a message
SELECT make_view('per_tag', $$
	SELECT w.window_start, c.country, c.id IS NULL AS missing, t.tag, count(*) AS n, count(DISTINCT s.id) AS ids, max(c.since) AS since
	FROM clicks s CROSS JOIN LATERAL streamq.hop(s.at, '1 min', '3 min') w
	LEFT JOIN customers c ON c.id = s.customer AND c.active LEFT JOIN tags t ON t.customer = c.id
	GROUP BY 1, 2, 3, 4 $$);
SELECT make_view('per_step', $$
	SELECT w.window_end, c.country, min(s.amount) AS n FROM customers c RIGHT JOIN clicks s ON c.id = s.customer,
	streamq.cumulate(s.at, '1 min', '4 min') w GROUP BY 1, 2 $$);
SELECT make_view('per_day', $$
	SELECT date_trunc('hour', s.at) AS hour, date_trunc('month', c.since) AS month, count(*) AS n
	FROM clicks s JOIN customers c ON c.id = s.customer GROUP BY 2, 1 $$);
SELECT make_view('in_all', $$ SELECT count(*) AS n, avg(s.amount) AS mean FROM tags t, clicks s WHERE t.customer = s.customer $$);
-- the column of USING, and conditions over the window
SELECT make_view('merged_column', $$
	SELECT id, w.window_start, count(*) AS n, sum(extract(epoch FROM w.window_end - c.since)) AS age
	FROM (clicks s JOIN customers c USING (id)) CROSS JOIN streamq.tumble(s.at, '1 min') w
	WHERE c.since < w.window_start AND (s).amount > 1 AND w.window_end <> '2024-01-02 00:02' GROUP BY 1, 2 $$);
SELECT make_view('in_hop', $$
	SELECT c.country, w.window_start, count(*) AS n
	FROM clicks s JOIN customers c ON c.id = s.customer JOIN streamq.hop(s.at, '1 min', '2 min') w ON c.since < w.window_start
	GROUP BY 1, 2 $$);
CREATE VIEW active AS SELECT c.*, t.tag FROM customers c LEFT JOIN tags t ON t.customer = c.id WHERE c.active;
SELECT make_view('over_view', $$
	SELECT a.country, a.tag, c.id, sum(s.amount) AS n FROM clicks s JOIN active a ON a.id = s.customer
	LEFT JOIN customers c ON c.id = a.id + 1 GROUP BY 1, 2, 3 $$);
SELECT make_view('whole_rows', $$
	SELECT c AS customer, c.country, max(s::text) AS click, array_agg(DISTINCT c.id) AS ids FROM clicks s LEFT JOIN customers c ON c.id = s.customer
	GROUP BY 1, 2 $$);

SELECT setseed(0.5);
CREATE TABLE input AS
SELECT i AS id, CASE WHEN random() > 0.05 THEN (random() * 5)::int END AS customer, round((random() * 100)::numeric, 2) AS amount,
	CASE WHEN random() > 0.02 THEN timestamptz '2024-01-02' + i * interval '1 second' - random() * interval '2 minutes' END AS at
FROM generate_series(1, 600) AS i;
CREATE FUNCTION run_all(max_rows int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v text;
BEGIN
	FOR v IN SELECT name FROM streamq.jobs ORDER BY 1
	LOOP
		PERFORM streamq.run_job(v, max_rows);
	END LOOP;
END $$;
INSERT INTO clicks SELECT * FROM input WHERE id <= 20;
SELECT run_all(1);
INSERT INTO clicks SELECT * FROM input WHERE id BETWEEN 21 AND 80;
SELECT run_all(3);
INSERT INTO clicks SELECT * FROM input WHERE id > 80;
SELECT run_all(1000);
CREATE FUNCTION differences(v text, OUT nrows bigint, OUT differ bigint) LANGUAGE plpgsql AS $$
DECLARE
	q text := rtrim(streamq.view_batch_query(v::regclass), ';');
BEGIN
	EXECUTE format('SELECT (SELECT count(*) FROM %1$I), (SELECT count(*) FROM (
		(SELECT t::text FROM %1$I t EXCEPT ALL SELECT t::text FROM (%2$s) t) UNION ALL
		(SELECT t::text FROM (%2$s) t EXCEPT ALL SELECT t::text FROM %1$I t)) d)', v, q) INTO nrows, differ;
END $$;
SELECT name, d.* FROM streamq.jobs, differences(name) d ORDER BY 1;

-- sessions, whose query cannot be run over the stream
SELECT make_view('visits', $$
	SELECT w.window_start, w.window_end, c.country, count(*) AS n FROM clicks s JOIN customers c ON c.id = s.customer,
	streamq.session(s.at, '1 s') w GROUP BY 1, 2, 3 $$);
SELECT streamq.run_job('visits', 7);
SELECT streamq.view_batch_query('visits');
WITH s AS (SELECT c.country, s.at, (s.at - lag(s.at) OVER k <= interval '1 s') IS NOT TRUE AS begins
	FROM input s JOIN customers c ON c.id = s.customer WHERE s.at IS NOT NULL WINDOW k AS (PARTITION BY c.country ORDER BY s.at)),
	n AS (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY country ORDER BY at) AS island FROM s),
	r AS (SELECT min(at) AS window_start, max(at) + interval '1 s' AS window_end, country, count(*) AS n FROM n GROUP BY country, island)
SELECT (SELECT count(*) > 50 FROM visits) AS many,
	(SELECT count(*) FROM (SELECT * FROM r EXCEPT ALL SELECT * FROM visits) d) AS missing,
	(SELECT count(*) FROM (SELECT * FROM visits EXCEPT ALL SELECT * FROM r) d) AS wrong;

-- ---- late messages, once each, with the watermark before them

CREATE TABLE late (LIKE clicks) USING streamq;
CREATE TABLE out (window_start timestamptz, country text, tag text, n bigint, revision int, deleted bool) USING streamq;
CREATE TABLE few (id int, customer int, amount numeric, at timestamptz) USING streamq;
SELECT make_view('routed', $$
	SELECT w.window_start, c.country, t.tag, count(*) AS n FROM few s LEFT JOIN customers c ON c.id = s.customer
	LEFT JOIN tags t ON t.customer = c.id, streamq.tumble(s.at, '1 min') w WHERE s.id > 0 GROUP BY 1, 2, 3 $$,
	late_rows => 'route', late_stream => 'late', emit_into => 'out');
INSERT INTO few VALUES (1, 1, 1, '2024-01-01 00:00:10'), (2, 2, 1, '2024-01-01 00:01'), (3, 1, 1, '2024-01-01 00:00:20'),
	(-1, 1, 1, '2024-01-01 00:00'), (4, 9, 1, '2024-01-01 00:01:30'), (5, 1, 1, '2024-01-01 00:02');
SELECT streamq.run_job('routed');
SELECT * FROM routed ORDER BY 1, 2, 3;
SELECT * FROM late;
SELECT window_start, country, tag, n FROM out ORDER BY 1, 2, 3;
SELECT rows_processed, late_rows, errors FROM streamq.jobs WHERE name = 'routed';

-- ---- a later change of a table changes nothing that was processed

UPDATE customers SET country = 'it' WHERE id = 1;
INSERT INTO few VALUES (6, 1, 1, '2024-01-01 00:02:01');
SELECT streamq.run_job('routed');
SELECT * FROM routed WHERE window_start = '2024-01-01 00:02' ORDER BY 1, 2, 3;

-- ---- a message that fails is left out, whichever expression fails

SELECT make_view('failing', $$
	SELECT c.country, sum(10 / s.amount) AS a FROM few s JOIN customers c ON c.id = s.customer AND 10 / s.id < 5 GROUP BY 1 $$);
INSERT INTO few VALUES (0, 1, 1, '2024-01-01 00:03'), (7, 1, 0, '2024-01-01 00:03'), (8, 1, 5, '2024-01-01 00:03');
SELECT streamq.run_job('failing');
SELECT * FROM failing ORDER BY 1;
SELECT rows_processed, errors, last_error FROM streamq.jobs WHERE name = 'failing';

-- ---- what depends on the tables

DROP TABLE tags;
ALTER TABLE customers DROP COLUMN country;
ALTER TABLE customers ADD COLUMN note text;
ALTER TABLE customers RENAME TO clients;
INSERT INTO few VALUES (9, 2, 5, '2024-01-01 00:03');
SELECT streamq.run_job('failing');
SELECT * FROM failing ORDER BY 1;
ALTER TABLE clients RENAME TO customers;

-- ---- privileges and policies

CREATE ROLE view_join_user;
GRANT USAGE, CREATE ON SCHEMA view_join TO view_join_user;
GRANT SELECT ON few TO view_join_user;
GRANT SELECT (id) ON customers TO view_join_user;
SET ROLE view_join_user;
SELECT make_view('mine', $$ SELECT c.country, count(*) AS n FROM few s JOIN customers c ON c.id = s.customer GROUP BY 1 $$);
SELECT make_view('mine', $$ SELECT c.id, count(*) AS n FROM few s JOIN customers c ON c.id = s.customer GROUP BY 1 $$);
RESET ROLE;
REVOKE SELECT (id) ON customers FROM view_join_user;
SELECT streamq.run_job('mine');
GRANT SELECT ON customers TO view_join_user;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON customers TO view_join_user USING (id > 1);
SELECT streamq.run_job('mine');
SELECT * FROM mine ORDER BY 1;
ALTER TABLE customers DISABLE ROW LEVEL SECURITY;

-- ---- materialized views, and views of other streams

CREATE MATERIALIZED VIEW stored AS SELECT id, country FROM customers WITH NO DATA;
SELECT make_view('by_stored', $$ SELECT c.country, count(*) AS n FROM few s JOIN stored c ON c.id = s.customer GROUP BY 1 $$);
REFRESH MATERIALIZED VIEW stored;
SELECT make_view('by_stored', $$ SELECT c.country, count(*) AS n FROM few s JOIN stored c ON c.id = s.customer GROUP BY 1 $$);
SELECT streamq.run_job('by_stored');
SELECT * FROM by_stored ORDER BY 1;
-- no message is left out while it has no rows
REFRESH MATERIALIZED VIEW stored WITH NO DATA;
INSERT INTO few VALUES (10, 2, 5, '2024-01-01 00:04');
SELECT streamq.run_job('by_stored');
REFRESH MATERIALIZED VIEW stored;
SELECT streamq.run_job('by_stored');
SELECT * FROM by_stored ORDER BY 1;
SELECT streamq.drop_continuous_view('by_stored');

-- a view of a stream is a table like others, also if the stream is that of the view
CREATE TABLE moves (customer int, country text) USING streamq;
CREATE VIEW latest AS SELECT DISTINCT ON (customer) customer, country FROM moves ORDER BY customer, streamq.msg_id(tableoid, ctid) DESC;
CREATE VIEW totals AS SELECT customer, count(*) AS total FROM few GROUP BY 1;
INSERT INTO moves VALUES (1, 'at'), (2, 'de'), (1, 'ch');
SELECT make_view('by_latest', $$ SELECT l.country, count(*) AS n, max(total) AS total FROM few s JOIN latest l USING (customer) JOIN totals USING (customer) GROUP BY 1 $$);
SELECT streamq.run_job('by_latest') > 0;
SELECT * FROM by_latest ORDER BY 1;
INSERT INTO moves VALUES (2, 'at');
INSERT INTO few VALUES (11, 2, 5, '2024-01-01 00:05');
SELECT streamq.run_job('by_latest');
SELECT * FROM by_latest ORDER BY 1;
SELECT streamq.drop_continuous_view('by_latest');

-- ---- refusals

CREATE TEMP TABLE temp_table (id int);
CREATE FUNCTION refused(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM make_view('refused', query);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(hint, ''));
END $$;
SELECT refused(q) FROM unnest(ARRAY[
	'SELECT count(*) FROM customers',
	'SELECT count(*) FROM customers, few s, clicks',
	'SELECT count(*) FROM few s RIGHT JOIN customers c ON c.id = s.customer',
	'SELECT count(*) FROM few s FULL JOIN customers c ON c.id = s.customer',
	'SELECT w.window_start, count(*) FROM few s LEFT JOIN LATERAL streamq.tumble(s.at, ''1 min'') w ON true GROUP BY 1',
	'SELECT w.window_start, count(*) FROM few s CROSS JOIN streamq.tumble(s.at, ''1 min'') w LEFT JOIN customers c ON c.since < w.window_start GROUP BY 1',
	'SELECT w.window_start, count(*) FROM few s JOIN customers c ON c.id = s.customer, streamq.tumble(c.since, ''1 min'') w GROUP BY 1',
	'SELECT count(*) FROM few s, temp_table t',
	'SELECT count(*) FROM few s, customers TABLESAMPLE system (1)',
	'SELECT count(*) FROM few s LEFT JOIN customers c ON random() < 0.5',
	'SELECT count(*) FROM few s, customers c WHERE c.since < now()',
	'SELECT c.ctid, count(*) FROM few s, customers c GROUP BY 1',
	'SELECT c.note, count(*) FROM few s, customers c GROUP BY c.id',
	'SELECT count(*) FROM few s, (SELECT * FROM customers) c']) AS q;
SELECT streamq.drop_continuous_view(name) FROM streamq.jobs;
DROP TABLE tags, customers CASCADE;

RESET client_min_messages;
SET client_min_messages = warning;
DROP SCHEMA view_join CASCADE;
DROP OWNED BY view_join_user;
DROP ROLE view_join_user;
