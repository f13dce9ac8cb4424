# Windows that close without new rows, chains of views, and emission across crashes:
# every result is emitted exactly once.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('closing');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
timezone = 'UTC'
streamq.naptime = '10 s'
streamq.max_workers_per_database = 2
));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');

sub sql { return $node->safe_psql('postgres', $_[0]) }

# ---- a quiet stream ----

# the naptime is long, so nothing happens in time unless the job is due by itself
sql(q(
CREATE TABLE quiet (at timestamptz) USING streamq;
CREATE TABLE quiet_out (window_end timestamptz, n bigint) USING streamq;
CREATE TABLE total_out (window_end timestamptz, windows bigint, n bigint) USING streamq;
SELECT streamq.create_continuous_view('quiet_view', $$
	SELECT w.window_end, count(*) AS n FROM quiet, streamq.tumble(at, '1 s') w GROUP BY w.window_end $$,
	emit_into => 'quiet_out', idle_timeout => '200 ms');
SELECT streamq.create_continuous_view('chained', $$
	SELECT w.window_end, count(*) AS windows, sum(n)::bigint AS n
	FROM quiet_out, streamq.tumble(window_end - interval '1 microsecond', '2 s') w GROUP BY w.window_end $$,
	emit_into => 'total_out', idle_timeout => '200 ms');
));
sql(q(INSERT INTO quiet VALUES ('2026-03-01 00:00:00.1'), ('2026-03-01 00:00:00.2'), ('2026-03-01 00:00:01.5')));
my $start = time;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM quiet_out'), 'the last window of a quiet stream closes');
cmp_ok(time - $start, '<', 5, 'soon after its end');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM total_out'), 'and that of the view that reads the results');
cmp_ok(time - $start, '<', 8, 'soon, too');
is(sql('SELECT * FROM total_out'), '2026-03-01 00:00:02+00|2|3', 'the whole chain is right');

# a job without a worker is woken when it is due
sql(q(
CREATE TABLE busy (i int) USING streamq;
SELECT streamq.create_continuous_view('busy_' || i, 'SELECT count(*) AS n FROM busy') FROM generate_series(1, 4) i;
INSERT INTO busy SELECT generate_series(1, 10);
));
sql(q(INSERT INTO quiet VALUES ('2026-03-01 00:00:10')));
$start = time;
for (1 .. 20)
{
	sql('INSERT INTO busy VALUES (1)');
	usleep(100_000);
}
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM quiet_out WHERE window_end = '2026-03-01 00:00:11')),
	'a window closes although the workers are busy with other jobs');
cmp_ok(time - $start, '<', 6, 'in time');

# and after a restart
sql(q(INSERT INTO quiet VALUES ('2026-03-01 00:00:20')));
$node->restart;
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM quiet_out WHERE window_end = '2026-03-01 00:00:21')),
	'a window closes after a restart');
sql(q(DROP VIEW chained; DROP VIEW quiet_view));

# ---- crashes ----

sql(q(
CREATE TABLE orders (at timestamptz, k int, n int) USING streamq;
CREATE TABLE orders_out (window_start timestamptz, k int, c bigint, s bigint, revision int, deleted bool) USING streamq;
CREATE TABLE orders_late (at timestamptz, k int, n int) USING streamq;
SELECT streamq.create_continuous_view('updated', $$
	SELECT w.window_start, k, count(*) AS c, sum(n) AS s FROM orders, streamq.tumble(at, '10 s') w GROUP BY w.window_start, k $$,
	emit_into => 'orders_out');
SELECT streamq.create_continuous_view('routed', $$
	SELECT w.window_start, k, count(*) AS c, sum(n) AS s FROM orders, streamq.tumble(at, '10 s') w GROUP BY w.window_start, k $$,
	late_rows => 'route', late_stream => 'orders_late');
CREATE FUNCTION add_orders(seed int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO orders SELECT '2026-03-01'::timestamptz + (seed * 40 + hashint4(seed * 1000 + i) % 60) * interval '1 s', i % 7, i
	FROM generate_series(1, 300) i
$$;
));
for my $seed (1 .. 30)
{
	sql("SELECT add_orders($seed)");
	if ($seed % 10 == 0)
	{
		$node->stop('immediate');
		$node->start;
	}
	elsif ($seed % 4 == 0)
	{
		# a SIGKILL of a worker is a crash of the server, so it ends as an administrator would end it
		sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ 'streamq job'));
	}
}
sql(q(SELECT streamq.wait_until_caught_up('updated', '3 minutes'), streamq.wait_until_caught_up('routed', '3 minutes')));
is(sql(q(SELECT count(*) FROM (SELECT window_start, k, revision FROM orders_out GROUP BY 1, 2, 3 HAVING count(*) > 1) d)), '0',
	'no revision is emitted twice');
is(sql(q(SELECT count(*) FROM (SELECT max(revision) - count(*) + 1 AS gap FROM orders_out GROUP BY window_start, k) d WHERE gap <> 0)), '0',
	'no revision is missing');
is(sql(q(SELECT count(*) FROM (
	SELECT DISTINCT ON (window_start, k) window_start, k, c, s FROM orders_out ORDER BY window_start, k, revision DESC) o
	FULL JOIN (SELECT * FROM updated WHERE window_start + interval '10 s' <= streamq.watermark('updated')) v USING (window_start, k)
	WHERE (o.c, o.s) IS DISTINCT FROM (v.c, v.s))), '0', 'the last revisions are the view');
cmp_ok(sql('SELECT max(revision) FROM orders_out'), '>', 0, 'there were corrections');
is(sql(q(SELECT (SELECT sum(c) FROM routed) + (SELECT count(*) FROM orders_late) - (SELECT count(*) FROM orders))), '0',
	'each row is in the view or in the late stream');
is(sql(q(SELECT (SELECT count(*) FROM orders_late) - (SELECT late_rows FROM streamq.jobs WHERE name = 'routed'))), '0',
	'late rows are routed once');
is(sql(q(SELECT (SELECT count(*) FROM orders_out) - (SELECT rows_written FROM streamq.job_stats s JOIN streamq.job j USING (job_id)
	WHERE target = 'updated'::regclass))), '0', 'and emitted rows are counted');

done_testing();
