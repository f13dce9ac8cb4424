-- A serialization or deserialization function that returns null, against its contract,
-- is an error of the job or of the reader, not a crash.
CREATE SCHEMA view_null_state;
SET search_path = view_null_state;
-- no sum of nulls: null
CREATE FUNCTION null_serialize(internal) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'numeric_avg';
-- bytes that begin with zeros are no array: null
CREATE FUNCTION null_deserialize(bytea, internal) RETURNS internal LANGUAGE internal IMMUTABLE STRICT AS 'array_upper';
CREATE AGGREGATE never_saved(numeric) (SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg,
	COMBINEFUNC = numeric_avg_combine, SERIALFUNC = null_serialize, DESERIALFUNC = numeric_avg_deserialize);
CREATE AGGREGATE never_loaded(numeric) (SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg,
	COMBINEFUNC = numeric_avg_combine, SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = null_deserialize);
CREATE TABLE s (n numeric) USING streamq;
SELECT streamq.create_continuous_view('not_saved', 'SELECT n, never_saved(n) FROM s GROUP BY n');
SELECT streamq.create_continuous_view('not_loaded', 'SELECT n, never_loaded(n) FROM s GROUP BY n');
SELECT streamq.pause('not_saved');
SELECT streamq.pause('not_loaded');
INSERT INTO s VALUES (NULL);
SELECT streamq.run_job('not_saved');
SELECT sqlstate, message FROM streamq.job_errors WHERE job LIKE '%not_saved';
SELECT streamq.run_job('not_loaded');
SELECT * FROM not_loaded;
DROP TABLE s CASCADE;
DROP SCHEMA view_null_state CASCADE;
