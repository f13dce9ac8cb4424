#!/usr/bin/perl
#
# functions.pl FILE...: no function has 100 lines, and a static function of more
# than 25 lines has a comment directly above.  Lines are those of the body without
# its braces.  Needs PostgreSQL's layout.  Prints every breach, ends with status 1 if
# there is one.

use strict;
use warnings;

my $bad = 0;

foreach my $file (@ARGV)
{
	open my $in, '<', $file or die "cannot read $file: $!\n";
	my @lines = <$in>;
	chomp @lines;

	for (my $begin = 1; $begin < @lines; $begin++)
	{
		next unless $lines[$begin] eq '{' && $lines[ $begin - 1 ] =~ /\)$/;

		# up to the name, which begins a line, and to what is above its type
		my $head = $begin - 1;
		$head-- while $head > 0 && $lines[$head] !~ /^\w+\s*\(/;
		my ($name) = $lines[$head] =~ /^(\w+)/;
		next unless defined $name && $lines[$head] =~ /\(/;
		my $above = $head - 1;
		$above-- while $above >= 0 && $lines[$above] =~ /^[A-Za-z_][^;{}#]*$/ && $lines[$above] !~ m{\*/$};

		my $end = $begin;
		$end++ while $end < $#lines && $lines[$end] ne '}';
		my $n = $end - $begin - 1;
		my $type = join ' ', @lines[ $above + 1 .. $head ];

		if ($n >= 100)
		{
			print "$file:", $head + 1, ": $name has $n lines, 99 are allowed\n";
			$bad = 1;
		}
		if ($n > 25 && $type =~ /\bstatic\b/ && ($above < 0 || $lines[$above] !~ m{\*/$}))
		{
			print "$file:", $head + 1, ": $name has $n lines and no comment above\n";
			$bad = 1;
		}
		$begin = $end;
	}
}
exit $bad;
