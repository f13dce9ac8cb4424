# New sessions that touch a stream for the first time in every way there is,
# while others write to the page they read: no one waits for ever.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run ();

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
synchronous_commit = off
autovacuum = off
});
$node->start;
# all sessions use one of many small streams at a time, and its first data page
# is its last one then; the next one after 50 ms
$node->safe_psql('postgres', q{
CREATE EXTENSION streamq;
CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. 63 LOOP
		EXECUTE format('DROP TABLE IF EXISTS s%s', i);
		EXECUTE format('CREATE TABLE s%s (a int, pad text) USING streamq', i);
		PERFORM streamq.create_group(('s' || i)::regclass, 'g');
	END LOOP;
END $$;
CREATE FUNCTION run(command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE replace(command, '@', 's' || floor(extract(epoch FROM clock_timestamp()) * 20)::bigint % 64);
END $$;
});

my %scripts = (
	insert => q{INSERT INTO @ VALUES (1, 'x')},
	analyze => q{ANALYZE @},
	sample => q{SELECT count(*) FROM @ TABLESAMPLE SYSTEM (50)},
	scan => q{SELECT count(*) FROM @},
	fetch => q{SELECT a FROM @ WHERE ctid = (SELECT max(ctid) FROM @)},
	consume => q{SELECT count(*) FROM streamq.consume('@', 'g', 10, auto_ack => true)},
	partitions => q{SELECT count(*) FROM streamq.partitions WHERE stream = '@'::regclass},
	check => q{SELECT count(*) FROM streamq.check_stream('@')},
);
my $dir = PostgreSQL::Test::Utils::tempdir;
foreach (keys %scripts)
{
	(my $command = $scripts{$_}) =~ s/'/''/g;
	append_to_file("$dir/$_.sql", "SELECT run('$command');\n");
}

sub pgbench
{
	my ($script, @options) = @_;
	my %r = (name => $script, err => '');
	$r{h} = IPC::Run::start(
		[ 'pgbench', '-h', $node->host, '-p', $node->port, '-n', '-T', 3, @options,
			'-f', "$dir/$script.sql", 'postgres' ],
		'>', '/dev/null', '2>', \$r{err}, IPC::Run::timeout(60));
	return \%r;
}

# each new session (-C) finds the stream anew
foreach my $script (grep { $_ ne 'insert' } sort keys %scripts)
{
	$node->safe_psql('postgres', 'SELECT make()');
	my @runs = (pgbench('insert', '-c', 2), pgbench($script, '-c', 4, '-C'));
	foreach my $run (@runs)
	{
		my $done = eval { $run->{h}->finish };
		next if ok($done && $run->{err} !~ /ERROR|aborted/, "$run->{name} beside $script");
		diag($run->{err} || $@);
		# a session that hangs would not let the server stop
		$node->stop('immediate');
		$_->{h}->kill_kill foreach @runs;
		BAIL_OUT('sessions wait for each other') if !$done;
		last;
	}
}
done_testing();
