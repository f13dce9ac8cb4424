#!/usr/bin/perl
#
# follow_csv.pl FILE STOPFILE COUNTFILE: follows PostgreSQL's csvlog while it is
# written and prints COPY commands for psql: whole records only (a record may
# have many lines: a line ends it if the number of quotes so far is even).  Ends
# when STOPFILE exists and everything there was has been read; COUNTFILE gets
# the number of records.
use strict;
use warnings;

use IO::Handle;

my ($file, $stopfile, $countfile) = @ARGV;

my $in;
for (1 .. 100)
{
	last if open($in, '<:raw', $file);
	select(undef, undef, undef, 0.1);
}
die "cannot read $file: $!\n" unless $in;
STDOUT->autoflush(1);

my $rest = '';      # what has been read of a record that is not whole yet
my $records = 0;

# Takes the whole records off the front of $rest.
sub whole_records
{
	my @whole;
	my ($start, $quotes) = (0, 0);

	while ($rest =~ /\G([^\n]*)\n/gc)
	{
		$quotes += ($1 =~ tr/"//);
		next if $quotes % 2;
		push @whole, substr($rest, $start, pos($rest) - $start);
		($start, $quotes) = (pos($rest), 0);
	}
	substr($rest, 0, $start) = '';
	return @whole;
}

while (1)
{
	my $stopping = -e $stopfile;

	while (read($in, my $chunk, 65536))
	{
		$rest .= $chunk;
		my @whole = whole_records();
		$records += @whole;
		next if !@whole;
		print "COPY server_log FROM STDIN (FORMAT csv);\n", @whole, "\\.\n";
	}
	last if $stopping;
	$in->clearerr;
	select(undef, undef, undef, 0.1);
}

open(my $out, '>', $countfile) or die "cannot write $countfile: $!\n";
print $out "$records\n";
close($out) or die "cannot write $countfile: $!\n";
