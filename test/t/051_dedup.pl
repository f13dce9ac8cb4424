# Ids of messages: over crashes and a restart, forgotten after dedup_window with
# their space given back, also while producers work, and what a dump knows.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run ();

my $node = PostgreSQL::Test::Cluster->new('dedup');
$node->init;
$node->append_conf(
	'postgresql.conf', q(
shared_preload_libraries = 'streamq'
max_prepared_transactions = 5
streamq.naptime = '100ms'
autovacuum = off
));
$node->start;
$node->safe_psql(
	'postgres', q(
CREATE EXTENSION streamq;
SELECT streamq.create_stream('s', partitions => 3);
CREATE FUNCTION produce(first int, last int) RETURNS bigint[] LANGUAGE sql AS
$$ SELECT streamq.produce_batch('s', array_agg(i::text ORDER BY i), dedup_ids => array_agg('id ' || i ORDER BY i)) FROM generate_series(first, last) i $$;
CREATE TABLE first_ids AS SELECT produce(1, 2000) AS ids;
));

# Committed ids survive a crash, those of a transaction in progress do not.
my ($in, $out) = ('', '');
my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(120));
$in .= "BEGIN; SELECT count(*) FROM unnest(produce(1001, 3000)); CHECKPOINT;\n\\echo --done\n";
$session->pump until $out =~ /--done/;
$node->safe_psql('postgres', q(
BEGIN;
SELECT streamq.produce('s', '5001', dedup_id => 'id 5001');
PREPARE TRANSACTION 'p';
));
$node->stop('immediate');
$session->finish;
$node->start;
is($node->safe_psql('postgres', 'SELECT produce(1, 2000) = ids FROM first_ids'), 't', 'committed ids are known after a crash');
is($node->safe_psql('postgres', 'SELECT count(*) FROM unnest(produce(2001, 3000)); SELECT count(*), count(DISTINCT payload) FROM s'),
	"1000\n3000|3000", 'those of a transaction that the crash ended are not');

# A prepared transaction: others wait for it, also after the crash.
my ($code, $stdout, $stderr) = $node->psql('postgres', q(SET lock_timeout = '200ms'; SELECT produce(5001, 5001)));
like($stderr, qr/lock timeout/, 'a prepared transaction has the id');
$node->safe_psql('postgres', q(COMMIT PREPARED 'p'));
is($node->safe_psql('postgres', q(SELECT count(*) FROM s WHERE streamq.msg_id(tableoid, ctid) = (produce(5001, 5001))[1] AND payload = '5001')),
	'1', 'and its message is the first one');

# Ids are forgotten after dedup_window, and their space comes back.
my $size = "SELECT pg_total_relation_size('streamq.dedup_0') + pg_total_relation_size('streamq.dedup_1')";
my $empty = q(SELECT pg_relation_size('streamq.dedup_0') = 0 AND pg_relation_size('streamq.dedup_1') = 0);
$node->safe_psql('postgres', 'SELECT count(*) FROM unnest(produce(10001, 60000))');
cmp_ok($node->safe_psql('postgres', $size), '>', 2_000_000, 'ids need space');
is($node->safe_psql('postgres', $empty), 'f', 'which they keep');
$node->safe_psql('postgres', q(SELECT streamq.alter_stream('s', dedup_window => '1 s')));
ok($node->poll_query_until('postgres', $empty), 'after dedup_window the tables are empty');
cmp_ok($node->safe_psql('postgres', $size), '<', 100_000, 'and their files');
is($node->safe_psql('postgres', 'SELECT produce(1, 2000) = ids FROM first_ids'), 'f', 'the ids are free again');

# A transaction that is still in progress keeps its ids.
($in, $out) = ('', '');
$session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(120));
$in .= "BEGIN; SELECT count(*) FROM unnest(produce(70001, 70001));\n\\echo --done\n";
$session->pump until $out =~ /--done/;
$node->safe_psql('postgres', 'SELECT pg_sleep(5)');
($code, $stdout, $stderr) = $node->psql('postgres', q(SET lock_timeout = '200ms'; SELECT produce(70001, 70001)));
like($stderr, qr/lock timeout/, 'an id is not forgotten before its transaction ends');
$in .= "COMMIT;\n\\q\n";
$session->finish;

# Producers that race with each other while the tables change: no id twice
# within the window.
$node->safe_psql('postgres', q(
SELECT streamq.create_stream('r', 'payload text');
SELECT streamq.alter_stream('r', dedup_window => '2 s');
));
my $script = $node->basedir . '/produce.sql';
append_to_file($script, q(
\set n random(1, 300)
SELECT streamq.produce('r', :n::text, dedup_id => (:n)::text);
SELECT streamq.produce_batch('r', ARRAY(SELECT i::text FROM generate_series(:n, :n + 20) i), dedup_ids => ARRAY(SELECT i::text FROM generate_series(:n, :n + 20) i));
));
command_ok([ 'pgbench', '-n', '-c', '6', '-j', '2', '-T', '15', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'producers race');
my ($messages, $close) = split /\|/, $node->safe_psql('postgres', q(
SELECT count(*), count(*) FILTER (WHERE at - before < interval '1900 ms') FROM
	(SELECT at, lag(at) OVER (PARTITION BY payload ORDER BY at) AS before FROM
		(SELECT payload, streamq.produced_at(tableoid, ctid) AS at FROM r) x) y));
cmp_ok($messages, '>', 900, 'each id came several times');
is($close, '0', 'but not within the window');
is($node->safe_psql('postgres', q(SELECT least(since[1], since[2]) > now() - interval '16 s' FROM streamq.dedup_state)),
	't', 'the tables changed meanwhile');

# A dump has the window, not the ids: the messages have other msg_ids.
$node->command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $node->basedir . '/dump.sql', 'postgres' ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $node->basedir . '/dump.sql', 'copy' ], 'restore');
is($node->safe_psql('copy', q(SELECT dedup_window FROM streamq.streams WHERE stream = 's'::regclass)), '00:00:01', 'the window is restored');
is($node->safe_psql('copy', q(SELECT count(*) FROM streamq.dedup_0)), '0', 'the ids are not');
unlike(slurp_file($node->logfile), qr/TRAP|PANIC/, 'no crash but ours');
done_testing();
