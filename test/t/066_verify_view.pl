# verify_continuous_view() while producers and workers run, and after a crash.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 16
timezone = 'UTC'
});
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q{
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz, k int, n int) USING streamq;
SELECT streamq.alter_stream('s', partitions => 2);
SELECT streamq.create_continuous_view('groups', 'SELECT k, count(*), sum(n) FROM s GROUP BY k');
SELECT streamq.create_continuous_view('hops', $$
	SELECT w.window_start, k, count(*), sum(n) FROM s, streamq.hop(at, '10 s', '30 s') w GROUP BY w.window_start, k $$);
SELECT streamq.create_continuous_view('visits', $$
	SELECT w.window_start, w.window_end, k, count(*), array_agg(DISTINCT n) FROM s, streamq.session(at, '1 s') w
	GROUP BY w.window_start, w.window_end, k $$);
});

# some transactions stay open for a while, and some are rolled back
my $produce = q{
INSERT INTO s SELECT '2026-01-01'::timestamptz + interval '1 s' * floor(random() * 600), random() * 20, random() * 5 FROM generate_series(1, 50);
BEGIN;
INSERT INTO s SELECT '2026-01-01'::timestamptz + interval '1 s' * floor(random() * 600), random() * 20, random() * 5 FROM generate_series(1, 20);
SELECT pg_sleep(random() * 0.1);
ROLLBACK;
INSERT INTO s SELECT '2026-01-01'::timestamptz + interval '1 s' * floor(random() * 600), random() * 20, length(pg_sleep(0.01)::text) FROM generate_series(1, 3);
};

my $file = PostgreSQL::Test::Utils::tempdir() . '/stop';
spawn_loop($node, $_, $file) foreach ($produce, $produce);

ok($node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM streamq.jobs WHERE rows_processed > 500}), 'the views run');
my $before = sql(q{SELECT min(rows_processed) FROM streamq.jobs});
foreach my $view (qw(groups hops visits))
{
	my @differing = grep { $_ ne '0' } map { sql("SELECT streamq.verify_continuous_view('$view')") } 1 .. 20;
	is("@differing", '', "$view is equal to its query while it changes");
}
# the snapshot of a transaction stays the same
is(sql(q{
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) > 0 FROM groups;
SELECT pg_sleep(1);
SELECT streamq.verify_continuous_view('groups'), streamq.verify_continuous_view('visits');
COMMIT;
}), "t\n\n0|0", 'with a snapshot that is not the newest');
ok(sql(q{SELECT min(rows_processed) FROM streamq.jobs}) > $before, 'the views have changed meanwhile');

$node->stop('immediate');
$node->start;
is(sql("SELECT streamq.verify_continuous_view('$_')"), 0, "$_ after a crash") foreach qw(groups hops visits);
end_loops($file);
$node->stop;
done_testing();
