# Workers that help each other: the rows of one view over several partitions are shared,
# with the same results and counters as with one worker, whatever process dies.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

srand(1);
my $node = PostgreSQL::Test::Cluster->new('shared');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
timezone = 'UTC'
fsync = off
restart_after_crash = on
log_min_messages = debug1
streamq.share_after = -1
streamq.max_workers_per_database = 4
));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub setting
{
	my ($name, $value) = @_;

	sql("ALTER SYSTEM SET streamq.$name = $value");
	sql('SELECT pg_reload_conf()');
	# the workers have to notice it
	usleep(100_000);
	return;
}

# helpers that have started since a place in the log
sub helpers_since
{
	my ($offset) = @_;
	my $log = slurp_file($node->logfile, $offset);
	my $n = () = $log =~ /starting background worker process "parallel worker/g;

	return $n;
}

sub log_end { return -s $node->logfile }

# rows in which a view differs from a query
sub difference
{
	my ($view, $query) = @_;

	return sql("SELECT (SELECT count(*) FROM (TABLE $view EXCEPT ALL ($query)) x)
		+ (SELECT count(*) FROM (($query) EXCEPT ALL TABLE $view) y)");
}

sub caught_up
{
	my ($view) = @_;

	is(sql("SELECT streamq.wait_until_caught_up('$view', '2 min')"), 't', "$view has caught up");
	return;
}

sub create
{
	my ($view, $query, $options) = @_;

	sql("SELECT streamq.create_continuous_view('$view', \$q\$$query\$q\$" . ($options || '') . ')');
	return;
}

# ---- the same results and counters ----

sql(q(
CREATE TABLE orders (at timestamptz, k int, n int, f float8) USING streamq;
SELECT streamq.alter_stream('orders', partitions => 2, partition_by => 'k');
CREATE FUNCTION bad(int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 1000 / ($1 - 66666)';
CREATE FUNCTION unsafe(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
));
# transactions of many sizes, with disorder
sql(qq(INSERT INTO orders SELECT timestamptz '2026-03-01 00:00' + i * interval '20 ms' - random() * random() * interval '20 s',
	CASE WHEN i % 50 = 0 THEN NULL ELSE i % 97 END, i, i::float8
	FROM generate_series($_->[0], $_->[1]) i)) for [ 1, 20000 ], [ 20001, 20007 ], [ 20008, 40000 ], [ 40001, 70000 ];
sql(q(DO $$ BEGIN FOR i IN 1 .. 100 LOOP
	INSERT INTO orders SELECT timestamptz '2026-03-01 00:23' + (3 * i + j) * interval '20 ms' - random() * interval '5 s', j, 1, 1
	FROM generate_series(1, 1 + i % 5) j; COMMIT; END LOOP; END $$));

my %views = (
	tumble => 'SELECT w.window_start, k, count(*) AS c, sum(n) AS s, max(n) AS m, avg(n::numeric) AS a, min(f) AS f, bool_and(n > 5) AS b
		FROM orders, streamq.tumble(at, \'10 s\') w WHERE n % 7 <> 3 GROUP BY w.window_start, k',
	hop => 'SELECT w.window_start, k % 5 AS k5, count(*) FILTER (WHERE n % 2 = 0) AS c, stddev_pop(n) AS s
		FROM orders, streamq.hop(at, \'10 s\', \'30 s\') w GROUP BY w.window_start, k % 5',
	windows => 'SELECT w.window_start, w.window_end, w.window_end - at > \'5 s\' AS early, count(*) AS c
		FROM orders, streamq.hop(at, \'10 s\', \'20 s\') w GROUP BY 1, 2, 3',
	minute => "SELECT date_trunc('minute', at, 'Europe/Berlin') AS minute, count(k) AS c, bit_xor(n) AS x,
		sum(CASE k WHEN 5 THEN n END) AS five, sum(CASE k WHEN 6 THEN n END) AS six, sum(CASE k WHEN 7 THEN n END) AS seven FROM orders GROUP BY 1",
	whole => 'SELECT k, count(*) AS c, sum(n) AS s FROM orders GROUP BY k',
	single => 'SELECT count(*) AS c, max(at) AS m, min(k) AS k FROM orders');
my %options = (tumble => ", watermark_delay => '2 s'", hop => ", allowed_lateness => '3 s'");
my @counters = qw(rows_processed late_rows errors expired watermark);
my $counters = 'SELECT row(' . join(', ', @counters) . ") FROM streamq.jobs WHERE name = '";
my %expected;

for my $view (sort keys %views)
{
	create($view, $views{$view}, $options{$view});
	caught_up($view);
	$expected{$view} = sql("$counters$view'");
	sql("DROP VIEW $view");
}
is(helpers_since(0), 0, 'without sharing, there are no helpers');
like($expected{$_}, qr/^\(\d+,[1-9]\d*,0,0,/, "$_ has late rows") for qw(tumble hop windows minute);

my ($rc, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET streamq.share_after = '-2'");
like($err, qr/-2 ms is outside the valid range for parameter "streamq.share_after"/, 'share_after has a least value');
setting('share_after', 0);
for my $view (sort keys %views)
{
	my $offset = log_end();

	create($view, $views{$view}, $options{$view});
	caught_up($view);
	cmp_ok(helpers_since($offset), '>', 0, "$view: workers helped");
	is(sql("$counters$view'"), $expected{$view}, "$view: the counters are the same");
	is(difference($view, $views{$view}), '0', "$view: the view equals its query");
	sql("DROP VIEW $view");
}

# ---- messages that fail ----

my $query = 'SELECT w.window_start, count(*) AS c, sum(bad(n)) AS s FROM orders, streamq.tumble(at, \'1 min\') w GROUP BY w.window_start';
create('fails', $query);
caught_up('fails');
is(sql(q(SELECT array_agg(message) FROM streamq.job_errors)), '{"division by zero"}', 'the message that failed was found');
is(difference('fails', $query =~ s/ GROUP/ WHERE n <> 66666 GROUP/r), '0', 'all others count');
sql('DROP VIEW fails');

# ---- views that are not shared ----

my $offset = log_end();
my %alone = (
	unsafe => 'SELECT k, sum(unsafe(n)) AS s FROM orders GROUP BY k',
	floats => 'SELECT k, sum(f) AS s FROM orders GROUP BY k',
	collected => 'SELECT k, count(DISTINCT n % 10) AS d FROM orders GROUP BY k');
for my $view (sort keys %alone)
{
	create($view, $alone{$view});
	caught_up($view);
	is(difference($view, $alone{$view}), '0', "$view: the view equals its query");
	sql("DROP VIEW $view");
}
setting('max_workers_per_database', 1);
create('one', $views{whole});
caught_up('one');
sql('DROP VIEW one');
is(helpers_since($offset), 0, 'none of them was shared');
setting('max_workers_per_database', 4);

# ---- deaths ----

# so slow that a helper lives for a while
sql(q(
CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
	'BEGIN PERFORM pg_sleep(0.0003); RETURN $1; END';
CREATE TABLE visits (at timestamptz, k int, n int) USING streamq;
SELECT streamq.alter_stream('visits', partitions => 2, partition_by => 'k');
));
my %slow = (
	slow_tumble => 'SELECT w.window_start, k, count(*) AS c, sum(slow(n)) AS s FROM visits, streamq.tumble(at, \'1 s\') w
		GROUP BY w.window_start, k',
	slow_whole => 'SELECT k, count(*) AS c, sum(slow(n)) AS s FROM visits GROUP BY k');
create($_, $slow{$_}) for sort keys %slow;

my $written = 0;
sub write_visits
{
	my ($n) = @_;

	sql("INSERT INTO visits SELECT timestamptz '2026-03-01 00:00' + i * interval '10 ms' - random() * interval '2 s', i % 31, i
		FROM generate_series($written + 1, $written + $n) i");
	$written += $n;
	return;
}

# Write messages until some processes help; their ids.
sub busy_helpers
{
	for (1 .. 20)
	{
		my $end = time + 1;

		write_visits(600);
		while (time < $end)
		{
			my $pids = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker'));

			return split(/\n/, $pids) if $pids;
			usleep(10_000);
		}
	}
	return;
}

write_visits(200);
caught_up($_) for sort keys %slow;
for my $round (1 .. 4)
{
	my @pids = busy_helpers();

	ok(scalar(@pids), "round $round: there are helpers");
	if ($round % 3 == 1)
	{
		sql("SELECT pg_terminate_backend($pids[0])");
	}
	elsif ($round % 3 == 2)
	{
		# the postmaster restarts everything
		my $before = log_end();
		kill(KILL => $pids[ int(rand(@pids)) ]);
		$node->wait_for_log(qr/terminating any other active server processes/, $before);
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server is not back';
	}
	else
	{
		sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamq worker'));
	}
}
for my $view (sort keys %slow)
{
	caught_up($view);
	is(difference($view, $slow{$view} =~ s/slow\(n\)/n/r), '0', "$view equals its query");
}
is(sql('SELECT count(*) FROM streamq.job_errors'), '0', 'no message failed');

# ---- commands while helpers run ----

ok(scalar(busy_helpers()), 'helpers run');
my $start = time;
sql(q(SELECT streamq.pause('slow_tumble')));
is(sql(q(SELECT state FROM streamq.jobs WHERE name = 'slow_tumble')), 'paused', 'a shared batch can be paused');
sql(q(SELECT streamq.alter_job('slow_tumble', job_timeout => '1 min')));
sql(q(SELECT streamq.resume('slow_tumble')));
ok(scalar(busy_helpers()), 'helpers run again');
sql('DROP VIEW slow_whole');
sql('ALTER TABLE visits RENAME n TO number');
cmp_ok(time - $start, '<', 20, 'no command had to wait for long');
caught_up('slow_tumble');
is(difference('slow_tumble', $slow{slow_tumble} =~ s/slow\(n\)/number/r), '0', 'the view equals its query');
ok(scalar(busy_helpers()), 'helpers run');
sql('DROP TABLE visits CASCADE');
is(sql('SELECT count(*) FROM streamq.jobs'), '0', 'the stream is dropped, with its views');

done_testing();
