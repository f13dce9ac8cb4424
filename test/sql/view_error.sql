-- An error that is not a row's fault ends the batch, and all it did is undone.
CREATE SCHEMA view_error;
SET search_path = view_error;
CREATE TABLE ev (at timestamptz, k text) USING streamq;
CREATE TABLE switch (sqlstate text);
CREATE FUNCTION checked(k text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
	code text := (SELECT sqlstate FROM view_error.switch);
BEGIN
	IF code IS NOT NULL THEN
		RAISE EXCEPTION 'not now: %', code USING ERRCODE = code;
	END IF;
	RETURN k;
END $$;
CREATE FUNCTION wait_for(failing bool) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		IF (SELECT (state = 'failing') = failing FROM streamq.jobs WHERE name = 'by_k') THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RETURN false;
END $$;
SELECT streamq.create_continuous_view('by_k', $$
	SELECT w.window_start, checked(k) AS k, count(*) AS n
	FROM ev, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, checked(k) $$);
SELECT streamq.pause('by_k');
INSERT INTO ev SELECT '2026-03-01', 'k' || i % 3 FROM generate_series(1, 30) i;

-- in a session: the statement fails, and nothing of its transaction is left open
INSERT INTO switch VALUES ('query_canceled');
SELECT streamq.run_job('by_k');
SELECT count(*) FROM by_k;
BEGIN;
SAVEPOINT a;
SELECT streamq.run_job('by_k');
ROLLBACK TO a;
UPDATE switch SET sqlstate = NULL;
SELECT streamq.run_job('by_k');
ROLLBACK;
SELECT count(*) FROM by_k;

-- in a worker: the error is shown, and the job goes on when its cause is gone
SELECT streamq.resume('by_k');
SELECT wait_for(true);
SELECT state, errors > 0 AS errors, last_error FROM streamq.jobs WHERE name = 'by_k';
-- again and again, with whatever stops it
CREATE FUNCTION wait_for_error(error text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		IF (SELECT last_error LIKE error || ' (%' FROM streamq.jobs WHERE name = 'by_k') THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RETURN false;
END $$;
UPDATE switch SET sqlstate = 'lock_not_available';
SELECT wait_for_error('not now: lock_not_available');
UPDATE switch SET sqlstate = 'query_canceled';
SELECT wait_for_error('not now: query_canceled');
DELETE FROM switch;
SELECT wait_for(false);
SELECT streamq.wait_until_caught_up('by_k');
SELECT * FROM by_k ORDER BY k;
SET client_min_messages = warning;
DROP SCHEMA view_error CASCADE;
