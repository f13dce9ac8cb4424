# Continuous views against their queries: random queries (windows, aggregates, filters,
# groupings) over random messages (NULLs, disorder, duplicates, NaN and infinities, several
# types and collations) in streams of 1 and 4 partitions.  Messages come in transactions that
# overlap and roll back; jobs run in batches of random sizes.  With late_rows => 'update' the
# view must equal its query at any time.
#
# STREAMQ_DIFFERENTIAL_CASES (200) and STREAMQ_DIFFERENTIAL_SEED (1) change what is tried.
# The last part runs views in workers, kills these and the server, and compares afterwards.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions;
use Test::More;

my $cases = $ENV{STREAMQ_DIFFERENTIAL_CASES} || 200;
my $seed = $ENV{STREAMQ_DIFFERENTIAL_SEED} || 1;
my $only = $ENV{STREAMQ_DIFFERENTIAL_ONLY} || '';    # kinds of windows
srand($seed);
note("$cases cases, seed $seed");

sub one_of { return $_[ int(rand(@_)) ] }
sub chance { return rand() < $_[0] }

# some_of N, LIST: n different ones
sub some_of
{
	my ($n, @list) = @_;
	my @result;

	push @result, splice(@list, int(rand(@list)), 1) while @list && $n-- > 0;
	return @result;
}

my $node = PostgreSQL::Test::Cluster->new('differential');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
fsync = off
timezone = 'America/New_York'
streamq.max_workers_per_database = 0
));
$node->start;

my $writer = session($node);
my $other = session($node);

# run SQL; an error ends the test
sub sql
{
	my ($text, $session) = @_;
	my $answer = run_in($session || $writer, $text);

	die "$text\n$answer" if $answer =~ /^(?:ERROR|FATAL|PANIC|psql:)/m;
	return $answer;
}

# ---- messages

my @columns = (
	'at timestamptz', 'ts timestamp', 'd date', 'k int', 'i bigint', 'n numeric', 'f float8',
	't text', 'ci text COLLATE case_blind', 'b bool', 'j jsonb', 'v int[]');

# SQL that writes so many messages
sub messages
{
	my ($table, $n, $base) = @_;
	my $spread = one_of(30, 600, 7200);    # seconds of disorder

	return qq(INSERT INTO $table SELECT
		CASE WHEN random() < 0.02 THEN NULL WHEN random() < 0.01 THEN 'infinity' ELSE e END,
		CASE WHEN random() < 0.02 THEN NULL ELSE e AT TIME ZONE 'UTC' END,
		CASE WHEN random() < 0.02 THEN '-infinity' ELSE (e AT TIME ZONE 'UTC')::date END,
		CASE WHEN random() < 0.1 THEN NULL ELSE floor(random() * 5) END,
		floor(random() * 2000000000000),
		(ARRAY[NULL, 'NaN', 'Infinity', '-Infinity', 1.0, 1.00, 2.5, -3, 0.001, 123456789012345678901234567890])[1 + floor(random() * 10)],
		(ARRAY[NULL, 'NaN', 'Infinity', '-Infinity', 0, '-0', 0.25, 1.5, -2.75, 1024])[1 + floor(random() * 10)],
		(ARRAY[NULL, '', 'a', 'A', 'b', 'ä', 'longer text', repeat('x', 300)])[1 + floor(random() * 8)],
		(ARRAY[NULL, 'one', 'ONE', 'Two', 'two'])[1 + floor(random() * 5)],
		CASE WHEN random() < 0.2 THEN NULL ELSE random() < 0.5 END,
		(ARRAY[NULL, '{}', '[1]', '{"a": 1}', '{"a": 1.0}'])[1 + floor(random() * 5)]::jsonb,
		CASE WHEN random() < 0.1 THEN NULL ELSE ARRAY[floor(random() * 2)::int, 7] END
		FROM (SELECT date_trunc('second', timestamptz '2024-03-09 12:00+00' + (1 + random() * 0.1) * g * '$base seconds'::interval
				- random() * '$spread seconds'::interval) AS e
			FROM generate_series(1, $n) AS g) AS events);
	}

# ---- queries

my @keys = ('k', 't', 'n', 'f', 'b', 'd', 'j', 'v', 'ci', 'k % 2', 'coalesce(t, k::text)', 'n > 1', 'lower(t)');

my @aggregates = (
	'count(*)', 'count(k)', 'sum(k)', 'sum(i)', 'sum(n)', 'sum(f)', 'avg(i)', 'avg(k)', 'avg(f)', 'avg(n)',
	'min(t)', 'max(t)', 'max(n)', 'min(f)', 'max(at)', 'min(ts)', 'max(d)', 'min(v)', 'bool_or(b)', 'every(b)',
	'bit_and(k)', 'bit_xor(i)', 'stddev_pop(i)', 'var_samp(k)', 'variance(i)', 'regr_count(f, k)',
	'max(length(t)) + min(k)', 'sum(k)::numeric / nullif(count(*), 0)', 'coalesce(sum(k), -1)');
my @collected = (
	'count(DISTINCT k)', 'count(DISTINCT t)', 'count(DISTINCT ci)', 'sum(DISTINCT n)', 'array_agg(DISTINCT k)',
	'array_agg(k ORDER BY k, i)', q(string_agg(t, ',' ORDER BY t COLLATE "C")), 'jsonb_agg(k ORDER BY k DESC)',
	'percentile_cont(0.5) WITHIN GROUP (ORDER BY f)', 'percentile_disc(0.9) WITHIN GROUP (ORDER BY n)',
	'percentile_disc(ARRAY[0.1, 0.5]) WITHIN GROUP (ORDER BY i)', 'mode() WITHIN GROUP (ORDER BY k)',
	'rank(2) WITHIN GROUP (ORDER BY k)', 'count(DISTINCT (k, b))');
my @filters = ('k > 1', 'b', 't IS NOT NULL', 'n > 0', 'f < 1000', "lower(t) <> 'a'", 'k IN (0, 2, 3)', 'i % 2 = 0');

sub aggregate
{
	my $call = chance(0.3) ? one_of(@collected) : one_of(@aggregates);

	$call =~ s/^(\w+\([^()]*\)(?: WITHIN GROUP \([^()]*\))?)/"$1 FILTER (WHERE " . one_of(@filters) . ')'/e
		if chance(0.2) && $call !~ /ARRAY|\(k, b|nullif|length|coalesce/;
	return $call;
}

# The windows of a query: what to write in FROM, the expressions in GROUP BY, and for a
# session the gap.
my %windows = (
	none => sub { return ('', []) },
	tumble => sub {
		my $time = one_of('at', 'ts', 'd');
		my $size = $time eq 'd' ? one_of('1 day', '3 days', '1 month') : one_of('7 seconds', '1 minute', '1 hour', '1 day', '1 month');
		my $origin = chance(0.3) && $time eq 'at' ? ", '2024-01-01 00:00:03 UTC'" : '';
		return (", streamq.tumble($time, '$size'$origin) w", [ 'w.window_start', 'w.window_end' ]);
	},
	hop => sub {
		my $time = one_of('at', 'ts');
		my $pair = one_of("'10 s', '1 min'", "'10 s', '25 s'", "'1 min', '10 s'", "'1 h', '1 day'", "'1 month', '3 months'");
		return (", streamq.hop($time, $pair) w", one_of([ 'w.window_start', 'w.window_end' ], ['w.window_start'], ['w.window_end']));
	},
	cumulate => sub {
		my $time = one_of('at', 'ts');
		my $pair = one_of("'10 s', '1 min'", "'5 min', '1 h'", "'6 h', '1 day'");
		return (", streamq.cumulate($time, $pair) w", [ 'w.window_start', 'w.window_end' ]);
	},
	session => sub {
		my $time = one_of('at', 'ts');
		my $gap = one_of('3 s', '20 s', '2 min', '1 h');
		return (", streamq.session($time, '$gap') w", [ 'w.window_start', 'w.window_end' ], $time, $gap);
	},
	truncate => sub {
		my $unit = one_of('minute', 'hour', 'day', 'week', 'month');
		return ('', [ one_of("date_trunc('$unit', ts)", "date_trunc('$unit', at, 'Europe/Berlin')", "date_bin('7 minutes', at, '2024-01-01 00:00+00')", "date_trunc('$unit', at AT TIME ZONE 'Europe/Berlin')") ]);
	});
my @kinds = $only ? split(/ /, $only) : sort keys %windows;

# The query of a case, as the view's text and as the query to compare with.
sub make_query
{
	my ($table, $kind) = @_;
	my ($from, $groups, $time, $gap) = $windows{$kind}->();
	my @by = some_of(one_of(0, 1, 1, 2, 3), @keys);
	my @aggs = map { aggregate() } 1 .. one_of(1, 2, 3, 4);
	my $where = chance(0.4) ? one_of(@filters) : '';
	my @group = (@$groups, @by);
	my $having = chance(0.25) ? ' HAVING ' . one_of('count(*) > 1', 'sum(k) >= 3', 'max(t) IS NOT NULL') : '';
	my $n = 0;
	my $outputs = join(', ', map { $n++; "$_ AS c$n" }
			((map { $_ eq 'ci' ? 'lower(ci) COLLATE "C"' : $_ } @group), @aggs));
	my $tail = (@group ? ' GROUP BY ' . join(', ', @group) : '') . $having;
	my $view = "SELECT $outputs FROM $table$from" . ($where ? " WHERE $where" : '') . $tail;

	return ($view, $view) unless $kind eq 'session';

	# gaps and islands
	my $partition = @by ? 'PARTITION BY ' . join(', ', @by) : '';
	my $island = 'PARTITION BY ' . join(', ', @by, 'island');
	my $batch = "SELECT $outputs FROM (
		SELECT *, min($time) OVER island AS session_start, max($time) OVER island + interval '$gap' AS session_end FROM (
			SELECT *, count(*) FILTER (WHERE begins) OVER ($partition ORDER BY $time ROWS UNBOUNDED PRECEDING) AS island FROM (
				SELECT *, coalesce($time - lag($time) OVER ($partition ORDER BY $time) > '$gap', true) AS begins
				FROM $table WHERE isfinite($time)" . ($where ? " AND ($where)" : '') . ") a) b
			WINDOW island AS ($island)) $table,
		LATERAL (SELECT session_start AS window_start, session_end AS window_end) w$tail";
	return ($view, $batch);
}

# rows in which two queries differ
sub difference
{
	my ($a, $b) = @_;

	return "SELECT (SELECT count(*) FROM ($a EXCEPT ALL ($b)) x) + (SELECT count(*) FROM (($b) EXCEPT ALL $a) y)";
}

# ---- cases in one session

sql('CREATE EXTENSION streamq');
# a server without ICU has no collations under which different strings are equal
my $has_icu = sql(q(SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i')) eq 't';
sql('CREATE COLLATION case_blind ' . ($has_icu ?
		q((provider = icu, locale = 'und-u-ks-level2', deterministic = false)) : 'FROM "C"'));
sql("SELECT setseed(0.$seed)");

sub make_stream
{
	my ($name, $partitions) = @_;

	sql("CREATE TABLE $name (" . join(', ', @columns) . ') USING streamq');
	sql("SELECT streamq.alter_stream('$name', partitions => $partitions, partition_by => 'k')") if $partitions > 1;
	return;
}

# Write messages in transactions that overlap; some are rolled back.
sub write_some
{
	my ($table) = @_;
	my $base = one_of(1, 7, 60);

	sql('BEGIN; ' . messages($table, one_of(1, 2, 20), $base), $other) if chance(0.5);
	sql(messages($table, one_of(1, 5, 40, 120), $base)) for 1 .. one_of(1, 2);
	return;
}

sub end_other
{
	sql(one_of('COMMIT', 'COMMIT', 'ROLLBACK'), $other);
	return;
}

my $failed = 0;
for my $case (1 .. $cases)
{
	my $kind = $kinds[ $case % @kinds ];
	my ($view, $batch) = make_query('s', $kind);
	my $options = join('', map { ", $_" } grep { chance(0.3) } ("watermark_delay => '1 minute'", "allowed_lateness => '10 s'"));
	my $wrong;

	make_stream('s', one_of(1, 4));
	write_some('s') if chance(0.3);
	end_other();
	my $made = run_in($writer, "SELECT streamq.create_continuous_view('v', \$q\$$view\$q\$$options)");
	if ($made =~ /^ERROR/m)
	{
		$wrong = "refused: $made";
	}
	else
	{
		for my $step (1 .. one_of(1, 2, 3))
		{
			write_some('s');
			sql("SELECT streamq.run_job('v', " . one_of(1, 3, 17, 1000) . ')') if chance(0.7);
			if (chance(0.2))
			{
				sql('BEGIN; SELECT streamq.run_job(\'v\', 10); ROLLBACK');
			}
			end_other();
			sql("SELECT streamq.run_job('v')");
			my $differ = run_in($writer, difference('TABLE v', $batch));
			$wrong = "step $step: $differ" if $differ ne '0';
			last if $wrong;
		}
	}
	if ($wrong)
	{
		$failed++;
		diag("case $case ($kind): $wrong\n$view\n");
	}
	sql('DROP TABLE s CASCADE');
	last if $failed >= 20;
}
is($failed, 0, "$cases random views equal their queries");

# ---- views in workers, while these and the server die

my %batch;
make_stream("s$_", $_) for 1, 4;
for my $n (1 .. 12)
{
	my $table = one_of('s1', 's4');
	my ($view, $batch) = make_query($table, $kinds[ $n % @kinds ]);

	sql("SELECT streamq.create_continuous_view('v$n', \$q\$$view\$q\$)");
	$batch{"v$n"} = $batch;
}
finish($writer, $other);
$node->append_conf('postgresql.conf', "streamq.max_workers_per_database = 4\nstreamq.share_after = 0\nrestart_after_crash = on\n");
$node->restart;

my $workers = q(FROM pg_stat_activity WHERE backend_type = 'streamq worker');
for my $round (1 .. 8)
{
	($writer, $other) = (session($node), session($node));
	write_some($_) for 's1', 's4';
	end_other();
	finish($writer, $other);

	my $death = $round % 4;
	if ($death == 0)
	{
		$node->stop('immediate');
		$node->start;
	}
	elsif ($death == 1)
	{
		$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $workers");
	}
	elsif ($death == 2)
	{
		my $pid = $node->safe_psql('postgres', "SELECT pid $workers ORDER BY random() LIMIT 1");

		# the postmaster restarts everything
		kill(KILL => $pid) if $pid;
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server is not back';
	}
	else
	{
		$node->safe_psql('postgres', "SELECT streamq.pause('v$_') FROM pg_sleep(0.01)") for 1 .. 6;
		$node->safe_psql('postgres', "SELECT streamq.resume('v$_')") for 1 .. 6;
	}
}
$writer = session($node);
for my $view (sort keys %batch)
{
	is(run_in($writer, "SELECT streamq.wait_until_caught_up('$view', '2 min')"), 't', "$view has caught up");
	is(run_in($writer, difference("TABLE $view", $batch{$view})), '0', "$view equals its query")
	  or diag($batch{$view});
}
is(sql('SELECT count(*) FROM streamq.job_errors'), '0', 'no message failed');
finish($writer);

done_testing();
