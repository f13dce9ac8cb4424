-- A continuous view cannot be changed, locked or read by other privileges, and says what it
-- is.  For its owner, who is no superuser and may not write what is below it.
CREATE SCHEMA view_guard;
CREATE ROLE guard_owner;
GRANT CREATE, USAGE ON SCHEMA view_guard TO guard_owner;
SET search_path = view_guard;
SET ROLE guard_owner;
CREATE TABLE s (k text, n numeric) USING streamq;
SELECT streamq.create_continuous_view('v', 'SELECT k, avg(n) AS mean, count(*) AS n FROM s GROUP BY k') AS v;
SELECT streamq.create_continuous_view('means', 'SELECT avg(n) AS mean FROM s') AS means;

-- columns of the state and columns that are computed
\set VERBOSITY sqlstate
INSERT INTO v VALUES ('a');
\set VERBOSITY default
INSERT INTO v VALUES ('a', 1, 1);
INSERT INTO v (k) VALUES ('a');
INSERT INTO v (k) VALUES ('a') ON CONFLICT DO NOTHING;
INSERT INTO means VALUES (1);
UPDATE v SET k = 'b';
UPDATE v SET mean = 1;
DELETE FROM v;
DELETE FROM means WHERE mean > 1;
WITH gone AS (DELETE FROM v RETURNING k) SELECT * FROM gone;
COPY v (k) FROM stdin;
a
\.
PREPARE change AS DELETE FROM v;
CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM v; END $$;
\set SHOW_CONTEXT never
SELECT change();
\set SHOW_CONTEXT errors
-- by way of another view, and of a rule
CREATE VIEW above AS SELECT k FROM v;
DELETE FROM above;
CREATE TABLE plain (k text);
CREATE RULE r AS ON INSERT TO plain DO ALSO DELETE FROM v;
INSERT INTO plain VALUES ('a');
DROP VIEW above;
DROP TABLE plain;

-- locks
SELECT * FROM v FOR UPDATE;
SELECT * FROM (SELECT * FROM v FOR KEY SHARE) x;
LOCK TABLE v;
LOCK TABLE v IN SHARE MODE;
BEGIN;
LOCK TABLE v IN ACCESS SHARE MODE;
ROLLBACK;

-- what somebody does instead is his affair
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO s VALUES (NEW.k, 1);
	RETURN NEW;
END $$;
CREATE TRIGGER instead INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION instead();
INSERT INTO v (k) VALUES ('by trigger');
COPY v (k) FROM stdin;
by copy
\.
DELETE FROM v;
SELECT k FROM s ORDER BY k;

-- who reads the view reads what is below by the owner's privileges
ALTER VIEW v SET (security_invoker);
ALTER VIEW v SET (security_invoker = true, security_barrier = true);
ALTER TABLE v SET (security_invoker = on);
CREATE OR REPLACE VIEW v WITH (security_invoker) AS SELECT ''::text AS k, 1::numeric AS mean, 1::bigint AS n;
ALTER VIEW v SET (security_barrier, security_invoker = false);
SELECT reloptions FROM pg_class WHERE oid = 'v'::regclass;
RESET ROLE;

-- a superuser gets the same answers
UPDATE v SET k = 'b';
SELECT * FROM v FOR UPDATE;
ALTER VIEW v SET (security_invoker);

SET client_min_messages = warning;
DROP SCHEMA view_guard CASCADE;
DROP ROLE guard_owner;
