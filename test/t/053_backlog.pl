# Producers at the limit of a backlog, side by side with consumers: the limit is never
# exceeded, nothing is lost, and nobody waits for ever.  What a killed session held comes back.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('backlog');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
fsync = off
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
CREATE TABLE lags (lag bigint) USING heap;
CREATE TABLE consumed (payload text) USING heap;
CREATE TABLE produced (payload text, way text) USING heap;

CREATE PROCEDURE produce_some(producer int, n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			INSERT INTO produced VALUES (producer || '-' || i, 'taken');
			PERFORM streamq.produce('events', to_jsonb(producer || '-' || i));
			-- some of them roll back
			IF i % 10 = 0 THEN
				RAISE no_data_found;
			END IF;
		EXCEPTION WHEN configuration_limit_exceeded THEN
			INSERT INTO produced VALUES (producer || '-' || i, 'rejected');
		WHEN no_data_found THEN
			INSERT INTO produced VALUES (producer || '-' || i, 'rolled back');
		END;
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE consume_some(n int) LANGUAGE plpgsql AS $$
DECLARE
	empty int = 0;
BEGIN
	WHILE empty < n LOOP
		INSERT INTO lags SELECT sum(lag) FROM streamq.consumer_groups WHERE group_name = 'g';
		WITH taken AS (SELECT payload FROM streamq.consume('events', 'g', 7, auto_ack => true, wait => '200 ms'))
		INSERT INTO consumed SELECT payload #>> '{}' FROM taken;
		empty := CASE WHEN FOUND THEN 0 ELSE empty + 1 END;
		COMMIT;
	END LOOP;
END $$;
));

sub start_psql
{
	my @statements = map { ('-c', $_) } @_;
	my %s = (out => '');
	$s{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), @statements ],
		'>', \$s{out}, '2>&1', IPC::Run::timeout(120));
	return \%s;
}

foreach my $policy ('block', 'reject')
{
	$node->safe_psql('postgres', qq(
		TRUNCATE lags, consumed, produced;
		SELECT streamq.create_stream('events', partitions => 2);
		SELECT streamq.create_group('events', 'g');
		SELECT streamq.alter_stream('events', backlog_messages => 20, backlog_policy => '$policy');));
	my @producers = map { start_psql("CALL produce_some($_, 150)") } 1 .. 4;
	my $consumer = start_psql('CALL consume_some(5)');
	foreach my $s (@producers, $consumer)
	{
		$s->{run}->finish;
		is($s->{out}, '', "$policy: no error");
	}
	cmp_ok($node->safe_psql('postgres', 'SELECT max(lag) FROM lags'), '<=', 20, "$policy: never above the limit");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM produced'), '600', "$policy: every message was tried");
	is($node->safe_psql('postgres', "SELECT count(*) FROM produced WHERE way = 'rejected'") eq '0',
		$policy eq 'block' ? 1 : '', "$policy: " . ($policy eq 'block' ? 'none was rejected' : 'some were rejected'));
	is($node->safe_psql('postgres', q(
		SELECT count(*) FROM (SELECT payload FROM produced WHERE way = 'taken') p
		FULL JOIN consumed c USING (payload) WHERE p.payload IS NULL OR c.payload IS NULL)), '0',
		"$policy: what was taken was consumed, and nothing else");
	is($node->safe_psql('postgres', 'SELECT count(*) - count(DISTINCT payload) FROM consumed'), '0', "$policy: once");
	is($node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', "$policy: the stream is sound");
	$node->safe_psql('postgres', 'DROP TABLE events');
}

# A blocked producer goes on when the only consumer is killed: its messages come back at once.
$node->safe_psql('postgres', q(
	SELECT streamq.create_stream('events');
	SELECT streamq.create_group('events', 'g', lease => '1 hour');
	SELECT streamq.alter_stream('events', backlog_messages => 3, backlog_policy => 'block');
	SELECT streamq.produce_batch('events', '{1, 2, 3}')));
my $holder = start_psql("SELECT count(*) FROM streamq.consume('events', 'g')", 'SELECT pg_sleep(100)');
$node->poll_query_until('postgres', 'SELECT sum(in_flight) = 3 FROM streamq.consumers') or die 'nobody consumes';
my $blocked = start_psql("SELECT streamq.produce('events', '4')");
my $next = start_psql("SELECT count(*) FROM streamq.consume('events', 'g', wait => '1 min', auto_ack => true)");
$node->poll_query_until('postgres',
	"SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query LIKE 'SELECT%streamq.%'")
	or die 'they do not wait';
my $start = time;
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(100)' AND pid <> pg_backend_pid()");
$_->{run}->finish foreach $next, $blocked;
is($next->{out}, "3\n", 'another consumer gets what the killed session held');
is($blocked->{out}, "3\n", 'and the producer goes on');
cmp_ok(time - $start, '<', 10, 'at once');
$holder->{run}->finish;

# Sessions that consumed and ended leave the registry when it has grown.
$node->safe_psql('postgres', "SELECT streamq.alter_stream('events', backlog_policy => 'none')");
$node->pgbench('-n -C -c 2 -t 150', 0, [qr{processed: 300/300}], [qr{^$}], 'sessions that consume once',
	{ '053_consume' => "SELECT count(*) FROM streamq.consume('events', 'g', 1, auto_ack => true);" });
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamq.consumers'), '0', 'they are not shown');
is($node->safe_psql('postgres', "SELECT * FROM streamq.check_stream('events')"), '', 'and the registry is sound');
$node->stop;
done_testing();
