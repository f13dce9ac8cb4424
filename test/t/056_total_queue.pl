# A queue under kill -9 of the server, judged as Jepsen judges queues: of what producers
# were told is in the queue nothing is lost; nothing unexpected comes out, nothing twice
# to those that were told it is done.  What a producer was told nothing about may be there
# (recovered) or not.
#
# The first two producers send identifiers, and after a crash begin with the first message that
# they were told nothing about.  The third one delays its messages.  In each mode one consumer
# acknowledges after it has been given messages, and one works in the consuming transaction.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = 3;
my @modes = split / /, $ENV{STREAMQ_TEST_MODES} || 'ordered shared key_shared';

my $node = PostgreSQL::Test::Cluster->new('queue');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
max_worker_processes = 16
restart_after_crash = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION streamq;
	SELECT streamq.create_stream('queue', partitions => 2);
	CREATE TABLE ledger (grp text, value text);
});
foreach my $mode (@modes)
{
	$node->safe_psql('postgres', "SELECT streamq.create_group('queue', '${_}_$mode', mode => '$mode', lease => '2 s')")
	  for 'exact', 'least';
}

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
	return;
}

# every seventh message is rolled back
sub producer_script
{
	my ($producer, $first) = @_;
	my $script = '';
	for my $k ($first .. $first + 4999)
	{
		my $value = "$producer-$k";
		my $call = "SELECT streamq.produce('queue', jsonb_build_object('value', '$value'), key => 'k' || $k % 10"
		  . ($producer == 3 ? ", deliver_at => clock_timestamp() + interval '1 ms' * (50 + 13 * $k % 400)" : ", dedup_id => '$value'") . ') AS id \\gset';
		$script .= "\\echo try $value\n";
		$script .= $k % 7 == 0 ? "BEGIN;\n$call\nROLLBACK;\n\\echo undone $value\n" : "$call\n\\echo ok $value\n";
		$script .= "SELECT pg_sleep(0.002) \\g /dev/null\n";
	}
	return $script;
}

sub exact
{
	my ($mode) = @_;
	return "INSERT INTO ledger SELECT 'exact_$mode', payload->>'value'
		FROM streamq.consume('queue', 'exact_$mode', 7, wait => '100 ms', auto_ack => true);\n";
}

sub least
{
	my ($mode) = @_;
	return qq{
		SELECT count(*) AS n, array_agg(msg_id) AS ids, string_agg(payload->>'value', ' ' ORDER BY msg_id) AS vals
		FROM streamq.consume('queue', 'least_$mode', 7, wait => '100 ms') \\gset
		SELECT :n > 0 AS some \\gset
		\\if :some
			\\echo got :vals
			SELECT streamq.ack_batch('queue', 'least_$mode', :'ids') AS acked \\gset
			\\echo acked :acked of :vals
		\\endif
	};
}

# values that producers tried, were told are there, have taken back
my (%tried, %ok, %undone, %next);
my $uncertain = 0;

# Reads what a producer of a round noted.
sub read_producer
{
	my ($producer, $round) = @_;
	my %open;

	foreach (split /\n/, slurp_file("$dir/producer$producer.$round.out"))
	{
		my ($what, $value) = split / /;
		if ($what eq 'try')
		{
			$tried{$value} = 1;
			$open{$value} = 1;
			next;
		}
		delete $open{$value};
		$ok{$value} = 1 if $what eq 'ok';
		$undone{$value} = 1 if $what eq 'undone';
		($next{$producer}) = $value =~ /-(\d+)$/;
		$next{$producer}++;
	}
	# at most the last one, about which it was told nothing
	$uncertain += keys %open;
	foreach (keys %open)
	{
		# sent once more only with an identifier
		($next{$producer}) = /-(\d+)$/ and $next{$producer}++ if $producer == 3;
	}
	return;
}

# group => value => how often it was given out, and acknowledged
my (%got, %acked, %again, %wrong);

# Reads what the consumer with leases of a round noted.
sub read_consumer
{
	my ($mode, $round) = @_;

	foreach my $line (split /\n/, slurp_file("$dir/least_$mode.$round.out"))
	{
		if ($line =~ /^got (.*)/)
		{
			foreach (split / /, $1)
			{
				$got{$mode}{$_}++;
				$again{$mode}++ if $acked{$mode}{$_};
			}
		}
		elsif ($line =~ /^acked (\d+) of (.*)/)
		{
			my @values = split / /, $2;
			$wrong{$mode}++ if $1 != @values;
			$acked{$mode}{$_}++ for @values;
		}
	}
	return;
}

my $taken = 0;
for my $round (1 .. $rounds)
{
	spawn_script("producer$_.$round", producer_script($_, $next{$_} || 1)) for 1 .. 3;
	foreach my $mode (@modes)
	{
		spawn_script("exact_$mode.$round", exact($mode) x 5000);
		spawn_script("least_$mode.$round", least($mode) x 5000);
	}

	# at a moment that differs between the rounds, when all are at work
	foreach my $mode (@modes)
	{
		$node->poll_query_until('postgres',
			"SELECT count(*) > $taken + 100 FROM ledger WHERE grp = 'exact_$mode'")
		  or die "the consumer of mode $mode does not get on";
	}
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
	read_producer($_, $round) for 1 .. 3;
	read_consumer($_, $round) for @modes;
	$taken = $node->safe_psql('postgres',
		'SELECT max(n) FROM (SELECT count(*) AS n FROM ledger GROUP BY grp) x');
	note "round $round: " . keys(%ok) . " produced, $taken taken so far";
}

# the producers with identifiers ask about what they were told nothing about
foreach my $producer (1, 2)
{
	my $script = producer_script($producer, $next{$producer});
	$script =~ s/(\A.*?(?:ok|undone) \S+\n).*/$1/s;
	spawn_script("producer$producer.last", $script);
}
waitpid($_, 0) for @children;
@children = ();
read_producer($_, 'last') for 1, 2;

# the consumers finish; delayed messages have to come, leases to run out
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM streamq.delayed_messages');
sub lag
{
	my ($group) = @_;
	return $node->safe_psql('postgres', "SELECT coalesce(sum(lag), 0) FROM streamq.consumer_groups WHERE group_name = '$group'");
}
foreach my $mode (@modes)
{
	for (1 .. 1000)
	{
		$node->safe_psql('postgres', exact($mode));
		last if lag("exact_$mode") == 0;
	}
	for my $turn (1 .. 100)
	{
		last if lag("least_$mode") == 0;
		spawn_script("least_$mode.last$turn", least($mode) x 40);
		waitpid($_, 0) for @children;
		@children = ();
		read_consumer($mode, "last$turn");
	}
	is(lag("exact_$mode") . ' ' . lag("least_$mode"), '0 0', "$mode: the consumers finish");
}

sub some { return join(' ', grep { defined } (sort @_)[ 0 .. 9 ]) }

my @there = split /\n/, $node->safe_psql('postgres', "SELECT payload->>'value' FROM queue");
my %there;
$there{$_}++ for @there;
is(some(grep { !$there{$_} } keys %ok), '', 'queue: nothing is lost');
is(some(grep { !$tried{$_} || $undone{$_} } keys %there), '', 'queue: nothing is unexpected');
is(some(grep { $there{$_} > 1 } keys %there), '', 'queue: nothing is doubled, not by asking again, not by the delay');
my @recovered = grep { !$ok{$_} } keys %there;
cmp_ok(scalar(@recovered), '<=', $rounds, 'queue: recovered are at most what the third producer was told nothing about');
cmp_ok(scalar(keys %ok), '>', 300, 'queue: there were many');
note "$uncertain times a producer was told nothing; " . @recovered . ' recovered';

foreach my $mode (@modes)
{
	is(some(grep { !$got{$mode}{$_} } keys %there), '', "$mode, at least once: nothing is lost");
	is(some(grep { !$there{$_} } keys %{ $got{$mode} }), '', "$mode, at least once: nothing is unexpected");
	is($again{$mode} || 0, 0, "$mode, at least once: nothing comes again that was acknowledged");
	is($wrong{$mode} || 0, 0, "$mode, at least once: what was given out can be acknowledged");
	my %ledger;
	$ledger{$_}++ for split /\n/, $node->safe_psql('postgres', "SELECT value FROM ledger WHERE grp = 'exact_$mode'");
	is(some(grep { !$ledger{$_} } keys %there), '', "$mode, exactly once: nothing is lost");
	is(some(grep { !$there{$_} } keys %ledger), '', "$mode, exactly once: nothing is unexpected");
	is(some(grep { $ledger{$_} > 1 } keys %ledger), '', "$mode, exactly once: nothing is doubled");
}
is($node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('queue')"), '', 'the stream is sound');

$node->stop;
done_testing();
