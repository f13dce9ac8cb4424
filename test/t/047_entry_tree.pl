# The tree of entries of the shared modes, with many pages: what was acknowledged
# stays so over crashes during splits, on a standby, and when a seek or TRUNCATE
# rolls back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $messages = 30000;

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
autovacuum = off
wal_consistency_checking = 'streamq'
max_wal_size = '4GB'
));
$node->start;
$node->safe_psql(
	'postgres', qq(
CREATE EXTENSION streamq;
CREATE TABLE events (key text, n int) USING streamq;
INSERT INTO events SELECT (i % 5000)::text, i FROM generate_series(0, $messages - 1) i;
SELECT streamq.create_group('events', 's', mode => 'shared', max_in_flight => $messages);
SELECT streamq.create_group('events', 'k', mode => 'key_shared', max_in_flight => $messages);
CREATE TABLE acked (g text, n bigint);
SELECT count(*) FROM streamq.consume('events', 's', $messages, consumer => 'c', lease => '1 h');
SELECT count(*) FROM streamq.consume('events', 'k', $messages, consumer => 'c', lease => '1 h');
));

# The messages that are still out are those that no committed transaction has
# acknowledged.
sub is_exact
{
	my ($server, $name) = @_;
	is( $server->safe_psql(
			'postgres', qq(
SELECT groups.g, count(*), count(*) FILTER (WHERE held.n IS NULL) AS missing,
	(SELECT in_flight FROM streamq.consumer_groups c WHERE c.group_name = groups.g) - count(*) AS too_many
FROM (VALUES ('s'), ('k')) groups (g)
CROSS JOIN generate_series(0, $messages - 1) message (n)
LEFT JOIN (SELECT group_name, generate_series(first_msg_id, last_msg_id) AS n FROM streamq.leases) held
	ON held.group_name = groups.g AND held.n = message.n
LEFT JOIN (SELECT DISTINCT g, n FROM acked) done ON done.g = groups.g AND done.n = message.n
WHERE done.n IS NULL
GROUP BY groups.g ORDER BY groups.g DESC)),
		expected(), $name);
	return;
}

sub expected
{
	my @rows;
	for my $g ('s', 'k')
	{
		my $n = $node->safe_psql('postgres',
			"SELECT $messages - count(DISTINCT n) FROM acked WHERE g = '$g'");
		push @rows, "$g|$n|0|0";
	}
	return join("\n", @rows);
}

# acknowledge messages of a group in a random order, some of them in transactions
# that roll back
sub worker
{
	my ($group, $from, $n) = @_;
	return qq(
DO \$\$
BEGIN
	FOR i IN 1 .. $n LOOP
		BEGIN
			WITH picked AS (SELECT DISTINCT ($from + random() * 7499)::bigint AS n FROM generate_series(1, 5)),
			done AS (SELECT n FROM picked WHERE streamq.ack('events', '$group', n))
			INSERT INTO acked SELECT '$group', n FROM done;
			IF i % 5 = 0 THEN
				RAISE EXCEPTION USING errcode = 'U0001';
			END IF;
		EXCEPTION WHEN SQLSTATE 'U0001' THEN NULL;
		END;
		IF i % 10 = 9 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END
\$\$;
);
}

is_exact($node, 'everything is handed out');

# Crashes while several sessions acknowledge.
for my $round (1 .. 3)
{
	my @sessions;
	for my $g ('s', 'k')
	{
		for my $from (0, 15000)
		{
			my $script = worker($g, $from + 7500 * ($round % 2), 100000);
			push @sessions,
			  IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $script ],
				'>', '/dev/null', '2>', '/dev/null');
		}
	}
	$node->poll_query_until('postgres', "SELECT count(*) >= $round * 1500 FROM acked");
	$node->safe_psql('postgres', 'VACUUM events') if $round == 2;
	$node->stop('immediate');
	$_->finish for @sessions;
	$node->start;
	is_exact($node, "crash $round: exactly what was committed is acknowledged");
	$node->safe_psql('postgres', worker('s', 0, 3) . worker('k', 0, 3));
	is_exact($node, "crash $round: the next changes find the tree whole");
	is($node->safe_psql('postgres', "SELECT count(*) FROM streamq.check_stream('events')"),
		'0', "crash $round: check_stream() finds nothing");
}

# VACUUM settles pages that no session has visited since.
$node->safe_psql('postgres', worker('s', 0, 20) . 'VACUUM events;');
is_exact($node, 'VACUUM changes nothing');

# A standby shows the same, and goes on from there.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', worker('s', 0, 20) . worker('k', 0, 20));
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is_exact($standby, 'a standby');
$standby->promote;
$standby->safe_psql('postgres', worker('s', 0, 20));
is($standby->safe_psql('postgres', "SELECT count(*) FROM streamq.check_stream('events')"),
	'0', 'check_stream() on a promoted standby finds nothing');
$standby->stop;

# A seek that rolls back, and one that does not.
my $before = $node->safe_psql('postgres',
	"SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = 's'");
is( $node->safe_psql(
		'postgres', q(
BEGIN;
SELECT streamq.seek('events', 's', to_msg_id => 29000);
SELECT count(*) FROM streamq.consume('events', 's', 100, consumer => 'd');
ROLLBACK;
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = 's')),
	"\n100\n$before", 'a seek that rolls back');
is_exact($node, 'a seek that rolled back has changed nothing');

is( $node->safe_psql(
		'postgres', q(
SELECT streamq.seek('events', 's', to_msg_id => 29000);
SELECT count(*) FROM streamq.consume('events', 's', 100, consumer => 'd');
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = 's';
SELECT count(*) FROM streamq.check_stream('events'))),
	"\n100\n29000|1000|100\n0", 'a seek');

# TRUNCATE
$before = $node->safe_psql('postgres',
	"SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = 'k'");
is( $node->safe_psql(
		'postgres', q(
BEGIN;
TRUNCATE events;
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = 'k';
ROLLBACK;
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = 'k';
TRUNCATE events;
INSERT INTO events VALUES ('1', 1), ('2', 2);
SELECT count(*) FROM streamq.consume('events', 'k', consumer => 'd');
SELECT acked_offset, lag, in_flight FROM streamq.consumer_groups WHERE group_name = 'k';
SELECT count(*) FROM streamq.check_stream('events'))),
	"$messages|0|0\n$before\n2\n$messages|2|2\n0", 'TRUNCATE empties the tree');

$node->stop;
done_testing();
