# pg_dump and pg_restore of streams with several partitions: every message comes
# back in its partition and in its order, and every consumer group to its
# place in each partition, whatever is restored first.
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
autovacuum = off
timezone = 'UTC'
});
$node->start;
my $dir = $node->basedir;

# "public" and "odd" sort before "streamq", "zoo" sorts after it
my @schemas = ('public', 'zoo', '"Odd ""schema"');
my $tables = '';
my $options = '';
for my $s (@schemas)
{
	$tables .= "CREATE SCHEMA IF NOT EXISTS $s;\n";
	$tables .= "CREATE TABLE $s.keyed (key text, n int, body text) USING streamq;\n";
	$tables .= "CREATE TABLE $s.spread (n int, body text) USING streamq;\n";
	$tables .= "CREATE TABLE $s.raised (n int, key int) USING streamq;\n";
	$tables .= "CREATE TABLE $s.expired (n int, key int, body text) USING streamq;\n";
	$options .= "SELECT streamq.alter_stream('$s.keyed', partitions => 4);\n";
	$options .= "SELECT streamq.alter_stream('$s.spread', partitions => 3, partition_by => '');\n";
	$options .= "SELECT streamq.alter_stream('$s.expired', partitions => 2);\n";
}
$tables .= "CREATE TABLE acked (stream text, group_name text, n int);\n";
$node->safe_psql('postgres', 'CREATE DATABASE src');
$node->safe_psql('src', "CREATE EXTENSION streamq;\n$tables$options");

my @groups = ('ahead', 'fresh', 'islands', 'leased', 'mixed');
for my $s (@schemas)
{
	# rows that were rolled back, rows without a key, messages of several pages
	$node->safe_psql('src', qq{
		INSERT INTO $s.keyed SELECT 'k' || i % 37, i, repeat('x', i % 500) FROM generate_series(1, 1200) i;
		BEGIN; INSERT INTO $s.keyed SELECT 'k' || i % 37, -i FROM generate_series(1, 300) i; ROLLBACK;
		INSERT INTO $s.keyed SELECT nullif('k' || i % 3, 'k1'), i, 'again' FROM generate_series(1201, 2500) i;
		INSERT INTO $s.keyed SELECT CASE WHEN i % 2 = 0 THEN 'k' || i END, i, (SELECT string_agg(md5((i * 1000 + j)::text), '') FROM generate_series(1, 800) j) FROM generate_series(2501, 2510) i;
		INSERT INTO $s.spread SELECT i, repeat('y', i % 90) FROM generate_series(1, 1000) i;
		INSERT INTO $s.spread SELECT 1001, 'alone';
		INSERT INTO $s.raised SELECT i, i % 50 FROM generate_series(1, 500) i;
		SELECT streamq.alter_stream('$s.raised', partitions => 2);
		INSERT INTO $s.raised SELECT i, i % 50 FROM generate_series(501, 900) i;
		SELECT streamq.alter_stream('$s.raised', partitions => 4);
		INSERT INTO $s.raised SELECT i, i % 50 FROM generate_series(901, 1500) i;
		INSERT INTO $s.expired SELECT i, i % 5, repeat('z', 1000) FROM generate_series(1, 1500) i;
		SELECT streamq.alter_stream('$s.expired', max_messages => 400);});
	$node->poll_query_until('src', "SELECT count(*) < 1500 FROM $s.expired") or die;
	$node->safe_psql('src', "SELECT streamq.alter_stream('$s.expired', max_messages => 0)");
	for my $t ('keyed', 'spread', 'raised', 'expired')
	{
		my $stream = "$s.$t";
		my $take = sub {
			my ($group, $max, $how) = @_;
			$node->safe_psql('src', qq{
				INSERT INTO acked SELECT \$\$$stream\$\$, '$group', (m.payload ->> 'n')::int
				FROM (SELECT * FROM streamq.consume('$stream', '$group', $max, lease => '1 hour') OFFSET 0) m WHERE CASE WHEN $how THEN streamq.ack('$stream', '$group', m.msg_id) END;});
		};
		$node->safe_psql('src', join ';', map { "SELECT streamq.create_group('$stream', '$_', max_in_flight => 2000)" } @groups);
		$node->safe_psql('src', "SELECT streamq.create_group('$stream', 'late', start_at => 'latest')");
		$take->('ahead', 100, 'true') for 1 .. 2;
		# done in full
		for (1 .. 40) { $take->('done', 1000, 'true'); }
		# acknowledged out of order, the rest still leased
		$take->('islands', 200, 'm.msg_offset % 7 IN (2, 3)');
		$take->('leased', 50, 'true');
		$node->safe_psql('src', "SELECT count(*) FROM streamq.consume('$stream', 'leased', 20, lease => '1 hour')");
		$take->('mixed', 120, 'm.msg_offset % 5 < 3') for 1 .. 2;
		$node->safe_psql('src', "SELECT count(*) FROM streamq.consume('$stream', 'seeked', 500, auto_ack => true)");
		$node->safe_psql('src', "SELECT streamq.seek('$stream', 'seeked', to_msg_id => (SELECT max(streamq.msg_id(tableoid, ctid)) - 40 FROM $stream WHERE streamq.msg_id(tableoid, ctid) >> 48 = (SELECT min(streamq.msg_id(tableoid, ctid) >> 48) FROM $stream)))");
	}
}
my $everything = 'keyed|spread|raised|expired';

# number and order of messages in each partition
sub messages
{
	my ($db, $stream) = @_;
	return $node->safe_psql($db, qq{SELECT streamq.msg_id(tableoid, ctid) >> 48 AS p, count(*), md5(string_agg(md5(t::text), ',' ORDER BY streamq.msg_id(tableoid, ctid))) FROM $stream t GROUP BY p ORDER BY p});
}

# where the groups stand: messages below the position, and lag
sub positions
{
	my ($db, $stream) = @_;
	return $node->safe_psql($db, qq{SELECT group_name, partition, lag,
		(SELECT count(*) FROM $stream t WHERE streamq.msg_id(tableoid, ctid) >> 48 = g.partition AND streamq.msg_id(tableoid, ctid) & ((1::int8 << 48) - 1) < g.acked_offset)
		FROM streamq.consumer_groups g WHERE stream = '$stream'::regclass ORDER BY group_name, partition});
}

# what a group has still to get, of each partition in its order
sub expected
{
	my ($stream, $group) = @_;
	return '' if $group eq 'late';
	return $node->safe_psql('src', qq{SELECT p || ':' || string_agg(n::text, ',' ORDER BY id) FROM (
		SELECT n, streamq.msg_id(tableoid, ctid) AS id, streamq.msg_id(tableoid, ctid) >> 48 AS p FROM $stream t
		WHERE NOT EXISTS (SELECT FROM acked a WHERE a.stream = \$\$$stream\$\$ AND a.group_name = '$group' AND a.n = t.n)
		  AND ('$group' <> 'seeked' OR streamq.msg_id(tableoid, ctid) & ((1::int8 << 48) - 1) >=
			(SELECT acked_offset FROM streamq.consumer_groups g WHERE g.stream = '$stream'::regclass AND group_name = 'seeked' AND partition = streamq.msg_id(t.tableoid, t.ctid) >> 48))) x
		GROUP BY p ORDER BY p});
}

sub delivered
{
	my ($db, $stream, $group) = @_;
	return $node->safe_psql($db, qq{
		CREATE TEMP TABLE got (i serial, p int, id int8, n int);
		DO \$do\$ BEGIN
			FOR i IN 1 .. 40 LOOP
				INSERT INTO got (p, id, n) SELECT partition, msg_id, (payload ->> 'n')::int FROM streamq.consume('$stream', '$group', 1000, auto_ack => true);
			END LOOP;
		END \$do\$;
		SELECT p || ':' || string_agg(n::text, ',' ORDER BY i) FROM got GROUP BY p ORDER BY p});
}

my (%messages, %positions, %expected);
for my $s (@schemas)
{
	for my $t (split /\|/, $everything)
	{
		my $stream = "$s.$t";
		$messages{$stream} = messages('src', $stream);
		$positions{$stream} = positions('src', $stream);
		$expected{$stream}{$_} = expected($stream, $_) for (@groups, 'done', 'late', 'seeked');
	}
}
like($messages{'public.keyed'}, qr/^0\|.*\n1\|.*\n2\|.*\n3\|/, 'all partitions have messages');
isnt($expected{'public.keyed'}{islands}, $expected{'public.keyed'}{fresh}, 'something was acknowledged out of order');
is($expected{'public.keyed'}{done}, '', 'one group has nothing to get');
unlike($messages{'public.expired'}, qr/\|0\|/, 'expired heads');

my $places = 'SELECT stream, messages, firsts, prints, barriers FROM streamq.dump_streams() ORDER BY stream';
my $places_were = $node->safe_psql('src', $places);
like($places_were, qr/public\.raised.*\{1,0,500,2,0,\d+,2,1,\d+,3,0,\d+,3,1,\d+\}/, 'partitions that were added');

sub check
{
	my ($db, $how, %but) = @_;
	my $streams = 0;
	my (@moved, @stands, @gets, @problems);
	for my $stream (sort keys %messages)
	{
		next if $but{quick} && $stream =~ /Odd/;
		$streams++;
		push @moved, $stream if messages($db, $stream) ne $messages{$stream};
		push @problems, $node->safe_psql($db, "SELECT * FROM streamq.check_stream('$stream')");
		push @stands, $stream if positions($db, $stream) ne $positions{$stream};
		next if $but{quick} && $stream !~ /public.keyed/;
		for my $group (sort keys %{ $expected{$stream} })
		{
			my $got = delivered($db, $stream, $group);
			push @gets, "$stream $group" if $got ne $expected{$stream}{$group};

		}
	}
	cmp_ok($streams, '>', 0, "$how: streams");
	is("@moved", '', "$how: all messages in their partitions, in their order");
	is("@stands", '', "$how: groups stand where they stood");
	is("@gets", '', "$how: and get what they had not done");
	is(join('', @problems), '', "$how: sound");
	is($node->safe_psql($db, $places), $places_were, "$how: and what is to be finished before added partitions");
	is($node->safe_psql($db, 'SELECT (SELECT count(*) FROM streamq.restored_stream) + (SELECT count(*) FROM streamq.restored_order), (SELECT count(*) FROM streamq.stream_dump), (SELECT count(*) FROM streamq.group_dump)'),
		'0|0|0', "$how: nothing is left of the restore");
}

sub made
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	return $node->connstr($db);
}

sub run_script
{
	my ($db, $file, @options) = @_;
	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @options, '-f', $file, '-d', $node->connstr($db) ], "restored $file by psql");
}

my $src = $node->connstr('src');
command_ok([ 'pg_dump', '-f', "$dir/plain.sql", '-d', $src ], 'pg_dump, plain');
command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom", '-d', $src ], 'pg_dump, custom');
command_ok([ 'pg_dump', '-Fd', '-j', '2', '-f', "$dir/directory", '-d', $src ], 'pg_dump, directory');

made('plain');
run_script('plain', "$dir/plain.sql");
check('plain', 'plain');
command_ok([ 'pg_restore', '-e', '-1', '-d', made('one'), "$dir/custom" ], 'one transaction');
check('one', 'one transaction', quick => 1);
for my $jobs (2, 4)
{
	command_ok([ 'pg_restore', '-e', '-j', $jobs, '-d', made("jobs$jobs"), "$dir/directory" ], "$jobs jobs");
	check("jobs$jobs", "$jobs jobs", quick => 1);
}

# by sections, the rows of streamq before the others or after them
for my $order ('first', 'last')
{
	my $db = "sections_$order";
	my @data = ([ '-n', 'streamq' ], [ '-N', 'streamq' ]);
	made($db);
	command_ok([ 'pg_restore', '-e', '--section=pre-data', '-d', $node->connstr($db), "$dir/custom" ], 'section pre-data');
	command_ok([ 'pg_restore', '-e', '--section=data', @$_, '-d', $node->connstr($db), "$dir/custom" ], "data @$_")
		for ($order eq 'first' ? @data : reverse @data);
	command_ok([ 'pg_restore', '-e', '--section=post-data', '-d', $node->connstr($db), "$dir/custom" ], 'section post-data');
	check($db, "groups and options $order", quick => 1);
}

# data only: into the definitions of the dump, and into tables made by hand
command_ok([ 'pg_dump', '-a', '-Fc', '-f', "$dir/data", '-d', $src ], 'pg_dump, data only');
made('data');
command_ok([ 'pg_restore', '-e', '-s', '-d', $node->connstr('data'), "$dir/custom" ], 'definitions');
command_ok([ 'pg_restore', '-e', '-d', $node->connstr('data'), "$dir/data" ], 'pg_restore, data only');
check('data', 'data only', quick => 1);
made('triggers');
command_ok([ 'pg_restore', '-e', '-s', '-d', $node->connstr('triggers'), "$dir/custom" ], 'definitions');
command_ok([ 'pg_restore', '-e', '-a', '--disable-triggers', '-d', $node->connstr('triggers'), "$dir/custom" ], 'pg_restore without triggers');
check('triggers', 'without triggers', quick => 1);
made('replica');
command_ok([ 'pg_restore', '-e', '-s', '-d', $node->connstr('replica'), "$dir/custom" ], 'definitions');
{
	local $ENV{PGOPTIONS} = '-c session_replication_role=replica';
	command_ok([ 'pg_restore', '-e', '-a', '-d', $node->connstr('replica'), "$dir/custom" ], 'pg_restore as a replica does');
}
check('replica', 'as a replica', quick => 1);
for my $order ('first', 'last')
{
	my $db = "byhand_$order";
	my @data = ([ '-n', 'streamq' ], [ '-N', 'streamq' ]);
	made($db);
	$node->safe_psql($db, "CREATE EXTENSION streamq;\n$tables$options");
	$node->safe_psql($db, join "\n", map { "SELECT streamq.alter_stream('$_.raised', partitions => 2); SELECT streamq.alter_stream('$_.raised', partitions => 4);" } @schemas);
	command_ok([ 'pg_restore', '-e', @$_, '-d', $node->connstr($db), "$dir/data" ], "data @$_")
		for ($order eq 'first' ? @data : reverse @data);
	check($db, "tables made by hand, options $order", quick => 1);
}

# as INSERTs, in one transaction and in very many
for my $form ('--inserts', '--column-inserts', '--rows-per-insert=300')
{
	(my $name = $form) =~ s/\W/_/g;
	command_ok([ 'pg_dump', $form, '-f', "$dir/$name.sql", '-d', $src ], "pg_dump $form");
	made($name);
	run_script($name, "$dir/$name.sql", $form eq '--column-inserts' ? '-1' : ());
	check($name, $form, quick => 1);
}

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|deadlock|terminated by signal/, 'clean log');
done_testing();
