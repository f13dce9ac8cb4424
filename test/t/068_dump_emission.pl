# Views that emit results, pipes, joins and handlers in pg_dump and pg_restore: what
# they have written is not written again, and corrections go on with the next revision.
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
CREATE TABLE l (id int, at timestamptz) USING streamq;
CREATE TABLE r (id int, at timestamptz) USING streamq;
SELECT streamq.alter_stream('r', partitions => 2, partition_by => 'id');
CREATE TABLE pairs (l int, r int) USING streamq;
SELECT streamq.create_pipe('joining', 'SELECT l.id AS l, r.id AS r FROM l FULL JOIN r
	ON l.id = r.id AND r.at BETWEEN l.at AND l.at + interval ''1 minute''', into_stream => 'pairs', watermark_delay => '10 minutes');
CREATE TABLE handled (id int);
CREATE FUNCTION handle(m streamq.message) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.handled VALUES ((m.payload->>'id')::int);
	IF (m.payload->>'id')::int = 103 AND m.deliveries = 1 THEN RAISE EXCEPTION 'not yet'; END IF;
END $$;
CREATE PROCEDURE until_one_waits() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 6000 LOOP
		EXIT WHEN EXISTS (SELECT FROM streamq.job_retry);
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT streamq.create_handler('handling', 'r', 'handle(streamq.message)', retry_backoff => '1 h');
INSERT INTO s SELECT timestamptz '2026-03-01' + i * interval '1 s', i % 10 FROM generate_series(1, 600) i;
INSERT INTO l SELECT i, timestamptz '2026-03-01' + i * interval '10 s' FROM generate_series(1, 100) i;
INSERT INTO r SELECT i, timestamptz '2026-03-01' + i * interval '10 s' FROM generate_series(51, 90) i WHERE i % 2 = 0;
));
sub catch_up
{
	$_[0]->(q(SELECT streamq.wait_until_caught_up('emitting'), streamq.wait_until_caught_up('routing'), streamq.wait_until_caught_up('copying'), streamq.wait_until_caught_up('joining')));
}
catch_up(\&src);
src(q(SELECT streamq.wait_until_caught_up('handling')));
# late rows: corrections, and routed ones
src(q(INSERT INTO s SELECT timestamptz '2026-03-01' + i * interval '10 s', i % 10 FROM generate_series(1, 30) i));
catch_up(\&src);
# the rest is not processed when the dump is taken
src(q(SELECT streamq.pause('emitting'), streamq.pause('routing'), streamq.pause('copying'), streamq.pause('joining')));
# the handler has one message that waits for its retry, and others after it
src(q(INSERT INTO r SELECT i, timestamptz '2026-03-01' + i * interval '10 s' FROM generate_series(101, 110) i));
src(q(CALL until_one_waits()));
src(q(SELECT streamq.pause('handling')));
src(q(INSERT INTO s SELECT timestamptz '2026-03-01 00:10' + i * interval '1 s', i % 10 FROM generate_series(1, 100) i));
my $figures = q(SELECT (SELECT count(*) FROM out), (SELECT max(revision) FROM out), (SELECT count(*) FROM late), (SELECT count(*) FROM piped),
	(SELECT count(*) FROM pairs), (SELECT count(*) FROM handled));
my $before = src($figures);

my $file = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('src') ], 'pg_dump');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('dst'), $file ], 'pg_restore');
is(dst($figures), $before, 'what was written is restored');
is(dst(q(SELECT count(*) FROM streamq.jobs WHERE state = 'paused')), '5', 'with the jobs');

# a dump of the restored database, whose jobs never ran, has the same
$node->safe_psql('postgres', 'CREATE DATABASE again');
command_ok([ 'pg_dump', '-Fc', '-f', "$file.2", '-d', $node->connstr('dst') ], 'pg_dump of the restored database');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('again'), "$file.2" ], 'pg_restore of that');

for my $db (\&src, \&dst, sub { return $node->safe_psql('again', $_[0]) })
{
	$db->(q(SELECT streamq.resume('emitting'), streamq.resume('routing'), streamq.resume('copying'), streamq.resume('joining')));
	catch_up($db);
	# a correction of a window that was emitted before the dump, and one late row
	$db->(q(INSERT INTO s VALUES ('2026-03-01 00:00:30', 3)));
	# a late message, a match of a message that waited, and an end
	$db->(q(INSERT INTO l VALUES (5, '2026-03-01 00:00:50')));
	$db->(q(INSERT INTO l SELECT i, timestamptz '2026-03-01' + i * interval '10 s' FROM generate_series(101, 105) i));
	catch_up($db);
	$db->(q(INSERT INTO r VALUES (1000, '2026-03-02'), (1001, '2026-03-02'), (1002, '2026-03-02'), (1003, '2026-03-02')));
	$db->(q(INSERT INTO l VALUES (1000, '2026-03-02'), (2000, '2026-03-02')));
	catch_up($db);
	$db->(q(SELECT streamq.resume('handling')));
	# the first try fails, in a restored database again
	$db->(q(CALL until_one_waits()));
	$db->(q(UPDATE streamq.job_retry SET retry_at = now()));
	$db->(q(SELECT streamq.wait_until_caught_up('handling')));
}
my $all = q(SELECT string_agg(o::text, ' ' ORDER BY o) FROM out o);
is(dst($all), src($all), 'the restored view emits what the other one emits');
is($node->safe_psql('again', $all), src($all), 'and so does one that was restored twice');
is(dst(q(SELECT count(*) FROM (SELECT 1 FROM out GROUP BY window_end, k, revision HAVING count(*) > 1) d)), '0', 'nothing twice');
my $late = q(SELECT count(*), count(DISTINCT (at, k)) FROM late);
is(dst($late), src($late), 'late rows are routed once');
my $piped = q(SELECT count(*) FROM piped);
is(dst($piped), src($piped), 'a pipe goes on where it was');
my $pairs = q(SELECT string_agg(p::text, ' ' ORDER BY l, r) FROM pairs p);
is(dst($pairs), src($pairs), 'a join goes on where it was');
is($node->safe_psql('again', $pairs), src($pairs), 'and so does one that was restored twice');
is(src(q(SELECT count(l), count(DISTINCT l), count(r), count(DISTINCT r), count(*) FROM pairs WHERE l IS DISTINCT FROM 5)),
	'105|105|31|31|110', 'which writes each message once');
my $late_rows = q(SELECT late_rows FROM streamq.jobs WHERE name = 'joining');
is(dst($late_rows), src($late_rows), 'the same message is late');
my $handled = q(SELECT string_agg(id::text, ' ' ORDER BY id) FROM handled);
is(src(q(SELECT count(*), count(DISTINCT id) FROM handled)), '34|34', 'a handler is called once for each message');
is(dst($handled), src($handled), 'a restored handler is called for the messages after its position');
my $shown = q(SELECT string_agg(v::text, ' ' ORDER BY v) FROM emitting v);
is(dst($shown), src($shown), 'the restored view shows the same');

done_testing();
