# Archives: kills of the process and of the server lose and double nothing, with
# commands that fail; a command that hangs does not hold up a shutdown; a directory
# that cannot be written to; dump and restore.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
streamq.naptime = '50ms'
max_worker_processes = 16
restart_after_crash = on
});
$node->start;
my $dir = $node->basedir;
mkdir "$dir/$_" or die $! for qw(files copies hang new);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# waits until a query returns true
sub wait_for
{
	my ($query, $what, $db) = @_;
	my $end = time() + 60;
	my $result = '';

	sleep(0.1) while ($result = $node->safe_psql($db // 'postgres', $query)) ne 't' && time() < $end;
	is($result, 't', $what);
}

# The stream is read before the archive, because messages go from there to here.
# The archive has none twice, and both together have all.
sub ledger_agrees
{
	my ($directory, $what, $db) = @_;

	is($node->safe_psql($db // 'postgres', qq{
		CREATE TEMPORARY TABLE kept AS SELECT id FROM s;
		CREATE TEMPORARY TABLE archived AS SELECT id FROM streamq.read_archive('$directory', NULL::s);
		SELECT (SELECT count(*) - count(DISTINCT id) FROM archived),
			(SELECT count(*) - count(DISTINCT id) FROM kept),
			(SELECT count(*) FROM (SELECT id FROM ledger EXCEPT (SELECT id FROM archived UNION SELECT id FROM kept)) x),
			(SELECT count(*) FROM (SELECT id FROM (TABLE archived UNION TABLE kept) y EXCEPT SELECT id FROM ledger) x)}),
		'0|0|0|0', "$what: every message once");
}

# the command fails now and then, and also after its work is done
sql(qq{
CREATE EXTENSION streamq;
CREATE TABLE ledger (id bigint);
CREATE SEQUENCE ids;
CREATE TABLE s (id bigint, pad text) USING streamq;
SELECT streamq.alter_stream('s', partitions => 2, partition_by => 'id', max_bytes => 400000);
SELECT streamq.archive_stream('s', '$dir/files',
	command => 'test \$((\$\$ %% 5)) -gt 0 && cp "%p" "$dir/copies/" && test \$((\$\$ %% 7)) -gt 0');
});
my $write = q{
DO $$
BEGIN
	FOR i IN 1 .. 100000 LOOP
		WITH l AS (INSERT INTO ledger SELECT nextval('ids') FROM generate_series(1, 50) RETURNING id)
		INSERT INTO s SELECT id, repeat('x', 100 + (id % 100)::int) FROM l;
		IF i % 3 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
		PERFORM pg_sleep(0.002);
	END LOOP;
END $$;
};

for my $round (1 .. 4)
{
	my ($out, $err) = ('', '');
	my $writer = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', $write ],
		'>', \$out, '2>', \$err);
	my $pid;

	sleep(0.4 + 0.1 * $round);
	if ($round % 2)
	{
		# the server starts again after this
		$pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamq archive'});
		kill 'KILL', $pid if $pid;
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	eval { $writer->finish; };
	my $end = time() + 60;
	sleep(0.1) while system('psql', '-X', '-q', '-o', '/dev/null', '-d', $node->connstr('postgres'), '-c', 'SELECT 1') != 0
		&& time() < $end;
}
# the command fails now and then, so it may take some time
wait_for(q{SELECT bool_and(COALESCE(archived_through > 1000 AND last_error IS NULL AND waiting < 2000, false))
	AND (SELECT min(first_offset) > 0 FROM streamq.partitions) FROM streamq.archives}, 'the archive has caught up, and messages were dropped');
ledger_agrees("$dir/files", 'after crashes');
is(sql(q{SELECT count(*) FROM streamq.check_stream('s')}), 0, 'nothing is wrong in the file');

# a file for each range, none overlaps, and the command got each
my (%last, $wrong);
for my $file (sort map { s/.*\///r } glob("$dir/files/*.jsonl.gz"))
{
	my ($p, $from, $to) = $file =~ /^public\.s-(\d{3})-(\d{15})-(\d{15})\./ or die $file;

	$wrong = $file if $from <= ($last{$p} // -1);
	$last{$p} = $to;
}
is($wrong, undef, 'no range is there twice');
is(system("cd '$dir/files' && for f in *.jsonl.gz; do cmp \$f ../copies/\$f || exit 1; done"), 0,
	'the command has copied every file') or diag(sql('TABLE streamq.archives'));
is_deeply([ glob("$dir/files/*.tmp") ], [], 'no temporary files are left');
is(sql("SELECT count(*) FROM streamq.read_archive('$dir/copies', NULL::s)"),
	sql("SELECT count(*) FROM streamq.read_archive('$dir/files', NULL::s)"), 'the copies can be read without the manifest');

# in flight: nothing behind an open transaction is archived
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; INSERT INTO s SELECT -1, 'x' FROM generate_series(1, 10)});
sql(q{WITH l AS (INSERT INTO ledger SELECT nextval('ids') FROM generate_series(1, 10000) RETURNING id)
	INSERT INTO s SELECT id, repeat('x', 100) FROM l});
sleep(0.5);
is(sql(q{SELECT count(*) FROM streamq.archives JOIN streamq.partitions USING (stream, partition)
	WHERE archived_through >= stable_offset}), 0, 'nothing behind the stable offset');
$session->query_safe('ROLLBACK');
$session->quit;

# a directory that cannot be written to
chmod 0500, "$dir/files";
sql(q{WITH l AS (INSERT INTO ledger SELECT nextval('ids') FROM generate_series(1, 10000) RETURNING id)
	INSERT INTO s SELECT id, repeat('x', 100) FROM l});
wait_for(q{SELECT bool_and(last_error ~ 'Permission denied') FROM streamq.archives},
	'the error is shown');
chmod 0700, "$dir/files";
wait_for(q{SELECT bool_and(last_error IS NULL AND waiting < 5000) FROM streamq.archives},
	'it goes on');
ledger_agrees("$dir/files", 'after an error');

# a command that hangs, with children
sql(qq{
BEGIN;
SELECT streamq.stop_archive('s');
SELECT streamq.archive_stream('s', '$dir/files', command => 'echo \$\$ > "$dir/hang/pid"; sleep 600 & sleep 601; true');
COMMIT;
WITH l AS (INSERT INTO ledger SELECT nextval('ids') FROM generate_series(1, 5000) RETURNING id)
	INSERT INTO s SELECT id, repeat('x', 100) FROM l;
});
my $end = time() + 60;
sleep(0.05) until -s "$dir/hang/pid" || time() > $end;
ok(-s "$dir/hang/pid", 'the command runs');
my $shell = slurp_file("$dir/hang/pid") + 0;
my $start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', 30, 'the server stops');
# a zombie of a container's first process is gone, too
my $state = -e "/proc/$shell/stat" ? slurp_file("/proc/$shell/stat") : '';
ok(!kill(0, $shell) || $state =~ /\) Z /, 'the command has ended');
$node->start;
ledger_agrees("$dir/files", 'after a shutdown');
sql(qq{
BEGIN;
SELECT streamq.stop_archive('s');
SELECT streamq.archive_stream('s', '$dir/files');
COMMIT;
});
wait_for(q{SELECT bool_and(waiting < 5000) FROM streamq.archives}, 'another command');
ledger_agrees("$dir/files", 'another command');

# dump and restore
command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr('postgres'), '-f', "$dir/dump" ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'pg_restore', '-d', $node->connstr('restored'), "$dir/dump" ], 'restore');
is($node->safe_psql('restored', q{SELECT DISTINCT destination, archived_through, files, last_error FROM streamq.archives}),
	"$dir/files||0|the archive was restored from a dump and writes nothing until archive_stream() is called",
	'the archive is there');
my ($rc, $out, $err) = $node->psql('restored', "SELECT streamq.archive_stream('s', '$dir/files')");
like($err, qr/archive manifest "\Q$dir\E\/files\/public\.s\.manifest" belongs to another stream/, 'not into the same files');
is($node->safe_psql('restored', q{SELECT sum(first_offset) FROM streamq.partitions}), 0, 'retention waits');
$node->safe_psql('restored', qq{
SELECT streamq.archive_stream('s', '$dir/new');
WITH l AS (INSERT INTO ledger SELECT nextval('ids') FROM generate_series(1, 5000) RETURNING id)
	INSERT INTO s SELECT id, repeat('x', 100) FROM l;
DELETE FROM ledger WHERE id NOT IN (SELECT id FROM s);
});
wait_for(q{SELECT min(first_offset) > 0 FROM streamq.partitions}, 'into others', 'restored');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|signal 11|signal 6/, 'no crash but ours');
$node->stop;
done_testing();
