-- Who may use a group: its owner, and whom it was granted to.
CREATE SCHEMA group_privilege;
SET search_path = group_privilege;
CREATE ROLE regress_owner;
CREATE ROLE regress_reader;
CREATE ROLE regress_other;
CREATE ROLE regress_stranger;
GRANT USAGE ON SCHEMA group_privilege TO PUBLIC;
CREATE TABLE s (payload jsonb NOT NULL) USING streamq;
ALTER TABLE s OWNER TO regress_owner;
GRANT SELECT ON s TO regress_reader;
INSERT INTO s SELECT to_jsonb(i) FROM generate_series(0, 9) i;

-- SELECT on the stream is enough for a group of one's own.
SET ROLE regress_other;
SELECT msg_id FROM streamq.consume('s', 'theirs', 1);
SELECT streamq.create_group('s', 'theirs');
SET ROLE regress_reader;
SELECT msg_id FROM streamq.consume('s', 'theirs', 2);
SELECT streamq.ack('s', 'theirs', 0);

-- It is nobody else's.
RESET ROLE;
GRANT SELECT ON s TO regress_other;
SET ROLE regress_other;
SELECT msg_id FROM streamq.consume('s', 'theirs', 1);
SELECT streamq.ack('s', 'theirs', 1);
SELECT streamq.ack_through('s', 'theirs', 1);
SELECT streamq.ack_batch('s', 'theirs', '{1}');
SELECT streamq.nack('s', 'theirs', 1);
SELECT streamq.extend_lease('s', 'theirs', '{1}', '1 h');
SELECT streamq.seek('s', 'theirs', 'latest');
SELECT streamq.drop_group('s', 'theirs');
SELECT streamq.grant_group('s', 'theirs', 'regress_other');
SELECT count(*) FROM streamq.consumer_group;

-- Shared by its owner, and taken back.
SET ROLE regress_reader;
SELECT streamq.grant_group('s', 'theirs', 'regress_other');
SELECT streamq.grant_group('s', 'theirs', 'regress_other');
SET ROLE regress_other;
SELECT streamq.ack('s', 'theirs', 1);
SELECT streamq.grant_group('s', 'theirs', 'regress_owner');
SET ROLE regress_reader;
SELECT streamq.revoke_group('s', 'theirs', 'regress_other');
SET ROLE regress_other;
SELECT msg_id FROM streamq.consume('s', 'theirs', 1);
SET ROLE regress_reader;
SELECT streamq.grant_group('s', 'theirs', 'public');
SET ROLE regress_other;
SELECT msg_id FROM streamq.consume('s', 'theirs', 1);
SET ROLE regress_reader;
SELECT streamq.revoke_group('s', 'theirs', 'public');

-- Members of the owner may; superusers may; the stream's owner may drop it.
RESET ROLE;
GRANT regress_reader TO regress_other;
SET ROLE regress_other;
SELECT streamq.ack('s', 'theirs', 2);
RESET ROLE;
REVOKE regress_reader FROM regress_other;
SELECT streamq.seek('s', 'theirs', 'earliest');
SET ROLE regress_owner;
SELECT msg_id FROM streamq.consume('s', 'theirs', 1);
SELECT streamq.drop_group('s', 'theirs');

-- Who may read the stream sees its groups, and so do members of pg_read_all_stats.
SET ROLE regress_other;
SELECT msg_id FROM streamq.consume('s', 'mine', 1);
SET ROLE regress_reader;
SELECT group_name, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT group_name, last_msg_id FROM streamq.leases WHERE stream = 's'::regclass;
SET ROLE regress_stranger;
SELECT count(*) FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT count(*) FROM streamq.leases WHERE stream = 's'::regclass;
RESET ROLE;
GRANT pg_read_all_stats TO regress_stranger;
SET ROLE regress_stranger;
SELECT group_name, in_flight FROM streamq.consumer_groups WHERE stream = 's'::regclass;
SELECT group_name, last_msg_id FROM streamq.leases WHERE stream = 's'::regclass;

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA group_privilege CASCADE;
DROP ROLE regress_owner, regress_reader, regress_other, regress_stranger;
