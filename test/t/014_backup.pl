# Backups of a cluster with checksums while producers, consumers and a
# continuous view are at work; recovery to a point in time; pg_rewind of an old
# primary that went its own way after the promotion.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1, has_archiving => 1, extra => ['--data-checksums']);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
max_worker_processes = 16
wal_log_hints = on
wal_keep_size = 2GB
timezone = 'UTC'
});
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE TABLE s (at timestamptz NOT NULL, key text, n int, payload text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 3);
CREATE TABLE copy (at timestamptz, key text, n int, payload text);
CREATE TABLE taken (n int);
SELECT streamq.create_group('s', 'g');
SELECT streamq.create_continuous_view('per_minute', $$
	SELECT w.window_start, key, count(*) AS n, sum(n) AS total
	FROM s, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key $$);
});

# What is committed in one transaction is the same in heap tables and in the stream.
my $produce = q{
BEGIN;
WITH new AS (SELECT clock_timestamp() AS at, 'k' || i % 9 AS key, i + :client_id * 100 AS n, repeat('p', i * 37 % 900) AS payload FROM generate_series(1, 20) i),
	kept AS (INSERT INTO copy SELECT * FROM new)
INSERT INTO s SELECT * FROM new;
COMMIT;
BEGIN; INSERT INTO s SELECT now(), NULL, -1, 'undone'; ROLLBACK;
};
my $consume = q{
INSERT INTO taken SELECT (m.message).n FROM streamq.consume_as(NULL::s, 'g', 50, auto_ack => true) m;
};
my $dir = $node->basedir;
for (['produce', $produce], ['consume', $consume])
{
	open(my $fh, '>', "$dir/$_->[0].sql") or die $!;
	print $fh $_->[1];
	close($fh);
}

my @load;
sub start_load
{
	my ($server, $seconds) = @_;
	@load = map { IPC::Run::start([ 'pgbench', '-n', '-T', $seconds, '-c', $_ eq 'produce' ? 2 : 1, '-f', "$dir/$_.sql", '-h', $server->host, '-p', $server->port, 'postgres' ],
		'<', \undef, '>', "$dir/$_.log", '2>&1') } ('produce', 'consume');
}
sub end_load
{
	$_->finish for @load;
}

# everything that has to agree within one server
sub consistent
{
	my ($server, $name) = @_;
	is($server->safe_psql('postgres', q{
SELECT (SELECT count(*) FROM ((TABLE s) EXCEPT ALL (TABLE copy)) a), (SELECT count(*) FROM ((TABLE copy) EXCEPT ALL (TABLE s)) b),
	(SELECT count(*) > 0 FROM s)}), '0|0|t', "$name: the stream and its copy in a heap table are equal");
	is($server->safe_psql('postgres', q{
SELECT (SELECT count(*) FROM s) - (SELECT count(*) FROM taken) = sum(lag), sum(expired) FROM streamq.consumer_groups WHERE group_name = 'g'}),
		't|0', "$name: the group stands where its work stands");
	# all the rest is delivered once
	my $taken = 1;
	for (1 .. 1000)
	{
		$taken = $server->safe_psql('postgres', q{
WITH new AS (INSERT INTO taken SELECT (m.message).n FROM streamq.consume_as(NULL::s, 'g', 1000, auto_ack => true) m RETURNING 1) SELECT count(*) FROM new});
		last if $taken == 0;
	}
	is($server->safe_psql('postgres', q{
SELECT count(*) FROM ((SELECT n FROM s EXCEPT ALL SELECT n FROM taken) UNION ALL (SELECT n FROM taken EXCEPT ALL SELECT n FROM s)) x}),
		0, "$name: every message is taken once");
	is($server->safe_psql('postgres', q{SELECT streamq.wait_until_caught_up('per_minute', '30 s')}), 't', "$name: the view catches up");
	is($server->safe_psql('postgres', q{
WITH q AS (SELECT w.window_start, key, count(*), sum(n) FROM s, streamq.tumble(at, '1 minute') w GROUP BY w.window_start, w.window_end, key)
SELECT count(*) FROM ((TABLE per_minute EXCEPT ALL TABLE q) UNION ALL (TABLE q EXCEPT ALL TABLE per_minute)) x}),
		0, "$name: and equals its query");
}

start_load($node, 4);
usleep(400_000);
$node->backup('busy', backup_options => ['--checkpoint=fast']);
$node->safe_psql('postgres', 'VACUUM s');
usleep(300_000);
$node->safe_psql('postgres', q{BEGIN; INSERT INTO s SELECT now(), 'last', -7, 'before' ; INSERT INTO copy SELECT * FROM s WHERE n = -7; COMMIT;});
my $target = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
usleep(300_000);
$node->safe_psql('postgres', q{BEGIN; INSERT INTO s SELECT now(), 'last', -8, 'after' ; INSERT INTO copy SELECT * FROM s WHERE n = -8; COMMIT;});
my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
$node->backup('busier', backup_options => ['--checkpoint=fast']);
end_load();
unlike(slurp_file("$dir/produce.log"), qr/ERROR|aborted/, 'nothing went wrong while producing');
unlike(slurp_file("$dir/consume.log"), qr/ERROR|aborted/, 'nothing went wrong while consuming');
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= pg_walfile_name('$lsn') FROM pg_stat_archiver");

my $pitr = PostgreSQL::Test::Cluster->new('pitr');
$pitr->init_from_backup($node, 'busy', has_restoring => 1, standby => 0);
$pitr->append_conf('postgresql.conf', qq{
recovery_target_time = '$target'
recovery_target_action = 'promote'
archive_mode = off
});
$pitr->start;
$pitr->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is($pitr->safe_psql('postgres', 'SELECT string_agg(n::text, $$,$$) FROM s WHERE n < -1'), '-7', 'the point in time');
consistent($pitr, 'PITR');
$pitr->stop;
command_ok([ 'pg_checksums', '--check', '-D', $pitr->data_dir ], 'checksums of the recovered server');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'busier', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'archive_mode = off');
$standby->start;
$node->wait_for_catchup($standby);
$standby->promote;

# both go on, the old primary with things of every kind that are to vanish
$node->safe_psql('postgres', q{
INSERT INTO s SELECT now(), 'k' || i % 9, 100000 + i, repeat('gone', i) FROM generate_series(1, 1500) i;
SELECT count(*) FROM streamq.consume('s', 'g', 500, auto_ack => true);
SELECT streamq.alter_stream('s', partitions => 4);
INSERT INTO s SELECT now(), 'k' || i % 90, 200000 + i, 'gone' FROM generate_series(1, 1500) i;
VACUUM (FREEZE) s;
CREATE TABLE other (i int) USING streamq;
INSERT INTO other SELECT generate_series(1, 1000);
SELECT streamq.wait_until_caught_up('per_minute');
CHECKPOINT;
INSERT INTO s SELECT now(), 'k', 300000, 'gone';
});
start_load($standby, 1);
end_load();
$standby->safe_psql('postgres', 'VACUUM s; CHECKPOINT');
$node->stop;
command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ], 'checksums of the old primary');

my $conf = slurp_file($node->data_dir . '/postgresql.conf');
command_ok([ 'pg_rewind', '--source-server', $standby->connstr('postgres'), '--target-pgdata', $node->data_dir, '--no-sync' ], 'pg_rewind');
open(my $fh, '>', $node->data_dir . '/postgresql.conf') or die $!;
print $fh $conf;
close($fh);
$node->append_conf('postgresql.conf', q{
archive_mode = off
restore_command = ''
primary_conninfo = '} . $standby->connstr . q{'});
$node->set_standby_mode;
$node->start;
$standby->wait_for_catchup($node);
my $look = q{SELECT count(*), md5(string_agg(ctid || s::text, ',' ORDER BY ctid)) FROM s};
is($node->safe_psql('postgres', $look), $standby->safe_psql('postgres', $look), 'rewound: rows as on the new primary');
$look = q{SELECT stream, partition, first_offset, next_offset, bytes, extents, reserved_extents FROM streamq.partitions ORDER BY 1, 2};
is($node->safe_psql('postgres', $look), $standby->safe_psql('postgres', $look), 'rewound: partitions as on the new primary');
is($node->safe_psql('postgres', q{SELECT count(*) FROM s WHERE n >= 100000}), 0, 'rewound: nothing of its own way');
consistent($standby, 'new primary');
$standby->wait_for_catchup($node);
$standby->stop;
$node->promote;
$node->safe_psql('postgres', q{WITH new AS (INSERT INTO copy SELECT now(), 'k' || i, i, 'again primary' FROM generate_series(1, 500) i RETURNING *) INSERT INTO s SELECT * FROM new});
consistent($node, 'rewound and promoted');
$node->stop;
command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ], 'checksums at the end');
unlike(slurp_file($_->logfile), qr/inconsistent page|PANIC|TRAP|invalid page|verification failed/, 'clean log of ' . $_->name) for ($node, $standby, $pitr);
done_testing();
