-- Window functions over event time.
--
-- tumble() is an SQL function with a parsed body and without SET, so that the
-- planner can inline it.  Names in a parsed body are resolved when the
-- function is created.

CREATE FUNCTION streamq.tumble_start(ts pg_catalog.timestamptz, size pg_catalog.interval, origin pg_catalog.timestamptz)
RETURNS pg_catalog.timestamptz
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_tumble_start';
COMMENT ON FUNCTION streamq.tumble_start(pg_catalog.timestamptz, pg_catalog.interval, pg_catalog.timestamptz)
IS 'start of the tumbling window that holds ts';

CREATE FUNCTION streamq.tumble_start(ts pg_catalog.timestamp, size pg_catalog.interval, origin pg_catalog.timestamp)
RETURNS pg_catalog.timestamp
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_tumble_start';
COMMENT ON FUNCTION streamq.tumble_start(pg_catalog.timestamp, pg_catalog.interval, pg_catalog.timestamp)
IS 'start of the tumbling window that holds ts';

CREATE FUNCTION streamq.tumble_end(ts pg_catalog.timestamptz, size pg_catalog.interval, origin pg_catalog.timestamptz)
RETURNS pg_catalog.timestamptz
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_tumble_end';
COMMENT ON FUNCTION streamq.tumble_end(pg_catalog.timestamptz, pg_catalog.interval, pg_catalog.timestamptz)
IS 'end (exclusive) of the tumbling window that holds ts';

CREATE FUNCTION streamq.tumble_end(ts pg_catalog.timestamp, size pg_catalog.interval, origin pg_catalog.timestamp)
RETURNS pg_catalog.timestamp
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_tumble_end';
COMMENT ON FUNCTION streamq.tumble_end(pg_catalog.timestamp, pg_catalog.interval, pg_catalog.timestamp)
IS 'end (exclusive) of the tumbling window that holds ts';

CREATE FUNCTION streamq.tumble(ts pg_catalog.timestamptz, size pg_catalog.interval,
							   origin pg_catalog.timestamptz DEFAULT '1970-01-01 00:00:00+00')
RETURNS TABLE (window_start pg_catalog.timestamptz, window_end pg_catalog.timestamptz)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT streamq.tumble_start(ts, size, origin), streamq.tumble_end(ts, size, origin)
	WHERE pg_catalog.isfinite(ts) AND size IS NOT NULL AND origin IS NOT NULL;
END;
COMMENT ON FUNCTION streamq.tumble(pg_catalog.timestamptz, pg_catalog.interval, pg_catalog.timestamptz)
IS 'the window of a fixed size (or of whole calendar months in UTC) that holds ts';

CREATE FUNCTION streamq.tumble(ts pg_catalog.timestamp, size pg_catalog.interval,
							   origin pg_catalog.timestamp DEFAULT '1970-01-01 00:00:00')
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT streamq.tumble_start(ts, size, origin), streamq.tumble_end(ts, size, origin)
	WHERE pg_catalog.isfinite(ts) AND size IS NOT NULL AND origin IS NOT NULL;
END;
COMMENT ON FUNCTION streamq.tumble(pg_catalog.timestamp, pg_catalog.interval, pg_catalog.timestamp)
IS 'the window of a fixed size (or of whole calendar months) that holds ts';

-- session() is only a mark in the queries of continuous views: which session a
-- row is in depends on other rows.

CREATE FUNCTION streamq.session(ts pg_catalog.timestamptz, gap pg_catalog.interval)
RETURNS TABLE (window_start pg_catalog.timestamptz, window_end pg_catalog.timestamptz)
LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'streamq_session';
COMMENT ON FUNCTION streamq.session(pg_catalog.timestamptz, pg_catalog.interval)
IS 'in a continuous view: the session of the row, which ends when its group has no row for the length of the gap';

CREATE FUNCTION streamq.session(ts pg_catalog.timestamp, gap pg_catalog.interval)
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'streamq_session';
COMMENT ON FUNCTION streamq.session(pg_catalog.timestamp, pg_catalog.interval)
IS 'in a continuous view: the session of the row, which ends when its group has no row for the length of the gap';

CREATE FUNCTION streamq.session(ts pg_catalog.date, gap pg_catalog.interval)
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'streamq_session';
COMMENT ON FUNCTION streamq.session(pg_catalog.date, pg_catalog.interval)
IS 'in a continuous view: the session of the row, which ends when its group has no row for the length of the gap; a date is its midnight';
