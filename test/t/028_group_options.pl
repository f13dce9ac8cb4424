# Options of consumer groups, dead letters and redriven messages in a dump, and
# over a crash and a restart: a message and its dead letter never part.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_prepared_transactions = 10
});
$node->start;
my $dir = $node->basedir;
$node->safe_psql('postgres', 'CREATE DATABASE src');
$node->safe_psql('src', q{
CREATE EXTENSION streamq;
CREATE SCHEMA app;
CREATE SCHEMA "Odd ""schema";
CREATE TABLE app.s (payload jsonb) USING streamq;
SELECT streamq.create_stream('"Odd ""schema"."dead letters"');
SELECT streamq.create_stream('app.left_out');
SELECT streamq.create_stream('app.dropped');
CREATE FUNCTION app.wanted(jsonb) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT $1::text::int % 2 = 0 $$;
INSERT INTO app.s SELECT to_jsonb(i) FROM generate_series(0, 99) i;
SELECT streamq.create_group('app.s', 'plain');
SELECT streamq.create_group('app.s', 'all', lease => '7 s', max_deliveries => 3, dead_letter => '"Odd ""schema"."dead letters"',
	max_in_flight => 50, filter => 'app.wanted(payload)', retry_backoff => '1.5 s', retry_backoff_max => '1 day', max_rate => 0.25);
SELECT streamq.pause_group('app.s', 'all');
SELECT streamq.create_group('app.s', 'lost', dead_letter => 'app.left_out');
SELECT streamq.create_group('app.s', 'dropped', dead_letter => 'app.dropped');
DROP TABLE app.dropped;
SELECT streamq.create_group('app.s', 'again');
SELECT count(*) FROM streamq.consume('app.s', 'again', 10);
SELECT streamq.reject_batch('app.s', 'again', ARRAY[1, 5, 6]);
SELECT streamq.ack_batch('app.s', 'again', ARRAY[0, 2, 3, 4, 7, 8, 9]);
SELECT streamq.redrive('app.s', 'again', ARRAY[1, 6]);
});

# ---- dump and restore

my $options = q{SELECT group_name, lease, max_deliveries, max_in_flight, filter, retry_backoff, retry_backoff_max, max_rate, max_per_key, paused
	FROM streamq.consumer_group ORDER BY group_name};
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", $node->connstr('src') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE dst');
command_ok([ 'pg_restore', '-d', $node->connstr('dst'), "$dir/dump" ], 'restore');
is($node->safe_psql('dst', $options), $node->safe_psql('src', $options), 'options of groups are restored');
is($node->safe_psql('dst', q{SELECT group_name, dead_letter FROM streamq.consumer_group WHERE dead_letter IS NOT NULL ORDER BY group_name}),
	qq{all|"Odd ""schema"."dead letters"\ndropped|-\nlost|app.left_out}, 'and their dead letters');
is($node->safe_psql('dst', q{SELECT string_agg(payload::text || '/' || deliveries, ' ') FROM streamq.consume('app.s', 'again', 4)}),
	'1/1 6/1 10/1 11/1', 'redriven messages are still to be delivered');
is($node->safe_psql('dst', q{SELECT streamq.redrive('app.s', 'again')}), '0', 'others cannot be redriven in a restored database');
is($node->safe_psql('dst', q{SELECT streamq.resume_group('app.s', 'all'); SELECT msg_id FROM streamq.consume('app.s', 'all', 2)}),
	"\n0", 'filter and rate are effective');

# without a dead letter
command_ok([ 'pg_dump', '-Fc', '-T', 'app.left_out', '-f', "$dir/part", $node->connstr('src') ], 'dump without a stream');
$node->safe_psql('postgres', 'CREATE DATABASE part');
command_ok([ 'pg_restore', '-d', $node->connstr('part'), "$dir/part" ], 'restore without it');
for my $group ('lost', 'dropped')
{
	my ($result, $out, $err) = $node->psql('part', qq{
SELECT count(*) FROM streamq.consume('app.s', '$group', 3);
SELECT streamq.reject('app.s', '$group', 0)});
	is($out, "3\nf", "a message of group $group stays if the dead letter was not restored");
	like($err, qr/DETAIL:  the dead letter of consumer group "$group" of stream "s" was dropped/, 'with a warning');
	like($node->safe_psql('part', qq{SELECT streamq.alter_group('app.s', '$group', dead_letter => '"Odd ""schema"."dead letters"'); SELECT streamq.reject('app.s', '$group', 0)}),
		qr/t$/, 'until the group has another dead letter');
}
is($node->safe_psql('part', q{SELECT count(*) FROM "Odd ""schema"."dead letters"}), '2', 'which has the letters');

# ---- crash

$node->safe_psql('src', q{
SELECT count(*) FROM streamq.consume('app.s', 'lost', 10, consumer => 'me');
SELECT streamq.reject_batch('app.s', 'lost', ARRAY[0, 1])});
my $session = $node->background_psql('src');
$session->query_safe(q{BEGIN});
$session->query_safe(q{SELECT streamq.reject_batch('app.s', 'lost', ARRAY[2, 3])});
$session->query_safe(q{SELECT streamq.redrive('app.s', 'lost', ARRAY[0])});
$node->safe_psql('src', 'CREATE TABLE flushed (); DROP TABLE flushed');
$node->stop('immediate');
eval { $session->quit };
$node->start;
my $figures = q{SELECT acked_offset, in_flight, dead_lettered FROM streamq.consumer_groups WHERE group_name = 'lost'};
my $letters = q{SELECT string_agg(payload::text, ' ') FROM app.left_out};
is($node->safe_psql('src', $figures), '2|8|2', 'after a crash, what was committed is done');
is($node->safe_psql('src', $letters), '0 1', 'and has a letter, nothing else has');
is($node->safe_psql('src', q{SELECT count(*) FROM streamq.check_stream('app.s')}), '0', 'the stream is sound');

# a prepared transaction, over a restart
$node->safe_psql('src', q{
BEGIN;
SELECT streamq.reject('app.s', 'lost', 4);
PREPARE TRANSACTION 'letter'});
$node->restart;
is($node->safe_psql('src', $letters), '0 1', 'a prepared letter is not there yet');
$node->safe_psql('src', q{COMMIT PREPARED 'letter'});
is($node->safe_psql('src', $letters), '0 1 4', 'and is there when its transaction commits');
is($node->safe_psql('src', $figures), '2|7|3', 'with its message done');
is($node->safe_psql('src', q{SELECT streamq.redrive('app.s', 'lost')}), '3', 'all of them can be redriven');
$node->stop('immediate');
$node->start;
is($node->safe_psql('src', q{SELECT string_agg(payload::text || '/' || deliveries, ' ') FROM streamq.consume('app.s', 'lost', 3, consumer => 'me')}),
	'0/1 1/1 4/1', 'and are delivered after a restart');

# ---- waiting consumers are woken

$node->safe_psql('src', q{
SELECT streamq.create_group('app.s', 'paused');
SELECT streamq.pause_group('app.s', 'paused');
SELECT streamq.create_group('app.s', 'slow', max_rate => 0.0001);
SELECT count(*) FROM streamq.consume('app.s', 'slow', 5);
SELECT streamq.create_group('app.s', 'buried');
SELECT count(*) FROM streamq.consume('app.s', 'buried', 1000, consumer => 'me');
SELECT streamq.reject_batch('app.s', 'buried', array_agg(i::bigint)) FROM generate_series(0, 99) i});
my %wakers = (
	paused => q{SELECT streamq.resume_group('app.s', 'paused')},
	slow => q{SELECT streamq.alter_group('app.s', 'slow', max_rate => 0)},
	buried => q{SELECT streamq.redrive('app.s', 'buried')});
for my $group (sort keys %wakers)
{
	my $waiter = $node->background_psql('src');
	$waiter->query_until(qr/begins/, qq{
\\echo begins
SELECT msg_id FROM streamq.consume('app.s', '$group', 1, wait => '$PostgreSQL::Test::Utils::timeout_default s');
});
	$node->poll_query_until('src', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%streamq.consume%' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid())})
		or die 'consumer does not wait';
	$node->safe_psql('src', $wakers{$group});
	my $started = time;
	$waiter->quit;
	cmp_ok(time - $started, '<', $PostgreSQL::Test::Utils::timeout_default / 4, "a consumer of group $group was woken");
}

$node->stop;
done_testing();
