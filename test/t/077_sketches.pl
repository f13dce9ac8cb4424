# Continuous views with the aggregates of the extensions hll and tdigest, whose states are
# serialized: across batches, merged windows, a crash and a dump.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 16
timezone = 'UTC'
});
$node->start;
my $db = 'postgres';
sub sql { return $node->safe_psql($db, $_[0]); }

my %installed = map { $_ => sql("SELECT count(*) FROM pg_available_extensions WHERE name = '$_'") } qw(hll tdigest);
plan skip_all => 'neither hll nor tdigest is installed' unless grep { $_ } values %installed;

my %from = (
	windows => q{s, streamq.tumble(at, '1 min') GROUP BY window_start, window_end, k},
	hops => q{s, streamq.hop(at, '1 min', '3 min') GROUP BY window_start, window_end, k},
	visits => q{s, streamq.session(at, '5 s') GROUP BY window_start, window_end, k});
my %outputs = (
	hll => 'count(*) AS n, hll_cardinality(hll_add_agg(hll_hash_integer(u))) AS users, hll_add_agg(hll_hash_integer(u)) AS sketch, count(DISTINCT u) AS exact',
	tdigest => 'count(*) AS n, tdigest_percentile(x, 100, 0.5) AS median, tdigest_percentile(x, 100, ARRAY[0.1, 0.9]) AS tails, percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS exact');

sub feed
{
	my ($first, $last) = @_;
	sql(qq{INSERT INTO s SELECT '2026-01-01'::timestamptz + i * 7 % 600 * interval '1 s' + (i % 5) * interval '1 min', i % 3, i * 31 % 4001, (i * 7919 % 10007) / 10.0
		FROM generate_series($first, $last) i});
}

# what is wrong in the views of one extension
sub check
{
	my ($extension, $when) = @_;
	my @views = map { "${extension}_$_" } sort keys %from;

	sql("SELECT streamq.run_job('$_', 1000)") foreach @views;
	is(sql(q{SELECT string_agg(name || ' ' || last_error, ', ') FROM streamq.jobs WHERE errors > 0 OR last_error IS NOT NULL}), '', "$extension: no errors $when");
	foreach my $view (@views)
	{
		ok(sql("SELECT count(*) FROM $view") > 10, "$view has rows $when");
		if ($extension eq 'hll')
		{
			is(sql("SELECT streamq.verify_continuous_view('$view')"), 0, "$view is equal to its query $when");
			is(sql("SELECT count(*) FROM $view WHERE abs(users - exact) > 0.15 * exact + 1"), 0, "$view: estimates are good $when");
		}
		else
		{
			# a digest depends on the order of its values, and on how it was merged
			is(sql("SELECT count(*) FROM $view WHERE n > 30 AND abs(median - exact) > 0.05 * exact"), 0, "$view: medians are good $when");
		}
	}
}

sql('CREATE EXTENSION streamq; CREATE TABLE s (at timestamptz NOT NULL, k int, u int, x float8) USING streamq');
my @extensions = grep { $installed{$_} } qw(hll tdigest);
foreach my $extension (@extensions)
{
	sql("CREATE EXTENSION $extension");
	foreach my $windows (sort keys %from)
	{
		sql(qq{SELECT streamq.create_continuous_view('${extension}_$windows', \$\$SELECT window_start, k, $outputs{$extension} FROM $from{$windows}\$\$)});
		sql("SELECT streamq.pause('${extension}_$windows')");
	}
}
feed(1, 2000);
check($_, 'at first') foreach @extensions;
feed(2001, 4000);
check($_, 'with more rows') foreach @extensions;
is(sql(q{SELECT DISTINCT format_type(atttypid, NULL) FROM streamq.job JOIN pg_attribute ON attrelid = state_table
	WHERE target::regclass::text ~ '_(windows|hops)$' AND attname = 'agg_2'}), 'streamq.aggregate_state', 'states are kept, not values');

SKIP:
{
	skip 'hll is not installed', 2 unless $installed{hll};
	# sketches of windows make one of all
	is(sql('SELECT hll_cardinality(hll_union_agg(sketch)) = (SELECT hll_cardinality(hll_add_agg(hll_hash_integer(u))) FROM s) FROM hll_windows'), 't',
		'sketches of a view can be merged');
	my ($ret, $out, $err) = $node->psql('postgres', 'DROP EXTENSION hll');
	like($err, qr/view hll_windows depends on/, 'the extension stays while views use it');
}

$node->stop('immediate');
$node->start;
feed(4001, 4500);
check($_, 'after a crash') foreach @extensions;

# the state is computed again after a restore
my $dump = $node->basedir . '/dump.sql';
$node->command_ok(['pg_dump', '-f', $dump, '-d', $node->connstr('postgres')], 'dump');
sql('CREATE DATABASE restored');
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored')], 'restore');
$db = 'restored';
check($_, 'after a restore') foreach @extensions;

$node->stop;
done_testing();
