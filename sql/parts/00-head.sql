\echo Use "CREATE EXTENSION streamq" to load this file. \quit

-- CREATE TABLE below must make ordinary tables, because streams have no
-- indexes: the default access method of the session may be streamq.
SET LOCAL default_table_access_method = heap;

GRANT USAGE ON SCHEMA streamq TO PUBLIC;
COMMENT ON SCHEMA streamq IS 'streams, consumer groups and continuous views';

CREATE FUNCTION streamq.version() RETURNS pg_catalog.text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'streamq_version';
COMMENT ON FUNCTION streamq.version() IS 'version of the streamq library';

-- Immutable, because the answer is the same as long as the server runs.  So
-- the planner calls it once for each plan.
CREATE FUNCTION streamq.is_loaded() RETURNS pg_catalog.bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_is_loaded';
COMMENT ON FUNCTION streamq.is_loaded() IS 'true; an error if the server runs without the streamq library';

-- Fails unless shared_preload_libraries contains streamq, because nothing
-- would work.
SELECT streamq.version();
