\echo Use "CREATE EXTENSION streamq" to load this file. \quit

-- streamq's own tables have indexes, also where a new table is a stream.
SET LOCAL default_table_access_method = heap;

GRANT USAGE ON SCHEMA streamq TO PUBLIC;
COMMENT ON SCHEMA streamq IS 'streams, consumer groups and continuous views';

CREATE FUNCTION streamq.version() RETURNS pg_catalog.text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'streamq_version';
COMMENT ON FUNCTION streamq.version() IS 'version of the streamq library';

-- Immutable, because the answer holds as long as the server runs: the planner calls
-- it once for each plan.
CREATE FUNCTION streamq.is_loaded() RETURNS pg_catalog.bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_is_loaded';
COMMENT ON FUNCTION streamq.is_loaded() IS 'true; an error if the server runs without the streamq library';

-- Fails where shared_preload_libraries does not name streamq, because nothing would work.
SELECT streamq.version();
