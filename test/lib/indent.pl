#!/usr/bin/perl
#
# indent.pl [--check] [FILE]...: lays out the C sources as PostgreSQL's are.
# Without names it takes all of src/ and test/.  --check writes nothing, prints
# the difference, and ends with status 1 if there is one.
#
# indent.pl --typedefs makes src/typedefs.list again.  pg_bsd_indent cannot tell the
# name of a type from that of a variable without it: a type that is not in the list
# shows as "Type * name".  The list has the types that the sources define, and those
# of them that the sources use of PostgreSQL's headers (those of PG_CONFIG) and of C.
# Types that only other versions of the server have are kept while they are used.
#
# The layout is that of pg_bsd_indent (Debian: pg-bsd-indent) with PostgreSQL's
# options, and what PostgreSQL corrects before and after it.  What 2.1.1, the
# version of Debian 12, does in another way than 2.1.3 is corrected, too.
#
# Ends with status 2 if there is no such program.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find;
use File::Temp qw(tempdir);

my $program = $ENV{PG_BSD_INDENT} // 'pg_bsd_indent';
my $version = '2.1';
my @options = qw(-bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l79
  -lp -lpl -nip -npro -sac -tpg -ts4);

# types of C and POSIX
my @system_types = qw(DIR FILE bool clock_t div_t double_t fd_set float_t gid_t int16_t int32_t
  int64_t int8_t intmax_t intptr_t jmp_buf locale_t mode_t off_t pid_t pthread_t ptrdiff_t
  regex_t sigjmp_buf sigset_t size_t socklen_t ssize_t suseconds_t time_t uid_t uint16_t
  uint32_t uint64_t uint8_t uintmax_t uintptr_t useconds_t va_list wchar_t);

# names of types in some header that are other things in the sources
my %no_types = map { $_ => 1 } qw(date interval iterator pointer reference string timestamp type);

my $list = 'src/typedefs.list';
my $work = tempdir(CLEANUP => 1);

sub slurp
{
	my ($file) = @_;
	local $/;
	open my $in, '<', $file or die "indent: cannot read $file: $!\n";
	return scalar <$in>;
}

sub spew
{
	my ($file, $text) = @_;
	open my $out, '>', $file or die "indent: cannot write $file: $!\n";
	print $out $text;
	close $out or die "indent: cannot write $file: $!\n";
	return;
}

# the C files below some folders
sub c_files
{
	my @found;
	find({ no_chdir => 1, wanted => sub { push @found, $_ if /\.[ch]$/ } }, grep { -d } @_);
	return sort @found;
}

# ---------------------------------------------------------------- types

# the types that a text defines
sub typedefs
{
	my ($text) = @_;
	my @names;

	$text =~ s{/\*.*?\*/|//[^\n]*}{ }gs;
	$text =~ s/^[ \t]*#(?:[^\\\n]|\\.)*//gms;
	while ($text =~ /\btypedef\b/g)
	{
		my $definition = substr($text, pos $text, 20000);
		1 while $definition =~ s/\{[^{}]*\}//;
		$definition =~ s/;.*//s;
		$definition =~ s/\b(?:pg_attribute_\w+|__attribute__)\s*\((?:[^()]|\([^()]*\))*\)//g;
		1 while $definition =~ s/\[[^\[\]]*\]//;
		# a pointer to a function, a function, or names
		if ($definition =~ /\(\s*\*\s*(\w+)\s*\)/) { push @names, $1; }
		elsif ($definition =~ /(\w+)\s*\(/) { push @names, $1; }
		else { push @names, $definition =~ /(\w+)\s*(?:,|$)/g; }
	}
	return @names;
}

sub make_list
{
	my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
	my $headers = `$pg_config --includedir-server`;
	chomp $headers;
	die "indent: no server headers, $pg_config does not tell where\n" unless -d $headers;

	# libpq's header is outside of the server's
	my $libpq = `$pg_config --includedir` =~ s/\n//r . '/libpq-fe.h';

	my (%used, %types, %own);
	foreach my $file (c_files('src', 'test'))
	{
		my $text = slurp($file);
		$own{$_} = 1 foreach typedefs($text);
		# what lib/simplehash.h makes
		$own{"$1_hash"} = $own{"$1_iterator"} = 1 while $text =~ /^#define\s+SH_PREFIX\s+(\w+)/mg;
		$text =~ s{/\*.*?\*/}{}gs;
		$used{$_} = 1 foreach $text =~ /([A-Za-z_]\w*)/g;
	}
	$types{$_} = 1 foreach @system_types, map { typedefs(slurp($_)) } c_files($headers), grep { -e } $libpq;
	if (-e $list)
	{
		$types{$_} = 1 foreach split /\n/, slurp($list);
	}
	my %result = map { $_ => 1 } grep { $used{$_} } keys %types, keys %own;
	delete @result{ keys %no_types };
	spew($list, join '', map { "$_\n" } sort keys %result);
	print "indent: $list has ", scalar(keys %result), " types\n";
	return;
}

# ---------------------------------------------------------------- layout

# A comment of several lines at the left edge, as PostgreSQL's are: its first and last
# line alone, " * " before the others.
sub lay_out_comment
{
	my ($comment) = @_;
	my ($first, @lines) = split /\n/, $comment;

	return $comment unless @lines;
	if ($first !~ m{^/\*\s+[=-]+$} && $first =~ m{^/\*\s*(\S.*)$})
	{
		$first = '/*';
		unshift @lines, " * $1";
	}
	foreach my $line (@lines)
	{
		$line =~ s/^\s*(\*+)?//;
		$line = defined $1 ? " *$line" : " * $line";
		$line =~ s/\s+$//;
	}
	push @lines, ' */' if $lines[-1] !~ m{^\s*\*?\s*[=-]+\s*\*/$} && $lines[-1] =~ s{(\S.*?)\s+\*/$}{$1};
	return join "\n", $first, @lines;
}

# Version 2.1.1 begins the further lines of an initializer in a function where the
# declaration begins; later versions put them one tab to the right, and so does this.
sub indent_initializers
{
	my ($text) = @_;
	my @lines = split /^/, $text;

	for (my $i = 0; $i < @lines; $i++)
	{
		next unless $lines[$i] =~ /^(\t+)(?:[A-Za-z_]\w*[ \t]+)+\**[A-Za-z_]\w*(?:\[[^\]]*\])* = /;
		my $margin = $1;
		# for each open parenthesis, whether the line that it is on was moved
		my ($moved, @open) = (0);
		for (my $n = $i;; $n++)
		{
			my $code = $lines[$n] =~ s{"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|/\*.*?\*/}{}gr;
			foreach my $character ($code =~ /[()]/g)
			{
				if ($character eq '(') { push @open, $moved; }
				else { pop @open; }
			}
			last if $code =~ /[{};]\s*$/ || !@open && $code =~ /,\s*$/ || $code =~ m{/\*};
			my $next = $lines[ $n + 1 ];
			last if !defined $next || $next =~ /^#|^\s*$/;
			last if !@open && $next !~ /^$margin(?!\s)/;
			$moved = @open ? $open[-1] : 1;
			$lines[ $n + 1 ] = "\t$next" if $moved;
		}
	}
	return join '', @lines;
}

sub lay_out
{
	my ($file, $text) = @_;
	my $copy = "$work/source.c";

	$text .= "\n" if $text !~ /\n\z/;
	# comments that begin with a line of dashes are left as they are
	$text =~ s{/\* +---}{/*---keep}g;
	spew($copy, $text);
	open my $said, '-|', "cd $work && $program @options -Utypes source.c 2>&1"
	  or die "indent: cannot run $program: $!\n";
	my $complaint = join '', <$said>;
	close $said;
	die "indent: $program failed on $file: $complaint\n" if $? || $complaint ne '';

	$text = indent_initializers(slurp($copy));
	# 2.1.1 takes away the space before a dot
	$text =~ s{("(?:[^"\\\n]|\\.)*"|/\*.*?\*/)|,(?=\.\.\.\)|\.[a-z_]\w* = )}{$1 // ', '}gse;
	$text =~ s{/\*---keep}{/* ---}g;
	$text =~ s{\*/(/\*.*\*/)$}{*/\t$1}gm;
	$text =~ s{^(/\*[^*-].*?\*/)}{lay_out_comment($1)}gmse;
	# "Type *" before the name of a function, however long the types in the file are
	$text =~ s{^([A-Za-z_]\S*)[ \t]+\*$}{$1 *}gm;
	return $text;
}

sub show_difference
{
	my ($file, $text) = @_;
	spew("$work/laid_out.c", $text);
	print "--- $file\n+++ $file as it should be\n";
	open my $diff, '-|', 'diff', '-U2', $file, "$work/laid_out.c" or die "indent: cannot run diff: $!\n";
	while (my $line = <$diff>) { print $line unless $. <= 2; }
	close $diff;
	return;
}

my ($check, $typedefs);
while (@ARGV && $ARGV[0] =~ /^--/)
{
	my $option = shift;
	if ($option eq '--check') { $check = 1; }
	elsif ($option eq '--typedefs') { $typedefs = 1; }
	else { die "usage: indent.pl [--check] [FILE]... | --typedefs\n"; }
}
my @files = map { abs_path($_) // die "indent: no file $_\n" } @ARGV;
chdir dirname($0) . '/../..' or die "indent: cannot enter the checkout: $!\n";
if ($typedefs)
{
	make_list();
	exit 0;
}
if ((`$program --version 2>/dev/null` // '') !~ / \Q$version\E\.\d/)
{
	print STDERR "indent: there is no $program of version $version here\n";
	exit 2;
}
@files = c_files('src', 'test') unless @files;

# "bool" counts as a type whatever the list says, as some compilers have it built in
spew("$work/types", slurp($list) . "bool\n");

my $changed = 0;
foreach my $file (@files)
{
	my $before = slurp($file);
	my $after = lay_out($file, $before);
	next if $after eq $before;
	$changed = 1;
	if ($check) { show_difference($file, $after); }
	else { spew($file, $after); }
}
exit($check && $changed ? 1 : 0);
