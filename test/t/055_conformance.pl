# What users of share groups (queues with acknowledgement of single messages) rely on, in
# both modes that have them: acknowledge, release, reject, renew, expiry of the lease,
# acknowledgement by others and too late, gaps, retention, and the limit of deliveries.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('share');
$node->init(allows_streaming => 1);
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_prepared_transactions = 5
streamq.naptime = '100ms'
wal_consistency_checking = 'streamq'
fsync = off
));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');

my ($a, $b, $c) = map { session($node) } 1 .. 3;

# every message has a key of its own, so that key_shared is like shared
sub produce
{
	my ($from, $to) = @_;
	$node->safe_psql('postgres',
		"INSERT INTO events (key, payload) SELECT 'k' || i, to_jsonb(i) FROM generate_series($from, $to) i");
	return;
}

# a new stream with messages 0 to N-1 and a group
sub start
{
	my ($mode, $n, $options) = @_;
	$node->safe_psql('postgres', q(
		DROP TABLE IF EXISTS events;
		SELECT streamq.create_stream('events')));
	$node->safe_psql('postgres',
		"SELECT streamq.create_group('events', 'g', mode => '$mode'" . ($options ? ", $options" : '') . ')');
	produce(0, $n - 1) if $n > 0;
	return;
}

# the ids of what a session is given, with the number of deliveries where it is not 1
sub take
{
	my ($s, $n, $options) = @_;
	my $rows = run_in($s, "SELECT msg_id || CASE WHEN deliveries > 1 THEN 'x' || deliveries ELSE '' END
		FROM streamq.consume('events', 'g', $n" . ($options ? ", $options" : '') . ')');
	return join(' ', split /\n/, $rows);
}

sub call
{
	my ($s, $function, $arguments) = @_;
	return run_in($s, "SELECT streamq.$function('events', 'g', $arguments)");
}

# position, messages to do, messages out
sub state_is
{
	my ($expected, $name) = @_;
	is($node->safe_psql('postgres', "SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups
		WHERE stream = 'events'::regclass"), $expected, $name);
	return;
}

foreach my $mode ('shared', 'key_shared')
{
	# -- acknowledge
	start($mode, 10);
	is(take($a, 3), '0 1 2', "$mode: a member gets messages from the beginning");
	is(take($b, 3), '3 4 5', "$mode: another one gets the next, without waiting");
	is(take($a, 2), '6 7', "$mode: the first may take more before it acknowledges");
	state_is('0|10|8', "$mode: what is out counts as outstanding");
	is(call($b, 'ack', 4), 't', "$mode: one in the middle is acknowledged");
	is(call($b, 'ack', 4), 'f', "$mode: but once");
	is(call($a, 'ack', 9), 'f', "$mode: not what was never given out");
	is(call($a, 'ack', 99), 'f', "$mode: nor what does not exist");
	state_is('0|9|7', "$mode: the position waits for the first");
	is(call($a, 'ack_batch', "'{0, 1, 2, 2, 4, 9}'"), '3', "$mode: several, those that count");
	state_is('3|6|4', "$mode: the position moves to the next that is out");
	is(call($b, 'ack_batch', "'{3, 5}'"), '2', "$mode: the rest of the other member's");
	state_is('6|4|2', "$mode: and over what was acknowledged before");
	is(call($a, 'ack_through', 7), '2', "$mode: all up to one");
	is(take($c, 10), '8 9', "$mode: nothing acknowledged comes again");
	is(call($c, 'ack_batch', "'{8, 9}'"), '2', "$mode: all is done");
	state_is('10|0|0', "$mode: and nothing is left");
	is(take($a, 10), '', "$mode: for anybody");

	# -- release
	start($mode, 5);
	is(take($a, 4), '0 1 2 3', "$mode: out");
	is(call($a, 'nack', 1), 't', "$mode: released");
	is(call($a, 'nack', 1), 'f', "$mode: it is not out any more");
	is(take($b, 10), '1x2 4', "$mode: another member gets it at once, and no other that is out");
	is(call($b, 'nack_batch', "'{1, 4}'"), '2', "$mode: several are released");
	is(take($a, 10), '1x3 4x2', "$mode: the first member may have it again");
	is(call($a, 'nack', "3, retry_after => '1 h'"), 't', "$mode: released for later");
	is(call($a, 'nack', 4), 't', "$mode: another one for now");
	is(take($c, 10), '4x3', "$mode: the first does not come before its time, others do");
	is(call($a, 'ack_batch', "'{0, 1, 2}'"), '3', "$mode: and are done");
	is(call($c, 'ack', 4), 't', "$mode: too");
	state_is('3|1|0', "$mode: all but the one that waits");
	is(call($a, 'nack', 0), 'f', "$mode: what is done cannot be released");

	# -- reject
	start($mode, 4);
	$node->safe_psql('postgres', q(
		DROP TABLE IF EXISTS dead;
		SELECT streamq.create_stream('dead');
		SELECT streamq.alter_group('events', 'g', dead_letter => 'dead')));
	is(take($a, 4), '0 1 2 3', "$mode: out");
	is(call($a, 'reject', "2, reason => 'no such account'"), 't', "$mode: rejected");
	is(call($a, 'reject', 2), 'f', "$mode: once");
	is(call($a, 'ack', 2), 'f', "$mode: it is done");
	is($node->safe_psql('postgres', q(
		SELECT key, payload, headers->>'streamq_stream', headers->>'streamq_group', headers->>'streamq_msg_id',
			headers->>'streamq_deliveries', headers->>'streamq_reason' FROM dead)),
		'k2|2|public.events|g|2|1|no such account', "$mode: the dead letter says what and why");
	is(call($a, 'reject_batch', "'{0, 0, 2, 77}'"), '1', "$mode: several, those that count");
	is(call($a, 'nack_batch', "'{0, 1, 2, 3}'"), '2', "$mode: the others are released");
	is(take($b, 10), '1x2 3x2', "$mode: and what was rejected never comes");
	is(call($b, 'ack_batch', "'{1, 3}'"), '2', "$mode: they are done");
	is($node->safe_psql('postgres', "SELECT lag, in_flight, dead_lettered, redelivered FROM streamq.consumer_groups
		WHERE stream = 'events'::regclass"), '0|0|2|2', "$mode: what was rejected, and what came again, is counted");

	# -- expiry of the lease
	start($mode, 4);
	is(take($a, 3, "lease => '500 ms'"), '0 1 2', "$mode: out for a short time");
	is(call($a, 'ack', 1), 't', "$mode: one is done in time");
	is(take($b, 1), '3', "$mode: others do not get what is out");
	usleep(700_000);
	is(take($b, 10, "lease => '1 h'"), '0x2 2x2', "$mode: they get it when the lease has run out");

	# -- acknowledgement after that
	is(call($a, 'ack', 0), 'f', "$mode: too late: it was given to another member");
	is(call($a, 'nack', 0), 'f', "$mode: too late to release it");
	is(call($a, 'reject', 0), 'f', "$mode: too late to reject it");
	is(call($a, 'extend_lease', "'{0, 2}', '1 h'"), '0', "$mode: too late to renew it");
	is(call($a, 'ack_batch', "'{0, 1, 2}'"), '0', "$mode: also several");
	is(call($a, 'ack_through', 2), '0', "$mode: also all up to it");
	state_is('0|3|3', "$mode: the other member still has it");
	is(call($b, 'ack_batch', "'{0, 2}'"), '2', "$mode: and acknowledges it");
	start($mode, 2);
	is(take($a, 2, "lease => '300 ms'"), '0 1', "$mode: out for a short time");
	usleep(500_000);
	is(call($a, 'ack', 0), 't', "$mode: late, but nobody has it: counts");
	is(take($b, 2), '1x2', "$mode: and so only the other one comes again");

	# -- renew
	start($mode, 3);
	is(take($a, 3, "lease => '800 ms'"), '0 1 2', "$mode: out for a short time");
	is(call($a, 'extend_lease', "'{0, 2, 99}', '1 h'"), '2', "$mode: two are renewed");
	usleep(1_000_000);
	is(take($b, 10), '1x2', "$mode: the other one comes again");
	is(call($a, 'ack_batch', "'{0, 1, 2}'"), '2', "$mode: what was renewed can be acknowledged");
	is(call($a, 'extend_lease', "'{0}', '1 h'"), '0', "$mode: what is done cannot be renewed");

	# -- acknowledgement by another session, which knows nothing of the delivery
	start($mode, 3);
	is(take($a, 3, "consumer => 'pooled'"), '0 1 2', "$mode: taken in one session");
	is(call($b, 'ack', 1), 't', "$mode: acknowledged in another one");
	is(call($c, 'nack', 2), 't', "$mode: released in a third one");
	is(take($b, 3, "consumer => 'pooled'"), '2x2', "$mode: and taken in the second");
	is(call($a, 'ack', 2), 'f', "$mode: the first one had it before that");
	is(call($c, 'ack_batch', "'{0, 2}'"), '2', "$mode: the third acknowledges");
	state_is('3|0|0', "$mode: all is done");

	# -- a member leaves: what it had comes to others long before its lease ends
	start($mode, 2);
	my $d = session($node);
	is(take($d, 1, "lease => '1 h'"), '0', "$mode: a member has a message");
	is(take($a, 2, "lease => '1 h'"), '1', "$mode: and another one the rest");
	send_to($b, "SELECT msg_id, deliveries FROM streamq.consume('events', 'g', wait => '60 s')");
	usleep(200_000);
	my $left = time;
	finish($d);
	is(answer($b), '0|2', "$mode: it leaves, and its message goes to a waiting member");
	cmp_ok(time - $left, '<', 20, "$mode: soon");

	# -- gaps: offsets of transactions that rolled back
	start($mode, 2);
	foreach my $i (2, 4, 6)
	{
		run_in($c, "BEGIN; INSERT INTO events (key, payload) SELECT 'gone', '0' FROM generate_series(1, 5); ROLLBACK");
		produce($i, $i + 1);
	}
	is(join(' ', split /\n/, run_in($a, "SELECT payload FROM streamq.consume('events', 'g', 5)")),
		'0 1 2 3 4', "$mode: rolled-back messages are not given out, and do not count");
	is(take($b, 10), '15 21 22', "$mode: nor to the next member");
	is(call($a, 'ack_batch', "(SELECT array_agg(i) FROM generate_series(0, 30) i)"), '8', "$mode: a gap cannot be acknowledged");
	state_is('23|0|0', "$mode: the position is after the gaps");

	# an open transaction keeps back itself and what comes after it, not longer
	start($mode, 1);
	run_in($c, "BEGIN; INSERT INTO events (key, payload) VALUES ('open', '1')");
	produce(2, 2);
	is(take($a, 10), '0', "$mode: nothing from or after a transaction in progress");
	run_in($c, 'COMMIT');
	is(take($b, 10), '1 2', "$mode: until it has committed");

	# -- where a group begins, and other groups of the stream
	start($mode, 2);
	run_in($c, "SELECT streamq.create_group('events', 'late', mode => '$mode', start_at => 'latest')");
	is(take($a, 1), '0', "$mode: a group that begins with the first message");
	produce(2, 2);
	is(run_in($a, "SELECT msg_id FROM streamq.consume('events', 'late')"), '2', "$mode: one that begins at the end");
	is(run_in($b, "SELECT count(*), sum(deliveries) FROM streamq.consume('events', 'ordered')"), '3|3', "$mode: one of another mode");
	is(call($a, 'ack', 2), 'f', "$mode: each has its own state");
	$node->safe_psql('postgres', "SELECT streamq.drop_group('events', g) FROM unnest('{late, ordered}'::text[]) g");

	# -- large messages
	produce(3, 4);
	$node->safe_psql('postgres', "INSERT INTO events (key, payload) SELECT 'large' || i, to_jsonb(repeat(md5(i::text), 20000))
		FROM generate_series(1, 3) i");
	is(run_in($b, "SELECT count(*), sum(length(payload #>> '{}')) FROM streamq.consume('events', 'g')"), '7|1920004',
		"$mode: large messages come as the others");
	is(call($b, 'nack', 6), 't', "$mode: one is released");
	is(run_in($a, "SELECT deliveries, left(payload #>> '{}', 32) FROM streamq.consume('events', 'g')"),
		'2|c81e728d9d4c2f636f067f89cc14862c', "$mode: and comes again");

	# -- the group is moved while messages are out
	start($mode, 4);
	is(take($a, 2), '0 1', "$mode: out");
	is(call($a, 'ack', 0), 't', "$mode: done");
	is(call($c, 'seek', "'earliest'"), '', "$mode: the group is moved back");
	is(call($a, 'ack', 1), 'f', "$mode: what was out is not out any more");
	is(take($b, 10), '0 1 2 3', "$mode: all messages come again, as if for the first time");
	is(call($c, 'seek', 'to_msg_id => 2'), '', "$mode: the group is moved forward");
	is(take($c, 1), '2', "$mode: and goes on there");
	is(call($b, 'ack_batch', "'{0, 1, 2, 3}'"), '0', "$mode: the other member has nothing");
	run_in($a, "BEGIN; SELECT streamq.seek('events', 'g', 'latest'); ROLLBACK");
	is(call($c, 'ack', 2), 't', "$mode: a move that is rolled back changes nothing");
	state_is('3|1|0', "$mode: one is left");

	# -- retention goes past what is out
	start($mode, 5);
	is(take($a, 3, "lease => '1 h'"), '0 1 2', "$mode: out");
	run_in($c, 'TRUNCATE events');
	produce(5, 6);
	is(join(' ', split /\n/, run_in($b, "SELECT payload FROM streamq.consume('events', 'g', 10)")),
		'5 6', "$mode: the stream was emptied: a member gets what came after that");
	is($node->safe_psql('postgres', "SELECT lag, in_flight FROM streamq.consumer_groups WHERE stream = 'events'::regclass"),
		'2|2', "$mode: and what is gone does not hold the group up");
	run_in($b, "SELECT streamq.ack_batch('events', 'g', array_agg(m)) FROM generate_series(0, 20) m");
	is($node->safe_psql('postgres', "SELECT lag, in_flight FROM streamq.consumer_groups WHERE stream = 'events'::regclass"),
		'0|0', "$mode: nothing is left");
	start($mode, 0);
	produce(0, 2);
	is(take($a, 3, "lease => '1 h'"), '0 1 2', "$mode: out");
	$node->safe_psql('postgres', "SELECT streamq.alter_stream('events', max_messages => 10)");
	# what is removed is a whole extent at a time
	$node->safe_psql('postgres', "INSERT INTO events (key, payload) SELECT 'k' || i, to_jsonb(repeat('x', 500))
		FROM generate_series(3, 30000) i");
	ok($node->poll_query_until('postgres', "SELECT first_offset > 100 FROM streamq.partitions WHERE stream = 'events'::regclass"),
		"$mode: retention removes the beginning");
	my $next = run_in($b, "SELECT min(msg_id) FROM streamq.consume('events', 'g', 1)");
	cmp_ok($next, '>', 100, "$mode: a member goes on after it");
	cmp_ok($node->safe_psql('postgres', "SELECT expired FROM streamq.consumer_groups WHERE stream = 'events'::regclass"),
		'>', 50, "$mode: what was lost is counted");

	# -- the limit of deliveries
	start($mode, 3, "max_deliveries => 3, dead_letter => 'dead'");
	$node->safe_psql('postgres', 'TRUNCATE dead');
	is(take($a, 1), '0', "$mode: first delivery");
	is(call($a, 'nack', "0, reason => 'first'"), 't', "$mode: failed");
	is(take($b, 1, "lease => '200 ms'"), '0x2', "$mode: second delivery");
	usleep(400_000);
	is(take($a, 1), '0x3', "$mode: third delivery, after the lease ran out");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM dead'), '0', "$mode: the limit is not exceeded yet");
	is(call($a, 'nack', "0, reason => 'third'"), 't', "$mode: failed again");
	is(take($b, 10), '1 2', "$mode: it does not come a fourth time, the others do");
	is($node->safe_psql('postgres', "SELECT payload, headers->>'streamq_msg_id', headers->>'streamq_deliveries',
		headers->>'streamq_reason' FROM dead"), '0|0|3|third', "$mode: but is a dead letter");
	is(call($b, 'ack_batch', "'{1, 2}'"), '2', "$mode: the others are done");
	state_is('3|0|0', "$mode: nothing is left");

	# the lease of the last delivery runs out
	start($mode, 2, "max_deliveries => 1, dead_letter => 'dead', lease => '200 ms'");
	$node->safe_psql('postgres', 'TRUNCATE dead');
	is(take($a, 1), '0', "$mode: the only delivery");
	usleep(400_000);
	is(take($b, 10, "lease => '1 h'"), '1', "$mode: its lease ran out: it does not come again");
	is($node->safe_psql('postgres', "SELECT payload, headers->>'streamq_deliveries' FROM dead"), '0|1', "$mode: a dead letter");
	is(call($a, 'ack', 0), 'f', "$mode: too late");

	# redriven: to this group, counted from 1
	is(run_in($c, "SELECT streamq.redrive('events', 'g')"), '1', "$mode: what was dead-lettered is delivered once more");
	is(take($c, 10, "lease => '1 h'"), '0', "$mode: counted from 1");
	is(call($c, 'ack', 0), 't', "$mode: done");
	is(run_in($c, "SELECT streamq.redrive('events', 'g')"), '0', "$mode: and not redriven again");

	# -- how many may be out
	start($mode, 10, 'max_in_flight => 4');
	is(take($a, 3), '0 1 2', "$mode: within the limit");
	is(take($b, 10), '3', "$mode: the rest of it");
	is(take($c, 10), '', "$mode: nothing beyond");
	is(call($a, 'ack_batch', "'{1, 2}'"), '2', "$mode: room for two");
	is(take($c, 10), '4 5', "$mode: which others may use");

	# -- a member that waits is woken by what makes a message available
	start($mode, 2, 'max_in_flight => 2');
	my $wakes = sub {
		my ($name, $n, $expected, @then) = @_;

		send_to($b, "SELECT msg_id, deliveries FROM streamq.consume('events', 'g', $n, wait => '60 s')");
		$node->poll_query_until('postgres',
			"SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%wait => ''60 s''%' AND pid <> pg_backend_pid()");
		usleep(200_000);
		my $since = time;
		foreach (@then) { run_in(@$_) }
		is(answer($b), $expected, "$mode: $name");
		cmp_ok(time - $since, '<', 5, "$mode: $name: soon");
	};
	is(take($a, 2), '0 1', "$mode: no more may be out");
	produce(2, 5);
	$wakes->('an acknowledgement makes room', 1, '2|1', [ $a, "SELECT streamq.ack('events', 'g', 0)" ]);
	$wakes->('a message is released', 1, '1|2', [ $a, "SELECT streamq.nack('events', 'g', 1)" ]);
	is(call($b, 'ack_batch', "'{1, 2}'"), '2', "$mode: done");
	run_in($a, 'BEGIN');
	is(take($a, 2), '3 4', "$mode: taken in a transaction");
	$wakes->('it rolls back', 2, "3|1\n4|1", [ $a, 'ROLLBACK' ]);
	is(call($b, 'ack_batch', "'{3, 4}'"), '2', "$mode: done");
	is(take($a, 2, "lease => '700 ms'"), '5', "$mode: out for a short time");
	$wakes->('the lease runs out', 1, '5|2');
	is(call($b, 'nack', "5, retry_after => '700 ms'"), 't', "$mode: released for later");
	$wakes->('its time has come', 1, '5|3');
	is(call($b, 'ack', 5), 't', "$mode: done");
	$wakes->('a message is produced', 1, '6|1', [ $c, "INSERT INTO events (key, payload) VALUES ('k', '6')" ]);
	is(call($b, 'ack', 6), 't', "$mode: done");
	if ($mode eq 'key_shared')
	{
		run_in($c, "INSERT INTO events (key, payload) VALUES ('k', '7'), ('k', '8')");
		is(take($a, 1), '7', "$mode: the first of a key");
		$wakes->('its key is free', 1, '8|1', [ $a, "SELECT streamq.ack('events', 'g', 7)" ]);
		is(call($b, 'ack', 8), 't', "$mode: done");
	}

	# -- rollback gives back at once, as if it had not been
	start($mode, 3);
	run_in($a, 'BEGIN');
	is(take($a, 2), '0 1', "$mode: taken in a transaction");
	is(take($b, 1), '2', "$mode: others go on without waiting");
	is(call($b, 'ack', 2), 't', "$mode: and acknowledge");
	is(call($a, 'ack', 0), 't', "$mode: acknowledged in the transaction");
	is(take($b, 1), '', "$mode: it has the rest");
	run_in($a, 'ROLLBACK');
	is(take($b, 5), '0 1', "$mode: until it rolls back: then others get it, for the first time");

	# -- prepared: the claim and the acknowledgement are decided later
	start($mode, 4);
	run_in($a, 'BEGIN');
	is(take($a, 2), '0 1', "$mode: taken in a transaction that is prepared");
	is(call($a, 'ack', 0), 't', "$mode: acknowledged there");
	run_in($a, "PREPARE TRANSACTION 'p'");
	is(take($a, 1), '2', "$mode: the session goes on to others");
	$node->stop('immediate');
	$node->start;
	finish($a, $b, $c);
	($a, $b, $c) = map { session($node) } 1 .. 3;
	is(join(' ', sort split / /, take($b, 5)), '2x2 3',
		"$mode: after a crash both are still taken; what the session had besides is given back");
	run_in($c, "COMMIT PREPARED 'p'");
	is(call($b, 'ack', 0), 'f', "$mode: committed: acknowledged");
	is(call($b, 'ack', 1), 't', "$mode: and leased, to whom it was given");
	run_in($a, 'BEGIN');
	is(call($a, 'ack', 3), 't', "$mode: an acknowledgement");
	run_in($a, "PREPARE TRANSACTION 'p'");
	is(run_in($b, "SET lock_timeout = '2 s'; SELECT streamq.ack('events', 'g', 2)"), 't', "$mode: nobody waits for it");
	run_in($c, "ROLLBACK PREPARED 'p'");
	is(call($c, 'ack', 3), 't', "$mode: rolled back: it is not acknowledged");
	state_is('4|0|0', "$mode: all is done");
	is($node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', "$mode: the stream is sound");
}

# -- the mode can change when nothing is out
start('shared', 3);
is(take($a, 1), '0', 'out');
like(run_in($c, "SELECT streamq.alter_group('events', 'g', mode => 'ordered')"), qr/ERROR/, 'the mode stays while a message is out');
is(call($a, 'ack', 0), 't', 'done');
is(run_in($c, "SELECT streamq.alter_group('events', 'g', mode => 'ordered')"), '', 'then it can change');
is(take($a, 1), '1', 'ordered: a message');
is(take($b, 1), '', 'ordered: for one consumer at a time');
is(call($a, 'ack', 1), 't', 'ordered: done');
is(run_in($c, "SELECT streamq.alter_group('events', 'g', mode => 'key_shared')"), '', 'and change again');
is(take($b, 5), '2', 'from where it was');

# -- a standby knows the states, and goes on with them
foreach my $mode ('shared', 'key_shared')
{
	start($mode, 2000, 'max_in_flight => 2000');
	is(run_in($a, "SELECT count(*) FROM streamq.consume('events', 'g', 1000, lease => '1 h', consumer => 'x')"), '1000', "$mode: many are out");
	$node->backup("b_$mode");
	my $standby = PostgreSQL::Test::Cluster->new("standby_$mode");
	$standby->init_from_backup($node, "b_$mode", has_streaming => 1);
	$standby->start;
	is(call($a, 'ack_batch', "(SELECT array_agg(i) FROM generate_series(0, 999) i WHERE i % 3 > 0)"), '666', "$mode: of which some are done");
	is(call($a, 'nack', 0), 't', "$mode: one is released");
	run_in($b, "BEGIN; SELECT count(*) FROM streamq.consume('events', 'g', 100)");
	$node->safe_psql('postgres', 'CHECKPOINT');
	$node->wait_for_catchup($standby);
	my $state = "SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE stream = 'events'::regclass";
	is($standby->safe_psql('postgres', $state), '0|1334|433', "$mode: the standby shows it");
	$standby->promote;
	run_in($b, 'ROLLBACK');
	is($standby->safe_psql('postgres', $state), '0|1334|333', "$mode: also as a primary");
	is($standby->safe_psql('postgres', "SELECT count(*), min(msg_id), max(deliveries) FROM streamq.consume('events', 'g', 1001)"),
		'1001|0|2', "$mode: what is not out is given out there");
	is($standby->safe_psql('postgres', "SELECT streamq.ack_batch('events', 'g', array_agg(i)) FROM generate_series(0, 1999) i"),
		'1334', "$mode: and everything can be acknowledged");
	is($standby->safe_psql('postgres', $state), '2000|0|0', "$mode: nothing is left");
	is($standby->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', "$mode: the stream is sound");
	$standby->stop;
}

# -- very many messages wait for their retry: they keep nobody up, are there after a crash,
# and come in time
foreach my $mode ('shared', 'key_shared')
{
	start($mode, 100_000, 'max_in_flight => 1000000');
	is(run_in($a, "SELECT count(*) FROM streamq.consume('events', 'g', 100000, lease => '1 h')"), '100000', "$mode: very many are out");
	is(run_in($a, "SELECT streamq.nack_batch('events', 'g', array_agg(i), retry_after => '1 h') FROM generate_series(0, 99999) i
		WHERE i % 4 > 0"), '75000', "$mode: most are released for later");
	is(run_in($a, "SELECT streamq.nack_batch('events', 'g', array_agg(i), retry_after => '6 s') FROM generate_series(0, 99999) i
		WHERE i % 4 = 0"), '25000', "$mode: the others for soon");
	my $released = time;
	produce(100_000, 101_999);
	$node->stop('immediate');
	$node->start;
	finish($a, $b, $c);
	($a, $b, $c) = map { session($node) } 1 .. 3;
	is(run_in($a, "SELECT count(*), min(msg_id), max(deliveries) FROM streamq.consume('events', 'g', 1000)"), '1000|100000|1',
		"$mode: after a crash a member gets new messages");
	run_in($a, "DO \$\$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM * FROM streamq.consume('events', 'g', 10, auto_ack => true); COMMIT; END LOOP; END \$\$");
	is($node->safe_psql('postgres', "SELECT lag FROM streamq.consumer_groups WHERE stream = 'events'::regclass"), '101000',
		"$mode: and goes on");
	cmp_ok(time - $released, '<', 30, "$mode: without looking at each that waits");
	usleep(7_000_000 - 1_000_000 * (time - $released)) if time - $released < 7;
	is(run_in($b, "SELECT count(*), count(*) FILTER (WHERE msg_id % 4 = 0), min(deliveries), max(deliveries)
		FROM streamq.consume('events', 'g', 30000)"), '25000|25000|2|2', "$mode: what is due comes, and nothing else");
	is($node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', "$mode: the stream is sound");
}

finish($a, $b, $c);
$node->stop;
done_testing();
