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

CREATE FUNCTION streamq.tumble(ts pg_catalog.date, size pg_catalog.interval,
							   origin pg_catalog.timestamp DEFAULT '1970-01-01 00:00:00')
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
	SELECT streamq.tumble_start(ts::pg_catalog.timestamp, size, origin),
		streamq.tumble_end(ts::pg_catalog.timestamp, size, origin)
	WHERE pg_catalog.isfinite(ts) AND size IS NOT NULL AND origin IS NOT NULL;
END;
COMMENT ON FUNCTION streamq.tumble(pg_catalog.date, pg_catalog.interval, pg_catalog.timestamp)
IS 'the window of a fixed size (or of whole calendar months) that holds the midnight of ts';

-- Windows that overlap.

CREATE FUNCTION streamq.window_support(pg_catalog.internal) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_window_support';
COMMENT ON FUNCTION streamq.window_support(pg_catalog.internal)
IS 'planner support: estimates the rows of hop() and cumulate()';

CREATE FUNCTION streamq.hop(ts pg_catalog.timestamptz, slide pg_catalog.interval, size pg_catalog.interval,
	origin pg_catalog.timestamptz DEFAULT '1970-01-01 00:00:00+00')
RETURNS TABLE (window_start pg_catalog.timestamptz, window_end pg_catalog.timestamptz)
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
SUPPORT streamq.window_support
AS 'MODULE_PATHNAME', 'streamq_hop';
COMMENT ON FUNCTION streamq.hop(pg_catalog.timestamptz, pg_catalog.interval, pg_catalog.interval, pg_catalog.timestamptz)
IS 'the windows of this size that hold ts; one begins at every slide';

CREATE FUNCTION streamq.hop(ts pg_catalog.timestamp, slide pg_catalog.interval, size pg_catalog.interval,
	origin pg_catalog.timestamp DEFAULT '1970-01-01 00:00:00')
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
SUPPORT streamq.window_support
AS 'MODULE_PATHNAME', 'streamq_hop';
COMMENT ON FUNCTION streamq.hop(pg_catalog.timestamp, pg_catalog.interval, pg_catalog.interval, pg_catalog.timestamp)
IS 'the windows of this size that hold ts; one begins at every slide';

CREATE FUNCTION streamq.hop(ts pg_catalog.date, slide pg_catalog.interval, size pg_catalog.interval,
	origin pg_catalog.timestamp DEFAULT '1970-01-01 00:00:00')
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
	SELECT w.window_start, w.window_end FROM streamq.hop(ts::pg_catalog.timestamp, slide, size, origin) AS w;
END;
COMMENT ON FUNCTION streamq.hop(pg_catalog.date, pg_catalog.interval, pg_catalog.interval, pg_catalog.timestamp)
IS 'the windows of this size that hold the midnight of ts; one begins at every slide';

CREATE FUNCTION streamq.cumulate(ts pg_catalog.timestamptz, step pg_catalog.interval, size pg_catalog.interval,
	origin pg_catalog.timestamptz DEFAULT '1970-01-01 00:00:00+00')
RETURNS TABLE (window_start pg_catalog.timestamptz, window_end pg_catalog.timestamptz)
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
SUPPORT streamq.window_support
AS 'MODULE_PATHNAME', 'streamq_cumulate';
COMMENT ON FUNCTION streamq.cumulate(pg_catalog.timestamptz, pg_catalog.interval, pg_catalog.interval, pg_catalog.timestamptz)
IS 'the windows that hold ts; they begin together and grow by steps up to the size';

CREATE FUNCTION streamq.cumulate(ts pg_catalog.timestamp, step pg_catalog.interval, size pg_catalog.interval,
	origin pg_catalog.timestamp DEFAULT '1970-01-01 00:00:00')
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 10
SUPPORT streamq.window_support
AS 'MODULE_PATHNAME', 'streamq_cumulate';
COMMENT ON FUNCTION streamq.cumulate(pg_catalog.timestamp, pg_catalog.interval, pg_catalog.interval, pg_catalog.timestamp)
IS 'the windows that hold ts; they begin together and grow by steps up to the size';

CREATE FUNCTION streamq.cumulate(ts pg_catalog.date, step pg_catalog.interval, size pg_catalog.interval,
	origin pg_catalog.timestamp DEFAULT '1970-01-01 00:00:00')
RETURNS TABLE (window_start pg_catalog.timestamp, window_end pg_catalog.timestamp)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
	SELECT w.window_start, w.window_end FROM streamq.cumulate(ts::pg_catalog.timestamp, step, size, origin) AS w;
END;
COMMENT ON FUNCTION streamq.cumulate(pg_catalog.date, pg_catalog.interval, pg_catalog.interval, pg_catalog.timestamp)
IS 'the windows that hold the midnight of ts; they begin together and grow by steps up to the size';

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
