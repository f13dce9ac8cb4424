-- Every object that users meet says what it is: \d+ and \df+ show it.
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'streamq'::regnamespace AND c.relkind = 'v'
	AND col_description(c.oid, a.attnum) IS NULL
ORDER BY 1, a.attnum;

SELECT relkind, relname
FROM pg_class
WHERE relnamespace = 'streamq'::regnamespace AND relkind IN ('r', 'v')
	AND obj_description(oid, 'pg_class') IS NULL
ORDER BY relname;

-- support functions of types and the access method's handler are not called by hand
SELECT oid::regprocedure
FROM pg_proc
WHERE pronamespace = 'streamq'::regnamespace
	AND obj_description(oid, 'pg_proc') IS NULL
	AND prorettype <> 'table_am_handler'::regtype
	AND NOT EXISTS (SELECT FROM pg_type WHERE pg_proc.oid IN (typinput, typoutput, typreceive, typsend))
ORDER BY oid::regprocedure::text COLLATE "C";

SELECT obj_description('streamq'::regnamespace, 'pg_namespace') IS NOT NULL AS schema_described;

-- what one looks at first comes first
SELECT string_agg(attname, ', ' ORDER BY attnum)
FROM pg_attribute WHERE attrelid = 'streamq.streams'::regclass AND attnum BETWEEN 1 AND 5;

-- a continuous view says where its query is, and keeps what its owner says instead
CREATE TABLE described (at timestamptz NOT NULL, n int) USING streamq;
SELECT streamq.create_continuous_view('described_per_minute',
	'SELECT window_start, count(*) FROM described, streamq.tumble(at, ''1 minute'') GROUP BY window_start');
SELECT obj_description('described_per_minute'::regclass, 'pg_class');
COMMENT ON VIEW described_per_minute IS 'my own words';
SELECT obj_description('described_per_minute'::regclass, 'pg_class');
DROP TABLE described CASCADE;

-- no group of this release has a dead letter: there is nothing to count
SELECT streamq.create_stream('counted');
SELECT streamq.create_group('counted', 'g');
SELECT dead_lettered IS NULL AS nothing_to_count FROM streamq.consumer_groups;
DROP TABLE counted;
