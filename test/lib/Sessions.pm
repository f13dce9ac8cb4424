# Sessions of psql that tests keep open and give one command after the other, and
# scripts that run beside a test until it ends them.
package Sessions;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use Time::HiRes qw(usleep);

our @EXPORT = qw(session send_to answer run_in finish spawn_loop end_loops);

# session NODE: a new session
sub session
{
	my ($node) = @_;
	my %s = (in => '', out => '');

	$s{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$s{in}, '>', \$s{out}, '2>&1', IPC::Run::timeout(300));
	return \%s;
}

# send_to SESSION, SQL: does not wait for the answer
sub send_to
{
	my ($s, $sql) = @_;

	$s->{in} .= "$sql;\n\\echo --done\n";
	while (length $s->{in})
	{
		$s->{run}->pump_nb;
		usleep(1000);
	}
	return;
}

# answer SESSION: what came of the SQL that was sent, rows in lines
sub answer
{
	my ($s) = @_;

	$s->{run}->pump until $s->{out} =~ s/^(.*?)\n?--done\n//s;
	return $1;
}

sub run_in
{
	my ($s, $sql) = @_;

	send_to($s, $sql);
	return answer($s);
}

sub finish
{
	foreach my $s (@_)
	{
		$s->{in} .= "\\q\n";
		$s->{run}->finish;
	}
	return;
}

my %loops;

# spawn_loop NODE, SQL, FILE: runs the SQL in a new session again and again, also after
# an error, until the file exists.  Errors go to FILE.PID.
sub spawn_loop
{
	my ($node, $sql, $file) = @_;
	my @command = ('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $sql);
	my $pid = fork();

	die "cannot fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open(STDOUT, '>', '/dev/null') or die $!;
		open(STDERR, '>>', "$file.$$") or die $!;
		until (-e $file)
		{
			# not at full speed, should it always fail
			usleep(50_000) if system(@command) != 0;
		}
		require POSIX;
		POSIX::_exit(0);
	}
	$loops{$pid} = $file;
	return $pid;
}

# end_loops FILE: ends them, and returns what they said
sub end_loops
{
	my ($file) = @_;
	my $errors = '';

	open(my $fh, '>', $file) or die $!;
	close($fh);
	foreach my $pid (grep { $loops{$_} eq $file } keys %loops)
	{
		waitpid($pid, 0);
		delete $loops{$pid};
		next unless open(my $in, '<', "$file.$pid");
		local $/;
		$errors .= <$in>;
	}
	return $errors;
}

1;
