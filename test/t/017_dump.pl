# pg_dump and pg_restore: messages, options, privileges and consumer groups with
# their positions come back, in whatever order the parts of the dump are
# restored.  What a group had not done is delivered; nothing is skipped.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
max_worker_processes = 24
timezone = 'UTC'
});
$node->start;
my $dir = $node->basedir;
$node->safe_psql('postgres', q{
CREATE DATABASE src;
CREATE ROLE app_owner;
CREATE ROLE app_reader;
CREATE ROLE "odd ""role";
});
$node->safe_psql('src', q{
CREATE EXTENSION streamq;
CREATE SCHEMA app AUTHORIZATION app_owner;
CREATE SCHEMA zoo;
GRANT ALL ON SCHEMA zoo, app TO PUBLIC;
CREATE TABLE app.single (at timestamptz, n int, body text) USING streamq;
CREATE TABLE app.keyed (key text, n int) USING streamq;
SELECT streamq.alter_stream('app.keyed', partitions => 3);
CREATE TABLE zoo.spread (n int) USING streamq;
SELECT streamq.alter_stream('zoo.spread', partitions => 4, partition_by => '');
CREATE TABLE zoo."Odd ""name" (n int) USING streamq;
CREATE TABLE zoo.empty (n int) USING streamq;
CREATE TABLE zoo.left_out (n int) USING streamq;
SELECT streamq.alter_stream('zoo.left_out', partitions => 2, retention => '1 year');
SELECT streamq.create_stream('zoo.envelope', partitions => 2);
ALTER TABLE app.single OWNER TO app_owner;
GRANT SELECT, INSERT ON app.single TO app_reader;
GRANT SELECT ON app.keyed TO "odd ""role";
INSERT INTO app.single SELECT timestamptz '2026-01-01' + i * interval '1 s', i, repeat('x', i % 300) FROM generate_series(1, 5000) i;
BEGIN; INSERT INTO app.single SELECT now(), -i, 'undone' FROM generate_series(1, 100) i; ROLLBACK;
INSERT INTO app.single SELECT timestamptz '2026-01-02' + i * interval '1 s', i, repeat('x', i % 300) FROM generate_series(5001, 6000) i;
INSERT INTO app.keyed SELECT 'k' || i % 40, i FROM generate_series(1, 4000) i;
INSERT INTO zoo.spread SELECT i FROM generate_series(1, 8000) i;
INSERT INTO zoo."Odd ""name" SELECT i FROM generate_series(1, 10) i;
INSERT INTO zoo.left_out SELECT i FROM generate_series(1, 10) i;
SELECT count(streamq.produce('zoo.envelope', jsonb_build_object('n', i), headers => '{"h": 1}')) FROM generate_series(1, 20) i;
SELECT streamq.create_group('app.single', 'part', lease => '7 s', max_in_flight => 5000);
SELECT streamq.create_group('app.single', 'new');
SELECT streamq.create_group('app.single', 'late', start_at => 'latest');
SELECT streamq.grant_group('app.single', 'part', 'odd "role');
SELECT streamq.grant_group('app.single', 'part', 'public');
SELECT count(*) FROM streamq.consume('zoo."Odd ""name"', 'g', 4, auto_ack => true);
SELECT count(*) FROM streamq.consume('zoo.left_out', 'g', 4, auto_ack => true);
SELECT streamq.create_group('zoo.empty', 'g');
});
$node->safe_psql('src', q{SET ROLE "odd ""role"; SELECT streamq.create_group('app.keyed', 'g')});

# a group's messages that were acknowledged
my %done;
sub take
{
	my ($stream, $group, $max, $times) = @_;
	for (1 .. $times)
	{
		push @{ $done{"$stream $group"} }, split /\n/, $node->safe_psql('src',
			"SELECT m.payload ->> 'n' FROM streamq.consume('$stream', '$group', $max, auto_ack => true) m");
	}
}
take('app.single', 'part', 1234, 1);
take('app.keyed', 'g', 700, 4);
take('zoo.spread', 'g', 500, 5);
take('zoo.spread', 'all', 10000, 9);
take('zoo.envelope', 'g', 5, 1);
# handed out, not acknowledged: to be delivered again
$node->safe_psql('src', q{SELECT count(*) FROM streamq.consume('app.single', 'part', 50)});

my %streams = ('app.single' => 'n', 'app.keyed' => 'n', 'zoo.spread' => 'n', 'zoo.envelope' => q{(payload ->> 'n')::int});

# what groups get in a restored database: all they had not done, nothing else
sub check
{
	my ($db, $how) = @_;
	for my $stream (sort keys %streams)
	{
		my $look = "SELECT count(*), md5(string_agg($streams{$stream}::text, ',' ORDER BY $streams{$stream})) FROM $stream";
		is($node->safe_psql($db, $look), $node->safe_psql('src', $look), "$how: messages of $stream");
	}
	is($node->safe_psql($db, 'SELECT stream, partitions, partition_history, partition_by FROM streamq.stream_options ORDER BY stream::text'),
		$node->safe_psql('src', q{SELECT stream, partitions, partition_history, partition_by FROM streamq.stream_options ORDER BY stream::text}), "$how: options");
	my $groups = q{SELECT stream, group_name, mode, start_at, lease, max_in_flight, owner::regrole, grantees::regrole[] FROM streamq.consumer_group ORDER BY stream::text, group_name};
	is($node->safe_psql($db, $groups), $node->safe_psql('src', $groups), "$how: groups");
	is($node->safe_psql($db, q{SELECT relowner::regrole, relacl FROM pg_class WHERE oid = 'app.single'::regclass}),
		$node->safe_psql('src', q{SELECT relowner::regrole, relacl FROM pg_class WHERE oid = 'app.single'::regclass}), "$how: owner and privileges");
	for my $g (sort keys %done)
	{
		my ($stream, $group) = split / /, $g;
		my $lag = $node->safe_psql($db, "SELECT sum(lag) FROM streamq.consumer_groups WHERE stream = '$stream'::regclass AND group_name = '$group'");
		my %got;
		while (1)
		{
			my @n = split /\n/, $node->safe_psql($db, "SELECT m.payload ->> 'n' FROM streamq.consume('$stream', '$group', 5000, auto_ack => true) m");
			last if @n == 0;
			$got{$_}++ for @n;
		}
		my %was = map { $_ => 1 } @{ $done{$g} };
		my $all = $node->safe_psql($db, "SELECT string_agg($streams{$stream}::text, ',') FROM $stream");
		my @skipped = grep { !$was{$_} && !$got{$_} } split /,/, $all;
		is(scalar @skipped, 0, "$how: group $group of $stream skips nothing");
		my $again = grep { $was{$_} } keys %got;
		is(scalar keys %got, $lag, "$how: and gets what its lag said");
		is($again, 0, "$how: and gets nothing again");
	}
	is($node->safe_psql($db, q{SELECT group_name, sum(lag) FROM streamq.consumer_groups WHERE stream = 'app.single'::regclass GROUP BY 1 ORDER BY 1}),
		"late|0\nnew|6000\npart|0", "$how: other groups");
	is($node->safe_psql($db, q{SELECT count(*) FROM streamq.consume('zoo."Odd ""name"', 'g', 100, auto_ack => true)}), 6, "$how: odd names");
	# and life goes on
	$node->safe_psql($db, q{INSERT INTO app.keyed SELECT 'k' || i, 10000 + i FROM generate_series(1, 100) i});
	my $more = 0;
	for (1 .. 4) { $more += $node->safe_psql($db, q{SELECT count(*) FROM streamq.consume('app.keyed', 'g', 1000, auto_ack => true)}); }
	is($more, 100, "$how: new messages");
}

sub restored
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	return $node->connstr($db);
}
my $src = $node->connstr('src');

command_ok([ 'pg_dump', '-Fp', '-f', "$dir/plain.sql", '-d', $src ], 'pg_dump, plain');
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", '-d', $src ], 'pg_dump, custom');
command_ok([ 'pg_dump', '-Fd', '-j', '2', '-f', "$dir/directory", '-d', $src ], 'pg_dump, directory');

# app.* is loaded before the groups and options, zoo.* after them
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", '-d', restored('plain') ], 'restored by psql');
check('plain', 'plain');
command_ok([ 'pg_restore', '-e', '-d', restored('custom'), "$dir/custom" ], 'pg_restore');
check('custom', 'custom');
command_ok([ 'pg_restore', '-e', '-1', '-d', restored('one'), "$dir/custom" ], 'pg_restore in one transaction');
check('one', 'one transaction');
command_ok([ 'pg_restore', '-e', '-j', '2', '-d', restored('parallel'), "$dir/directory" ], 'pg_restore, parallel');
check('parallel', 'parallel');

# by sections, and the groups before everything else
restored('sections');
command_ok([ 'pg_restore', '-e', '--section=pre-data', '-d', $node->connstr('sections'), "$dir/custom" ], 'section pre-data');
command_ok([ 'pg_restore', '-e', '--section=data', '-n', 'streamq', '-d', $node->connstr('sections'), "$dir/custom" ], 'data of streamq');
command_ok([ 'pg_restore', '-e', '--section=data', '-n', 'app', '-n', 'zoo', '-d', $node->connstr('sections'), "$dir/custom" ], 'other data');
command_ok([ 'pg_restore', '-e', '--section=post-data', '-d', $node->connstr('sections'), "$dir/custom" ], 'section post-data');
check('sections', 'groups first');

# data only, into the same definitions
restored('data');
command_ok([ 'pg_restore', '-e', '-s', '-d', $node->connstr('data'), "$dir/custom" ], 'definitions');
is($node->safe_psql('data', 'SELECT count(*) FROM streamq.consumer_group'), 0, 'no groups without data');
command_ok([ 'pg_dump', '-a', '-Fc', '-f', "$dir/data", '-d', $src ], 'pg_dump, data only');
command_ok([ 'pg_restore', '-e', '-d', $node->connstr('data'), "$dir/data" ], 'pg_restore, data only');
check('data', 'data only');

# as INSERTs
command_ok([ 'pg_dump', '--rows-per-insert=1000', '--no-owner', '-f', "$dir/inserts.sql", '-d', $src ], 'pg_dump, INSERT');
command_ok([ 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/inserts.sql", '-d', restored('inserts') ], 'restored by psql');
is($node->safe_psql('inserts', q{SELECT sum(lag) FROM streamq.consumer_groups WHERE stream = 'app.single'::regclass AND group_name = 'part'}), 6000 - 1234, 'INSERTs in one transaction');

# streams or roles left out
command_ok([ 'pg_dump', '-Fc', '-T', 'zoo.left_out', '--exclude-table-data', 'zoo.*name*', '-f', "$dir/less", '-d', $src ], 'pg_dump without a stream');
command_ok([ 'pg_restore', '-e', '-d', restored('less'), "$dir/less" ], 'restored without a stream');
is($node->safe_psql('less', 'SELECT stream, partitions FROM streamq.stream_options ORDER BY stream::text'),
	"app.keyed|3\nzoo.envelope|2\nzoo.spread|4", 'the other streams have their options');
command_ok([ 'pg_dump', '--no-table-access-method', '-f', "$dir/heap.sql", '-d', $src ], 'pg_dump as ordinary tables');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/heap.sql", '-d', restored('heap') ], 'restored as ordinary tables');
is($node->safe_psql('heap', 'SELECT (SELECT count(*) FROM streamq.stream_options), (SELECT count(*) FROM streamq.consumer_group)'),
	'0|0', 'which have neither options nor groups');
# by who may read everything
$node->safe_psql('postgres', 'CREATE ROLE backup LOGIN IN ROLE pg_read_all_data');
command_ok([ 'pg_dump', '-U', 'backup', '-f', "$dir/backup.sql", '-d', $src ], 'pg_dump as a member of pg_read_all_data');
is(slurp_file("$dir/backup.sql") =~ s/^.(un)?restrict .*$//mgr, slurp_file("$dir/plain.sql") =~ s/^.(un)?restrict .*$//mgr, 'it is the same dump');
is($node->safe_psql('less', q{INSERT INTO zoo."Odd ""name" SELECT generate_series(1, 50);
SELECT count(*) FROM streamq.consume('zoo."Odd ""name"', 'g', 100, auto_ack => true)}), 50, 'other messages than those of the dump are not skipped');
# as ordinary tables, one of them made before as a stream
restored('mixed');
$node->safe_psql('mixed', 'CREATE EXTENSION streamq; CREATE SCHEMA zoo; CREATE TABLE zoo.envelope (key text, payload jsonb NOT NULL, headers jsonb) USING streamq;');
my ($out, $err) = ('', '');
IPC::Run::run([ 'pg_restore', '--no-table-access-method', '-d', $node->connstr('mixed'), "$dir/custom" ], '>', \$out, '2>', \$err);
is(join(' ', grep { !/already exists/ } $err =~ /ERROR:  (.*)/g), '', 'no errors but about what is there already');
is($node->safe_psql('mixed', q{SELECT stream, partitions FROM streamq.stream_options UNION ALL SELECT stream, partitions FROM streamq.streams}),
	"zoo.envelope|2\nzoo.envelope|2", 'what is no stream has no options');
is($node->safe_psql('mixed', q{SELECT stream FROM streamq.consumer_group}), 'zoo.envelope', 'and no groups');
is($node->safe_psql('mixed', q{SELECT count(*) FROM app.single}), 6000, 'but rows');
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'");
$other->start;
command_ok([ 'pg_restore', '-e', '-O', '-x', '-d', $other->connstr('postgres'), "$dir/custom" ], 'restored without the roles');
is($other->safe_psql('postgres', q{SELECT count(DISTINCT owner), count(*) FROM streamq.consumer_group}), '1|10', 'the groups belong to the owners of the streams');
$other->stop;

# the position is that of the dump's snapshot, not of later
my $session = $node->background_psql('src', on_error_stop => 1);
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
my $snapshot = $session->query_safe('SELECT pg_export_snapshot()');
my $progress = q{SELECT done FROM streamq.dump_groups() WHERE group_name = 'part'};
is($session->query_safe($progress), '{1234}', 'what the dump says');
for my $i (1 .. 60)
{
	$node->safe_psql('src', qq{SELECT streamq.ack_through('app.single', 'part', 1234 + $i)}) if $i <= 50;
	$node->safe_psql('src', q{SELECT count(*) FROM streamq.consume('app.single', 'part', 10, auto_ack => true)}) if $i > 50;
}
$node->safe_psql('src', 'VACUUM app.single');
is($session->query_safe($progress), '{1234}', 'the same after others went on');
command_ok([ 'pg_dump', "--snapshot=$snapshot", '-Fc', '-f', "$dir/snapshot", '-d', $src ], 'pg_dump with an old snapshot');
$session->query_safe('COMMIT');
cmp_ok($session->query_safe('SELECT done[1] FROM streamq.dump_groups() WHERE group_name = $$part$$'), '>', 1284, 'a new snapshot sees more');
$node->safe_psql('src', q{SELECT streamq.seek('app.single', 'part', to_msg_id => 100)});
is($session->query_safe($progress), '{100}', 'set back');
$session->quit;
command_ok([ 'pg_restore', '-e', '-d', restored('snapshot'), "$dir/snapshot" ], 'restored');
is($node->safe_psql('snapshot', q{SELECT sum(lag) FROM streamq.consumer_groups WHERE stream = 'app.single'::regclass AND group_name = 'part'}), 6000 - 1234, 'as the snapshot saw it');

# what was restored can be dumped again, before anybody used it
command_ok([ 'pg_restore', '-e', '-d', restored('again'), "$dir/custom" ], 'restored once more');
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/again", '-d', $node->connstr('again') ], 'dumped again');
command_ok([ 'pg_restore', '-e', '-d', restored('twice'), "$dir/again" ], 'restored again');
is($node->safe_psql('twice', q{SELECT group_name, sum(lag) FROM streamq.consumer_groups WHERE stream = 'app.single'::regclass GROUP BY 1 ORDER BY 1}),
	"late|0\nnew|6000\npart|4766", 'positions after two dumps');

$node->stop;
done_testing();
