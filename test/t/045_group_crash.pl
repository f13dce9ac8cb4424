# Group state over crashes and vacuum: what was committed is there, what was not
# never was; no transaction id grows old in it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_prepared_transactions = 5
autovacuum = off
wal_consistency_checking = 'streamq'
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('events');
INSERT INTO events (payload) SELECT to_jsonb(i) FROM generate_series(0, 99) i;
CREATE TABLE work (n int);
));

sub state_is
{
	my ($expected, $name) = @_;
	is($node->safe_psql('postgres',
			'SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups'), $expected, $name);
	return;
}

# Committed: a lease, one acknowledgement, exactly-once work.
$node->safe_psql('postgres', q(
INSERT INTO work SELECT payload::int FROM streamq.consume('events', 'g', 5, auto_ack => true);
SELECT count(*) FROM streamq.consume('events', 'g', 5, consumer => 'c', lease => '1 h');
SELECT streamq.ack('events', 'g', 6);
));
state_is('5|94|4', 'before the crash');
$node->stop('immediate');
$node->start;
state_is('5|94|4', 'what was committed is there after a crash');
is($node->safe_psql('postgres', "SELECT count(*) FROM streamq.consume('events', 'g')"), '0', 'the lease too');

# Not committed, but on disk: the page was written while the transaction ran.
my ($in, $out) = ('', '');
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(60));
$in .= q(BEGIN;
INSERT INTO work SELECT payload::int FROM streamq.consume('events', 'g', 5, consumer => 'c');
SAVEPOINT a;
SELECT streamq.ack_through('events', 'g', 12);
CHECKPOINT;
\echo --done
);
$session->pump until $out =~ /--done/;
$node->stop('immediate');
$session->finish;
$node->start;
state_is('5|94|4', 'a transaction that was not committed never was');
is($node->safe_psql('postgres', 'SELECT sum(n), count(*) FROM work'), '10|5', 'its work neither');
is($node->safe_psql('postgres', q(
	SELECT min(msg_id), max(msg_id), max(deliveries) FROM streamq.consume('events', 'g', 5, consumer => 'c'))),
	'10|14|1', 'its messages are delivered again');

# A prepared transaction is decided later.
$node->safe_psql('postgres', q(
BEGIN;
SELECT streamq.ack_through('events', 'g', 14);
PREPARE TRANSACTION 'ack';
));
state_is('5|94|9', 'acknowledged by a prepared transaction: not yet');
$node->stop('immediate');
$node->start;
state_is('5|94|9', 'after a crash: not yet');
$node->safe_psql('postgres', 'VACUUM FREEZE events');
$node->safe_psql('postgres', "COMMIT PREPARED 'ack'");
state_is('15|85|0', 'and then it is');

# Vacuum takes the transaction ids out, committed ones and others.
sub frozen
{
	return $node->safe_psql('postgres', q(
		VACUUM (FREEZE) events;
		SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'events'));
}

$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') for 1 .. 50;
cmp_ok(frozen(), '<', 5, 'a committed state is settled by vacuum');
state_is('15|85|0', 'and is what it was');
$node->safe_psql('postgres', q(
BEGIN;
SELECT streamq.ack_through('events', 'g', 14), count(*) FROM streamq.consume('events', 'g', 5);
ROLLBACK;
));
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') for 1 .. 50;
cmp_ok(frozen(), '<', 5, 'one that was rolled back too');
state_is('15|85|0', 'and is what it was');
$node->safe_psql('postgres', q(
BEGIN;
SELECT count(*) FROM streamq.consume('events', 'g', 5, auto_ack => true);
PREPARE TRANSACTION 'consume';
));
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') for 1 .. 50;
cmp_ok(frozen(), '>=', 50, 'one that is undecided holds relfrozenxid');
$node->safe_psql('postgres', "COMMIT PREPARED 'consume'");
cmp_ok(frozen(), '<', 5, 'until it is decided');
state_is('20|80|0', 'and counts');

$node->stop;
done_testing();
