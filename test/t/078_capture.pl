# Capture of tables: a snapshot that is taken while others write, and the changes
# after it, make a copy of the table; a crash, prepared transactions and a dump
# neither lose nor repeat a change.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use lib abs_path(dirname(__FILE__) . '/../lib');
use Sessions;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_prepared_transactions = 10
max_worker_processes = 24
timezone = 'UTC'
});
$node->start;
sub q1 { return $node->safe_psql('postgres', $_[0]); }

q1(q{
CREATE EXTENSION streamq;
CREATE SCHEMA "Odd ""schema";
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, note text) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (MINVALUE) TO (500);
CREATE TABLE t2 (v int NOT NULL, note text, id int NOT NULL);
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (500) TO (MAXVALUE);
INSERT INTO t SELECT i, 0, 'first' FROM generate_series(1, 1000) i;
SELECT streamq.create_stream('changes', partitions => 3);

-- apply the messages in the order of each partition
CREATE FUNCTION copy_of_t() RETURNS TABLE (id int, v int, note text) LANGUAGE sql AS $$
SELECT (payload->'after'->>'id')::int, (payload->'after'->>'v')::int, payload->'after'->>'note'
FROM (SELECT DISTINCT ON (key) payload FROM changes ORDER BY key, streamq.msg_id(tableoid, ctid) DESC) m
WHERE payload->>'op' <> 'delete' $$;
CREATE FUNCTION difference() RETURNS bigint LANGUAGE sql AS $$
SELECT (SELECT count(*) FROM (TABLE t EXCEPT ALL SELECT * FROM copy_of_t()) x)
	+ (SELECT count(*) FROM (SELECT * FROM copy_of_t() EXCEPT ALL TABLE t) x) $$;
-- what a writer does
CREATE PROCEDURE work() LANGUAGE plpgsql AS $$
DECLARE
	i int;
BEGIN
	FOR round IN 1 .. 20 LOOP
		i := random() * 1500;
		INSERT INTO t VALUES (i, 1, 'inserted') ON CONFLICT (id) DO UPDATE SET v = t.v + 1;
		COMMIT;
		DELETE FROM t2 WHERE id BETWEEN i AND i + 2;
		BEGIN
			UPDATE t SET id = 1500 - id, v = v + 1 WHERE id = i - 7;
		EXCEPTION WHEN unique_violation THEN NULL;
		END;
		COMMIT;
		UPDATE t1 SET note = 'updated ' || i WHERE id = i % 500;
		IF random() < 0.2 THEN ROLLBACK; ELSE COMMIT; END IF;
		UPDATE t SET v = v + 1 WHERE id = i + 10;
	END LOOP;
END $$;
});

# the snapshot while others write
my $stop = $node->basedir . '/stop';
spawn_loop($node, 'CALL work()', $stop) for 1 .. 3;
usleep(300_000);
q1(q{SELECT streamq.capture('t', 'changes', snapshot => true)});
usleep(1_000_000);
my $errors = end_loops($stop);
$errors =~ s/^.*(?:deadlock detected|moved to another partition).*\n//mg;
unlike($errors, qr/ERROR|PANIC|FATAL/, 'writers go on');
is(q1('SELECT difference()'), 0, 'snapshot and changes make a copy of the table');
is(q1('SELECT messages - (SELECT count(*) FROM changes) FROM streamq.captures'), 0, 'messages are counted');
isnt(q1(q{SELECT count(*) FROM changes WHERE payload->>'op' <> 'snapshot'}), 0, 'there are changes');
is(q1(q{SELECT count(*) FROM (SELECT key FROM changes WHERE payload->>'op' = 'snapshot' GROUP BY 1 HAVING count(*) > 1) x}), 0, 'the snapshot has each row once');

# prepared transactions: the process goes on with the same number
my $before = q1('SELECT messages FROM streamq.captures');
my $s = session($node);
run_in($s, q{BEGIN; INSERT INTO t VALUES (2001, 1); PREPARE TRANSACTION 'one'});
run_in($s, q{BEGIN; INSERT INTO t VALUES (2002, 1); PREPARE TRANSACTION 'two'});
run_in($s, q{INSERT INTO t VALUES (2003, 1)});
is(q1('SELECT messages FROM streamq.captures') - $before, 1, 'a prepared transaction does not count yet');

# a crash
$s->{in} .= "BEGIN; INSERT INTO t VALUES (2004, 1);\n";
$s->{run}->pump_nb while length $s->{in};
$node->stop('immediate');
$node->start;
$s->{run}->kill_kill;
q1(q{COMMIT PREPARED 'one'});
q1(q{ROLLBACK PREPARED 'two'});
q1('UPDATE t SET v = 2 WHERE id = 2001');
is(q1('SELECT difference()'), 0, 'after a crash, and after prepared transactions');
is(q1('SELECT messages FROM streamq.captures') - $before, 3, 'each message is counted once');
is(q1(q{SELECT count(*) FROM streamq.check_stream('changes')}), 0, 'the stream is sound');

# a dump
q1(q{
CREATE TABLE "Odd ""schema"."Table" (id int PRIMARY KEY, "Name" text, renamed int);
SELECT streamq.create_stream('"Odd ""schema".feed');
SELECT streamq.capture('"Odd ""schema"."Table"', '"Odd ""schema".feed', columns => '{id,renamed}', condition => '"Name" <> ''x''');
ALTER TABLE "Odd ""schema"."Table" RENAME renamed TO new;
INSERT INTO "Odd ""schema"."Table" VALUES (1, 'a', 1), (2, 'x', 2);
CREATE DATABASE copy;
CREATE DATABASE only_schema;
});
my $file = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('postgres') ], 'dump');
$node->command_ok([ 'pg_restore', '-j', 2, '-d', $node->connstr('copy'), $file ], 'restore');
my $captures = 'SELECT source, stream, messages, since, columns, condition FROM streamq.captures ORDER BY source::text';
my $triggers = q{SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'streamq%' ORDER BY tgrelid::regclass::text, 2};
is($node->safe_psql('copy', $captures), q1($captures), 'captures are restored');
is($node->safe_psql('copy', $triggers), q1($triggers), 'and their triggers');
is($node->safe_psql('copy', 'SELECT count(*) FROM changes'), q1('SELECT count(*) FROM changes'), 'restored rows are not captured again');
$node->safe_psql('copy', q{
INSERT INTO t2 VALUES (1, 'restored', 3000);
UPDATE t SET id = -3 WHERE id = 3000;
INSERT INTO "Odd ""schema"."Table" VALUES (3, 'b', 3), (4, 'x', 4);
});
is($node->safe_psql('copy', 'SELECT difference()'), 0, 'changes are captured after the restore');
is($node->safe_psql('copy', q{SELECT key, payload->'after' FROM "Odd ""schema".feed}), qq(1|{"id": 1, "new": 1}\n3|{"id": 3, "new": 3}), 'with columns and condition');
my ($rc, $out, $err) = $node->psql('copy', 'DROP TABLE changes');
like($err, qr/cannot drop table changes because other objects depend on it/, 'the stream is needed again');
$node->safe_psql('copy', 'DROP TABLE changes CASCADE; INSERT INTO t VALUES (4000, 1)');
is($node->safe_psql('copy', 'SELECT count(*) FROM streamq.captures'), 1, 'dropping the stream ends its capture');

# a dump of the schema has triggers without captures
$node->command_ok([ 'pg_dump', '-s', '-Fc', '-f', $file, '-d', $node->connstr('postgres') ], 'dump of the schema');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('only_schema'), $file ], 'its restore');
($rc, $out, $err) = $node->psql('only_schema', 'INSERT INTO t VALUES (1, 1)');
like($err, qr/capture 1 of table "t" does not exist.*HINT:.*call streamq.capture\(\) again/s, 'a change is refused');
$node->safe_psql('only_schema', q{SELECT streamq.capture('t', 'changes'); INSERT INTO t VALUES (1, 1), (600, 1)});
is($node->safe_psql('only_schema', 'SELECT count(*), (SELECT messages FROM streamq.captures) FROM changes'), '2|2', 'until the table is captured again');

done_testing();
