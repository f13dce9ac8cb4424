-- Archives: arguments, formats, reading back, and what retention keeps.
CREATE SCHEMA archive;
SET search_path = archive;
SET client_min_messages = warning;

-- a directory of the server
SELECT '/tmp/streamq_archive_' || pg_backend_pid() AS dir \gset
CREATE PROCEDURE shell(command text) LANGUAGE plpgsql AS $$
BEGIN
	-- COPY writes an empty line
	EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat >/dev/null; ' || command);
END $$;
SELECT 'mkdir -p ' || :'dir' || '/a ' || :'dir' || '/csv ' || :'dir' || '/binary ' || :'dir' || '/other ' ||
	:'dir' || '/no ' || :'dir' || '/copy ' || :'dir' || '/move; touch ' || :'dir' || '/file; chmod 500 ' || :'dir' || '/no' AS command \gset
CALL shell(:'command');
CREATE TABLE directory AS SELECT :'dir' || '/' AS path, current_setting('data_directory') AS data;
GRANT SELECT ON directory TO PUBLIC;
CREATE FUNCTION dir(name text) RETURNS text LANGUAGE sql AS 'SELECT path || name FROM archive.directory';

-- the error of a statement, with a name for the directory
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(regexp_replace(replace(concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, '')),
		(SELECT data FROM archive.directory), 'DATA'), '/tmp/streamq_archive_\d+', 'DIR', 'g'), '-0\d{14}\.', '-LAST.', 'g');
END $$;
CREATE PROCEDURE wait_until(condition text) LANGUAGE plpgsql AS $$
DECLARE
	ok bool;
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXECUTE 'SELECT ' || condition INTO ok;
		EXIT WHEN ok;
		COMMIT;
		PERFORM pg_sleep(0.05);
	END LOOP;
	IF ok IS NOT TRUE THEN
		RAISE EXCEPTION 'still not: %', condition;
	END IF;
END $$;

-- arguments
CREATE TABLE s (id int, pad text) USING streamq;
CREATE TABLE heap (id int);
SELECT try('SELECT streamq.archive_stream(NULL, ''/tmp'')');
SELECT try('SELECT streamq.archive_stream(''s'', NULL)');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''), format => NULL)');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''), compression => NULL)');
SELECT try('SELECT streamq.archive_stream(''heap'', dir(''a''))');
SELECT try('SELECT streamq.archive_stream(''s'', ''relative/path'')');
SELECT try('SELECT streamq.archive_stream(''s'', '''')');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''missing''))');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''file''))');
SELECT regexp_replace(try('SELECT streamq.archive_stream(''s'', dir(''no''))'), 's\.\d+\.tmp', 's.PID.tmp');
SELECT try('SELECT streamq.archive_stream(''s'', current_setting(''data_directory''))');
SELECT try('SELECT streamq.archive_stream(''s'', current_setting(''data_directory'') || ''/base/../base/'')');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''), format => ''parquet'')');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''), compression => ''GZIP'')');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''), command => ''cp %x'')');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''), command => ''cp %'')');
SELECT try('SELECT streamq.stop_archive(NULL)');
SELECT try('SELECT streamq.stop_archive(''s'')');
SELECT try('SELECT streamq.stop_archive(''heap'')');
SELECT try('SELECT * FROM streamq.read_archive(NULL, NULL::s)');
SELECT try('SELECT * FROM streamq.read_archive(''x'', NULL::s)');
SELECT try('SELECT * FROM streamq.read_archive(dir(''missing''), NULL::s)');
SELECT try('SELECT * FROM streamq.read_archive(dir(''a''), NULL::s)');
SELECT try('SELECT * FROM streamq.read_archive(dir(''a''), 1)');
SELECT try('SELECT * FROM streamq.read_archive(dir(''a''), NULL::record)');

-- names that would be too long, or mean something to a shell
CREATE SCHEMA "/////////////////////////////////";
CREATE TABLE "/////////////////////////////////"."/////////////////////////////////" (a int) USING streamq;
SELECT try('SELECT streamq.archive_stream(''"/////////////////////////////////"."/////////////////////////////////"'', dir(''a''))');
DROP SCHEMA "/////////////////////////////////" CASCADE;

-- privileges
CREATE ROLE regress_archiver;
GRANT USAGE ON SCHEMA archive, streamq TO regress_archiver;
SET ROLE regress_archiver;
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''))');
SELECT try('SELECT * FROM streamq.read_archive(dir(''a''), NULL::s)');
RESET ROLE;
GRANT SELECT ON s TO regress_archiver;
SET ROLE regress_archiver;
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''))');
RESET ROLE;
GRANT pg_write_server_files TO regress_archiver;
SET ROLE regress_archiver;
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''), command => ''true'')');
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''))');
SELECT stream, partition, archived_through, files, bytes, last_error, waiting, format, compression, owner FROM streamq.archives;
SELECT try('SELECT streamq.stop_archive(''s'')');
RESET ROLE;
SELECT streamq.archive_stream('s', dir('a'));
SET ROLE regress_archiver;
SELECT try('SELECT streamq.stop_archive(''s'')');
RESET ROLE;
SELECT try('SELECT streamq.archive_stream(''s'', dir(''other''))');
REVOKE SELECT ON s FROM regress_archiver;
SET ROLE regress_archiver;
SELECT count(*) FROM streamq.archives;
RESET ROLE;

-- retention waits for the archive, and drops what is archived
BEGIN;
INSERT INTO s SELECT i, repeat('x', 100) FROM generate_series(0, 9999) i;
SAVEPOINT p;
INSERT INTO s SELECT -i, repeat('y', 100) FROM generate_series(0, 999) i;
ROLLBACK TO p;
INSERT INTO s SELECT i, repeat('x', 100) FROM generate_series(10000, 19999) i;
COMMIT;
CALL wait_until('archived_through > 19000 FROM streamq.archives');
SELECT count(*) FROM s;
SELECT streamq.alter_stream('s', max_messages => 1);
CALL wait_until('first_offset > 19000 FROM streamq.partitions WHERE stream = ''s''::regclass');
-- nothing is lost, and nothing is there twice
SELECT min(id), max(id), count(*), count(DISTINCT id) FROM
	(SELECT id FROM streamq.read_archive(dir('a'), NULL::s) UNION ALL
	 SELECT id FROM s WHERE streamq.msg_id(tableoid, ctid) > (SELECT archived_through FROM streamq.archives)) x;
SELECT count(*) > 0 AS some, bool_and(id = n - 1) AS ordered
FROM streamq.read_archive(dir('a'), NULL::s) WITH ORDINALITY AS a(id, pad, n);
SELECT files > 0 AS files, bytes > 0 AS bytes, last_error FROM streamq.archives;
SELECT streamq.stop_archive('s');
SELECT count(*) FROM streamq.archives;

-- the archive goes on where it ended; messages that were dropped meanwhile are
-- missing
TRUNCATE s;
SELECT streamq.archive_stream('s', dir('a'), 'csv', 'none');
SELECT archived_through > 19000 AS known FROM streamq.archives;
INSERT INTO s SELECT i, repeat('z', 100) FROM generate_series(100000, 109999) i;
CALL wait_until('archived_through > 29000 FROM streamq.archives');
SELECT count(*) FILTER (WHERE id < 100000) > 19000 AS jsonl, min(id) FILTER (WHERE id >= 100000) AS csv, count(*) = count(DISTINCT id) AS once
FROM streamq.read_archive(dir('a'), NULL::s);
SELECT streamq.stop_archive('s');

-- the files of another stream
ALTER TABLE s RENAME TO renamed;
CREATE TABLE s (id int, pad text) USING streamq;
SELECT try('SELECT streamq.archive_stream(''s'', dir(''a''))');
DROP TABLE s;
ALTER TABLE renamed RENAME TO s;

-- all kinds of values, in all formats and compressions
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE v (msg_id text, n numeric, f float8, t text, b bytea, j json, jb jsonb, ts timestamptz, tz timestamp,
	d date, i interval, m mood, p pair, ar text[], pos positive, u uuid, gone int, "a ""b"" c" int, nothing text, money money) USING streamq;
ALTER TABLE v DROP COLUMN gone;
INSERT INTO v
SELECT 'own' || i, i / 7.0, i / 3.0::float8, E'tab\t, "quote" \\back\\ line\n\r\u00fc €' || i, decode(lpad(to_hex(i), 8, '0'), 'hex'),
	E'{"a":\n  1, "a": [null,\t"x"]}', '{"k": "v"}', '2024-02-29 12:00:00+00'::timestamptz + i * interval '1 microsecond',
	'2024-02-29 12:00:00', '2024-02-29', '1 year 2 days 03:04:05.000006', CASE WHEN i % 2 = 0 THEN 'ok' ELSE 'sad' END::mood,
	ROW(i, E'x,"y"')::pair, ARRAY['a', NULL, 'b "c"'], i + 1, '00000000-0000-0000-0000-000000000001', i, NULL, i::money
FROM generate_series(0, 999) i;
INSERT INTO v (t) VALUES (''), ('\.'), ('NULL'), (NULL);
INSERT INTO v SELECT * FROM v;
CREATE TABLE combinations (format text, compression text);
INSERT INTO combinations SELECT format, compression
FROM unnest('{jsonl,csv,binary}'::text[]) format, unnest('{none,gzip,lz4,zstd}'::text[]) compression;
-- settings of the reader make no difference
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Tokyo';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = 0;
SET bytea_output = 'escape';
CREATE PROCEDURE prepare(format text, compression text, name text) LANGUAGE plpgsql AS $$
BEGIN
	CALL shell('mkdir -p ' || dir(name));
	EXECUTE format('CREATE TABLE %I (LIKE v) USING streamq', name);
	PERFORM streamq.archive_stream(name::regclass, dir(name), format, compression);
	EXECUTE format('INSERT INTO %I SELECT * FROM v', name);
END $$;
-- in JSON lines, values of type json have no line feeds
CREATE FUNCTION compare(format text, name text, OUT other bigint, OUT missing bigint) LANGUAGE plpgsql AS $$
DECLARE
	ends text = CASE WHEN format = 'jsonl' THEN E'\n\r' ELSE '' END;
BEGIN
	EXECUTE format($q$SELECT count(*) FROM
		(SELECT translate(a::text, %2$L, '  '), translate(to_json(a)::text, %2$L, '  ') FROM streamq.read_archive(dir(%1$L), NULL::v) a
		 EXCEPT ALL SELECT translate(v::text, %2$L, '  '), translate(to_json(v)::text, %2$L, '  ') FROM %1$I v) x$q$,
		name, ends) INTO other;
	SELECT archived_through + 1 - (SELECT count(*) FROM streamq.read_archive(dir(name), NULL::v))
	INTO missing FROM streamq.archives WHERE stream = name::regclass;
END $$;
SELECT format('CALL prepare(%L, %L, %L)', format, compression, format || '_' || compression) FROM combinations \gexec
CALL wait_until('bool_and(archived_through IS NOT NULL) FROM streamq.archives');
SELECT format, compression, (compare(format, format || '_' || compression)).* FROM combinations;
RESET DateStyle;
RESET TimeZone;
RESET IntervalStyle;
RESET extra_float_digits;
RESET bytea_output;

-- columns by name: others, in another order; what the file lacks is null; what
-- is known of the message itself
CREATE TYPE fewer AS (u uuid, later int, m text, t text, _msg_id bigint, partition int, produced_at timestamptz);
SELECT u, later, m, length(t), _msg_id, partition, produced_at IS NOT NULL AS at FROM streamq.read_archive(dir('jsonl_gzip'), NULL::fewer) WHERE _msg_id < 2;
SELECT u, later, m, length(t), _msg_id, partition, produced_at IS NOT NULL AS at FROM streamq.read_archive(dir('csv_zstd'), NULL::fewer) WHERE _msg_id < 2;
SELECT try('SELECT * FROM streamq.read_archive(dir(''binary_none''), NULL::fewer)');
-- a type that cannot hold the values
CREATE TYPE wrong AS (t int);
SELECT try('SELECT * FROM streamq.read_archive(dir(''jsonl_gzip''), NULL::wrong)') ~ '^22P02';
SELECT try('SELECT * FROM streamq.read_archive(dir(''csv_none''), NULL::wrong)') ~ '^22P02';
-- a set-returning function in the select list
SELECT (streamq.read_archive(dir('binary_lz4'), NULL::v)).n IS NULL AS is_null LIMIT 1;

-- damage
CREATE FUNCTION only_file(name text) RETURNS text LANGUAGE sql AS
$$SELECT dir(name) || '/' || min(f) FROM pg_ls_dir(dir(name)) f WHERE f NOT LIKE '%.manifest'$$;
CALL shell('printf X | dd conv=notrunc bs=1 seek=100 status=none of=' || only_file('jsonl_zstd'));
SELECT regexp_replace(try('SELECT * FROM streamq.read_archive(dir(''jsonl_zstd''), NULL::v)'), '[0-9a-f]{64}', 'SUM', 'g');
CALL shell('printf X >>' || only_file('jsonl_lz4'));
SELECT regexp_replace(try('SELECT * FROM streamq.read_archive(dir(''jsonl_lz4''), NULL::v)'), '\d+ bytes instead of \d+', 'N bytes', 'g');
CALL shell('mv ' || only_file('csv_gzip') || ' ' || dir('copy'));
SELECT try('SELECT * FROM streamq.read_archive(dir(''csv_gzip''), NULL::v)');
-- without a manifest
SELECT count(*) > 1000 AS read FROM streamq.read_archive(dir('copy'), NULL::v);
CALL shell('f=' || only_file('copy') || '; head -c 5000 $f > $f.x; mv $f.x $f');
SELECT try('SELECT * FROM streamq.read_archive(dir(''copy''), NULL::v)') ~ '^XX001 \| could not decompress file';
CALL shell('rm ' || dir('binary_gzip') || '/*.manifest');
SELECT try('SELECT * FROM streamq.read_archive(dir(''binary_gzip''), NULL::v)');
SELECT streamq.stop_archive('binary_gzip');
SELECT try('SELECT streamq.archive_stream(''binary_gzip'', dir(''binary_gzip''))');
-- the manifest
CALL shell('printf ''{"file": 1'' >>' || dir('csv_none') || '/archive.csv_none.manifest');
SELECT count(*) > 1000 AS read FROM streamq.read_archive(dir('csv_none'), NULL::v);
CALL shell('printf ''}\n'' >>' || dir('csv_none') || '/archive.csv_none.manifest');
SELECT try('SELECT * FROM streamq.read_archive(dir(''csv_none''), NULL::v)');
CALL shell('printf ''x\n'' >' || dir('csv_none') || '/archive.csv_none.manifest');
SELECT try('SELECT * FROM streamq.read_archive(dir(''csv_none''), NULL::v)');
CALL shell('sed -i ''s/"after":null/"after":5/'' ' || dir('jsonl_none') || '/archive.jsonl_none.manifest');
SELECT try('SELECT * FROM streamq.read_archive(dir(''jsonl_none''), NULL::v)');
SELECT streamq.stop_archive('jsonl_none');
SELECT try('SELECT streamq.archive_stream(''jsonl_none'', dir(''jsonl_none''))');
DROP TABLE jsonl_none, jsonl_gzip, jsonl_lz4, jsonl_zstd, csv_none, csv_gzip, csv_lz4, csv_zstd, binary_none, binary_gzip, binary_lz4, binary_zstd;
SELECT count(*) FROM streamq.archives;

-- a command that fails, and then succeeds; retention waits
CREATE TABLE c (id int, pad text) USING streamq;
SELECT streamq.alter_stream('c', max_messages => 1);
SELECT streamq.archive_stream('c', dir('other'), command => 'test -e "' || dir('ready') || '" && echo "100%% %f" >>' || dir('log') || ' && cp "%p" ' || dir('move'));
INSERT INTO c SELECT i, repeat('x', 100) FROM generate_series(0, 9999) i;
CALL wait_until('last_error IS NOT NULL FROM streamq.archives');
SELECT regexp_replace(last_error, ' \(The command was: test.*', '') AS last_error, last_error LIKE '%move' AS command, archived_through, files FROM streamq.archives;
SELECT first_offset FROM streamq.partitions WHERE stream = 'c'::regclass;
CALL shell('touch ' || dir('ready'));
CALL wait_until('first_offset > 8000 FROM streamq.partitions WHERE stream = ''c''::regclass');
SELECT last_error, archived_through > 8000 AS archived FROM streamq.archives;
SELECT count(*) = (SELECT archived_through + 1 FROM streamq.archives) AS all FROM streamq.read_archive(dir('move'), NULL::c);
SELECT count(*) = (SELECT files FROM streamq.archives) AS once
FROM regexp_split_to_table(trim(E'\n' FROM pg_read_file(dir('log'))), E'\n') l WHERE l LIKE '100\% archive.c-000-%.jsonl.gz';
SELECT streamq.stop_archive('c');

-- several streams in a directory
SELECT streamq.archive_stream('c', dir('csv'));
SELECT streamq.archive_stream('v', dir('csv'));
INSERT INTO c SELECT i, repeat('x', 100) FROM generate_series(10000, 19999) i;
CALL wait_until('bool_and(COALESCE(files, 0) > 0) FROM streamq.archives');
SELECT count(*) > 1000 AS v FROM streamq.read_archive(dir('csv'), NULL::v);
SELECT try('SELECT * FROM streamq.read_archive(dir(''csv''), NULL::fewer)');
-- they go with the stream
DROP TABLE c, v;
SELECT count(*) FROM streamq.archives;

-- nothing is archived under row-level security, and the error says so
CREATE TABLE r (id int, pad text) USING streamq;
SELECT streamq.archive_stream('r', dir('binary'), 'binary');
ALTER TABLE r OWNER TO regress_archiver;
ALTER TABLE r ENABLE ROW LEVEL SECURITY;
ALTER TABLE r FORCE ROW LEVEL SECURITY;
INSERT INTO r SELECT i, repeat('x', 100) FROM generate_series(0, 9999) i;
CALL wait_until('last_error IS NOT NULL FROM streamq.archives');
SELECT last_error, archived_through FROM streamq.archives;
SET ROLE regress_archiver;
SELECT streamq.stop_archive('r');
RESET ROLE;
DROP TABLE r;

DROP OWNED BY regress_archiver;
DROP ROLE regress_archiver;
SELECT 'rm -rf ' || :'dir' AS command \gset
CALL shell(:'command');
DROP SCHEMA archive CASCADE;
