# Windows that overlap: listeners hear how many have closed, and a view equals
# its query after a crash of the server in the middle of its work.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 32
timezone = 'UTC'
});
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION streamq});

# ---- closed windows

$node->safe_psql('postgres', q{
CREATE TABLE clicks (at timestamptz NOT NULL, k int) USING streamq;
SELECT streamq.create_continuous_view('hopping', $$SELECT window_end, k, count(*) AS n
	FROM clicks, streamq.hop(at, '5 minutes', '1 hour') GROUP BY 1, 2$$, watermark_delay => '1 s');
SELECT streamq.create_continuous_view('dropping', $$SELECT window_end, k, count(*) AS n
	FROM clicks, streamq.hop(at, '5 minutes', '1 hour') GROUP BY 1, 2$$, watermark_delay => '1 s', late_rows => 'drop');
SELECT streamq.create_continuous_view('growing', $$SELECT window_end, k, count(*) AS n
	FROM clicks, streamq.cumulate(at, '10 minutes', '1 day') GROUP BY 1, 2$$);
SELECT streamq.create_continuous_view('monthly', $$SELECT window_end, k, count(*) AS n
	FROM clicks, streamq.hop(at, '1 month', '3 months') GROUP BY 1, 2$$);
});
my %channel = map { $_ => $node->safe_psql('postgres', "SELECT streamq.channel('$_')") }
	('hopping', 'dropping', 'growing', 'monthly');
my $listener = $node->background_psql('postgres');
$listener->query_safe("LISTEN $_") for values %channel;

# what listeners heard of a view since the last call
sub closed
{
	my (%expected) = @_;
	my $heard = '';
	$node->safe_psql('postgres', "SELECT streamq.wait_until_caught_up('$_', '30 s')") for keys %channel;
	for (1 .. 100)
	{
		$heard .= $listener->query_safe('SELECT pg_sleep(0.1)');
		last unless grep { $heard !~ /"$channel{$_}" with payload/ } keys %expected;
	}
	my %got;
	$got{$1} += $2 while $heard =~ /"public\.(\w+)", "watermark": "[^"]+", "closed": (\d+)/g;
	return \%got;
}

sub produce
{
	my (@times) = @_;
	$node->safe_psql('postgres', 'INSERT INTO clicks VALUES ' . join(', ', map { "('$_', 1), ('$_', 2)" } @times));
}

# windows end at 00:05 ... 01:00 with the first row, which closes nothing
produce('2024-01-01 00:01', '2024-01-01 00:02');
$node->safe_psql('postgres', "SELECT streamq.wait_until_caught_up('$_', '30 s')") for keys %channel;
my %expected = (hopping => 2, dropping => 2, growing => 1);
produce('2024-01-01 00:10:30');
is_deeply(closed(%expected), \%expected, 'windows that end until the watermark close');
# 00:15 to 01:10 have rows, and the day grows until 10:00
%expected = (hopping => 12, dropping => 12, growing => 59);
produce('2024-01-01 10:00');
is_deeply(closed(%expected), \%expected, 'windows without rows do not count');
# a late row makes no window close that has closed; three months end with March
%expected = (hopping => 13, dropping => 13, growing => 84, monthly => 2);
produce('2024-01-01 09:58', '2024-03-10 00:00');
is_deeply(closed(%expected), \%expected, 'after a late row');

# ---- crash

$node->safe_psql('postgres', q{
CREATE TABLE s (at timestamptz NOT NULL, k text, v numeric) USING streamq;
SELECT streamq.alter_stream('s', partitions => 3);
SELECT streamq.create_continuous_view('hops', $$SELECT window_start, window_end, k, count(*) AS n, sum(v) AS v, avg(v) AS mean
	FROM s, streamq.hop(at, '7 s', '1 minute') GROUP BY 1, 2, 3$$);
SELECT streamq.create_continuous_view('cumulates', $$SELECT window_start, window_end, k, count(*) AS n, sum(v) AS v, avg(v) AS mean
	FROM s, streamq.cumulate(at, '10 s', '1 minute') GROUP BY 1, 2, 3$$);
});
my %query = (
	hops => q{SELECT window_start, window_end, k, count(*), sum(v), avg(v) FROM s, streamq.hop(at, '7 s', '1 minute') GROUP BY 1, 2, 3},
	cumulates => q{SELECT window_start, window_end, k, count(*), sum(v), avg(v) FROM s, streamq.cumulate(at, '10 s', '1 minute') GROUP BY 1, 2, 3},
);
for my $round (1 .. 3)
{
	$node->safe_psql('postgres', qq{INSERT INTO s SELECT '2024-01-01'::timestamptz + (g * 7919 % 10007) * '83 ms'::interval + '$round minutes',
		'k' || g % 20, g / 3.0 FROM generate_series(1, 20000) g});
	$node->stop('immediate') if $round < 3;
	$node->start if $round < 3;
}
for my $view (sort keys %query)
{
	is($node->safe_psql('postgres', "SELECT streamq.wait_until_caught_up('$view', '60 s')"), 't', "$view catches up");
	is($node->safe_psql('postgres', "SELECT count(*) FROM ((TABLE $view EXCEPT ALL ($query{$view})) UNION ALL (($query{$view}) EXCEPT ALL TABLE $view)) x"),
		0, "$view equals its query after crashes");
}

$node->stop;
done_testing();
