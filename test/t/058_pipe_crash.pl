# Pipes and handlers when the server crashes, and in a dump: each message is taken
# once, a message that waits for a retry still does, and after a restore only new
# messages are taken.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 32
});
$node->start;
sub q1 { return $node->safe_psql('postgres', $_[0]); }

q1(q{
CREATE EXTENSION streamq;
CREATE TABLE src (n int, k int) USING streamq;
SELECT streamq.alter_stream('src', partitions => 3, partition_by => 'k');
CREATE TABLE dst (n int, k int) USING streamq;
SELECT streamq.alter_stream('dst', partitions => 2, partition_by => 'n');
CREATE TABLE names (k int PRIMARY KEY, name text);
INSERT INTO names SELECT i, 'name ' || i FROM generate_series(0, 9) i;
CREATE TABLE joined (n int, name text);
CREATE TABLE handled (n int);
CREATE FUNCTION handle(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO handled VALUES ((m.payload->>'n')::int);
	IF (m.payload->>'n')::int % 1000 = 77 THEN RAISE EXCEPTION 'no'; END IF;
END $$;
SELECT streamq.create_pipe('move', 'SELECT n, k FROM src WHERE n % 2 = 0', 'dst');
SELECT streamq.create_pipe('enrich', 'SELECT n, name FROM src JOIN names USING (k)', 'joined');
SELECT streamq.create_handler('handle', 'src', 'handle(streamq.message)', max_deliveries => 2, retry_backoff => '1 ms');
});
my $n = 0;
for my $round (1 .. 5)
{
	q1("INSERT INTO src SELECT i, i % 10 FROM generate_series($n + 1, $n + 4000) i");
	$n += 4000;
	usleep(20_000 * $round);
	$node->stop('immediate');
	$node->start;
}
is(q1("SELECT streamq.wait_until_caught_up('$_', '60 s')"), 't', "$_ catches up") for qw(move enrich handle);
is(q1('SELECT count(*), count(DISTINCT n), bool_and(n % 2 = 0) FROM dst'), ($n / 2) . '|' . ($n / 2) . '|t', 'the pipe wrote every row once');
is(q1('SELECT count(*), count(DISTINCT n), count(name) FROM joined'), "$n|$n|$n", 'and so did the one with a join');
is(q1('SELECT count(*), count(DISTINCT n) FROM handled'), ($n - 20) . '|' . ($n - 20), 'the handler was called once for each message');
is(q1(q{SELECT count(*) FROM streamq.job_errors WHERE job = 'handle'}), 20, 'and gave up those that fail');

# a message that waits
q1(q{SELECT streamq.alter_job('handle', max_deliveries => 3, retry_backoff => '1 h', retry_backoff_max => '1 h');
INSERT INTO src VALUES (1077, 1), (2, 1), (3, 1)});
usleep(50_000) while q1('SELECT count(*) FROM streamq.job_retry') == 0;
$node->stop('immediate');
$node->start;
is(q1('SELECT deliveries, message FROM streamq.job_retry'), '1|no', 'a retry survives a crash');
is(q1(q{SELECT streamq.wait_until_caught_up('handle', '1 s'), lag FROM streamq.jobs WHERE name = 'handle'}), 'f|3', 'and those behind it wait');
q1(q{UPDATE streamq.job_retry SET retry_at = now()});
usleep(50_000) while q1('SELECT deliveries FROM streamq.job_retry') == 1;
q1(q{UPDATE streamq.job_retry SET retry_at = now()});
is(q1(q{SELECT streamq.wait_until_caught_up('handle', '60 s')}), 't', 'after the last delivery it goes on');
is(q1(q{SELECT count(*) FROM streamq.job_errors WHERE job = 'handle'}), 21, 'and the message is recorded');

# a dump
q1(q{SELECT streamq.wait_until_caught_up(name) FROM streamq.jobs});
my $dump = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
q1('CREATE DATABASE restored');
command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is($node->safe_psql('restored', 'SELECT name, kind, state, source, emit_into FROM streamq.jobs ORDER BY name'),
	"enrich|pipe|paused|src|joined\nhandle|handler|paused|src|\nmove|pipe|paused|src|dst", 'all are there, and paused');
my ($rc, $out, $err) = $node->psql('restored', 'DROP TABLE dst');
like($err, qr/view streamq."pipe move" depends on table dst/, 'a paused pipe needs its target');
$node->safe_psql('restored', q{INSERT INTO src VALUES (50000, 1); SELECT streamq.resume(name) FROM streamq.jobs});
is($node->safe_psql('restored', "SELECT streamq.wait_until_caught_up('$_', '60 s')"), 't', "$_ runs") for qw(move enrich handle);
is($node->safe_psql('restored', "SELECT count(*) FROM $_"), q1("SELECT count(*) + 1 FROM $_"), "$_ got the new message only") for qw(dst joined handled);

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'clean log');
done_testing();
