# kill -9 of the postmaster in the middle of producing, consuming and a running
# view, three times: nothing acknowledged is lost, nothing is counted twice.
#
# Two producers write transactions of ten rows, every seventh rolled back, and
# note what the server told them was committed.  One consumer works exactly once
# (work and acknowledgement in one transaction), another at least once (it
# acknowledges in a transaction of its own and notes what was acknowledged).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = 3;
my $rows = 10;     # in each transaction

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
max_worker_processes = 16
timezone = 'UTC'
restart_after_crash = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION streamq;
	CREATE TABLE events (at timestamptz NOT NULL, producer int, seq bigint, pad text) USING streamq;
	SELECT streamq.alter_stream('events', partitions => 3, partition_by => 'producer');
	SELECT streamq.create_stream('work');
	SELECT streamq.create_group('events', 'exact', lease => '2 s');
	SELECT streamq.create_group('work', 'least', lease => '2 s');
	CREATE TABLE taken (msg_id bigint, partition int, producer int, seq bigint,
		nth bigint GENERATED ALWAYS AS IDENTITY);
	SELECT streamq.create_continuous_view('per_minute', $$
		SELECT w.window_start, w.window_end, producer, count(*) AS n, sum(seq) AS total,
			min(seq) AS least, max(seq) AS greatest, avg(seq) AS mean
		FROM events, streamq.tumble(at, '1 minute') w
		GROUP BY w.window_start, w.window_end, producer $$);
});

my $dir = $node->basedir;
my @children;

# Runs a psql script beside the test; its output goes to NAME.out.
sub spawn_script
{
	my ($name, $script) = @_;
	open(my $fh, '>', "$dir/$name.sql") or die $!;
	print $fh $script;
	close($fh);
	my $pid = fork();
	die "cannot fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open(STDOUT, '>', "$dir/$name.out") or die $!;
		open(STDERR, '>', "$dir/$name.err") or die $!;
		exec('psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$name.sql",
			$node->connstr('postgres')) or die "cannot run psql: $!";
	}
	push @children, $pid;
}

# a transaction k of a producer
sub transaction
{
	my ($producer, $k, $end) = @_;
	return qq{BEGIN;
INSERT INTO events SELECT timestamptz '2026-01-01 00:00:00+00' + seq * interval '1 s', $producer, seq, repeat('x', 300)
FROM generate_series($k * $rows, $k * $rows + $rows - 1) AS seq;
SELECT count(streamq.produce('work', jsonb_build_object('producer', $producer, 'k', $k))) \\g /dev/null
$end;
};
}

sub producer_script
{
	my ($producer, $first) = @_;
	my $script = '';
	for my $k ($first .. $first + 4999)
	{
		$script .= $k % 7 == 0
		  ? transaction($producer, $k, 'ROLLBACK')
		  : transaction($producer, $k, 'COMMIT') . "\\echo $k\n";
		$script .= "SELECT pg_sleep(0.003) \\g /dev/null\n";
	}
	return $script;
}

my $take = q{
	INSERT INTO taken (msg_id, partition, producer, seq)
	SELECT msg_id, partition, (payload->>'producer')::int, (payload->>'seq')::bigint
	FROM streamq.consume('events', 'exact', max_messages => 70, wait => '100 ms', auto_ack => true);
};
my $take_least = q{
	SELECT count(*) AS n, max(msg_id) AS last, coalesce(string_agg(msg_id::text, ' ' ORDER BY msg_id), '') AS ids
	FROM streamq.consume('work', 'least', max_messages => 7, wait => '100 ms') \gset
	SELECT :n > 0 AS some \gset
	\if :some
		\echo got :ids
		SELECT streamq.ack_through('work', 'least', :last) AS acked \gset
		\echo acked :acked of :ids
	\endif
};

my %committed = (1 => {}, 2 => {});
my %acked;      # ids the server said were acknowledged, with the number of times
my $late_deliveries = 0;
my $wrong_counts = 0;

# Reads what the producers of a round noted; returns how many transactions.
sub read_commits
{
	my ($round) = @_;
	my $news = 0;

	for my $producer (1, 2)
	{
		for my $k (split /\n/, slurp_file("$dir/producer$producer.$round.out"))
		{
			$committed{$producer}{$k} = 1;
			$news++;
		}
	}
	return $news;
}

# Reads what the at-least-once consumer of a round noted.
sub read_acknowledgements
{
	my ($round) = @_;

	for my $line (split /\n/, slurp_file("$dir/least.$round.out"))
	{
		if ($line =~ /^got (.*)/)
		{
			$late_deliveries += grep { $acked{$_} } split / /, $1;
		}
		elsif ($line =~ /^acked (\d+) of (.*)/)
		{
			my @ids = split / /, $2;
			$wrong_counts++ if $1 != @ids;
			$acked{$_}++ for @ids;
		}
	}
}

my $taken = 0;
for my $round (1 .. $rounds)
{
	spawn_script("producer$_.$round", producer_script($_, $round * 10000)) for 1, 2;
	spawn_script("exact.$round", $take x 5000);
	spawn_script("least.$round", $take_least x 5000);

	# at a moment that differs between the rounds, when all are at work
	$node->poll_query_until('postgres',
		"SELECT count(*) > $taken + 300 AND (SELECT count(*) > 0 FROM per_minute) FROM taken")
	  or die 'the consumer does not get on';
	usleep(300_000 * $round);

	my $pid = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	kill('KILL', $pid) == 1 or die "cannot kill $pid";
	waitpid($_, 0) for @children;
	@children = ();

	# its other processes may take a moment to notice
	my $started = 0;
	for (1 .. 300)
	{
		usleep(100_000);
		next if kill(0, $pid);
		$node->{_pid} = undef;
		last if $started = $node->start(fail_ok => 1);
	}
	ok($started, "round $round: the server starts again");
	ok(read_commits($round) > 20, "round $round: producers were at work");
	read_acknowledgements($round);
	$taken = $node->safe_psql('postgres', 'SELECT count(*) FROM taken');
	note "round $round: $taken rows taken so far";
}

# what was lost or half done
my %found = map { $_ => 1 } split /\n/,
  $node->safe_psql('postgres', 'SELECT DISTINCT producer || $$ $$ || seq / 10 FROM events');
my @lost;
for my $producer (1, 2)
{
	push @lost, grep { !$found{$_} } map { "$producer $_" } keys %{ $committed{$producer} };
}
is("@lost", '', 'what the producers were told was committed is there');
is( $node->safe_psql('postgres', qq{
		SELECT producer, seq / $rows, count(*), count(DISTINCT seq) FROM events
		GROUP BY 1, 2 HAVING count(*) <> $rows OR count(DISTINCT seq) <> $rows}),
	'', 'a transaction is there as a whole and once');
is( $node->safe_psql('postgres', "SELECT count(*) FROM events WHERE seq / $rows % 7 = 0"),
	'0', 'nothing that was rolled back is there');
my $reported = keys(%{ $committed{1} }) + keys(%{ $committed{2} });
cmp_ok(scalar(keys %found) - $reported, '<=', 2 * $rounds,
	'at most the transaction in flight of each producer is there unreported');
is( $node->safe_psql('postgres', q{
		SELECT (SELECT count(*) FROM work) - (SELECT count(*) FROM events) / 10}),
	'0', 'both streams of a transaction agree');

# the consumers finish; the leases of the dead ones have to run out
sub lag
{
	my ($stream, $group) = @_;
	return $node->safe_psql('postgres', qq{
		SELECT coalesce(sum(lag), 0) FROM streamq.consumer_groups
		WHERE stream = '$stream'::regclass AND group_name = '$group'});
}
for (1 .. 1000)
{
	$node->safe_psql('postgres', $take);
	last if lag('events', 'exact') == 0;
}
is(lag('events', 'exact'), '0', 'the exactly-once consumer finishes');
for my $turn (1 .. 100)
{
	last if lag('work', 'least') == 0;
	spawn_script("least.last$turn", $take_least x 40);
	waitpid($_, 0) for @children;
	@children = ();
	read_acknowledgements("last$turn");
}
is(lag('work', 'least'), '0', 'the at-least-once consumer finishes');

is( $node->safe_psql('postgres', q{
		(SELECT producer, seq FROM taken EXCEPT ALL SELECT producer, seq FROM events)
		UNION ALL
		(SELECT producer, seq FROM events EXCEPT ALL SELECT producer, seq FROM taken)}),
	'', 'exactly once: what was taken is what is there');
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM (SELECT msg_id, lag(msg_id) OVER (PARTITION BY partition ORDER BY nth)
			AS before FROM taken) AS t WHERE msg_id <= before}),
	'0', 'exactly once: in order in each partition');
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM (SELECT seq, lag(seq) OVER (PARTITION BY producer ORDER BY nth)
			AS before FROM taken) AS t WHERE seq <= before}),
	'0', 'exactly once: in order for each producer');

my @all = split /\n/,
  $node->safe_psql('postgres', 'SELECT streamq.msg_id(tableoid, ctid) FROM work');
is(scalar(grep { !$acked{$_} } @all), 0, 'at least once: every message was acknowledged')
  or diag(scalar(@all) . ' messages, ' . scalar(keys %acked) . ' acknowledged');
is($late_deliveries, 0, 'at least once: nothing acknowledged was delivered again');
is($wrong_counts, 0, 'at least once: ack_through counted what was delivered');

is($node->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('per_minute')}),
	't', 'the view catches up');
my $by_hand = q{
	SELECT w.window_start, w.window_end, producer, count(*) AS n, sum(seq) AS total,
		min(seq) AS least, max(seq) AS greatest, avg(seq) AS mean
	FROM events, streamq.tumble(at, '1 minute') w
	GROUP BY w.window_start, w.window_end, producer};
is( $node->safe_psql('postgres', qq{
		(TABLE per_minute EXCEPT ALL ($by_hand))
		UNION ALL (($by_hand) EXCEPT ALL TABLE per_minute)}),
	'', 'the view equals the query run by hand');
is( $node->safe_psql('postgres', q{
		SELECT (SELECT sum(n) FROM per_minute) - (SELECT count(*) FROM events)}),
	'0', 'every row is counted once');
is( $node->safe_psql('postgres', q{
		SELECT rows_processed - (SELECT count(*) FROM events), errors
		FROM streamq.jobs WHERE name = 'per_minute'}),
	'0|0', 'the figures of the job');

$node->stop;
done_testing();
