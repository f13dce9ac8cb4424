# A consumer that waits learns at once that its stream or group was dropped, holds up
# nobody who drops, and is not disturbed by a drop that is rolled back.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_prepared_transactions = 5
fsync = off
));
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

# Starts a consumer; returns it when it has just begun to sleep.
sub consumer
{
	my ($call) = @_;
	my %s = (out => '');

	$s{run} = IPC::Run::start(
		[ 'psql', '-XAt', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . ' application_name=waiter', '-c', $call ],
		'<', \undef, '>', \$s{out}, '2>&1', IPC::Run::timeout(120));
	$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity
		WHERE application_name = 'waiter' AND wait_event_type = 'Extension'));
	return \%s;
}

# By itself a consumer looks again a second after it has begun to sleep.  Of some
# trials most must be much sooner than that, also on a machine that is busy.
my $trials = 5;
sub learns
{
	my ($name, $prepare, $call, $drop, $error) = @_;
	my @took;
	my @errors;

	for my $trial (1 .. $trials)
	{
		sql($prepare);
		my $s = consumer($call);
		my $done = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
			'<', \"$drop;\n\\echo dropped\n", '>', \my $out, '2>&1', IPC::Run::timeout(120));
		$done->finish;
		my $start = time;
		$s->{run}->finish;
		push @took, time - $start;
		push @errors, $s->{out} if $s->{out} !~ $error;
	}
	is("@errors", '', "$name: the error");
	@took = sort { $a <=> $b } @took;
	cmp_ok($took[ $trials / 2 ], '<', 0.3, "$name: learned at once") or diag("@took");
}

sql('CREATE EXTENSION streamq');
my $make = q(SELECT streamq.create_stream('s'); SELECT streamq.create_group('s', 'g'));
my $call = q(SELECT * FROM streamq.consume('s', 'g', wait => '1 minute'));
my $gone = qr/ERROR:  42P01: stream "s" was dropped by another session/;

learns('DROP TABLE', $make, $call, 'DROP TABLE s', $gone);
learns('consume_as()', $make, q(SELECT * FROM streamq.consume_as(NULL::s, 'g', wait => '1 minute')), q(SELECT streamq.drop_stream('s')), $gone);
learns('DROP SCHEMA', q(CREATE SCHEMA x; SELECT streamq.create_stream('x.s'); SELECT streamq.create_group('x.s', 'g')),
	q(SELECT * FROM streamq.consume('x.s', 'g', wait => '1 minute')), 'DROP SCHEMA x CASCADE', $gone);
learns('a prepared drop', $make, $call, q(BEGIN; DROP TABLE s; PREPARE TRANSACTION 'd'; COMMIT PREPARED 'd'), $gone);
learns('DROP OWNED', q(DROP ROLE IF EXISTS owner; CREATE ROLE owner; GRANT CREATE ON SCHEMA public TO owner; SET ROLE owner; SELECT streamq.create_stream('s'); RESET ROLE; SELECT streamq.create_group('s', 'g')),
	$call, 'DROP OWNED BY owner', $gone);
learns('many streams', $make . q(; SELECT streamq.create_stream('m' || i) FROM generate_series(1, 30) i), $call,
	q(DO $$ BEGIN FOR i IN 1..30 LOOP EXECUTE 'DROP TABLE m' || i; END LOOP; DROP TABLE s; END $$), $gone);
sql(q(SELECT streamq.create_stream('s')));
learns('drop_group()', q(SELECT streamq.create_group('s', 'g')), $call, q(SELECT streamq.drop_group('s', 'g')),
	qr/ERROR:  42704: consumer group "g" of stream "s" does not exist/);

# rolled back: the consumer goes on waiting, and gets what comes
sql(q(SELECT streamq.create_group('s', 'g')));
my $s = consumer($call);
sql(q(BEGIN; DROP TABLE s; ROLLBACK));
sql(q(BEGIN; SELECT streamq.drop_group('s', 'g'); ROLLBACK));
sql(q(BEGIN; SAVEPOINT a; DROP TABLE s; ROLLBACK TO a; COMMIT));
usleep(100_000);
sql(q(SELECT streamq.produce('s', '"news"')));
$s->{run}->finish;
like($s->{out}, qr/news/, 'a drop that is rolled back does not disturb');

# renamed: it goes on
sql(q(TRUNCATE s; SELECT streamq.seek('s', 'g', to_position => 'latest')));
$s = consumer($call);
sql(q(ALTER TABLE s RENAME TO t));
usleep(100_000);
sql(q(SELECT streamq.produce('t', '"more news"')));
$s->{run}->finish;
like($s->{out}, qr/more news/, 'a stream that is renamed is waited for');

learns('DROP EXTENSION', q(DROP EXTENSION streamq CASCADE; CREATE EXTENSION streamq;) . $make, $call, 'SET client_min_messages = warning; DROP EXTENSION streamq CASCADE; CREATE EXTENSION streamq', $gone);

$node->stop;
done_testing();
