-- a table of one row to the page that fills all of shared_buffers
CREATE UNLOGGED TABLE filler (data text);
ALTER TABLE filler ALTER data SET STORAGE PLAIN;
INSERT INTO filler SELECT repeat('x', 5000)
	FROM generate_series(1, (SELECT setting::int FROM pg_settings WHERE name = 'shared_buffers'));
DROP TABLE filler;

-- WAL segments to be used again
SELECT bench_wal_floor(200000, 8000) \g /dev/null
CHECKPOINT;
