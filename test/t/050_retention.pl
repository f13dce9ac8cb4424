# A stream with a limit under load: every message is delivered to a group or
# counted as lost, scans and cursors never return anything wrong, also on a
# standby, before and after a crash, and the file stays near the limit.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run ();
use Time::HiRes ();

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', qq{
shared_preload_libraries = 'streamq'
wal_consistency_checking = 'streamq'
streamq.naptime = '100ms'
autovacuum_naptime = 1
max_wal_size = 1GB
wal_keep_size = 4GB
max_worker_processes = 16
});
$primary->start;
$primary->safe_psql('postgres', q{
CREATE EXTENSION streamq;
SELECT streamq.create_stream('s', partitions => 3, max_bytes => 1000000);
SELECT streamq.create_group('s', 'g');
-- what a message says about itself: producer and number; large ones span pages
CREATE FUNCTION body(producer int, n int) RETURNS jsonb IMMUTABLE LANGUAGE sql AS
$$ SELECT jsonb_build_object('p', producer, 'n', n, 'pad',
	repeat(md5(producer || ':' || n), CASE WHEN n % 50 = 0 THEN 1000 WHEN n % 7 = 0 THEN 40 ELSE 2 END)) $$;
CREATE TABLE consumed (p int, n int, m bigint);
CREATE TABLE produced (p int, n int);
});
$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = 2s');
$standby->start;

# each script runs in a loop of its own until the time is over
my %scripts = (
	produce => q{
\set producer random(1, 1000000)
BEGIN;
INSERT INTO s (key, payload) SELECT 'k' || i % 20, body(:producer, i) FROM generate_series(1, 100) i;
INSERT INTO produced SELECT :producer, i FROM generate_series(1, 100) i;
COMMIT;
},
	rollback => q{
BEGIN;
INSERT INTO s (key, payload) SELECT 'k' || i, body(-1, i) FROM generate_series(1, 30) i;
ROLLBACK;
\sleep 20 ms
},
	consume => q{
INSERT INTO consumed SELECT (payload->>'p')::int, (payload->>'n')::int, msg_id
FROM streamq.consume('s', 'g', 300, auto_ack => true);
\sleep 150 ms
},
	scan => q{
SELECT 1 / (count(*) FILTER (WHERE payload IS DISTINCT FROM body((payload->>'p')::int, (payload->>'n')::int)
	OR (payload->>'p')::int < 0) = 0)::int,
	1 / (count(*) = count(DISTINCT ctid))::int FROM s;
},
	cursor => q{
BEGIN ISOLATION LEVEL REPEATABLE READ;
DECLARE c SCROLL CURSOR FOR SELECT 1 / (payload = body((payload->>'p')::int, (payload->>'n')::int))::int FROM s;
FETCH 500 FROM c;
\sleep 300 ms
FETCH 1000 FROM c;
\sleep 300 ms
FETCH BACKWARD 400 FROM c;
FETCH ALL FROM c;
COMMIT;
},
	# each keeps a page from being used again, and goes on from there
	cursors => q{
\set n random(1, 900)
\set ms random(20, 300)
BEGIN ISOLATION LEVEL REPEATABLE READ;
DECLARE c SCROLL CURSOR FOR SELECT 1 / (payload = body((payload->>'p')::int, (payload->>'n')::int))::int FROM s;
FETCH :n FROM c;
\sleep :ms ms
FETCH 1000 FROM c;
\sleep :ms ms
FETCH BACKWARD 400 FROM c;
FETCH ALL FROM c;
COMMIT;
},
	parallel => q{
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT 1 / (count(*) FILTER (WHERE payload IS DISTINCT FROM body((payload->>'p')::int, (payload->>'n')::int)
	OR (payload->>'p')::int < 0) = 0)::int,
	1 / (count(*) = count(DISTINCT ctid))::int FROM s;
},
	read => q{
SELECT 1 / (count(*) FILTER (WHERE payload IS DISTINCT FROM body((payload->>'p')::int, (payload->>'n')::int)
	OR (payload->>'p')::int < 0) = 0)::int,
	1 / (count(*) = count(DISTINCT msg_id))::int FROM streamq.read('s', 0, 5000);
SELECT sum(expired) FROM streamq.consumer_groups;
SELECT sum(messages) FROM streamq.streams;
\sleep 50 ms
},
	check => q{
SELECT 1 / (count(*) = 0)::int FROM streamq.check_stream('s');
},
);
my $dir = PostgreSQL::Test::Utils::tempdir;
append_to_file("$dir/$_.sql", $scripts{$_}) foreach keys %scripts;

my @running;

sub start
{
	my ($node, $script, $seconds, $clients) = @_;
	my %r = (name => $script . ' on ' . $node->name, out => '', err => '');
	$r{h} = IPC::Run::start(
		[ 'pgbench', '-h', $node->host, '-p', $node->port, '-n', '-T', $seconds,
			'-c', $clients // 1, '-f', "$dir/$script.sql", 'postgres' ],
		'>', \$r{out}, '2>', \$r{err});
	push @running, \%r;
}

sub finish
{
	my (%opt) = @_;
	foreach my $r (@running)
	{
		$r->{h}->finish;
		next if $opt{crashed};
		# a transaction on a standby may be ended by a recovery conflict
		ok($r->{err} !~ /ERROR|aborted/ || $r->{name} =~ /standby/, $r->{name})
		  or diag($r->{err});
	}
	@running = ();
}

sub standby_queries
{
	my ($seconds) = @_;
	start($standby, $_, $seconds) foreach qw(scan cursor parallel check);
}

# the consumer takes what is left, then the sums must agree
sub check_sums
{
	my ($name) = @_;
	1 while $primary->safe_psql('postgres', q{
WITH m AS (INSERT INTO consumed SELECT (payload->>'p')::int, (payload->>'n')::int, msg_id
	FROM streamq.consume('s', 'g', 1000, auto_ack => true) RETURNING 1)
SELECT count(*) FROM m}) > 0;
	is($primary->safe_psql('postgres', q{
SELECT count(*) FROM (SELECT p, n FROM consumed EXCEPT ALL SELECT p, n FROM produced) x}), 0,
		"$name: nothing delivered twice, nothing that was not produced");
	my $out = $primary->safe_psql('postgres', q{
SELECT (SELECT count(*) FROM produced), (SELECT count(*) FROM consumed), (SELECT sum(expired) FROM streamq.consumer_groups)});
	my ($produced, $consumed, $lost) = split /\|/, $out;
	my $missing = $produced - $consumed;
	note("$name: produced $produced, consumed $consumed, lost $lost");
	# rolled-back messages that expired unread are counted, too
	cmp_ok($lost, '>=', $missing, "$name: all that is missing is counted as lost");
	return ($missing, $lost);
}

# without rollbacks lost is exact
start($primary, $_, 6) foreach qw(produce consume scan cursor);
standby_queries(6);
finish();
my ($missing, $lost) = check_sums('commits only');
is($lost, $missing, 'lost is exact where nothing was rolled back');
cmp_ok($lost, '>', 0, 'the group did lose messages');

my $size = $primary->safe_psql('postgres', q{SELECT pg_relation_size('s')});
note("file: $size bytes");
cmp_ok($size, '<', 1_600_000, 'the file stays near the limit while it is written fast');

# rollbacks too, and a crash amid it
start($primary, $_, 20) foreach qw(produce rollback consume scan parallel read check);
standby_queries(20);
Time::HiRes::sleep(5);
$primary->stop('immediate');
finish(crashed => 1);
$primary->start;
check_sums('after a crash');

start($primary, $_, 6) foreach qw(produce rollback consume parallel cursor read);
standby_queries(6);
finish();
check_sums('after more');

# many readers stand in what expires
start($primary, 'produce', 6);
start($primary, 'cursors', 6, 16);
start($primary, 'check', 6);
finish();

my $digest = q{SELECT count(*), sum(length(payload::text)), md5(string_agg(ctid::text, ',' ORDER BY ctid)) FROM s};
$primary->safe_psql('postgres', q{SELECT streamq.alter_stream('s', max_bytes => 0)});
Time::HiRes::sleep(1);
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $digest), $primary->safe_psql('postgres', $digest),
	'the standby has the same messages');
is($standby->safe_psql('postgres', 'SELECT stream, partition, first_offset, next_offset, bytes FROM streamq.partitions ORDER BY 2'),
	$primary->safe_psql('postgres', 'SELECT stream, partition, first_offset, next_offset, bytes FROM streamq.partitions ORDER BY 2'),
	'and the same extents');
unlike(slurp_file($standby->logfile), qr/inconsistent page|XX001|is damaged/, 'no page was redone wrong');
is(join("\n", grep { /ERROR:/ && !/conflict with recovery/ } split /\n/, slurp_file($standby->logfile)), '',
	'the standby\'s queries met nothing but recovery conflicts');
unlike(slurp_file($primary->logfile), qr/XX001|is damaged|PANIC/, 'nothing was found damaged');
$standby->stop;

# damage in one partition does not keep others from being written at the limit
$primary->safe_psql('postgres', q{
SELECT streamq.create_stream('d', partitions => 2, max_bytes => 1000000);
INSERT INTO d (key, payload) SELECT 'k' || i, to_jsonb(repeat('x', 500)) FROM generate_series(1, 500) i;
});
my $path = $primary->data_dir . '/' . $primary->safe_psql('postgres', q{SELECT pg_relation_filepath('d')});
$primary->stop;
my $data = slurp_file($path);
for my $block (0 .. length($data) / 8192 - 1)
{
	# its special space: partition, flags, magic, version, kind
	next if substr($data, $block * 8192 + 8192 - 6, 6) ne pack('CCvCC', 1, 0, 0x5153, 1, 4);
	substr($data, $block * 8192, 8192) = "\0" x 8192;
	last;
}
open(my $fh, '>:raw', $path) or die "$path: $!";
print $fh $data;
close $fh;
$primary->start;
isnt($primary->safe_psql('postgres', q{SELECT count(*) FROM streamq.check_stream('d')}), '0', 'a page is damaged');
for my $i (1 .. 40)
{
	$primary->safe_psql('postgres', q{
SELECT count(streamq.produce('d', to_jsonb(repeat('y', 500)), partition => 0)) FROM generate_series(1, 200)});
}
pass('messages are taken all the same');
$primary->stop;
done_testing();
