-- Roles that have consumer groups: as with other objects, they cannot be dropped
-- before their groups have gone to others or have been dropped.
CREATE SCHEMA group_roles;
SET search_path = group_roles;
CREATE ROLE regress_roles_owner;
CREATE ROLE regress_roles_a;
CREATE ROLE regress_roles_b;
CREATE ROLE regress_roles_c;
GRANT USAGE ON SCHEMA group_roles TO PUBLIC;
CREATE TABLE s (n int) USING streamq;
INSERT INTO s SELECT generate_series(0, 9);
ALTER TABLE s OWNER TO regress_roles_owner;
GRANT SELECT ON s TO PUBLIC;
CREATE VIEW roles AS
SELECT group_name, pg_get_userbyid(owner) AS owner,
	(SELECT array_agg(CASE WHEN g = 0 THEN 'public' ELSE pg_get_userbyid(g) END) FROM unnest(grantees) g) AS grantees
FROM streamq.consumer_group WHERE stream = to_regclass('group_roles.s') ORDER BY 1;
CREATE VIEW dependencies AS
SELECT refobjid::regrole AS role, count(*)
FROM pg_shdepend JOIN pg_type t ON t.oid = objid
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = 'pg_type'::regclass AND typname = '_s' AND typnamespace = 'group_roles'::regnamespace
GROUP BY 1 ORDER BY refobjid::regrole::text;

SET ROLE regress_roles_a;
SELECT streamq.create_group('s', 'first');
SELECT count(*) FROM streamq.consume('s', 'second', 2);
SELECT streamq.grant_group('s', 'first', 'regress_roles_b');
SELECT streamq.grant_group('s', 'first', 'regress_roles_b');
SELECT streamq.grant_group('s', 'first', 'public');
SELECT streamq.grant_group('s', 'second', 'regress_roles_a');
RESET ROLE;
TABLE roles;
TABLE dependencies;

-- Neither the owner nor who may use a group can be dropped.
DROP ROLE regress_roles_a;
DROP ROLE regress_roles_b;
SET ROLE regress_roles_a;
SELECT streamq.revoke_group('s', 'first', 'regress_roles_b');
RESET ROLE;
DROP ROLE regress_roles_b;
CREATE ROLE regress_roles_b;
TABLE dependencies;

-- A new name is the same role.
ALTER ROLE regress_roles_a RENAME TO regress_roles_d;
TABLE roles;
ALTER ROLE regress_roles_d RENAME TO regress_roles_a;

-- REASSIGN OWNED: needs to be a member of both, and leaves grants alone.
SELECT streamq.grant_group('s', 'first', 'regress_roles_c');
-- the texts depend on the version
\set VERBOSITY sqlstate
SET ROLE regress_roles_c;
REASSIGN OWNED BY regress_roles_a TO regress_roles_c;
SET ROLE regress_roles_a;
REASSIGN OWNED BY regress_roles_a TO regress_roles_b;
RESET ROLE;
\set VERBOSITY default
TABLE roles;
REASSIGN OWNED BY regress_roles_a, regress_roles_c TO regress_roles_b;
TABLE roles;
TABLE dependencies;
SET ROLE regress_roles_b;
SELECT streamq.ack('s', 'second', 0);
SET ROLE regress_roles_a;
SELECT msg_id FROM streamq.consume('s', 'second', 1);
RESET ROLE;
BEGIN;
REASSIGN OWNED BY regress_roles_b TO regress_roles_owner;
ROLLBACK;
TABLE roles;

-- DROP OWNED: the role's groups go, and what it was granted.
SET ROLE regress_roles_b;
SELECT streamq.create_group('s', 'third');
SET ROLE regress_roles_owner;
SELECT streamq.create_group('s', 'fourth');
SELECT streamq.grant_group('s', 'fourth', 'regress_roles_b');
\set VERBOSITY terse
DROP OWNED BY regress_roles_b;
\set VERBOSITY default
RESET ROLE;
TABLE roles;
BEGIN READ ONLY;
DROP OWNED BY regress_roles_b;
ROLLBACK;
DROP OWNED BY regress_roles_b;
TABLE roles;
TABLE dependencies;
DROP ROLE regress_roles_b;
SELECT group_name, lag FROM streamq.consumer_groups WHERE stream = 's'::regclass;

-- The privilege on a stream's type is something else.
SET ROLE regress_roles_a;
SELECT streamq.create_group('s', 'fifth');
RESET ROLE;
GRANT USAGE ON TYPE s TO regress_roles_a;
REVOKE USAGE ON TYPE s FROM regress_roles_a;
GRANT SELECT ON s TO regress_roles_a;
REVOKE SELECT ON s FROM regress_roles_a;
ALTER TABLE s OWNER TO regress_roles_a;
TABLE roles;
TABLE dependencies;

-- Groups stay with who made them when the stream gets another owner, who may drop them.
ALTER TABLE s OWNER TO regress_roles_c;
TABLE roles;
SET ROLE regress_roles_c;
SELECT streamq.drop_group('s', 'fifth');
RESET ROLE;
TABLE dependencies;
DROP ROLE regress_roles_a;

-- Rows that come by SQL, as from a dump.
CREATE ROLE regress_roles_a;
INSERT INTO streamq.consumer_group
SELECT nextval('streamq.consumer_group_id'), stream, 'restored', mode, start_at, lease, max_in_flight,
	'regress_roles_a'::regrole, created_at, ARRAY['regress_roles_c'::regrole]
FROM streamq.consumer_group WHERE stream = 's'::regclass AND group_name = 'fourth';
TABLE dependencies;
DROP ROLE regress_roles_a;

-- Nothing is left of a stream that was dropped.
DROP TABLE s;
TABLE dependencies;
DROP ROLE regress_roles_a, regress_roles_c, regress_roles_owner;

SET client_min_messages = warning;
DROP SCHEMA group_roles CASCADE;
