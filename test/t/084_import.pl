# Queues of pgmq and PgQ are copied once, while others write to them, and also
# across a dump.  PgQ is the real one if it is installed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');

sub import
{
	my ($queue, $db) = @_;

	return $node->safe_psql($db // 'postgres', "SELECT streamq.import_$queue");
}

# a second session, with the version's own interface
sub session
{
	return $node->background_psql('postgres');
}

# ---- pgmq: an import waits for writers, and sees what they have committed ----
$node->safe_psql('postgres', q{
	CREATE SCHEMA pgmq;
	CREATE TABLE pgmq.q_jobs (
		msg_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, read_ct int DEFAULT 0 NOT NULL,
		enqueued_at timestamptz DEFAULT now() NOT NULL, vt timestamptz NOT NULL, message jsonb);
});
my $writer = session();
$writer->query_safe(q{BEGIN; INSERT INTO pgmq.q_jobs (vt, message) VALUES (now(), '1')});
$node->safe_psql('postgres', q{INSERT INTO pgmq.q_jobs (vt, message) VALUES (now(), '2')});
my $importer = session();
$importer->query_until(qr/began/, "\\echo began\nBEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT streamq.import_pgmq('jobs'); COMMIT;\n");
ok($node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'pgmq.q_jobs'::regclass AND NOT granted}),
	'an import waits for a transaction that has sent a message');
$writer->query_safe('COMMIT');
$importer->query_safe('SELECT 1');
is($node->safe_psql('postgres', 'SELECT string_agg(payload::text, \',\' ORDER BY streamq.msg_id(tableoid, ctid)) FROM jobs'), '1,2',
	'it has copied the message that was committed meanwhile');
is(import(q{pgmq('jobs')}), '0', 'and nothing is copied twice');

# ---- PgQ ----
my $pgq = $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pgq'});
SKIP:
{
	skip 'PgQ is not installed for this server', 4 unless $pgq;
	$node->safe_psql('postgres', q{
		CREATE EXTENSION pgq;
		SELECT pgq.create_queue('orders');
		SELECT pgq.insert_event('orders', 'new', '{"n": 1}');
	});
	$writer->query_safe(q{BEGIN; SELECT pgq.insert_event('orders', 'new', '{"n": 2}')});
	$node->safe_psql('postgres', q{SELECT pgq.insert_event('orders', 'new', 'three', 'x', NULL, NULL, NULL)});
	is(import(q{pgq('orders')}), '2', 'what is committed is copied, without waiting');
	$writer->query_safe('COMMIT');
	is(import(q{pgq('orders')}), '1', 'what was committed later is copied by the next import');
	is(import(q{pgq('orders')}), '0', 'nothing is copied twice');
	is($node->safe_psql('postgres',
			q{SELECT string_agg(payload::text || ':' || (headers->>'ev_id') || coalesce(headers->>'ev_extra1', ''), ' '
				ORDER BY streamq.msg_id(tableoid, ctid)) FROM orders}),
		'{"n": 1}:1 "three":3x {"n": 2}:2', 'events with their numbers and other columns');
}
$writer->quit;
$importer->quit;

# ---- a dump keeps what was copied ----
my $dump = "$PostgreSQL::Test::Utils::tmp_check/import.sql";
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restore');
is(import(q{pgmq('jobs')}, 'restored'), '0', 'a restored queue of pgmq is not copied again');
$node->safe_psql('restored', q{INSERT INTO pgmq.q_jobs (vt, message) VALUES (now(), '3')});
is(import(q{pgmq('jobs')}, 'restored'), '1', 'but what is sent later is');
SKIP:
{
	skip 'PgQ is not installed for this server', 2 unless $pgq;
	is(import(q{pgq('orders')}, 'restored'), '0', 'a restored queue of PgQ is not copied again');
	$node->safe_psql('restored', q{SELECT pgq.insert_event('orders', 'new', 'four')});
	is(import(q{pgq('orders')}, 'restored'), '1', 'but what is sent later is');
}

$node->stop;
done_testing();
