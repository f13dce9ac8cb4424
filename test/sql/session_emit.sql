-- What continuous views over sessions emit: closed sessions, and corrections when late
-- rows extend or join them.
SET TIME ZONE 'UTC';
CREATE SCHEMA session_emit;
SET search_path = session_emit;
CREATE TABLE clicks (at timestamptz NOT NULL, who text) USING streamq;
CREATE TABLE out (window_start timestamptz, window_end timestamptz, who text, n bigint, revision int, deleted bool) USING streamq;
CREATE TABLE late (at timestamptz, who text) USING streamq;
CREATE VIEW emitted AS SELECT streamq.msg_id(tableoid, ctid) AS id, to_char(window_start, 'HH24:MI') AS "from",
	to_char(window_end, 'HH24:MI') AS "to", who, n, revision, deleted FROM out;
CREATE FUNCTION make(view text, emit_into regclass, late_rows text DEFAULT 'update', late_stream regclass DEFAULT NULL, retention interval DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $f$
BEGIN
	PERFORM streamq.create_continuous_view(view, $$
		SELECT w.window_start, w.window_end, who, count(*) AS n FROM clicks, streamq.session(at, '10 min') w
		GROUP BY w.window_start, w.window_end, who $$, emit_into => emit_into, late_rows => late_rows, late_stream => late_stream, retention => retention);
	PERFORM streamq.pause(view);
END $f$;
SELECT make('visits', 'out');
CREATE FUNCTION run() RETURNS bigint LANGUAGE sql AS $$ SELECT streamq.run_job('visits') $$;

-- a session is emitted once, when the watermark reaches its end
INSERT INTO clicks VALUES ('2026-03-01 10:00', 'ann'), ('2026-03-01 10:05', 'bob'), ('2026-03-01 10:08', 'ann');
SELECT run();
INSERT INTO clicks VALUES ('2026-03-01 10:15', 'bob'), ('2026-03-01 10:17', 'eve');
SELECT run();
SELECT count(*) FROM emitted;
INSERT INTO clicks VALUES ('2026-03-01 10:26', 'eve');
SELECT run();
SELECT * FROM emitted ORDER BY id;
SELECT run();
-- a late row within a closed session; one that extends it, so that it is another one
INSERT INTO clicks VALUES ('2026-03-01 10:07', 'bob');
SELECT run();
INSERT INTO clicks VALUES ('2026-03-01 09:55', 'ann');
SELECT run();
SELECT * FROM emitted ORDER BY id OFFSET 2;
-- a session that is late as a whole, and rows that join closed ones
INSERT INTO clicks VALUES ('2026-03-01 09:31', 'ann');
SELECT run();
INSERT INTO clicks VALUES ('2026-03-01 09:41', 'ann'), ('2026-03-01 09:49', 'ann');
SELECT run();
SELECT * FROM emitted ORDER BY id OFFSET 5;
-- a row that opens a closed session again takes it back until it closes
INSERT INTO clicks VALUES ('2026-03-01 10:25', 'bob');
SELECT run();
SELECT * FROM emitted ORDER BY id OFFSET 9;
INSERT INTO clicks VALUES ('2026-03-01 11:00', 'eve');
SELECT run();
SELECT * FROM emitted ORDER BY id OFFSET 10;
SELECT to_char(window_start, 'HH24:MI') AS "from", to_char(window_end, 'HH24:MI') AS "to", who, n FROM visits ORDER BY 3, 1;

-- late rows that go to a stream change no session
SELECT make('routed', NULL, 'route', 'late');
SELECT streamq.run_job('routed');
SELECT to_char(window_start, 'HH24:MI') AS "from", to_char(window_end, 'HH24:MI') AS "to", who, n FROM routed ORDER BY 3, 1;
SELECT to_char(at, 'HH24:MI') AS at, who FROM late ORDER BY streamq.msg_id(tableoid, ctid);

-- Whatever the rows and batches, what was emitted last about each session is what the view
-- has of closed ones.
SELECT setseed(0.57);
CREATE TABLE random_out (LIKE out) USING streamq;
TRUNCATE clicks;
SELECT make('random', 'random_out');
CREATE PROCEDURE feed(n int) LANGUAGE plpgsql AS $f$
BEGIN
	FOR i IN 1 .. n LOOP
		INSERT INTO clicks SELECT '2026-04-01'::timestamptz + interval '1 min' * floor(CASE WHEN random() < 0.2 THEN random() * i * 10 ELSE i * 10 + random() * 10 END),
			nullif(chr(96 + floor(random() * 5)::int), '`') FROM generate_series(1, 20) g;
		COMMIT;
		PERFORM streamq.run_job('random', CASE WHEN i % 2 = 0 THEN 3 END);
		COMMIT;
	END LOOP;
END $f$;
CALL feed(100);
CREATE VIEW last AS SELECT DISTINCT ON (window_start, window_end, who) window_start, window_end, who, n, revision, deleted
FROM random_out ORDER BY window_start, window_end, who, streamq.msg_id(tableoid, ctid) DESC;
SELECT count(*) FROM (SELECT window_start, window_end, who, n FROM last WHERE NOT deleted
	EXCEPT ALL SELECT * FROM random WHERE window_end <= streamq.watermark('random')) x;
SELECT count(*) FROM (SELECT * FROM random WHERE window_end <= streamq.watermark('random')
	EXCEPT ALL SELECT window_start, window_end, who, n FROM last WHERE NOT deleted) x;
SELECT count(*) FILTER (WHERE deleted) > 50 AS many_deleted, max(revision) > 3 AS many_revisions,
	count(*) = count(DISTINCT (window_start, window_end, who, revision)) AS no_revision_twice FROM random_out;
SELECT errors FROM streamq.jobs WHERE name = 'random';

-- Retention removes closed sessions from the view.  Rows that would be part of one that
-- is gone are late, whatever the policy.
SELECT make('kept', NULL, retention => '1 hour');
TRUNCATE clicks;
INSERT INTO clicks VALUES ('2026-05-01 10:00', 'ann'), ('2026-05-01 10:30', 'ann'), ('2026-05-01 11:00', 'bob');
SELECT streamq.run_job('kept');
INSERT INTO clicks VALUES ('2026-05-01 11:09', 'bob');
SELECT streamq.run_job('kept');
SELECT to_char(window_start, 'HH24:MI') AS "from", to_char(window_end, 'HH24:MI') AS "to", who, n FROM kept ORDER BY 3, 1;
INSERT INTO clicks VALUES ('2026-05-01 11:10', 'eve');
SELECT streamq.run_job('kept');
INSERT INTO clicks VALUES ('2026-05-01 10:00', 'eve'), ('2026-05-01 10:01', 'eve'), ('2026-05-01 10:20', 'ann');
SELECT streamq.run_job('kept');
SELECT to_char(window_start, 'HH24:MI') AS "from", to_char(window_end, 'HH24:MI') AS "to", who, n FROM kept ORDER BY 3, 1;
SELECT late_rows FROM streamq.jobs WHERE name = 'kept';
INSERT INTO clicks VALUES ('2026-05-02', 'eve');
SELECT streamq.run_job('kept');
SELECT to_char(window_start, 'HH24:MI') AS "from", to_char(window_end, 'HH24:MI') AS "to", who, n FROM kept ORDER BY 3, 1;

SET client_min_messages = warning;
DROP SCHEMA session_emit CASCADE;
