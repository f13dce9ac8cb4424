# Background processes: they come with the extension, go with it, get out of the way of
# commands on databases, and return whatever ends them.  Notifications reach
# listeners after the commit, coalesced, and never for what was rolled back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('workers');
$node->init(allows_streaming => 1);
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_worker_processes = 16
max_prepared_transactions = 5
streamq.naptime = '200ms'
autovacuum = off
restart_after_crash = on
));
$node->start;

sub pids
{
	my ($type, $db) = @_;
	my $where = defined $db ? "datname = '$db'" : 'true';
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamq $type' AND $where");
}

# wait until there is a process of that type other than the one given
sub wait_for
{
	my ($type, $db, $not) = @_;
	$not ||= 0;
	my $where = defined $db ? "datname = '$db'" : 'true';
	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'streamq $type' AND $where AND pid <> $not"
	);
}

sub wait_for_none
{
	my ($db) = @_;
	return $node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'streamq %' AND datname = '$db'"
	);
}

# ---- they come and go with the extension

ok(wait_for('launcher'), 'the launcher runs');
is(pids('scheduler'), '', 'no scheduler without the extension');

$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
ok(wait_for('scheduler', 'postgres'), 'CREATE EXTENSION brings the scheduler');
ok(wait_for('notifier', 'postgres'), 'and the notifier');

for my $i (1 .. 5)
{
	$node->safe_psql('postgres', 'DROP EXTENSION streamq CASCADE');
	usleep(20_000 * $i);
	$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
	usleep(20_000 * $i);
}
ok(wait_for('scheduler', 'postgres'), 'the scheduler is there after drop and create in a row');
ok(wait_for('notifier', 'postgres'), 'so is the notifier');

$node->safe_psql('postgres', 'DROP EXTENSION streamq');
ok(wait_for_none('postgres'), 'DROP EXTENSION sends them away');
$node->safe_psql('postgres', 'BEGIN; CREATE EXTENSION streamq; ROLLBACK');
usleep(300_000);
is(pids('scheduler'), '', 'CREATE EXTENSION that was rolled back starts nothing');

# ---- commands that want a database for themselves

$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION streamq; CREATE TABLE s (a int) USING streamq');
ok(wait_for('notifier', 'one'), 'workers in a second database');
$node->safe_psql('postgres', 'CREATE DATABASE two TEMPLATE one');
ok(wait_for('notifier', 'two'), 'a copied database gets workers');
ok(wait_for('notifier', 'one'), 'and its template has them back');
$node->safe_psql('postgres', 'ALTER DATABASE two RENAME TO three');
ok(wait_for('notifier', 'three'), 'workers are back after a rename');
$node->safe_psql('postgres', 'DROP DATABASE three');
is(pids('scheduler', 'three'), '', 'DROP DATABASE succeeds with workers running');

my ($ret, $out, $err) = $node->psql('postgres', 'BEGIN; DROP DATABASE one');
like($err, qr/cannot run inside a transaction block/, 'a DROP DATABASE that fails');
ok(wait_for('notifier', 'one'), 'leaves the database its workers');

$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN CREATEDB');
my $before = pids('scheduler', 'one');
($ret, $out, $err) = $node->psql('postgres', 'DROP DATABASE one', extra_params => [ '-U', 'nobody' ]);
like($err, qr/must be owner/, 'another user may not drop it');
is(pids('scheduler', 'one'), $before, 'and cannot send its workers away');
$node->safe_psql('postgres', 'DROP DATABASE one');

# ---- whatever ends them

$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
ok(wait_for('notifier', 'postgres'), 'extension created again');
for my $type ('notifier', 'scheduler', 'launcher')
{
	my $pid = pids($type, $type eq 'launcher' ? undef : 'postgres');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	ok(wait_for($type, $type eq 'launcher' ? undef : 'postgres', $pid),
		"the $type is back after pg_terminate_backend");
}

# ---- notifications

$node->safe_psql('postgres', q(
CREATE SCHEMA "Log";
CREATE TABLE "Log".clicks (a int) USING streamq;
CREATE TABLE other (a int) USING streamq;
));
my $channel = $node->safe_psql('postgres', q(SELECT streamq.channel('"Log".clicks')));
my $listener = $node->background_psql('postgres');
$listener->query_safe("LISTEN $channel");

# notifications the listener has got since the last call, waiting for the first
sub notifications
{
	my ($wait) = @_;
	my @got;
	for (1 .. ($wait ? 50 : 1))
	{
		my $text = $listener->query_safe('SELECT pg_sleep(0.1)');
		push @got, $text =~ /Asynchronous notification "$channel" with payload "(.*)" received/g;
		last if @got;
	}
	return @got;
}

$node->safe_psql('postgres', 'INSERT INTO "Log".clicks VALUES (1), (2), (3)');
my @got = notifications(1);
is(scalar @got, 1, 'one notification for one commit');
is($got[0], '{"stream": "\"Log\".clicks", "partition": 0, "last_msg_id": 2}', 'its payload');

$node->safe_psql('postgres', 'BEGIN; INSERT INTO "Log".clicks VALUES (4); ROLLBACK');
$node->safe_psql('postgres', 'INSERT INTO other VALUES (1)');
is(scalar notifications(0), 0, 'none for what was rolled back, or for another stream');

my $writer = $node->background_psql('postgres');
$writer->query_safe('BEGIN; INSERT INTO "Log".clicks VALUES (5)');
is(scalar notifications(0), 0, 'none before the commit');
$writer->query_safe('COMMIT');
is(scalar notifications(1), 1, 'one after it');

$writer->query_safe(
	'BEGIN; SAVEPOINT a; INSERT INTO "Log".clicks VALUES (6); ROLLBACK TO a; INSERT INTO other VALUES (2); COMMIT');
is(scalar notifications(0), 0, 'none for a savepoint that was rolled back');
$writer->query_safe('BEGIN; SAVEPOINT a; INSERT INTO "Log".clicks VALUES (7); RELEASE a; COMMIT');
is(scalar notifications(1), 1, 'one for a savepoint that was released');

$node->safe_psql('postgres', q(
ALTER SYSTEM SET streamq.notify_interval = '300ms';
SELECT pg_reload_conf();
));
usleep(500_000);
$writer->query_safe('DO $$ BEGIN FOR i IN 1..500 LOOP INSERT INTO "Log".clicks VALUES (i); COMMIT; END LOOP; END $$');
usleep(400_000);
@got = notifications(1);
push @got, notifications(0);
# one is enough where all 500 were committed before the notifier came to run
cmp_ok(scalar @got, '>=', 1, 'a stream of commits is told');
cmp_ok(scalar @got, '<=', 12, 'coalesced in between');
like($got[-1], qr/"last_msg_id": 506\}/, 'the last names the last message');

$node->safe_psql('postgres', q(BEGIN; INSERT INTO "Log".clicks VALUES (8); PREPARE TRANSACTION 'p'));
is(scalar notifications(0), 0, 'none for a prepared transaction');
$node->safe_psql('postgres', q(COMMIT PREPARED 'p'));
@got = notifications(1);
is(scalar @got, 1, 'one after COMMIT PREPARED');
like($got[0], qr/"stream": "\\"Log\\".clicks"/, 'which names the stream');

# what is committed while no notifier runs is told by the next
$node->safe_psql('postgres', q(
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamq notifier';
INSERT INTO "Log".clicks VALUES (9);
));
is(scalar notifications(1), 1, 'nothing is lost while the notifier is away');

# a stream that is dropped meanwhile
$writer->query_safe('BEGIN; DROP TABLE "Log".clicks');
is(scalar notifications(0), 0, 'dropping says nothing');
$writer->query_safe('COMMIT');
$listener->quit;
$writer->quit;

# a transaction that was prepared before the server was restarted
$node->safe_psql('postgres', q(BEGIN; INSERT INTO other VALUES (3); PREPARE TRANSACTION 'q'));
$node->restart;
$listener = $node->background_psql('postgres');
$channel = $node->safe_psql('postgres', q(SELECT streamq.channel('other')));
$listener->query_safe("LISTEN $channel");
is(scalar notifications(0), 0, 'none yet');
$node->safe_psql('postgres', q(COMMIT PREPARED 'q'));
@got = notifications(1);
is(scalar @got, 1, 'one after COMMIT PREPARED, after a restart');
$listener->quit;

# ---- idle processes use no transaction ids

my $xid = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
usleep(1_000_000);
is($node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())'),
	$xid, 'idle processes use no transaction ids');
is( $node->safe_psql('postgres',
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'streamq %' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL))
	),
	'0', 'and hold no transaction');

# ---- a standby has none until it is promoted

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('workers_standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my $processes = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'streamq %'";
is($standby->safe_psql('postgres', $processes), '0', 'a standby has no background processes');
$standby->promote;
ok($standby->poll_query_until('postgres', $processes, '3'), 'after promotion it has');
$standby->stop;

# ---- a crash of one of them

my $pid = pids('notifier', 'postgres');
my $scheduler = pids('scheduler', 'postgres');
kill 'KILL', $pid;
ok(wait_for('scheduler', 'postgres', $scheduler), 'the server is back after kill -9 of a worker, with a scheduler');
ok(wait_for('notifier', 'postgres', $pid), 'the notifier returns');

# ---- too few background workers

$node->append_conf('postgresql.conf', 'max_worker_processes = 3');
$node->restart;
ok(wait_for('launcher'), 'with too few background workers the launcher runs');
ok(wait_for('scheduler', 'postgres'), 'and the scheduler');
usleep(1_500_000);
my $log = slurp_file($node->logfile);
my $count = () = $log =~ /no background worker is free/g;
is($count, 1, 'the lack is said once');

$node->stop;
done_testing();
