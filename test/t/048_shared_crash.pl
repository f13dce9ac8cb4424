# The modes shared and key_shared over crashes, restarts, vacuum and on a standby: open claims
# are as if they had never been, leases and acknowledgements stay.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
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
INSERT INTO events (key, payload) SELECT 'k' || i % 10, to_jsonb(i) FROM generate_series(0, 99) i;
SELECT streamq.create_group('events', mode, mode => mode) FROM unnest('{shared, key_shared}'::text[]) mode;
CREATE TABLE work (mode text, n int);
));
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

my @modes = qw(shared key_shared);
my $figures = 'SELECT acked_offset, lag, in_flight, redelivered FROM streamq.consumer_groups WHERE group_name = ';

sub state_is
{
	my ($mode, $expected, $name) = @_;
	is($node->safe_psql('postgres', "$figures '$mode'"), $expected, "$mode: $name");
	return;
}

sub sound
{
	my ($name) = @_;
	is($node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', "sound $name");
	return;
}

# Committed: work done exactly once, a lease, an acknowledgement in the middle.
for my $mode (@modes)
{
	$node->safe_psql('postgres', qq(
INSERT INTO work SELECT '$mode', payload::int FROM streamq.consume('events', '$mode', 5, auto_ack => true);
SELECT count(*) FROM streamq.consume('events', '$mode', 10, consumer => 'c', lease => '1 h');
SELECT streamq.ack('events', '$mode', 7);
));
	state_is($mode, '5|94|9|0', 'before the crash');
}
$node->stop('immediate');
$node->start;
for my $mode (@modes)
{
	state_is($mode, '5|94|9|0', 'what was committed is there after a crash');
	# in key_shared mode, only the messages of the key whose first one is done
	is($node->safe_psql('postgres', "SELECT count(*) FROM streamq.consume('events', '$mode', 1000, consumer => 'd', lease => '1 ms')"),
		$mode eq 'shared' ? '85' : '9', "$mode: others are not given what is leased");
}
sound('after a crash');
$node->safe_psql('postgres', 'SELECT pg_sleep(0.1)');

# Not committed, but on disk: claims, acknowledgements and a savepoint of two open transactions.
my @sessions;
for my $mode (@modes)
{
	my ($in, $out) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(60));
	$in .= qq(BEGIN;
INSERT INTO work SELECT '$mode', payload::int FROM streamq.consume('events', '$mode', 5, consumer => 'c');
SAVEPOINT a;
SELECT streamq.ack_batch('events', '$mode', '{5, 6, 8, 20}');
SELECT streamq.nack('events', '$mode', 9);
CHECKPOINT;
\\echo --done
);
	$session->pump until $out =~ /--done/;
	push @sessions, $session;
}
$node->stop('immediate');
$_->finish for @sessions;
$node->start;
for my $mode (@modes)
{
	is($node->safe_psql('postgres', "SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = '$mode'"),
		'5|94|9', "$mode: a transaction that was not committed never was");
	is($node->safe_psql('postgres', "SELECT sum(n), count(*) FROM work WHERE mode = '$mode'"), '10|5', "$mode: its work neither");
}
sound('after a crash with open claims');
is($node->safe_psql('postgres', q(
	SELECT min(msg_id), max(deliveries) FROM streamq.consume('events', 'shared', 85, consumer => 'c', lease => '1 ms'))),
	'15|2', 'what was claimed is delivered, and the rolled-back delivery is not counted');

# Prepared transactions are decided later.
for my $mode (@modes)
{
	$node->safe_psql('postgres', qq(
BEGIN;
SELECT streamq.ack_batch('events', '$mode', '{5, 6}'), count(*) FROM streamq.consume('events', '$mode', 1, consumer => 'c', lease => '1 h');
PREPARE TRANSACTION '$mode';
));
	is($node->safe_psql('postgres', "SELECT acked_offset FROM streamq.consumer_groups WHERE group_name = '$mode'"),
		'5', "$mode: acknowledged by a prepared transaction: not yet");
}
$node->stop('immediate');
$node->start;
for my $mode (@modes)
{
	is($node->safe_psql('postgres', "SELECT acked_offset FROM streamq.consumer_groups WHERE group_name = '$mode'"),
		'5', "$mode: after a crash: not yet");
	is($node->safe_psql('postgres', "SELECT streamq.ack('events', '$mode', 5)"), 'f', "$mode: and nobody else may acknowledge it");
}
$node->safe_psql('postgres', 'VACUUM FREEZE events');
$node->safe_psql('postgres', "COMMIT PREPARED '$_'") for @modes;
for my $mode (@modes)
{
	is($node->safe_psql('postgres', "SELECT acked_offset FROM streamq.consumer_groups WHERE group_name = '$mode'"),
		'8', "$mode: and then it is");
}
sound('after a prepared transaction');

# Vacuum takes the transaction ids out, committed ones and others.
sub frozen
{
	return $node->safe_psql('postgres', q(
		VACUUM (FREEZE) events;
		SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'events'));
}

for my $mode (@modes)
{
	$node->safe_psql('postgres', "SELECT streamq.ack('events', '$mode', 9)");
	$node->safe_psql('postgres', qq(
BEGIN;
SELECT streamq.ack('events', '$mode', 10), streamq.nack('events', '$mode', 11), count(*) FROM streamq.consume('events', '$mode', 5);
ROLLBACK;
));
}
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') for 1 .. 50;
cmp_ok(frozen(), '<', 5, 'vacuum settles what is decided');
for my $mode (@modes)
{
	is($node->safe_psql('postgres', "SELECT streamq.ack('events', '$mode', 9), streamq.ack('events', '$mode', 8), streamq.ack('events', '$mode', 10)"),
		'f|t|t', "$mode: and nothing changes by that");
}
$node->safe_psql('postgres', q(
BEGIN;
SELECT streamq.ack('events', 'shared', 11);
PREPARE TRANSACTION 'ack';
));
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') for 1 .. 50;
cmp_ok(frozen(), '>=', 50, 'a transaction that is undecided holds relfrozenxid');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'ack'");
cmp_ok(frozen(), '<', 5, 'until it is decided');
is($node->safe_psql('postgres', "SELECT streamq.ack('events', 'shared', 11)"), 't', 'rolled back, the message is as before');
sound('after vacuum');

# A standby shows the same, and changes nothing.
$node->wait_for_catchup($standby);
for my $mode (@modes)
{
	is($standby->safe_psql('postgres', "$figures '$mode'"), $node->safe_psql('postgres', "$figures '$mode'"),
		"$mode: the figures on a standby");
	my $leases = "SELECT first_msg_id, last_msg_id, consumer, deliveries, expires_at FROM streamq.leases WHERE group_name = '$mode' ORDER BY 1";
	is($standby->safe_psql('postgres', $leases), $node->safe_psql('postgres', $leases), "$mode: the leases on a standby");
	my ($rc, $out, $err) = $standby->psql('postgres', "SELECT streamq.ack('events', '$mode', 12)");
	like($err, qr/cannot execute ack\(\) in a read-only transaction/, "$mode: a standby refuses to acknowledge");
}

# An open claim on the primary is rolled back by the promotion.
my ($in, $out) = ('', '');
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(60));
$in .= q(BEGIN;
SELECT streamq.ack_batch('events', 'shared', '{12, 13}'), streamq.ack('events', 'key_shared', 12);
SELECT pg_switch_wal();
\echo --done
);
$session->pump until $out =~ /--done/;
$node->safe_psql('postgres', "SELECT streamq.ack('events', 'shared', 14)");
$node->wait_for_catchup($standby);
$node->stop('immediate');
$session->finish;
$standby->promote;
is($standby->safe_psql('postgres', "SELECT streamq.ack_batch('events', 'shared', '{12, 13, 14}'), streamq.ack('events', 'key_shared', 12)"),
	'2|t', 'after a promotion open claims are gone, and what was committed is there');
is($standby->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', 'sound after a promotion');

$standby->stop;
done_testing();
