-- A window crosses a threshold: NOTIFY, and a message in the stream "alerts",
-- which webhook.sh sends to a URL.
--
-- The view counts the errors of each service by minute.  When the watermark
-- says that a minute is over, its result goes to the stream "error_minutes",
-- whose messages the handler looks at.

CREATE TABLE service_log (at timestamptz NOT NULL, service text, status int) USING streamq;
CREATE TABLE error_minutes (window_start timestamptz, service text, errors bigint, requests bigint) USING streamq;
SELECT streamq.create_stream('alerts') AS stream;

SELECT streamq.create_continuous_view('errors_per_minute', $$
	SELECT w.window_start, service, count(*) FILTER (WHERE status >= 500) AS errors, count(*) AS requests
	FROM service_log, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, service $$,
	watermark_delay => '5 seconds', emit_into => 'error_minutes', idle_timeout => '10 seconds') AS view;

CREATE FUNCTION raise_alert(m streamq.message) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
	errors bigint := (m.payload->>'errors')::bigint;
	requests bigint := (m.payload->>'requests')::bigint;
BEGIN
	IF errors < 10 OR errors * 20 < requests THEN
		RETURN;					-- below 5 percent, or only a few
	END IF;
	PERFORM streamq.produce('alerts', m.payload, key => m.payload->>'service');
	PERFORM pg_notify('alerts', m.payload->>'service');
END $$;

SELECT streamq.create_handler('alerting', 'error_minutes', 'raise_alert(streamq.message)') AS handler;
