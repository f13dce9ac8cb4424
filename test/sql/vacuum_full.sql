-- VACUUM FULL of a database or of a partitioned table does not stop at streams
CREATE SCHEMA vacuum_full_test;
SET search_path = vacuum_full_test, public;

CREATE TABLE first (i int);
CREATE TABLE clicks (i int) USING streamq;
CREATE TABLE last (i int);
CREATE VIEW files AS
	SELECT relname, relfilenode, age(relfrozenxid) AS age FROM pg_class
	WHERE relnamespace = 'vacuum_full_test'::regnamespace AND relkind = 'r';
INSERT INTO first SELECT generate_series(1, 1000);
INSERT INTO last SELECT generate_series(1, 1000);
INSERT INTO clicks SELECT generate_series(1, 1000);
-- else these rows may be counted after those of VACUUM
SELECT pg_stat_force_next_flush();
CREATE TABLE before AS SELECT * FROM files;

-- whoever names a stream is told no
VACUUM FULL clicks;
VACUUM FULL first, clicks;
VACUUM (FULL, ANALYZE) clicks (i);

-- nobody named it
VACUUM FULL;
SELECT relname, b.relfilenode <> f.relfilenode AS rewritten
FROM files f JOIN before b USING (relname) ORDER BY 1;
VACUUM (FULL, FREEZE, ANALYZE);
SELECT relname, age < 1000 AS frozen FROM files WHERE relname = 'clicks';
SELECT relname, n_live_tup, last_vacuum IS NOT NULL AS vacuumed, last_analyze IS NOT NULL AS analyzed
FROM pg_stat_user_tables WHERE schemaname = 'vacuum_full_test' AND relname = 'clicks';
SELECT count(*), sum(i) FROM clicks;
VACUUM (FULL false) clicks;
VACUUM (FULL, FULL false) clicks;
BEGIN;
VACUUM FULL;
ROLLBACK;

-- a partitioned table with streams among its partitions
CREATE TABLE parted (i int, n int) PARTITION BY LIST (i);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) USING streamq;
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES IN (3) USING streamq;
CREATE TABLE parted_4 PARTITION OF parted FOR VALUES IN (4) PARTITION BY LIST (n);
CREATE TABLE parted_4_1 PARTITION OF parted_4 FOR VALUES IN (1) USING streamq;
CREATE TABLE parted_4_2 PARTITION OF parted_4 FOR VALUES IN (2);
INSERT INTO parted SELECT 1 + n % 4, 1 + n / 4 % 2 FROM generate_series(1, 800) n;
DROP TABLE before;
CREATE TABLE before AS SELECT * FROM files;
VACUUM FULL parted;
VACUUM (FULL, ANALYZE) first, parted (n);
VACUUM FULL parted_1;
SELECT relname, b.relfilenode <> f.relfilenode AS rewritten
FROM files f JOIN before b USING (relname) WHERE relname ~ '^parted' ORDER BY 1;
SELECT tableoid::regclass, count(*) FROM parted GROUP BY 1 ORDER BY 1;

-- somebody who owns a stream and a table, but not the others
CREATE ROLE regress_vacuum_full;
GRANT ALL ON SCHEMA vacuum_full_test TO regress_vacuum_full;
ALTER TABLE clicks OWNER TO regress_vacuum_full;
ALTER TABLE last OWNER TO regress_vacuum_full;
DROP TABLE before;
CREATE TABLE before AS SELECT * FROM files;
SET ROLE regress_vacuum_full;
SET client_min_messages = error;
VACUUM FULL;
RESET client_min_messages;
RESET ROLE;
SELECT relname, b.relfilenode <> f.relfilenode AS rewritten
FROM files f JOIN before b USING (relname) WHERE relname IN ('first', 'clicks', 'last') ORDER BY 1;

-- others that work on a whole database or schema
CREATE INDEX ON first (i);
CREATE INDEX ON last (i);
CLUSTER first USING first_i_idx;
CLUSTER last USING last_i_idx;
CLUSTER;
CLUSTER clicks;
REINDEX SCHEMA vacuum_full_test;
REINDEX TABLE clicks;
REINDEX TABLE parted;
ANALYZE;
SELECT count(*), sum(i) FROM clicks;
SELECT * FROM streamq.check_stream('clicks');

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA vacuum_full_test CASCADE;
DROP ROLE regress_vacuum_full;
