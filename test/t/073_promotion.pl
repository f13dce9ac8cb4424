# Jobs on a primary with a standby: the standby shows each view as of the end of a
# batch while batches run, and after a promotion the jobs go on there.  Whatever part of
# the stream the standby has, every result is that of the same query over it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use Sessions;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 32
timezone = 'UTC'
});
$primary->start;
$primary->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz NOT NULL, n int, k int) USING streamq;
SELECT streamq.alter_stream('s', partitions => 2, partition_by => 'k');
CREATE TABLE l (id int, at timestamptz) USING streamq;
CREATE TABLE r (id int, at timestamptz) USING streamq;
SELECT streamq.alter_stream('r', partitions => 2, partition_by => 'id');
CREATE TABLE out (window_end timestamptz, k int, c bigint, revision int, deleted bool) USING streamq;
CREATE TABLE pairs (l int, r int) USING streamq;
CREATE TABLE names (k int PRIMARY KEY, name text);
INSERT INTO names SELECT i, 'name ' || i FROM generate_series(0, 6) i;
CREATE TABLE enriched (n int, name text);
CREATE TABLE handled (n int, deliveries int);
CREATE SEQUENCE numbers;
CREATE FUNCTION handle(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.handled VALUES ((m.payload->>'n')::int, m.deliveries);
	IF (m.payload->>'n')::int % 50 = 7 AND m.deliveries < 3 THEN RAISE EXCEPTION 'not yet'; END IF;
END $$;
CREATE PROCEDURE produce() LANGUAGE plpgsql AS $$
DECLARE
	base timestamptz := '2026-03-01';
	i int;
BEGIN
	FOR round IN 1 .. 20 LOOP
		i := nextval('numbers') * 10;
		INSERT INTO s SELECT base + (n + n / 100 * 60) * interval '1 s', n, n % 7 FROM generate_series(i, i + 9) n;
		INSERT INTO l SELECT n, base + n * interval '1 s' FROM generate_series(i, i + 9) n WHERE n % 3 > 0;
		INSERT INTO r SELECT n, base + (n + 5) * interval '1 s' FROM generate_series(i, i + 9) n WHERE n % 5 > 0;
		IF round = 10 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
SELECT streamq.create_continuous_view('tumbling', $$
	SELECT w.window_end, k, count(*) AS c FROM s, streamq.tumble(at, '20 s') w GROUP BY w.window_end, k $$, emit_into => 'out');
SELECT streamq.create_continuous_view('hopping', $$
	SELECT w.window_start, k % 2 AS odd, count(*) AS c, sum(n) AS sum, count(DISTINCT k) AS keys
	FROM s, streamq.hop(at, '10 s', '20 s') w GROUP BY w.window_start, k % 2 $$);
SELECT streamq.create_continuous_view('sessions', $$
	SELECT w.window_start, w.window_end, k, count(*) AS c FROM s, streamq.session(at, '30 s') w GROUP BY w.window_start, w.window_end, k $$);
SELECT streamq.create_continuous_view('named', 'SELECT name, count(*) AS c, max(n) AS max FROM s JOIN names USING (k) GROUP BY name');
SELECT streamq.create_continuous_view('of_results', 'SELECT k, count(*) AS c, sum(c) AS sum FROM out GROUP BY k');
SELECT streamq.create_pipe('joining', 'SELECT l.id AS l, r.id AS r FROM l FULL JOIN r
	ON l.id = r.id AND r.at BETWEEN l.at AND l.at + interval ''1 minute''', into_stream => 'pairs', watermark_delay => '1 day');
SELECT streamq.create_pipe('enriching', 'SELECT n, name FROM s JOIN names USING (k)', into_stream => 'enriched');
SELECT streamq.create_handler('handling', 's', 'handle(streamq.message)', retry_backoff => '1 ms', max_deliveries => 5);
});
my @views = qw(tumbling hopping sessions named of_results);
my @jobs = (@views, qw(joining enriching handling));

$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->append_conf('postgresql.conf', q{
max_standby_streaming_delay = -1
});
$standby->start;

my $stop = $primary->basedir . '/stop';
spawn_loop($primary, 'CALL produce()', $stop) for 1 .. 2;

# A view and the counter of its job change in the same transaction.
my %same = (
	tumbling => '(SELECT sum(c) FROM tumbling)',
	hopping => '(SELECT sum(c) / 2 FROM hopping)',
	sessions => '(SELECT sum(c) FROM sessions)',
	named => '(SELECT sum(c) FROM named)',
	of_results => '(SELECT sum(c) FROM of_results)',
);
my %looks;
my $reader = session($standby);
my $start = time;
# for as long as a slow machine takes
while (time < $start + 3 || (time < $start + 60 && grep { keys %{ $looks{$_} } < 3 } @views))
{
	run_in($reader, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
	for my $view (@views)
	{
		my ($processed, $sum) = split /\|/, run_in($reader, "SELECT rows_processed, coalesce($same{$view}, 0) FROM streamq.jobs WHERE name = '$view'");

		$looks{$view}{$processed} = 1;
		next if $processed == $sum;
		is($sum, $processed, "the standby sees what a batch of $view left");
		last;
	}
	run_in($reader, 'COMMIT');
	sleep 0.05;
}
finish($reader);
cmp_ok(scalar(keys %{ $looks{$_} }), '>', 1, "the standby saw $_ change") for @views;
is($standby->safe_psql('postgres', "SELECT count(*) FROM streamq.jobs WHERE state = 'running'"), scalar(@jobs), 'it shows the jobs');
my ($rc, $out, $err) = $standby->psql('postgres', q{SELECT streamq.run_job('tumbling')});
like($err, qr/cannot execute run_job\(\) in a read-only transaction/, 'it runs none');

# without a word, in the middle of batches
$primary->stop('immediate');
end_loops($stop);
$standby->promote;
sub q1 { return $standby->safe_psql('postgres', $_[0]); }
my $before = q1('SELECT count(*) FROM s');
cmp_ok($before, '>', 100, 'the standby has messages');

# more, and rows that move the watermark of the join beyond all
q1('SELECT setval(\'numbers\', nextval(\'numbers\') + 100); CALL produce()');
q1(q{INSERT INTO r SELECT -i, '2027-01-01' FROM generate_series(1, 20) i; INSERT INTO l VALUES (-100, '2027-01-01')});
is(q1("SELECT streamq.wait_until_caught_up('$_', '60 s')"), 't', "$_ goes on") for @jobs;
is(q1("SELECT streamq.wait_until_caught_up('of_results', '60 s')"), 't', 'and the view of its results');

is(q1("SELECT streamq.verify_continuous_view('$_')"), 0, "$_ equals its query") for @views;
cmp_ok(q1('SELECT count(*) FROM s'), '>', $before, 'new messages were added');
is(q1('SELECT sum(c) - (SELECT count(*) FROM s) FROM tumbling'), 0, 'each message is counted once');
is(q1(q{SELECT count(*) FROM (SELECT FROM out GROUP BY window_end, k HAVING count(*) <> max(revision) + 1 OR count(DISTINCT revision) <> count(*)) d}),
	0, 'each revision was emitted once');
is(q1(q{SELECT count(*) FROM (SELECT DISTINCT ON (window_end, k) window_end, k, c FROM out ORDER BY window_end, k, revision DESC) o
	FULL JOIN (SELECT * FROM tumbling WHERE window_end <= streamq.watermark('tumbling')) t USING (window_end, k) WHERE o.c IS DISTINCT FROM t.c}),
	0, 'the last ones are what the view has');
is(q1(q{SELECT count(*) FROM ((SELECT l.id, r.id FROM l FULL JOIN r ON l.id = r.id AND r.at BETWEEN l.at AND l.at + interval '1 minute' WHERE coalesce(l.id, r.id) >= 0
	EXCEPT ALL SELECT l, r FROM pairs) UNION ALL (SELECT l, r FROM pairs WHERE coalesce(l, r) >= 0
	EXCEPT ALL SELECT l.id, r.id FROM l FULL JOIN r ON l.id = r.id AND r.at BETWEEN l.at AND l.at + interval '1 minute')) d}),
	0, 'the join wrote each pair once');
is(q1('SELECT count(*), count(DISTINCT n), count(name) FROM enriched'), q1('SELECT count(*), count(*), count(*) FROM s'), 'the pipe wrote each message once');
is(q1('SELECT count(*), count(DISTINCT n), count(*) FILTER (WHERE deliveries <> CASE WHEN n % 50 = 7 THEN 3 ELSE 1 END) FROM handled'),
	q1('SELECT count(*), count(*), 0 FROM s'), 'the handler was called once for each message, apart from those it failed for');
is(q1(q{SELECT count(*) FROM streamq.job_errors}), 0, 'no message was given up');
is(q1("SELECT count(*) FROM streamq.check_stream('$_')"), 0, "stream $_ is intact") for qw(s l r out pairs);

$standby->stop;
unlike(slurp_file($_->logfile), qr/PANIC|TRAP|terminated by signal|snapshot too old/, $_->name . ': clean log') for ($primary, $standby);
done_testing();
