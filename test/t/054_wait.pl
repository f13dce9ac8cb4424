# wait_for_messages(): returns as soon as consume() would find something, whatever it was
# that kept it from it, and holds back neither VACUUM nor DDL while it waits.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('wait');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
autovacuum = off
fsync = off
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('events', partitions => 2);
SELECT streamq.create_group('events', mode || '_group', mode => mode)
FROM unnest('{ordered, shared, key_shared}'::text[]) mode;
CREATE TABLE heap (n int) USING heap;
));

sub start_waiting
{
	my ($group, $timeout) = @_;
	my $session = session($node);

	send_to($session, "CALL streamq.wait_for_messages('events', '$group', '$timeout')");
	$node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL streamq.wait%' AND wait_event_type = 'Extension'"
	) or die 'it does not wait';
	return $session;
}

# Do something while a session waits; see what it returned and how long that took.
sub wakes_up
{
	my ($name, $group, $expected, @then) = @_;
	my $session = start_waiting($group, '1 min');

	my $start = time;
	$node->safe_psql('postgres', $_) foreach @then;
	is(answer($session), $expected, "$group: $name");
	my $elapsed = time - $start;
	cmp_ok($elapsed, '<', 10, "$group: $name, after " . int($elapsed * 1000) . ' ms');
	finish($session);
	return;
}

# leave nothing to find in any group
sub drain
{
	$node->safe_psql('postgres', "SELECT streamq.seek('events', '${_}_group', 'latest')")
		foreach 'ordered', 'shared', 'key_shared';
	return;
}

foreach my $group ('ordered_group', 'shared_group', 'key_shared_group')
{
	drain();
	wakes_up('a commit wakes', $group, 't', "SELECT streamq.produce('events', '1', partition => 0)");

	# held by a consumer: nothing to find until it gives back, or its lease ends
	my $call = "streamq.consume('events', '$group', consumer => 'holder', lease => ";
	$node->safe_psql('postgres', "SELECT * FROM $call '1 h')");
	wakes_up('what is given back wakes', $group, 't',
		"SELECT streamq.nack_batch('events', '$group', array_agg(first_msg_id)) FROM streamq.leases WHERE group_name = '$group'");
	$node->safe_psql('postgres', "SELECT * FROM $call '2 s')");
	wakes_up('the end of a lease wakes', $group, 't');
	drain();
}

# ordered: an acknowledgement may free a partition with more messages
$node->safe_psql('postgres',
	q(SELECT streamq.produce_batch('events', '{1, 2}', partition => 0);
	SELECT * FROM streamq.consume('events', 'ordered_group', 1, consumer => 'holder', lease => '1 h')));
wakes_up('an acknowledgement wakes', 'ordered_group', 't',
	"SELECT streamq.ack('events', 'ordered_group', first_msg_id) FROM streamq.leases WHERE group_name = 'ordered_group'");
drain();

# a paused group finds nothing before it is resumed
$node->safe_psql('postgres',
	"SELECT streamq.produce('events', '3'); SELECT streamq.pause_group('events', 'shared_group')");
wakes_up('resume_group() wakes', 'shared_group', 't',
	"SELECT streamq.resume_group('events', 'shared_group')");
drain();

# No snapshot, xid or lock on a relation while it waits: VACUUM removes rows, and DDL goes on.
{
	my $session = start_waiting('ordered_group', '1 min');
	my $where = "FROM pg_stat_activity WHERE query LIKE 'CALL streamq.wait%'";

	is($node->safe_psql('postgres', "SELECT backend_xmin IS NULL, backend_xid IS NULL $where"), 't|t',
		'no snapshot and no xid');
	is($node->safe_psql('postgres',
			"SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND pid IN (SELECT pid $where)"),
		'0', 'no lock on a relation');
	$node->safe_psql('postgres', 'INSERT INTO heap SELECT generate_series(1, 1000)');
	$node->safe_psql('postgres', 'DELETE FROM heap');
	my ($rc, $out, $err) = $node->psql('postgres', 'VACUUM (VERBOSE) heap');
	like($err, qr/1000 removed|removed 1000 row versions|tuples: 1000 removed/, 'VACUUM removes what was deleted meanwhile');
	$node->safe_psql('postgres', "SELECT streamq.alter_stream('events', partitions => 3)");
	pass('partitions are added meanwhile');
	is($node->safe_psql('postgres', "SELECT count(*) $where AND wait_event_type = 'Extension'"), '1', 'it still waits');

	# cancelling
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) $where");
	like(answer($session), qr/canceling statement due to user request/, 'it can be cancelled');
	finish($session);
}

# DROP of the stream wakes it
{
	my $session = start_waiting('ordered_group', '1 min');

	my $start = time;
	$node->safe_psql('postgres', 'DROP TABLE events');
	like(answer($session), qr/stream "events" was dropped by another session/, 'DROP of the stream ends it');
	cmp_ok(time - $start, '<', 10, 'at once');
	finish($session);
}
$node->stop;
done_testing();
