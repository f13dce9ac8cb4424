# Sessions of continuous views: how many the watermark closed, crashes, dump and
# restore.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 16
timezone = 'UTC'
autovacuum = off
});
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q{
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz, k int) USING streamq;
SELECT streamq.create_continuous_view('visits', $$
	SELECT w.window_start, w.window_end, k, count(*) AS n FROM s, streamq.session(at, '10 min') w
	GROUP BY w.window_start, w.window_end, k $$);
SELECT streamq.pause('visits');
});

# what a batch closed, as a listener hears it
my %s = (in => '', out => '');
$s{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$s{in}, '>', \$s{out}, '2>&1', IPC::Run::timeout(180));
$s{in} .= "SELECT format('LISTEN %I', streamq.channel('visits')) \\gexec\n\\echo listening\n";
$s{run}->pump until $s{out} =~ /listening/;
my $tries = 0;
sub closes
{
	my ($watermark, $closed, $name) = @_;
	my $payload = qr/\{"view": "public.visits", "watermark": "\Q$watermark\E", "closed": (\d+)\}/;
	my $last = $tries + 600;

	while ($s{out} !~ $payload && $tries++ < $last)
	{
		$s{in} .= "SELECT pg_sleep(0.1) \\gset x\n\\echo asked $tries\n";
		$s{run}->pump until $s{out} =~ /asked $tries\n/;
	}
	is($s{out} =~ $payload ? $1 : 'none', $closed, $name);
	$s{out} = '';
}

sql(q{INSERT INTO s VALUES ('2026-01-01 10:00', 1), ('2026-01-01 10:05', 2), ('2026-01-01 10:09', 1)});
sql(q{SELECT streamq.run_job('visits')});
sql(q{INSERT INTO s VALUES ('2026-01-01 10:15', 3)});
sql(q{SELECT streamq.run_job('visits')});
closes('2026-01-01T10:15:00+00:00', 1, 'the session that has ended, and not one that has grown');
# a session that begins and ends within a batch, and one that grew before it ended
sql(q{INSERT INTO s VALUES ('2026-01-01 10:16', 4), ('2026-01-01 10:24', 3), ('2026-01-01 10:30', 5)});
sql(q{SELECT streamq.run_job('visits')});
closes('2026-01-01T10:30:00+00:00', 2, 'a session that has begun in the batch too');
# a late row makes a closed session, and another one opens a closed session again
sql(q{INSERT INTO s VALUES ('2026-01-01 09:00', 6), ('2026-01-01 10:26', 4)});
sql(q{SELECT streamq.run_job('visits')});
sql(q{INSERT INTO s VALUES ('2026-01-01 10:35', 7)});
sql(q{SELECT streamq.run_job('visits')});
closes('2026-01-01T10:35:00+00:00', 1, 'no session twice');
sql(q{INSERT INTO s VALUES ('2026-01-01 11:00', 7)});
sql(q{SELECT streamq.run_job('visits')});
closes('2026-01-01T11:00:00+00:00', 3, 'one that a late row has opened again');
is(sql(q{SELECT count(*) FROM visits}), 8, 'all sessions are there');
$s{in} .= "\\q\n";
$s{run}->finish;

# a stream that has gone silent: the last session closes too, and so does one that
# has grown since it was filed
sql(q{
CREATE TABLE quiet (at timestamptz, k int) USING streamq;
CREATE TABLE quiet_out (window_start timestamptz, window_end timestamptz, k int, n bigint) USING streamq;
SELECT streamq.create_continuous_view('quiet_visits', $$
	SELECT w.window_start, w.window_end, k, count(*) AS n FROM quiet, streamq.session(at, '300 ms') w
	GROUP BY w.window_start, w.window_end, k $$, emit_into => 'quiet_out', idle_timeout => '100 ms');
INSERT INTO quiet VALUES ('2026-01-01 00:00', 1), ('2026-01-01 00:00:00.2', 1), ('2026-01-01 00:00:00.4', 1), ('2026-01-01 00:00:00.1', 2);
});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM quiet_out'), 'sessions of a silent stream close');
is(sql(q{SELECT k, n, window_end - window_start FROM quiet_out ORDER BY k}), "1|3|00:00:00.7\n2|1|00:00:00.3", 'as they are');
sql(q{SELECT streamq.drop_continuous_view('quiet_visits')});

# workers, crashes, a dump
my $oracle = q{
	SELECT min(at), max(at) + '10 min', k, count(*)
	FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY k ORDER BY at) AS session
		FROM (SELECT *, (at - lag(at) OVER (PARTITION BY k ORDER BY at) <= '10 min') IS NOT TRUE AS begins FROM s) AS v) AS v
	GROUP BY k, session};
my $differences = qq{SELECT count(*) FROM ((TABLE visits EXCEPT ALL $oracle) UNION ALL ($oracle EXCEPT ALL TABLE visits)) d};
sql(q{SELECT streamq.resume('visits')});
for my $round (1 .. 3)
{
	sql(qq{INSERT INTO s SELECT '2026-01-02'::timestamptz + (i + $round * 10000) % 7919 * interval '97 s', i * i % 23
		FROM generate_series(1, 20000) i WHERE i % 3 = $round - 1});
	$node->stop('immediate');
	$node->start;
}
is(sql(q{SELECT streamq.wait_until_caught_up('visits')}), 't', 'a worker catches up after crashes');
is(sql($differences), 0, 'and no row is missing or counted twice');

my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
sql('CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is($node->safe_psql('restored', q{SELECT streamq.wait_until_caught_up('visits')}), 't', 'the restored view is computed');
is($node->safe_psql('restored', $differences), 0, 'and has the sessions');
$node->safe_psql('restored', q{INSERT INTO s SELECT at + interval '7 min', k FROM s WHERE k < 5});
is($node->safe_psql('restored', q{SELECT streamq.wait_until_caught_up('visits')}), 't', 'it goes on');
is($node->safe_psql('restored', $differences), 0, 'and merges sessions');
is($node->safe_psql('restored', q{SELECT sum(errors) FROM streamq.jobs}), 0, 'without errors');

$node->stop;
done_testing();
