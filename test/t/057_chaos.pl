# Many consumers of many groups in all modes, whose backends are killed at random; partitions
# that are added while producers and consumers work; members that join and leave.  Every
# message comes exactly once to those that work in the consuming transaction, and at least
# once, with true numbers of deliveries, to those with leases; each key in order.
#
# STREAMQ_CHAOS_SECONDS: how long backends are killed (60).
# STREAMQ_TEST_MODES: modes of groups (all).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{STREAMQ_CHAOS_SECONDS} || 120;
my @modes = split / /, $ENV{STREAMQ_TEST_MODES} || 'ordered shared key_shared';

my $node = PostgreSQL::Test::Cluster->new('chaos');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_connections = 150
max_worker_processes = 16
wal_consistency_checking = 'streamq'
max_wal_size = 4GB
fsync = off
log_min_messages = warning
log_statement = none
));
$node->start;
my $dir = $node->basedir;

sub sql
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}

sql(q(
CREATE EXTENSION streamq;
CREATE SEQUENCE numbers;

-- what was taken in the transaction that acknowledged it
CREATE TABLE ledger (nth bigint GENERATED ALWAYS AS IDENTITY, stream regclass, grp text,
	msg_id bigint, key text, n bigint);
-- what was delivered under a lease, and what was acknowledged after that
CREATE TABLE delivered (nth bigint GENERATED ALWAYS AS IDENTITY, stream regclass, grp text,
	msg_id bigint, key text, n bigint, deliveries int);
CREATE TABLE acked (stream regclass, grp text, msg_id bigint);
CREATE TABLE killed (at timestamptz DEFAULT clock_timestamp());

-- the keys of a producer are its own, so the order of n is that of each key
CREATE PROCEDURE produce_some(s regclass, producer text, keys int, pause float8, seconds float8)
LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + make_interval(secs => seconds);
BEGIN
	WHILE clock_timestamp() < until LOOP
		EXECUTE format('INSERT INTO %s (key, payload)
			SELECT concat_ws(''-'', $1, n %% $2), to_jsonb(n) FROM (SELECT nextval(''numbers'') AS n
				FROM generate_series(1, 1 + (random() * 8)::int)) x', s) USING producer, keys;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		PERFORM pg_sleep(pause * random());
	END LOOP;
END $$;

CREATE PROCEDURE work_exactly(s regclass, g text, seconds float8) LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + make_interval(secs => seconds);
	ids bigint[];
	acked bigint;
BEGIN
	WHILE clock_timestamp() < until LOOP
		IF random() < 0.5 THEN
			INSERT INTO ledger (stream, grp, msg_id, key, n)
			SELECT s, g, msg_id, key, (payload #>> '{}')::bigint
			FROM streamq.consume(s, g, 1 + (random() * 20)::int, wait => '100 ms', auto_ack => true);
		ELSE
			WITH w AS (
				INSERT INTO ledger (stream, grp, msg_id, key, n)
				SELECT s, g, msg_id, key, (payload #>> '{}')::bigint
				FROM streamq.consume(s, g, 1 + (random() * 20)::int, wait => '100 ms')
				RETURNING msg_id)
			SELECT coalesce(array_agg(msg_id), '{}') INTO ids FROM w;
			IF random() < 0.3 THEN
				PERFORM pg_sleep(0.02 * random());
			END IF;
			acked := streamq.ack_batch(s, g, ids);
			IF acked <> cardinality(ids) THEN
				RAISE EXCEPTION 'wrong count: group % acknowledged % of %', g, acked, ids;
			END IF;
		END IF;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;

CREATE PROCEDURE work_leased(s regclass, g text, seconds float8) LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + make_interval(secs => seconds);
	ids bigint[];
	luck float8;
BEGIN
	WHILE clock_timestamp() < until LOOP
		WITH w AS (
			INSERT INTO delivered (stream, grp, msg_id, key, n, deliveries)
			SELECT s, g, msg_id, key, (payload #>> '{}')::bigint, deliveries
			FROM streamq.consume(s, g, 1 + (random() * 20)::int, wait => '100 ms', lease => '1 s')
			RETURNING msg_id)
		SELECT coalesce(array_agg(msg_id), '{}') INTO ids FROM w;
		COMMIT;
		luck := random();
		IF luck < 0.1 THEN
			PERFORM streamq.nack_batch(s, g, ids);
		ELSIF luck < 0.98 THEN
			-- sometimes too late
			PERFORM pg_sleep(CASE WHEN luck < 0.12 THEN 1.1 WHEN luck < 0.5 THEN 0.02 * random() ELSE 0 END);
			INSERT INTO acked SELECT s, g, id FROM unnest(ids) id WHERE streamq.ack(s, g, id);
		END IF;
		COMMIT;
	END LOOP;
END $$;

CREATE PROCEDURE kill_some(seconds float8) LANGUAGE plpgsql AS $$
DECLARE
	until timestamptz := clock_timestamp() + make_interval(secs => seconds);
BEGIN
	WHILE clock_timestamp() < until LOOP
		INSERT INTO killed SELECT FROM (SELECT pid FROM pg_stat_activity
			WHERE query LIKE 'CALL work%' OR query LIKE 'CALL produce%' ORDER BY random() LIMIT 1) p
		WHERE pg_terminate_backend(pid);
		COMMIT;
		PERFORM pg_sleep(0.1 * random());
	END LOOP;
END $$;
));

# groups of a stream, as mode => [names]; those that work exactly once, and with leases
my %mode_of;

sub make_group
{
	my ($stream, $name, $mode) = @_;
	sql("SELECT streamq.create_group('$stream', '$name', mode => '$mode')");
	$mode_of{"$stream $name"} = $mode;
	return;
}

sub start_workers
{
	my ($stream, $name, $how, $n, $each, $file) = @_;
	spawn_loop($node, "CALL work_$how('$stream', '$name', $each)", $file) for 1 .. $n;
	return;
}

# waits until the groups of a stream have done all; their workers are still there
sub drained
{
	my ($stream, $name) = @_;
	ok($node->poll_query_until('postgres',
			"SELECT coalesce(sum(lag), 0) = 0 FROM streamq.consumer_groups WHERE stream = '$stream'::regclass"),
		"$name: everything is consumed")
	  or diag(sql("SELECT * FROM streamq.consumer_groups WHERE stream = '$stream'::regclass AND lag > 0"));
	return;
}

# what has to hold in the end, for every group
sub check_all
{
	my ($stream, $name, $errors) = @_;
	my $of = "stream = '$stream'::regclass";
	my $produced = "SELECT streamq.msg_id(tableoid, ctid) AS msg_id, key, (payload #>> '{}')::bigint AS n FROM $stream";
	my $in_order = join(', ', map { s/^\Q$stream\E //r =~ s/(.*)/'$1'/r }
		  grep { /^\Q$stream\E / && $mode_of{$_} ne 'shared' } sort keys %mode_of) || "''";

	cmp_ok(sql("SELECT count(*) FROM $stream"), '>', 200, "$name: there was something to do");
	unlike($errors, qr/wrong count/, "$name: what is taken in a transaction can be acknowledged in it");
	my @unexpected = grep { /ERROR|FATAL|PANIC/ && !/terminating connection due to administrator command/
		  && !/connection to server/ } split /\n/, $errors;
	is("@unexpected[0 .. ($#unexpected < 4 ? $#unexpected : 4)]", '', "$name: no errors");

	my $names = "(SELECT DISTINCT group_name AS grp FROM streamq.consumer_groups WHERE $of AND group_name LIKE";
	my $groups = "$names 'exactly%') g";
	is(sql("SELECT grp, count(*), min(msg_id) FROM (
			(SELECT grp, msg_id, key, n FROM $groups, ($produced) p EXCEPT ALL
				SELECT grp, msg_id, key, n FROM ledger WHERE $of)) x GROUP BY 1"),
		'', "$name: exactly once: nothing is lost");
	is(sql("SELECT grp, count(*), min(msg_id) FROM (
			(SELECT grp, msg_id, key, n FROM ledger WHERE $of EXCEPT ALL
				SELECT grp, msg_id, key, n FROM $groups, ($produced) p)) x GROUP BY 1"),
		'', "$name: exactly once: nothing is doubled, or was never produced");
	is(sql("SELECT grp, count(*), min(n) FROM (SELECT grp, n,
				lag(n) OVER (PARTITION BY grp, key ORDER BY nth) AS before
			FROM ledger WHERE $of AND grp IN ($in_order)) x WHERE n <= before GROUP BY 1"),
		'', "$name: exactly once: each key in order");

	$groups = "$names 'leased%') g";
	is(sql("SELECT grp, count(*), min(msg_id) FROM (
			(SELECT grp, msg_id FROM $groups, ($produced) p EXCEPT ALL
				SELECT grp, msg_id FROM acked WHERE $of)
			UNION ALL
			(SELECT grp, msg_id FROM acked WHERE $of EXCEPT ALL
				SELECT grp, msg_id FROM $groups, ($produced) p)) x GROUP BY 1"),
		'', "$name: at least once: every message is acknowledged once");
	# in ordered mode, some may be counted too high if there are many ranges of
	# messages with equal deliveries
	is(sql("SELECT grp, count(*), min(msg_id) FROM (SELECT grp, msg_id FROM delivered WHERE $of
				GROUP BY grp, msg_id HAVING count(DISTINCT deliveries) <> count(*) OR count(*) > max(deliveries)
					OR (count(*) < max(deliveries) AND grp NOT LIKE '%ordered')) x GROUP BY 1"),
		'', "$name: at least once: deliveries are counted from 1, without gaps");
	is(sql("SELECT grp, count(*), min(n) FROM (SELECT grp, n,
				lag(n) OVER (PARTITION BY grp, key ORDER BY nth) AS before
			FROM delivered WHERE $of AND deliveries = 1 AND grp IN ($in_order)) x WHERE n <= before GROUP BY 1"),
		'', "$name: at least once: each key is delivered in order");
	is(sql("SELECT group_name, mode, partition, lag, in_flight FROM streamq.consumer_groups
			WHERE $of AND (lag <> 0 OR in_flight <> 0)"), '', "$name: nothing is left in the views");
	is(sql("SELECT * FROM streamq.check_stream('$stream')"), '', "$name: the stream is sound");
	return;
}

# -- 64 consumers of 16 groups on 8 partitions
{
	my ($stop, $enough) = ("$dir/stop_chaos", "$dir/stop_producers");

	sql("SELECT streamq.create_stream('chaos', partitions => 8)");
	for my $i (0 .. 15)
	{
		my $how = int($i / @modes) % 2 ? 'leased' : 'exactly';
		make_group('chaos', "$how$i", $modes[ $i % @modes ]);
		start_workers('chaos', "$how$i", $how, 4, 5, $stop);
	}
	spawn_loop($node, "CALL produce_some('chaos', 'p$_', 20, 0.3, 5)", $enough) for 1 .. 3;
	sql("CALL kill_some($seconds)");
	my $errors = end_loops($enough);
	drained('chaos', 'killed');
	$errors .= end_loops($stop);
	cmp_ok(sql('SELECT count(*) FROM killed'), '>', 2 * $seconds, 'backends were killed');
	check_all('chaos', 'killed', $errors);
}

# -- more partitions while 4 producers and 4 consumers of each mode work
{
	my ($stop, $enough) = ("$dir/stop_grow", "$dir/stop_grow_producers");

	sql("SELECT streamq.create_stream('grow', partitions => 2)");
	foreach my $mode (@modes)
	{
		make_group('grow', "exactly_$mode", $mode);
		make_group('grow', "leased_$mode", $mode);
		start_workers('grow', "exactly_$mode", 'exactly', 4, 5, $stop);
		start_workers('grow', "leased_$mode", 'leased', 4, 5, $stop);
	}
	spawn_loop($node, "CALL produce_some('grow', 'p$_', 20, 0.1, 2)", $enough) for 1 .. 4;
	foreach my $partitions (3, 4, 7, 16)
	{
		my $before = sql('SELECT count(*) FROM grow');
		$node->poll_query_until('postgres', "SELECT count(*) > $before + 300 FROM grow");
		sql("SELECT streamq.alter_stream('grow', partitions => $partitions)");
	}
	my $before = sql('SELECT count(*) FROM grow');
	$node->poll_query_until('postgres', "SELECT count(*) > $before + 500 FROM grow");
	my $errors = end_loops($enough);
	drained('grow', 'more partitions');
	$errors .= end_loops($stop);
	is(sql("SELECT count(DISTINCT streamq.msg_partition(msg_id)) > 7 FROM ledger WHERE stream = 'grow'::regclass"),
		't', 'more partitions: they are used');
	check_all('grow', 'more partitions', $errors);
}

# -- 100 members of a key_shared group join and leave, each for a random short time
SKIP:
{
	skip 'not in these modes', 1 unless grep { $_ eq 'key_shared' } @modes;
	my ($stop, $enough) = ("$dir/stop_join", "$dir/stop_join_producers");
	my @members;

	sql("SELECT streamq.create_stream('members')");
	make_group('members', 'exactly', 'key_shared');
	make_group('members', 'leased', 'key_shared');
	spawn_loop($node, "CALL produce_some('members', 'p$_', 10, 0.02, 2)", $enough) for 1 .. 2;
	for my $join (1 .. 100)
	{
		my $how = $join % 2 ? 'exactly' : 'leased';
		my $life = 0.2 + rand();
		my $pid = fork();
		die "cannot fork: $!" unless defined $pid;
		if ($pid == 0)
		{
			open(STDOUT, '>', '/dev/null');
			open(STDERR, '>>', "$dir/members.log");
			exec('psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL work_$how('members', '$how', $life)");
		}
		push @members, $pid;
		# up to 12 at a time
		waitpid(shift @members, 0) while @members > 12;
		usleep(20_000 + rand(60_000));
	}
	waitpid($_, 0) for @members;
	my $errors = end_loops($enough) . slurp_file("$dir/members.log");
	start_workers('members', 'exactly', 'exactly', 2, 2, $stop);
	start_workers('members', 'leased', 'leased', 2, 2, $stop);
	drained('members', 'members');
	$errors .= end_loops($stop);
	check_all('members', 'members join and leave', $errors);
}

$node->stop;
done_testing();
