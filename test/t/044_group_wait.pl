# consume() that waits: it returns as soon as there is something to deliver,
# whatever it was that kept it from it, or empty when the time is over.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('wait');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_prepared_transactions = 5
fsync = off
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('events');
SELECT streamq.create_group('events', 'g');
));

sub session
{
	my %s = (in => '', out => '');
	$s{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$s{in}, '>', \$s{out}, '2>&1', IPC::Run::timeout(120));
	return \%s;
}

sub send_to
{
	my ($s, $sql) = @_;
	$s->{in} .= "$sql;\n\\echo --done\n";
	while (length $s->{in})
	{
		$s->{run}->pump_nb;
		usleep(1000);
	}
	return;
}

sub finish
{
	foreach my $s (@_)
	{
		$s->{in} .= "\\q\n";
		$s->{run}->finish;
	}
	return;
}

sub answer
{
	my ($s) = @_;
	$s->{run}->pump until $s->{out} =~ s/^(.*?)\n?--done\n//s;
	return $1;
}

sub run_in
{
	my ($s, $sql) = @_;
	send_to($s, $sql);
	return answer($s);
}

my $waiter = session();
my $other = session();

# A group that another transaction is creating: waited for as long as the call says, a second
# at least, and no longer than statement_timeout.
run_in($other, "SELECT streamq.produce('events', '0'); BEGIN; SELECT streamq.create_group('events', 'fresh')");
foreach my $case ([ "'0'", 0.9, 5 ], [ "'2 s'", 1.9, 6 ])
{
	my ($wait, $least, $most) = @$case;
	my $start = time;
	is(run_in($waiter, "SELECT count(*) FROM streamq.consume('events', 'fresh', wait => $wait)"), '0',
		"nothing from a group that is being created, wait $wait");
	my $took = time - $start;
	ok($took > $least && $took < $most, "after $took s");
}
like(run_in($waiter, "SET statement_timeout = '300ms'; SELECT * FROM streamq.consume('events', 'fresh', wait => '1 min')"),
	qr/statement timeout/, 'waiting for it can be cancelled');
run_in($waiter, 'RESET statement_timeout');
{
	my $start = time;
	send_to($waiter, "SELECT count(*) FROM streamq.consume('events', 'fresh', wait => '1 min', auto_ack => true)");
	usleep(300_000);
	run_in($other, 'COMMIT');
	is(answer($waiter), '1', 'its first message comes when it is there');
	cmp_ok(time - $start, '<', 10, 'soon');
}
run_in($waiter, "SELECT streamq.drop_group('events', 'fresh')");
run_in($waiter, "SELECT count(*) FROM streamq.consume('events', 'g', auto_ack => true)");

# Start to wait in one session, do something in the other one (or the one given),
# and see how long it took from then on until the answer came.
sub wakes_up
{
	my ($name, $expected, $most, @then) = @_;
	my $call = "SELECT payload FROM streamq.consume('events', 'g', 1, wait => '20 s', auto_ack => true)";

	send_to($waiter, $call);
	$node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%wait => ''20 s''%' AND pid <> pg_backend_pid()"
	);
	usleep(200_000);
	my $start = time;
	run_in(ref $_ ? @$_ : ($other, $_)) foreach @then;
	my $result = answer($waiter);
	my $elapsed = time - $start;
	is($result, $expected, $name);
	cmp_ok($elapsed, '<', $most, "$name: after " . int($elapsed * 1000) . ' ms');
	return;
}

run_in($waiter, 'SELECT 1');
my $start = time;
is(run_in($waiter, "SELECT payload FROM streamq.consume('events', 'g', wait => '300 ms')"),
	'', 'nothing comes: empty');
my $elapsed = time - $start;
cmp_ok($elapsed, '>=', 0.3, 'after the time to wait');
cmp_ok($elapsed, '<', 1.5, 'and not much later');

wakes_up('a message is committed', '1', 0.5, "INSERT INTO events (payload) VALUES ('1')");
wakes_up('a transaction takes its time', '2', 0.9,
	'BEGIN', "INSERT INTO events (payload) VALUES ('2')", 'SELECT pg_sleep(0.4)', 'COMMIT');

# A rollback before it makes a message deliverable.
my $third = session();
run_in($third, 'BEGIN');
run_in($third, "INSERT INTO events (payload) VALUES ('0')");
run_in($other, "INSERT INTO events (payload) VALUES ('3')");
wakes_up('the transaction before it is rolled back', '3', 2, [ $third, 'ROLLBACK' ]);

# Another consumer's lease is released, runs out, is rolled back.
run_in($other, "INSERT INTO events (payload) VALUES ('4'), ('5')");
is(run_in($other, "SELECT msg_id FROM streamq.consume('events', 'g', 1, lease => '1 h')") =~ /^\d+$/, 1, 'leased');
wakes_up('the other consumer acknowledges', '5', 0.5,
	"SELECT streamq.ack_through('events', 'g', (SELECT last_msg_id FROM streamq.leases))");

run_in($other, "INSERT INTO events (payload) VALUES ('6')");
run_in($other, "SELECT msg_id FROM streamq.consume('events', 'g', 1, lease => '700 ms')");
wakes_up("the other consumer's lease runs out", '6', 1.2, 'SELECT 1');

run_in($other, "INSERT INTO events (payload) VALUES ('7')");
run_in($other, 'BEGIN');
run_in($other, "SELECT msg_id FROM streamq.consume('events', 'g', 1, auto_ack => true)");
wakes_up('the other consumer rolls back', '7', 0.5, 'ROLLBACK');

run_in($other, "INSERT INTO events (payload) VALUES ('8')");
run_in($other, "SELECT msg_id FROM streamq.consume('events', 'g', 1)");
wakes_up('the other consumer gives back', '8', 0.9,
	"SELECT streamq.nack('events', 'g', (SELECT last_msg_id FROM streamq.leases), retry_after => '300 ms')");

wakes_up('the group is moved back', '8', 0.5,
	"SELECT streamq.seek('events', 'g', to_msg_id => (SELECT max(acked_offset) - 1 FROM streamq.consumer_groups))");

# Nobody rings for a prepared transaction: the waiter looks again by itself.
run_in($other, 'BEGIN');
run_in($other, "INSERT INTO events (payload) VALUES ('9')");
run_in($other, "PREPARE TRANSACTION 'nine'");
wakes_up('a prepared transaction is committed', '9', 2, "COMMIT PREPARED 'nine'");

# A consumer that was prepared has its messages until the end.
run_in($other, "INSERT INTO events (payload) VALUES ('10')");
run_in($other, 'BEGIN');
run_in($other, "SELECT msg_id FROM streamq.consume('events', 'g', 1, auto_ack => true)");
run_in($other, "PREPARE TRANSACTION 'ten'");
is(run_in($waiter, "SELECT payload FROM streamq.consume('events', 'g')"), '', 'consumed by a prepared transaction');
$node->restart;
finish($waiter, $other, $third);
($waiter, $other) = (session(), session());
is(run_in($waiter, "SELECT payload FROM streamq.consume('events', 'g')"), '', 'also after a restart');
wakes_up('until it is rolled back', '10', 2, "ROLLBACK PREPARED 'ten'");

# Waiting is no reason not to stop, and does not keep the stream locked.
like(run_in($waiter, "SET statement_timeout = '300 ms'; SELECT streamq.consume('events', 'g', wait => '20 s'); RESET statement_timeout"),
	qr/canceling statement due to statement timeout/, 'statement_timeout');
run_in($waiter, 'RESET statement_timeout');
send_to($waiter, "SELECT payload FROM streamq.consume('events', 'g', wait => '3 s')");
usleep(300_000);
$start = time;
run_in($other, 'TRUNCATE events');
cmp_ok(time - $start, '<', 1.5, 'TRUNCATE does not wait for who waits');
is(answer($waiter), '', 'who goes on to wait');
send_to($waiter, "SELECT payload FROM streamq.consume('events', 'g', wait => '20 s')");
usleep(300_000);
run_in($other, 'DROP TABLE events');
like(answer($waiter), qr/ERROR:  stream "events" was dropped by another session/, 'the stream is dropped');

# So is the group: it does not come back by the waiting.
$node->safe_psql('postgres', "SELECT streamq.create_stream('events')");
$node->safe_psql('postgres', "SELECT streamq.create_group('events', 'g')");
send_to($waiter, "SELECT payload FROM streamq.consume('events', 'g', wait => '20 s')");
usleep(300_000);
run_in($other, "SELECT streamq.drop_group('events', 'g')");
like(answer($waiter), qr/ERROR:  consumer group "g" of stream "events" does not exist/, 'the group is dropped');

# A group that its first consumer waits for can be used by others.
send_to($waiter, "SELECT payload FROM streamq.consume('events', 'first', wait => '5 s')");
usleep(300_000);
$start = time;
is(run_in($other, "SELECT payload FROM streamq.consume('events', 'first')"), '', 'two first consumers');
cmp_ok(time - $start, '<', 1, 'one waits, the other does not');
run_in($other, "INSERT INTO events (payload) VALUES ('11')");
is(answer($waiter), '11', 'who waited gets it');

# A SERIALIZABLE transaction cannot see what comes; it does not wait in vain.
$node->safe_psql('postgres', "SELECT streamq.create_group('events', 'g', start_at => 'latest')");
run_in($waiter, 'BEGIN ISOLATION LEVEL SERIALIZABLE');
wakes_up('a message for the next transaction', '', 1, "INSERT INTO events (payload) VALUES ('12')");
run_in($waiter, 'COMMIT');
is(run_in($waiter, "SELECT payload FROM streamq.consume('events', 'g', 1, auto_ack => true)"),
	'12', 'which gets it');

finish($waiter, $other);
$node->stop;
done_testing();
