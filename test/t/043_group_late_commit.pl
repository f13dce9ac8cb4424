# A message whose transaction commits after a later offset's is delivered, once, in 200
# random rounds of producers that commit and roll back in any order.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('late');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
fsync = off
autovacuum = off
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('events');
SELECT streamq.create_group('events', 'g');
));

# A psql session that is given one command after the other.
sub session
{
	my %s = (in => '', out => '');
	$s{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
		'<', \$s{in}, '>', \$s{out}, '2>&1', IPC::Run::timeout(120));
	return \%s;
}

sub run_in
{
	my ($s, $sql) = @_;
	$s->{in} .= "$sql;\n\\echo --done\n";
	$s->{run}->pump until $s->{out} =~ s/^(.*?)--done\n//s;
	return $1;
}

my $seed = $ENV{STREAMQ_TEST_SEED} || time;
srand($seed);
note "seed $seed (set STREAMQ_TEST_SEED to repeat)";

my $producers = 4;
my @producer = map { session() } 1 .. $producers;
my @consumer = map { session() } 1 .. 2;
my (%committed, %got, @order);
my $next = 0;
my ($lost_round, $inverted) = (0, 0);

# One consumer takes what there is: acknowledged at once, in one transaction with
# the reading, or after it; sometimes the transaction is rolled back.
sub consume
{
	my $c = $consumer[ int rand @consumer ];
	my $way = int rand 4;
	my $call = "streamq.consume('events', 'g', " . (1 + int rand 5) . ", consumer => 'c')";
	my $rows;

	if ($way == 0)
	{
		$call =~ s/\)$/, auto_ack => true)/;
		$rows = run_in($c, "SELECT msg_id, payload FROM $call");
	}
	elsif ($way == 1)
	{
		$rows = run_in($c, "SELECT msg_id, payload FROM $call");
		my @ids = $rows =~ /^(\d+)\|/mg;
		run_in($c, "SELECT streamq.ack_batch('events', 'g', '{" . join(',', @ids) . "}')");
	}
	else
	{
		run_in($c, 'BEGIN');
		$rows = run_in($c, "SELECT msg_id, payload FROM $call");
		my @ids = $rows =~ /^(\d+)\|/mg;
		run_in($c, "SELECT streamq.ack_through('events', 'g', $ids[-1])") if @ids;
		if ($way == 3)
		{
			run_in($c, 'ROLLBACK');
			return;
		}
		run_in($c, 'COMMIT');
	}
	foreach (split /\n/, $rows)
	{
		my ($id, $payload) = split /\|/;
		$got{$payload}++;
		push @order, $id;
	}
	return;
}

for my $round (1 .. 200)
{
	my @open = (0 .. $producers - 1);
	my %mine;

	# each producer's messages take their offsets in one order ...
	foreach my $p (sort { rand() <=> 0.5 } @open)
	{
		my $n = 1 + int rand 3;

		run_in($producer[$p], 'BEGIN');
		foreach (1 .. $n)
		{
			push @{ $mine{$p} }, $next;
			run_in($producer[$p], "INSERT INTO events (payload) VALUES ('$next')");
			$next++;
		}
	}

	# ... and are committed in another
	my @ends = sort { rand() <=> 0.5 } @open;
	foreach my $p (@ends)
	{
		consume() if rand() < 0.4;
		if (rand() < 0.25)
		{
			run_in($producer[$p], 'ROLLBACK');
		}
		else
		{
			run_in($producer[$p], 'COMMIT');
			$committed{$_} = 1 foreach @{ $mine{$p} };
		}
	}
}

# what is left
for (1 .. 10000)
{
	my $before = keys %got;
	consume() for 1 .. 5;
	last if keys %got == keys %committed || $before == keys %got && $_ > 200;
}

is(scalar(grep { !$got{$_} } keys %committed), 0, 'every committed message was delivered');
is(scalar(grep { !$committed{$_} } keys %got), 0, 'no message was delivered that was rolled back');
is(scalar(grep { $_ > 1 } values %got), 0, 'none was delivered twice');
is(scalar(grep { $order[ $_ - 1 ] >= $order[$_] } 1 .. $#order), 0, 'in the order of their offsets');
cmp_ok(scalar(keys %committed), '>', 500, 'there were many');
is($node->safe_psql('postgres', 'SELECT lag, in_flight, expired, redelivered FROM streamq.consumer_groups'),
	'0|0|0|0', 'and nothing is left');

$_->{run}->finish foreach @producer, @consumer;
$node->stop;
done_testing();
