-- Capture of tables with partitions and children: complete, whichever table a
-- statement names, and whenever a partition is made.
CREATE SCHEMA capture_tree;
SET search_path = capture_tree;
SET timezone = 'UTC';
SELECT streamq.create_stream('changes');
CREATE FUNCTION news(stream regclass) RETURNS TABLE (key text, op text, source text, before text, after text) LANGUAGE sql AS $$
SELECT m.key, payload->>'op', payload->>'source', payload->>'before', payload->>'after' FROM streamq.consume($1, 'news', 1000, auto_ack => true) m $$;
CREATE FUNCTION triggers() RETURNS TABLE (relation regclass, triggers text) LANGUAGE sql AS $$
SELECT tgrelid::regclass, string_agg(substr(tgname, 17) || ' ' || tgenabled::text, ', ' ORDER BY tgname) FROM pg_trigger
WHERE tgname LIKE 'streamq%' GROUP BY 1 ORDER BY tgrelid::regclass::text COLLATE "C" $$;

-- partitions of partitions, with their columns in another order
CREATE TABLE p (id int, part int, v text, PRIMARY KEY (part, id)) PARTITION BY LIST (part);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (v text, gone int, part int NOT NULL, id int NOT NULL);
ALTER TABLE p2 DROP gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3, 4) PARTITION BY RANGE (id);
CREATE TABLE p3a PARTITION OF p3 FOR VALUES FROM (0) TO (100);
INSERT INTO p VALUES (1, 1, 'a'), (1, 2, 'b'), (1, 3, 'c');
SELECT streamq.capture('p', 'changes', snapshot => true, condition => 'v <> ''hidden''');
SELECT * FROM triggers();
SELECT * FROM news('changes');
-- through the parent, and directly
INSERT INTO p VALUES (2, 1, 'd'), (2, 2, 'e'), (2, 3, 'f'), (2, 4, 'hidden');
INSERT INTO p2 VALUES ('g', 2, 3), ('hidden', 2, 4);
INSERT INTO p3 VALUES (3, 4, 'h');
INSERT INTO p3a VALUES (4, 3, 'i');
COPY p2 FROM stdin;
j	2	5
\.
UPDATE p2 SET v = upper(v) WHERE id = 3;
DELETE FROM p3a WHERE id = 4;
SELECT * FROM news('changes');
-- rows that move
UPDATE p SET part = 2, v = 'moved', id = 7 WHERE id = 2 AND part = 1;
UPDATE p SET v = v || '!' WHERE id = 1;
SELECT * FROM news('changes');
CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER leave_out BEFORE INSERT ON p1 FOR EACH ROW EXECUTE FUNCTION leave_out();
UPDATE p SET part = CASE id WHEN 1 THEN 1 ELSE part END, v = 'x' WHERE part = 2 AND id < 3;
SELECT * FROM news('changes');
DROP TRIGGER leave_out ON p1;
-- partitions that come later
CREATE TABLE p5 PARTITION OF p FOR VALUES IN (5);
CREATE TABLE p6 (LIKE p INCLUDING ALL) PARTITION BY RANGE (id);
CREATE TABLE p6a PARTITION OF p6 DEFAULT;
INSERT INTO p6a VALUES (1, 6, 'before');
ALTER TABLE p ATTACH PARTITION p6 FOR VALUES IN (6);
DO $$ BEGIN
	CREATE TABLE p7 PARTITION OF p FOR VALUES IN (7);
	INSERT INTO p7 VALUES (1, 7, 'in a block');
END $$;
CREATE SCHEMA capture_tree_2 CREATE TABLE p8 PARTITION OF capture_tree.p FOR VALUES IN (8);
INSERT INTO p5 VALUES (1, 5, 'k');
INSERT INTO p6a VALUES (2, 6, 'l');
INSERT INTO capture_tree_2.p8 VALUES (1, 8, 'm');
INSERT INTO p VALUES (3, 5, 'n');
SELECT * FROM news('changes');
-- and partitions that go
ALTER TABLE p DETACH PARTITION p6;
INSERT INTO p6 VALUES (3, 6, 'o');
INSERT INTO p6a VALUES (4, 6, 'p');
ALTER TABLE p DETACH PARTITION p5 CONCURRENTLY;
INSERT INTO p5 VALUES (5, 5, 'q');
DROP TABLE p1;
SELECT * FROM news('changes');
SELECT * FROM triggers();
BEGIN;
ALTER TABLE p ATTACH PARTITION p5 FOR VALUES IN (5);
ROLLBACK;
INSERT INTO p5 VALUES (6, 5, 'r');
SELECT count(*) FROM news('changes');
-- one message about a table that was truncated; about partitions, their own
TRUNCATE p;
TRUNCATE p2, p3;
TRUNCATE p3;
BEGIN; TRUNCATE p; TRUNCATE p2; INSERT INTO p VALUES (1, 2, 's'); TRUNCATE p; COMMIT;
SELECT * FROM news('changes');
-- what cannot be a partition of a captured table
CREATE FOREIGN DATA WRAPPER capture_wrapper;
CREATE SERVER capture_server FOREIGN DATA WRAPPER capture_wrapper;
CREATE FOREIGN TABLE foreign_part (id int NOT NULL, part int NOT NULL, v text) SERVER capture_server;
CREATE TABLE stream_part (id int NOT NULL, part int NOT NULL, v text) USING streamq;
CREATE UNLOGGED TABLE unlogged_part (id int NOT NULL, part int NOT NULL, v text);
ALTER TABLE p DROP CONSTRAINT p_pkey;
ALTER TABLE p ATTACH PARTITION foreign_part FOR VALUES IN (90);
ALTER TABLE p ATTACH PARTITION stream_part FOR VALUES IN (91);
ALTER TABLE p ATTACH PARTITION unlogged_part FOR VALUES IN (92);
SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'p'::regclass ORDER BY 1;
-- a partition with a capture of its own
SELECT streamq.capture('p2', 'changes');
INSERT INTO p2 VALUES ('own', 2, 9);
SELECT * FROM news('changes');
SELECT streamq.stop_capture('p', 'changes');
SELECT * FROM triggers();
INSERT INTO p2 VALUES ('own', 2, 10);
INSERT INTO p VALUES (11, 2, 'through the parent');
SELECT * FROM news('changes');
ALTER TABLE p ADD PRIMARY KEY (part, id);
SELECT streamq.stop_capture('p2', 'changes');
SELECT * FROM triggers();

-- inheritance
CREATE TABLE base (id int PRIMARY KEY, v text);
CREATE TABLE derived (extra int) INHERITS (base);
SELECT streamq.capture('base', 'changes');
CREATE TABLE later (more int) INHERITS (derived);
CREATE TABLE other (v text, id int NOT NULL);
ALTER TABLE other INHERIT base;
INSERT INTO base VALUES (1, 'a');
INSERT INTO derived VALUES (2, 'b', 20);
INSERT INTO later VALUES (3, 'c', 30, 300);
INSERT INTO other VALUES ('d', 4);
UPDATE base SET v = v || '!';
UPDATE ONLY base SET v = 'only';
DELETE FROM derived;
SELECT * FROM news('changes');
ALTER TABLE other NO INHERIT base;
INSERT INTO other VALUES ('e', 5);
SELECT count(*) FROM news('changes');
SELECT * FROM triggers();
DROP TABLE base CASCADE;
SELECT * FROM streamq.captures;

-- a statement that several triggers look at
CREATE TABLE twice (id int PRIMARY KEY);
SELECT streamq.create_stream('others');
SELECT streamq.capture('twice', 'changes'), streamq.capture('twice', 'others');
CREATE TABLE log (n bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log SELECT count(*) FROM new_rows; RETURN NULL; END $$;
CREATE TRIGGER a_note AFTER INSERT ON twice REFERENCING NEW TABLE AS new_rows EXECUTE FUNCTION note();
CREATE TRIGGER z_note AFTER INSERT ON twice REFERENCING NEW TABLE AS new_rows EXECUTE FUNCTION note();
SET work_mem = '64kB';
INSERT INTO twice SELECT generate_series(1, 5000);
UPDATE twice SET id = -id WHERE id % 2 = 0;
UPDATE twice SET id = id;
SELECT n FROM log;
SELECT payload->>'op' AS op, count(*), count(DISTINCT key),
	bool_and(key = CASE payload->>'op' WHEN 'delete' THEN payload->'before' ELSE payload->'after' END->>'id') AS keys
FROM changes WHERE payload->>'source' = 'capture_tree.twice' GROUP BY 1 ORDER BY 1;
SELECT stream, messages FROM streamq.captures ORDER BY stream::text;
SELECT count(*) FROM (SELECT key, payload FROM changes WHERE payload->>'source' = 'capture_tree.twice' EXCEPT ALL SELECT key, payload FROM others) x;
-- a disabled trigger
ALTER TABLE twice DISABLE TRIGGER USER;
INSERT INTO twice VALUES (6000);
ALTER TABLE twice ENABLE TRIGGER USER;
SELECT count(*) FROM changes WHERE key = '6000';
-- enabled again, they fire when they should
SELECT * FROM triggers();
INSERT INTO twice VALUES (6004);
SELECT count(*) FROM changes WHERE key = '6004';
-- replication and sessions that pass for it: row triggers
SET session_replication_role = replica;
ALTER TABLE twice ENABLE ALWAYS TRIGGER streamq_capture_1_insert;
INSERT INTO twice VALUES (6001), (6002);
UPDATE twice SET id = 6003 WHERE id = 6002;
DELETE FROM twice WHERE id = 6001;
TRUNCATE twice;
RESET session_replication_role;
SELECT key, payload->>'op' AS op FROM (SELECT * FROM changes ORDER BY streamq.msg_id(tableoid, ctid) DESC LIMIT 7) x;

SET client_min_messages = warning;
DROP SERVER capture_server CASCADE;
DROP FOREIGN DATA WRAPPER capture_wrapper;
DROP SCHEMA capture_tree, capture_tree_2 CASCADE;
SELECT count(*) FROM streamq.captures;
