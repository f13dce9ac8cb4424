-- What a view of streamq hides stays hidden from functions in the caller's conditions.
SET client_min_messages = warning;
CREATE SCHEMA view_barrier;
SET search_path = view_barrier;
CREATE ROLE regress_barrier;
CREATE ROLE regress_barrier_reader;
GRANT USAGE, CREATE ON SCHEMA view_barrier TO PUBLIC;
CREATE TABLE secret (at timestamptz NOT NULL, word text) USING streamq;
GRANT SELECT ON secret TO regress_barrier_reader;
SELECT streamq.create_continuous_view('secret_view', 'SELECT word::int AS n, count(*) AS c FROM secret GROUP BY word::int') IS NOT NULL AS made;
INSERT INTO secret VALUES (now(), 'hidden-value');
SELECT streamq.wait_until_caught_up('secret_view');
SELECT count(*) FROM streamq.consume('secret', 'hidden-group', consumer => 'hidden-consumer');
CREATE TABLE secret_messages (payload text) USING streamq;
GRANT SELECT ON secret_messages TO regress_barrier_reader;
SELECT streamq.produce('secret_messages', 'hidden', deliver_at => '2100-01-01');

-- Every view is a barrier.
SELECT c.oid::regclass AS without_barrier
FROM pg_class c
WHERE c.relkind = 'v' AND c.relnamespace = 'streamq'::regnamespace
  AND NOT coalesce('security_barrier=true' = ANY (c.reloptions), false);

-- A function that shows what it is given, so cheap that it would be asked first.
SET client_min_messages = notice;
SET ROLE regress_barrier;
CREATE FUNCTION leak(value text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	IF value ~ 'secret|hidden' THEN RAISE NOTICE 'leaked %', value; END IF;
	RETURN true;
END $$;
SELECT count(*) FROM streamq.job_errors e WHERE leak(e.message) AND leak(e.job);
SELECT count(*) FROM streamq.jobs j WHERE leak(j.query) AND leak(j.name) AND leak(j.source::text);
SELECT count(*) FROM streamq.consumer_groups g WHERE leak(g.group_name) AND leak(g.stream::text);
SELECT count(*) FROM streamq.leases l WHERE leak(l.group_name) AND leak(l.consumer);
SELECT count(*) FROM streamq.partitions p WHERE leak(p.stream::text);
SELECT count(*) FROM streamq.streams s WHERE leak(s.stream::text);
SELECT count(*) FROM streamq.delayed_messages d WHERE leak(d.payload::text) AND leak(d.stream::text);
-- Who may see it does.
SET ROLE regress_barrier_reader;
SELECT count(*) FROM streamq.delayed_messages d WHERE leak(d.payload::text);
SELECT count(*) FROM streamq.leases l WHERE leak(l.group_name) AND leak(l.consumer);
SELECT count(*) FROM streamq.jobs;

-- The functions below the views ask for the same privileges.
RESET ROLE;
CREATE VIEW ids AS SELECT job_id FROM streamq.job WHERE target = 'secret_view'::regclass;
CREATE VIEW groups AS SELECT stream, group_id FROM streamq.consumer_group WHERE stream = 'secret'::regclass;
GRANT SELECT ON ids, groups TO regress_barrier;
SELECT streamq.job_lag(job_id) FROM ids;
SET ROLE regress_barrier;
SELECT streamq.job_lag(job_id), streamq.job_worker_pid(job_id), streamq.job_waits_for(job_id) FROM ids;
SELECT count(*) FROM groups, streamq.group_stats(stream, group_id);
SELECT count(*) FROM groups, streamq.group_leases(stream, group_id);
SELECT count(*) FROM groups, streamq.partition_stats(stream);
SELECT streamq.group_progress(stream, group_id) FROM groups;
SELECT count(*) FROM streamq.check_stream('secret');
RESET ROLE;
GRANT SELECT ON secret_view TO regress_barrier;
SET ROLE regress_barrier;
SELECT streamq.job_lag(job_id) FROM ids;
SELECT count(*) FROM streamq.jobs;

-- Nor does a plan tell how many messages there are.
CREATE FUNCTION planned_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
SELECT planned_rows($$SELECT * FROM streamq.read('secret', 0, 1000)$$);
SET ROLE regress_barrier_reader;
SELECT planned_rows($$SELECT * FROM streamq.read('secret', 0, 1000)$$);
RESET ROLE;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
SET ROLE regress_barrier_reader;
SELECT planned_rows($$SELECT * FROM streamq.read('secret', 0, 1000)$$);

-- What everybody may read and call.  A line that comes here is one that has been thought of.
RESET ROLE;
\pset format unaligned
\t on
SELECT c.oid::regclass AS readable
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'streamq'::regnamespace AND a.grantee = 0
  AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname COLLATE "C";
SELECT p.proname AS callable, count(*) AS functions
FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace = 'streamq'::regnamespace AND a.grantee = 0
GROUP BY p.proname
ORDER BY p.proname COLLATE "C";
\t off
\pset format aligned

SET client_min_messages = warning;
DROP SCHEMA view_barrier CASCADE;
DROP ROLE regress_barrier, regress_barrier_reader;
