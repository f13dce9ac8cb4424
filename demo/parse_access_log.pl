#!/usr/bin/perl
#
# parse_access_log.pl COUNTFILE < LOG: prints COPY commands for psql that put the requests of
# a web server's access log (combined or common format) into the stream
# "requests", and the lines that are none into the table "rejects".  COUNTFILE
# gets the number of lines.
# Takes what occurs in real logs: quotes in the user agent, a line cut off in
# its last field, requests that are no HTTP, bytes that are not UTF-8.
use strict;
use warnings;

use Encode qw(decode encode);
use Time::Local qw(timegm);

my ($countfile) = @ARGV;
my $batch = 500;
my %month = (
	Jan => 1, Feb => 2, Mar => 3, Apr => 4, May => 5, Jun => 6,
	Jul => 7, Aug => 8, Sep => 9, Oct => 10, Nov => 11, Dec => 12);

# Columns of a request, undef where a value is missing; nothing for a line
# that is no request.
sub parse
{
	my ($line) = @_;

	my ($host, $user, $d, $mon, $y, $h, $m, $s, $zone, $rest) = $line =~ m{
		^(\S+)\ \S+\ (.*?)\ 
		\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)\ ([+-](?:0\d|1[0-4])[0-5]\d)\]\ 
		(.*)$}x or return;
	$mon = $month{$mon} or return;
	return unless eval { timegm($s, $m, $h, $d, $mon - 1, $y); 1 };

	# the request may hold quotes: it ends where a status follows
	my ($request, $status, $bytes, $tail) =
	  $rest =~ m{^"(.*?)" (\d{3}|-) (\d{1,18}|-)(?: (.*))?$} or return;
	my ($referer, $agent);
	if (defined $tail)
	{
		# the agent may hold quotes, and its last one may have been cut off
		($referer, $agent) = $tail =~ m{^"(.*?)" "(.*?)"?$};
		($referer) = $tail =~ m{^"(.*?)"?$} unless defined $referer;
		return unless defined $referer;
	}
	my ($method, $url, $protocol) = $request =~ m{^([A-Z]+) (\S.*?)(?: (HTTP/[\d.]+))?$};
	$url = $request unless defined $url;

	return map { defined $_ && $_ eq '-' ? undef : $_ } (
		"$y-$mon-$d $h:$m:$s$zone",
		$host, $user, $method, $url, $protocol, $status, $bytes, $referer, $agent);
}

# A line of COPY's text format.
sub copy_line
{
	return join("\t", map {
		my $v = $_;
		if (defined $v)
		{
			$v =~ s/\\/\\\\/g;
			$v =~ s/\t/\\t/g;
			$v =~ s/\r/\\r/g;
		}
		defined $v ? $v : '\N' } @_) . "\n";
}

sub flush_to
{
	my ($table, $lines) = @_;
	print "COPY $table FROM STDIN;\n", @$lines, "\\.\n" if @$lines;
	@$lines = ();
}

my (@requests, @rejects);
binmode(STDIN);
binmode(STDOUT);
$| = 1;
while (my $line = <STDIN>)
{
	$line =~ s/\r?\n\z//;
	# no bytes that a text value cannot hold
	$line = encode('UTF-8', decode('UTF-8', $line, Encode::FB_PERLQQ));
	$line =~ s/\0/\\x00/g;

	my @columns = parse($line);
	if (@columns) { push @requests, copy_line(@columns); }
	else { push @rejects, copy_line($., $line); }
	flush_to('requests', \@requests) if @requests >= $batch;
	flush_to('rejects', \@rejects) if @rejects >= $batch;
}
flush_to('requests', \@requests);
flush_to('rejects', \@rejects);

open(my $out, '>', $countfile) or die "cannot write $countfile: $!\n";
print $out "$.\n";
close($out) or die "cannot write $countfile: $!\n";
