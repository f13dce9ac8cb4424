# Job workers: every continuous view makes progress, with few workers as with many, whatever
# happens to the processes, and its listeners hear of closed windows.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

my $node = PostgreSQL::Test::Cluster->new('jobs');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_worker_processes = 20
restart_after_crash = on
streamq.naptime = '200ms'
log_line_prefix = '%b: '
));
$node->start;

sub sql
{
	my ($query, $db) = @_;
	return $node->safe_psql($db || 'postgres', $query);
}

sub workers
{
	my ($db) = @_;
	$db ||= 'postgres';
	return sql(
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamq worker' AND datname = '$db' ORDER BY pid");
}

sub wait_for_workers
{
	my ($n) = @_;
	return $node->poll_query_until('postgres',
		"SELECT count(*) = $n FROM pg_stat_activity WHERE backend_type = 'streamq worker'");
}

my $view = q($$SELECT w.window_start, w.window_end, count(*) AS hits
	FROM clicks, streamq.tumble(at, '1 minute') w GROUP BY 1, 2$$);
my $written = 0;
my $minute = 0;

# 60 messages of one minute of event time
sub produce
{
	my ($db) = @_;
	sql("INSERT INTO clicks SELECT '2024-01-01 00:00+00'::timestamptz + interval '1 minute' * $minute + interval '1 second' * i
		FROM generate_series(0, 59) i", $db);
	$minute++;
	$written += 60;
}

sql(qq(
CREATE EXTENSION streamq;
CREATE TABLE clicks (at timestamptz NOT NULL) USING streamq;
SELECT streamq.create_continuous_view('v1', $view);
));
ok(wait_for_workers(1), 'a continuous view gets a worker');
produce();
is(sql(q(SELECT streamq.wait_until_caught_up('v1', '20 s'))), 't', 'it catches up');
is(sql('SELECT sum(hits) FROM v1'), $written, 'and has every message');

# ---- the worker is woken by the commit, not by the clock

sql(q(ALTER SYSTEM SET streamq.naptime = '30s'; SELECT pg_reload_conf();));
usleep(400_000);
produce();
my $start = time();
is(sql(q(SELECT streamq.wait_until_caught_up('v1', '20 s'))), 't', 'it is woken by a commit');
cmp_ok(time() - $start, '<', 5, 'at once');
sql(q(ALTER SYSTEM RESET streamq.naptime; SELECT pg_reload_conf();));
produce();

# ---- closed windows

my $channel = sql(q(SELECT streamq.channel('v1')));
like($channel, qr/^[a-z0-9_]+$/, 'a view has a channel');
my $listener = $node->background_psql('postgres');
$listener->query_safe("LISTEN $channel");
produce();
my $got = '';
for (1 .. 50)
{
	$got .= $listener->query_safe('SELECT pg_sleep(0.1)');
	last if $got =~ /Asynchronous/;
}
like($got, qr/"$channel" with payload "\{"view": "public.v1", "watermark": "[^"]+", "closed": 1\}"/,
	'listeners hear of closed windows');
$listener->quit;

# ---- whatever ends the worker

my $pid = workers();
sql("SELECT pg_terminate_backend($pid)");
produce();
is(sql(q(SELECT streamq.wait_until_caught_up('v1', '20 s'))), 't', 'it goes on after pg_terminate_backend');
isnt(workers(), $pid, 'with another worker');

$pid = workers();
sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamq scheduler'));
produce();
is(sql(q(SELECT streamq.wait_until_caught_up('v1', '20 s'))), 't', 'it goes on without a scheduler');
ok($node->poll_query_until('postgres',
		q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'streamq scheduler')), 'the scheduler returns');
usleep(500_000);
is(workers(), $pid, 'and finds the worker at work');

my $scheduler = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamq scheduler'));
kill 'KILL', $pid;
# another scheduler: the server has started again
ok($node->poll_query_until('postgres', qq(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'streamq scheduler' AND pid <> $scheduler)),
	'the server is back after kill -9');
produce();
is(sql(q(SELECT streamq.wait_until_caught_up('v1', '20 s'))), 't', 'so is the view');
is(sql('SELECT sum(hits) FROM v1'), $written, 'nothing lost, nothing counted twice');

# ---- pause and resume

sql(q(SELECT streamq.pause('v1')));
ok(wait_for_workers(0), 'a paused job has no worker');
sql(q(SELECT streamq.resume('v1')));
ok(wait_for_workers(1), 'a resumed one has');

# ---- more jobs than workers

sql(q(ALTER SYSTEM SET streamq.max_workers_per_database = 2; SELECT pg_reload_conf();));
sql("SELECT streamq.create_continuous_view('v$_', $view)") for 2 .. 7;
ok(wait_for_workers(2), 'streamq.max_workers_per_database is kept');
for my $round (1 .. 2)
{
	produce();
	my $ok = 0;
	for my $i (1 .. 7)
	{
		$ok++ if sql("SELECT streamq.wait_until_caught_up('v$i', '20 s')") eq 't'
		  && sql("SELECT sum(hits) FROM v$i") eq $written;
	}
	is($ok, 7, "every job has its turn, round $round");
}
cmp_ok(scalar(split /\n/, workers()), '<=', 2, 'with two workers');

sql(q(ALTER SYSTEM SET streamq.max_workers_per_database = 0; SELECT pg_reload_conf();));
ok(wait_for_workers(0), 'streamq.max_workers_per_database = 0 stops them');
produce();
is(sql(q(SELECT streamq.wait_until_caught_up('v3', '300 ms'))), 'f', 'nothing is processed');
sql(q(ALTER SYSTEM RESET streamq.max_workers_per_database; SELECT pg_reload_conf();));
ok(wait_for_workers(7), 'the default brings one for each job');
is(sql(q(SELECT streamq.wait_until_caught_up('v3', '20 s'))), 't', 'and the rest is processed');

# ---- a job that ends its worker

sql(q(ALTER SYSTEM SET streamq.max_workers_per_database = 1; SELECT pg_reload_conf();
CREATE TABLE poison (n int) USING streamq;
CREATE FUNCTION suicide(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM switch) THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
END $$;
CREATE TABLE switch AS SELECT 1;));
ok(wait_for_workers(1), 'one worker is left');
my $ended = () = slurp_file($node->logfile) =~ /FATAL:  terminating background worker "streamq worker"/g;
$start = time();
sql(q(SELECT streamq.create_handler('kills', 'poison', 'suicide(streamq.message)'); INSERT INTO poison VALUES (1)));
ok($node->poll_query_until('postgres', q(SELECT state = 'failing' FROM streamq.jobs WHERE name = 'kills')), 'a job that ends its worker is failing');
is(sql(q(SELECT last_error FROM streamq.jobs WHERE name = 'kills')), 'background worker ended in the middle of a batch (SQLSTATE 57P01)', 'and says why');
produce();
is(sql(q(SELECT streamq.wait_until_caught_up('v1', '20 s'))), 't', 'other jobs go on');
is(sql('SELECT sum(hits) FROM v1'), $written, 'and miss nothing');
$ended = -$ended + (() = slurp_file($node->logfile) =~ /FATAL:  terminating background worker "streamq worker"/g);
# after 1, 2, 4 s and so on
cmp_ok($ended, '<=', 2 + (time() - $start) / 2, 'it is tried again less and less often');
sql('DELETE FROM switch');
is(sql(q(SELECT streamq.wait_until_caught_up('kills', '60 s'))), 't', 'it goes on when it does not any more');
is(sql(q(SELECT state FROM streamq.jobs WHERE name = 'kills')), 'running', 'and runs');
sql(q(SELECT streamq.drop_handler('kills'); DROP TABLE poison; ALTER SYSTEM RESET streamq.max_workers_per_database; SELECT pg_reload_conf();));
ok(wait_for_workers(7), 'the other workers are back');

# ---- in the way of nobody

sql('CREATE DATABASE copy TEMPLATE postgres');
produce('copy');
is(sql(q(SELECT streamq.wait_until_caught_up('v1', '20 s')), 'copy'), 't', 'the jobs of a copied database run');
sql('DROP DATABASE copy');
pass('DROP DATABASE with job workers');

sql('DROP VIEW v7');
ok(wait_for_workers(6), 'DROP VIEW ends its worker');
sql('DROP EXTENSION streamq CASCADE');
ok($node->poll_query_until('postgres',
		q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ '^streamq' AND datname IS NOT NULL)),
	'DROP EXTENSION ends all of them');

my $log = slurp_file($node->logfile);
unlike($log, qr/^streamq \w+: (ERROR|PANIC|WARNING)/m, 'without an error');

$node->stop;
done_testing();
