# Messages with a deliver_at: exactly once over crashes in the midst, in the
# order of their time, about in time, on a promoted standby, with prepared
# transactions, and in a dump.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run ();
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('delay');
$node->init(allows_streaming => 1);
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_prepared_transactions = 5
max_worker_processes = 16
streamq.naptime = '200ms'
wal_consistency_checking = 'streamq'
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('s', partitions => 2);
CREATE TABLE expected (n int, due timestamptz);
-- n messages, due within these times
CREATE FUNCTION produce(first int, last int, soonest interval, latest interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	due timestamptz;
BEGIN
	FOR i IN first .. last LOOP
		due := clock_timestamp() + soonest + (latest - soonest) * random();
		PERFORM streamq.produce('s', i::text, partition => i % 2, deliver_at => due);
		INSERT INTO expected VALUES (i, due);
	END LOOP;
	RETURN (SELECT count(*) FROM streamq.delayed_messages);
END $$;
));

# Crashes while messages are being appended.
$node->safe_psql('postgres', q(SELECT produce(1, 20000, '1 s', '9 s')));
for my $i (1 .. 4)
{
	usleep(1_300_000);
	$node->stop('immediate');
	$node->start;
}
ok($node->poll_query_until('postgres', q(SELECT count(*) >= 20000 FROM s)), 'all messages come');
is($node->safe_psql('postgres', q(
SELECT count(*), count(DISTINCT payload), bool_and(produced_at >= due) FROM
	(SELECT payload, streamq.produced_at(tableoid, ctid) AS produced_at FROM s) x JOIN expected ON n = payload::int;
SELECT count(*) FROM streamq.delayed_messages;
)), "20000|20000|t\n0", 'each once, and none before its time');
is($node->safe_psql('postgres', q(
SELECT count(*) FROM (SELECT due, lag(due) OVER (PARTITION BY streamq.msg_partition(id) ORDER BY id) AS before
	FROM (SELECT payload, streamq.msg_id(tableoid, ctid) AS id FROM s) x JOIN expected ON n = payload::int) y WHERE due < before
)), '0', 'in the order of their time');

# 1,000 a second: about in time.
$node->safe_psql('postgres', q(TRUNCATE s; TRUNCATE expected; SELECT produce(1, 5000, '2 s', '7 s')));
ok($node->poll_query_until('postgres', q(SELECT count(*) >= 5000 FROM s)), 'messages come');
my $late = $node->safe_psql('postgres', q(
SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM produced_at - due)) FROM
	(SELECT payload, streamq.produced_at(tableoid, ctid) AS produced_at FROM s) x JOIN expected ON n = payload::int));
cmp_ok($late, '<', 2, "about in time (p99 $late s)");

# A message that is being taken back is left alone, and comes after a rollback.
my ($in, $out) = ('', '');
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(120));
$node->safe_psql('postgres', q(TRUNCATE s; SELECT streamq.produce('s', '"taken back"', deliver_at => clock_timestamp() + interval '1 s')));
$in .= "BEGIN; SELECT streamq.cancel_delayed(stream, delayed_id) FROM streamq.delayed_messages;\n\\echo --done\n";
$session->pump until $out =~ /--done/;
$node->safe_psql('postgres', q(SELECT streamq.produce('s', '"other"', deliver_at => clock_timestamp() + interval '1.5 s')));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM s WHERE payload = '"other"')), 'others do not wait for it');
is($node->safe_psql('postgres', 'SELECT count(*) FROM s'), '1', 'it is left alone');
$in .= "ROLLBACK;\n\\q\n";
$session->finish;
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM s WHERE payload = '"taken back"')), 'after a rollback it comes');

# A stream that is locked does not keep others waiting, and loses nothing.
$node->safe_psql('postgres', q(SELECT streamq.create_stream('other')));
($in, $out) = ('', '');
$session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(120));
$node->safe_psql('postgres', q(
SELECT streamq.produce('s', '"locked"', deliver_at => clock_timestamp() + interval '1 s');
SELECT streamq.produce('other', '"free"', deliver_at => clock_timestamp() + interval '1.1 s')));
$in .= "BEGIN; LOCK TABLE s;\n\\echo --done\n";
$session->pump until $out =~ /--done/;
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM other)), 'the other stream gets its message');
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamq.delayed_messages'), '1', 'the one of the locked stream waits');
$in .= "COMMIT;\n\\q\n";
$session->finish;
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM s WHERE payload = '"locked"')), 'until it is free');

# Prepared transactions.
$node->safe_psql('postgres', q(
BEGIN;
SELECT streamq.produce('s', '"prepared"', deliver_at => clock_timestamp() + interval '100 ms');
PREPARE TRANSACTION 'p';
SELECT pg_sleep(1);
SELECT streamq.produce('s', '"between"', deliver_at => clock_timestamp() + interval '100 ms');
));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM s WHERE payload = '"between"')), 'a prepared transaction keeps nobody waiting');
$node->safe_psql('postgres', q(COMMIT PREPARED 'p'));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM s WHERE payload = '"prepared"')), 'its message comes after its commit');

# The process passes a message that a prepared transaction has taken back.
$node->safe_psql('postgres', q(
SELECT streamq.produce('s', '"kept"', deliver_at => clock_timestamp() + interval '500 ms');
BEGIN;
SELECT streamq.cancel_delayed(stream, delayed_id) FROM streamq.delayed_messages;
PREPARE TRANSACTION 'p';
SELECT streamq.produce('s', '"after"', deliver_at => clock_timestamp() + interval '600 ms');
));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM s WHERE payload = '"after"')), 'a prepared transaction takes a message back');
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'p'));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM s WHERE payload = '"kept"')), 'the message comes after its rollback');

# A standby waits; when it is promoted, it goes on.
$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', q(TRUNCATE s; TRUNCATE expected; SELECT produce(1, 3000, '3 s', '6 s')));
$node->wait_for_catchup($standby);
usleep(1_000_000);
$node->stop('immediate');
is($standby->safe_psql('postgres', q(SELECT count(*) FROM streamq.delayed_messages)), '3000', 'a standby shows what waits');
$standby->promote;
ok($standby->poll_query_until('postgres', q(SELECT count(*) >= 3000 FROM s)), 'after promotion the messages come');
is($standby->safe_psql('postgres', q(SELECT count(*), count(DISTINCT payload) FROM s)), '3000|3000', 'each once');

# A dump has what waits; it comes after the messages of the stream.
$standby->safe_psql('postgres', q(
SELECT streamq.create_stream('waiting', 'key text, payload text, headers jsonb');
SELECT streamq.produce_batch('waiting', ARRAY['1', '2', '3']);
SELECT streamq.produce('waiting', E'far\\t', key => 'k', headers => '{"h": 1}', dedup_id => 'd', deliver_at => '2100-01-01');
SELECT streamq.produce('waiting', 'near', deliver_at => clock_timestamp() + interval '1 minute');
SELECT streamq.produce('other', '"gone"', deliver_at => '2100-01-01');
));
my $dump = $standby->basedir . '/dump';
$standby->command_ok([ 'pg_dump', '-Fc', '-h', $standby->host, '-p', $standby->port, '-f', $dump, 'postgres' ], 'dump');
$standby->safe_psql('postgres', q(CREATE DATABASE copy));
$standby->command_ok([ 'pg_restore', '-h', $standby->host, '-p', $standby->port, '-d', 'copy', $dump ], 'restore');
my $columns = 'stream::text, deliver_at, key, payload, headers, partition, dedup_id';
my $waits = "SELECT $columns FROM streamq.delayed_messages ORDER BY deliver_at";
is($standby->safe_psql('copy', $waits), $standby->safe_psql('postgres', $waits), 'the restored database waits for the same messages');
# now the near one is due; and a stream whose messages are not there yet
$standby->safe_psql('copy', q(
UPDATE streamq.delayed_message SET due_at = now() WHERE payload = 'near';
CREATE TABLE kept AS SELECT * FROM waiting;
TRUNCATE waiting;
SELECT streamq.produce('other', '"wake"', deliver_at => clock_timestamp() + interval '100 ms');
));
ok($standby->poll_query_until('copy', q(SELECT count(*) = 1 FROM other WHERE payload = '"wake"')), 'the process works');
is($standby->safe_psql('copy', 'SELECT count(*) FROM waiting'), '0', 'a message waits until the stream is restored');
$standby->safe_psql('copy', q(INSERT INTO waiting SELECT * FROM kept));
ok($standby->poll_query_until('copy', q(SELECT count(*) = 4 FROM waiting)), 'and comes after its messages');
is($standby->safe_psql('copy', q(SELECT string_agg(payload, ' ' ORDER BY streamq.msg_id(tableoid, ctid)) FROM waiting)), '1 2 3 near', 'in their order');

# DROP EXTENSION and DROP DATABASE while messages wait
$standby->safe_psql('copy', 'SET client_min_messages = warning; DROP EXTENSION streamq CASCADE; CREATE EXTENSION streamq');
is($standby->safe_psql('copy', 'SELECT count(*) FROM streamq.delayed_messages'), '0', 'nothing waits in a new extension');
$standby->safe_psql('postgres', 'DROP DATABASE copy');
unlike(slurp_file($_->logfile), qr/PANIC|TRAP|inconsistent page/, 'clean log of ' . $_->name) for ($node, $standby);
done_testing();
