-- What streams refuse, when the statement begins: whether a row matches or not.
CREATE SCHEMA refusals_test;
SET search_path = refusals_test;
CREATE TABLE clicks (id int, url text) USING streamq;
CREATE TABLE plain (id int PRIMARY KEY, url text);

UPDATE clicks SET url = 'x';
\echo :LAST_ERROR_SQLSTATE
UPDATE clicks SET url = 'x' WHERE false;
DELETE FROM clicks;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM clicks USING plain WHERE plain.id = clicks.id;
MERGE INTO clicks USING plain ON plain.id = clicks.id WHEN MATCHED THEN DELETE;
\echo :LAST_ERROR_SQLSTATE
MERGE INTO clicks USING plain ON plain.id = clicks.id WHEN NOT MATCHED THEN INSERT VALUES (1, 'x');
SELECT * FROM clicks FOR UPDATE;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM clicks FOR NO KEY UPDATE;
SELECT * FROM clicks FOR SHARE;
SELECT * FROM clicks FOR KEY SHARE;
SELECT * FROM plain, (SELECT * FROM clicks FOR UPDATE SKIP LOCKED) c;
INSERT INTO clicks VALUES (1, 'x') ON CONFLICT DO NOTHING;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO clicks VALUES (1, 'x') ON CONFLICT (id) DO NOTHING;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO clicks VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET url = 'x';
INSERT INTO clicks VALUES (1, 'x') ON CONFLICT (lower(url)) WHERE id > 0 DO NOTHING;
EXPLAIN (COSTS OFF) DELETE FROM clicks;
EXPLAIN (COSTS OFF) INSERT INTO clicks VALUES (1, 'x') ON CONFLICT (id) DO NOTHING;

-- inside others
WITH gone AS (DELETE FROM clicks RETURNING id) INSERT INTO plain SELECT id FROM gone;
WITH new AS (INSERT INTO clicks VALUES (1) ON CONFLICT DO NOTHING RETURNING id) SELECT * FROM new;
WITH new AS (INSERT INTO clicks VALUES (1) ON CONFLICT (id) DO NOTHING RETURNING id) SELECT * FROM new;
PREPARE p AS UPDATE clicks SET url = $1;
EXECUTE p('x');
DEALLOCATE p;
DO $$ BEGIN UPDATE clicks SET url = 'x'; EXCEPTION WHEN feature_not_supported THEN RAISE NOTICE 'refused: %', SQLERRM; END $$;

-- through a view
CREATE VIEW v AS SELECT * FROM clicks WHERE id > 0;
UPDATE v SET url = 'x';
DELETE FROM v;
SELECT * FROM v FOR UPDATE;
INSERT INTO v VALUES (1, 'x') ON CONFLICT DO NOTHING;
INSERT INTO v VALUES (1, 'x') ON CONFLICT (id) DO NOTHING;
INSERT INTO v VALUES (1, 'through the view');
SELECT * FROM clicks;

-- through a parent
CREATE TABLE parent (id int, url text) PARTITION BY LIST (id);
CREATE TABLE stream_child PARTITION OF parent FOR VALUES IN (1) USING streamq;
CREATE TABLE heap_child PARTITION OF parent FOR VALUES IN (2);
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
UPDATE parent SET url = 'x';
DELETE FROM parent;
SELECT * FROM parent FOR UPDATE;
INSERT INTO parent VALUES (2, 'c') ON CONFLICT DO NOTHING;
INSERT INTO parent VALUES (2, 'c') ON CONFLICT (id) DO NOTHING;
INSERT INTO heap_child VALUES (2, 'c') ON CONFLICT DO NOTHING;
UPDATE parent SET url = 'changed' WHERE id = 2;
SELECT tableoid::regclass, * FROM parent ORDER BY id;
CREATE TABLE base (id int, url text);
CREATE TABLE inherited () INHERITS (base) USING streamq;
DELETE FROM base;
DELETE FROM ONLY base;

-- ordinary tables beside a stream are not concerned
INSERT INTO plain VALUES (1, 'a'), (2, 'b');
UPDATE plain SET url = clicks.url FROM clicks WHERE clicks.id = plain.id;
SELECT plain.* FROM plain, clicks WHERE clicks.id = plain.id FOR UPDATE OF plain;
INSERT INTO plain SELECT id, url FROM clicks ON CONFLICT (id) DO UPDATE SET url = 'conflict' RETURNING *;
-- foreign keys of a stream
CREATE TABLE orders (plain_id int REFERENCES plain) USING streamq;
INSERT INTO orders VALUES (1);
INSERT INTO orders VALUES (3);
DELETE FROM plain WHERE id = 2;
DELETE FROM plain WHERE id = 1;

-- no indexes
CREATE INDEX ON clicks (id);
\echo :LAST_ERROR_SQLSTATE
CREATE INDEX CONCURRENTLY ON clicks (id);
CREATE UNIQUE INDEX ON clicks (id);
CREATE INDEX ON clicks USING hash (id);
ALTER TABLE clicks ADD PRIMARY KEY (id);
ALTER TABLE clicks ADD UNIQUE (id);
ALTER TABLE clicks ADD EXCLUDE (id WITH =);
CREATE INDEX ON parent (id);
CREATE TABLE with_key (id int PRIMARY KEY) USING streamq;
CREATE TABLE with_key (id int UNIQUE) USING streamq;
CREATE TABLE with_key (LIKE plain INCLUDING ALL) USING streamq;

-- no logical replication
SET client_min_messages = error;
CREATE PUBLICATION refusals_pub FOR TABLE plain, clicks;
\echo :LAST_ERROR_SQLSTATE
CREATE PUBLICATION refusals_pub FOR TABLE parent;
CREATE PUBLICATION refusals_pub FOR TABLE nosuch;
CREATE PUBLICATION refusals_pub FOR TABLE plain, ONLY base;
ALTER PUBLICATION refusals_pub ADD TABLE base;
ALTER PUBLICATION refusals_pub ADD TABLE clicks;
ALTER PUBLICATION refusals_pub SET TABLE clicks;
ALTER PUBLICATION refusals_pub DROP TABLE plain;
ALTER PUBLICATION refusals_pub ADD TABLES IN SCHEMA refusals_test;
DROP PUBLICATION refusals_pub;
RESET client_min_messages;

-- the extension's own tables are changed without firing triggers: no triggers, no foreign keys
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON streamq.job_progress FOR EACH ROW EXECUTE FUNCTION note();
\echo :LAST_ERROR_SQLSTATE
CREATE TRIGGER note BEFORE TRUNCATE ON streamq.job_dump FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TABLE refers (job int REFERENCES streamq.job);
CREATE TRIGGER note AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note AFTER INSERT ON clicks FOR EACH ROW EXECUTE FUNCTION note();

-- no rewriting
VACUUM FULL clicks;
SELECT * FROM clicks;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA refusals_test CASCADE;
