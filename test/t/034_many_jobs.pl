# With more continuous views than workers, whichever view has something to do gets a worker
# at once: by the commit, not by the clock.  A view that never catches up, and views whose rows
# take long, keep nobody from having his turn.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('many');
$node->init;
# whoever waits for the clock waits long
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_worker_processes = 20
streamq.naptime = '10min'
streamq.max_workers_per_database = 2
));
$node->start;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return $sorted[ @sorted / 2 ];
}

my $session = $node->background_psql('postgres');

# milliseconds from a commit into the streams until the last view has it
sub round_trip
{
	my ($views) = @_;
	my $start = time();
	$session->query_safe(join(' ', map { "INSERT INTO t$_ VALUES (0);" } @$views));
	my $caught_up = $session->query_safe(
		join(' ', map { "SELECT streamq.wait_until_caught_up('v$_', '140 s');" } @$views));
	die "not caught up: $caught_up" if $caught_up =~ /f/;
	return 1000 * (time() - $start);
}

# ---- no view waits for its turn

my $n = 8;
sql(q(
CREATE EXTENSION streamq;
CREATE FUNCTION rest(ms int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN PERFORM pg_sleep(ms / 1000.0); RETURN ms; END $$;
));
sub make_view
{
	my ($i) = @_;
	sql("CREATE TABLE t$i (ms int) USING streamq;
		SELECT streamq.create_continuous_view('v$i', 'SELECT rest(ms) AS ms, count(*) AS n FROM t$i GROUP BY 1')");
}
make_view($_) for 1 .. $n;
round_trip([ 1 .. $n ]);
my @all = map { round_trip([ 1 .. $n ]) } 1 .. 5;
note('all views: ' . join(' ', map { int } @all) . ' ms');
cmp_ok(median(@all), '<', 10_000, 'every view hears of a commit');
my @one = map { round_trip([ $_ ]) } (1 .. $n, 1 .. $n);
note('one view: ' . join(' ', map { int } @one) . ' ms');
cmp_ok(median(@one), '<', 5_000, 'also a view that has no worker');
is(sql(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamq worker')), '2', 'with two workers');
is(sql(q(SELECT count(*) FROM streamq.jobs WHERE worker_pid IS NOT NULL AND state = 'running' AND name LIKE 'v%')), '2', 'which have one each');

# ---- several views of one stream

for my $i (1 .. 4)
{
	sql("SELECT streamq.create_continuous_view('w$i', 'SELECT count(*) AS n FROM t1')");
}
for my $round (1 .. 3)
{
	sql('INSERT INTO t1 VALUES (0)');
	is(sql(join(';', map { "SELECT streamq.wait_until_caught_up('w$_', '140 s')" } 1 .. 4)),
		"t\nt\nt\nt", "one ring is for all views of a stream, round $round");
}

# ---- nobody starves: one is never caught up, thirty take long

make_view(100);
make_view($_) for 101 .. 130;
sql('INSERT INTO t100 SELECT 10 FROM generate_series(1, 100000)');
ok($node->poll_query_until('postgres', q(SELECT rows_processed > 0 FROM streamq.jobs WHERE name = 'v100')), 'a busy view');
my $before = sql(q(SELECT rows_processed FROM streamq.jobs WHERE name = 'v100'));
sql("INSERT INTO t$_ SELECT 30 FROM generate_series(1, 5)") for 101 .. 130;
is(sql(join(';', map { "SELECT streamq.wait_until_caught_up('v$_', '140 s')" } 101 .. 130)),
	join("\n", ('t') x 30), 'thirty slow views have their turn beside it');
ok($node->poll_query_until('postgres', "SELECT rows_processed > $before FROM streamq.jobs WHERE name = 'v100'"), 'and so has the busy one');
is(sql(join(' UNION ALL ', map { "SELECT n FROM v$_" } 101 .. 130)), join("\n", (5) x 30), 'with every row once');
is(sql(q(SELECT lag > 0 FROM streamq.jobs WHERE name = 'v100')), 't', 'which is still at it');

# ---- a job that fails does not hold others up, and is tried again by itself

sql(q(SELECT streamq.pause('v100'); CREATE TABLE lookup (i int); CREATE FUNCTION look(ms int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN (SELECT count(*) FROM lookup); END $$));
sql(q(CREATE ROLE alice; GRANT CREATE ON SCHEMA public TO alice; GRANT SELECT ON t1, lookup TO alice));
sql(q(SET ROLE alice; SELECT streamq.create_continuous_view('failing', 'SELECT look(ms) AS l, count(*) AS n FROM t1 GROUP BY 1')));
is(sql(q(SELECT streamq.wait_until_caught_up('failing', '140 s'))), 't', 'a job of another owner');
sql(q(REVOKE SELECT ON t1 FROM alice; INSERT INTO t1 VALUES (0)));
ok($node->poll_query_until('postgres', q(SELECT state = 'failing' FROM streamq.jobs WHERE name = 'failing')), 'it fails');
cmp_ok(median(map { round_trip([ 1, 2, 3 ]) } 1 .. 3), '<', 10_000, 'others go on');
sql(q(GRANT SELECT ON t1 TO alice));
is(sql(q(SELECT streamq.wait_until_caught_up('failing', '140 s'))), 't', 'it is tried again without a ring');

$session->quit;
$node->stop;
done_testing();
