# Views that emit results, and pipes, in pg_dump and pg_restore: what they have written
# is not written again, and corrections go on with the next revision.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('emission');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
timezone = 'UTC'
max_worker_processes = 32
));
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE src');
$node->safe_psql('postgres', 'CREATE DATABASE dst');

sub src { return $node->safe_psql('src', $_[0]) }
sub dst { return $node->safe_psql('dst', $_[0]) }

src(q(
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz, k int) USING streamq;
CREATE TABLE out (window_end timestamptz, k int, n bigint, revision int, deleted bool) USING streamq;
CREATE TABLE late (at timestamptz, k int) USING streamq;
CREATE TABLE piped (at timestamptz, k int) USING streamq;
SELECT streamq.create_continuous_view('emitting', $$
	SELECT w.window_end, k, count(*) AS n FROM s, streamq.tumble(at, '1 minute') w GROUP BY w.window_end, k $$, emit_into => 'out');
SELECT streamq.create_continuous_view('routing', $$
	SELECT w.window_end, k, count(*) AS n FROM s, streamq.tumble(at, '1 minute') w GROUP BY w.window_end, k $$,
	late_rows => 'route', late_stream => 'late');
SELECT streamq.create_pipe('copying', 'SELECT at, k FROM s WHERE k < 5', into_stream => 'piped');
INSERT INTO s SELECT timestamptz '2026-03-01' + i * interval '1 s', i % 10 FROM generate_series(1, 600) i;
));
sub catch_up
{
	$_[0]->(q(SELECT streamq.wait_until_caught_up('emitting'), streamq.wait_until_caught_up('routing'), streamq.wait_until_caught_up('copying')));
}
catch_up(\&src);
# late rows: corrections, and routed ones
src(q(INSERT INTO s SELECT timestamptz '2026-03-01' + i * interval '10 s', i % 10 FROM generate_series(1, 30) i));
catch_up(\&src);
# the rest is not processed when the dump is taken
src(q(SELECT streamq.pause('emitting'), streamq.pause('routing'), streamq.pause('copying')));
src(q(INSERT INTO s SELECT timestamptz '2026-03-01 00:10' + i * interval '1 s', i % 10 FROM generate_series(1, 100) i));
my $figures = q(SELECT (SELECT count(*) FROM out), (SELECT max(revision) FROM out), (SELECT count(*) FROM late), (SELECT count(*) FROM piped));
my $before = src($figures);

my $file = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('src') ], 'pg_dump');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('dst'), $file ], 'pg_restore');
is(dst($figures), $before, 'what was written is restored');
is(dst(q(SELECT count(*) FROM streamq.jobs WHERE state = 'paused')), '3', 'with the jobs');

# a dump of the restored database, whose jobs never ran, has the same
$node->safe_psql('postgres', 'CREATE DATABASE again');
command_ok([ 'pg_dump', '-Fc', '-f', "$file.2", '-d', $node->connstr('dst') ], 'pg_dump of the restored database');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('again'), "$file.2" ], 'pg_restore of that');

for my $db (\&src, \&dst, sub { return $node->safe_psql('again', $_[0]) })
{
	$db->(q(SELECT streamq.resume('emitting'), streamq.resume('routing'), streamq.resume('copying')));
	catch_up($db);
	# a correction of a window that was emitted before the dump, and one late row
	$db->(q(INSERT INTO s VALUES ('2026-03-01 00:00:30', 3)));
	catch_up($db);
}
my $all = q(SELECT string_agg(o::text, ' ' ORDER BY o) FROM out o);
is(dst($all), src($all), 'the restored view emits what the other one emits');
is($node->safe_psql('again', $all), src($all), 'and so does one that was restored twice');
is(dst(q(SELECT count(*) FROM (SELECT 1 FROM out GROUP BY window_end, k, revision HAVING count(*) > 1) d)), '0', 'nothing twice');
my $late = q(SELECT count(*), count(DISTINCT (at, k)) FROM late);
is(dst($late), src($late), 'late rows are routed once');
my $piped = q(SELECT count(*) FROM piped);
is(dst($piped), src($piped), 'a pipe goes on where it was');
my $shown = q(SELECT string_agg(v::text, ' ' ORDER BY v) FROM emitting v);
is(dst($shown), src($shown), 'the restored view shows the same');

done_testing();
