#!/usr/bin/perl
#
# layers.pl [SRC]: proves from the sources that folders use only what is below
# them.  Prints one line for each breach and ends with status 1 if there is one.
#
# layers.pl --graph [SRC] prints the arrows between the folders with the number
# of symbols and headers used; an arrow that the table does not allow is marked
# with "!", and what the table allows and nobody uses is listed at the end.
# layers.pl --why A B [SRC] prints what of folder B is used by folder A, and where.
#
# SRC is the folder with the sources, by default that of this checkout.  What may
# use what is said by the table in SRC/README.md whose head is
#
#	| folder | duty | interface | uses |
#
# Names in the cells are between backquotes; other words are for the reader.
#
# folder     The row's folder, with a slash at its end (`base/`), or files that are
#            directly in SRC (`streamq.c`, `streamq.h`).  A folder in a folder
#            (`log/page/`) is a room and has a row of its own.
# interface  The headers that may be included from outside, without the folder's
#            name (`log.h`), or `*.h` for all of them.  All others are internal.
# uses       The rows that this one may include or call.  A room may name others
#            of its folder without the folder (`page/`).  The word "all" allows
#            every other row.
#
# Seen from outside, a folder and its rooms are one: symbols of a room count as the
# folder's, and only headers in the interface of the folder's own row may be
# included.  The headers directly in the folder are this interface, and its rooms
# implement it.  So a room may always include them, and may use what its folder may.
# Sources directly in the folder ("log/*.c") are above the rooms: they may use all of
# them, and no room may use what they define.  compat.h may be included by everybody.
#
# Symbols are functions and variables with external linkage that a .c file
# defines.  Comments, strings and declarations are no use of them.

use strict;
use warnings;
use File::Basename qw(basename dirname);
use File::Find;

use constant MAX_HEADER_LINES => 250;

# Included by everybody, and long by its nature: a list of differences.
my $compat = 'compat.h';

my ($graph, @why);
while (@ARGV && $ARGV[0] =~ /^--/)
{
	my $option = shift;
	if ($option eq '--graph') { $graph = 1; }
	elsif ($option eq '--why' && @ARGV >= 2) { @why = splice @ARGV, 0, 2; }
	else { die "usage: layers.pl [--graph | --why A B] [SRC]\n"; }
}
my $src = shift // dirname($0) . '/../../src';
chdir $src or die "layers: cannot enter $src: $!\n";

my %breaches;

sub breach
{
	my ($line) = @_;
	$breaches{$line} = 1;
}

# ---------------------------------------------------------------- the table

my %rows;	# row => { interface => { header => 1 }, uses => { row => 1 } }
my %row_of;	# folder, or file directly in SRC => row

sub read_table
{
	open my $in, '<', 'README.md' or die "layers: cannot read README.md: $!\n";
	my (@table, $found);
	while (my $line = <$in>)
	{
		if ($line =~ /^\|\s*folder\s*\|\s*duty\s*\|\s*interface\s*\|\s*uses\s*\|\s*$/i)
		{
			$found = 1;
			next;
		}
		next unless $found;
		last unless $line =~ /^\|/;
		my @cells = split /\|/, $line, -1;
		shift @cells;
		push @table, \@cells if @cells >= 4;
	}
	die "layers: README.md has no table | folder | duty | interface | uses |\n"
	  unless @table;

	foreach my $cells (@table)
	{
		my ($row, @others) = $cells->[0] =~ /`([^`]+)`/g;
		next unless defined $row;
		breach("the table has two rows for $row") if $rows{$row};
		$row_of{$_} = $row foreach $row, @others;
		$rows{$row} = {
			interface => { map { $_ => 1 } $cells->[2] =~ /`([^`]+)`/g },
			names     => [ $cells->[3] =~ /`([^`]+)`/g ],
			all       => $cells->[3] =~ /\ball\b/ ? 1 : 0,
		};
	}
	foreach my $row (sort keys %rows)
	{
		my %uses;
		foreach my $name (@{ $rows{$row}{names} })
		{
			my $sibling = is_room($row) ? house($row) . $name : $name;
			my $other = $rows{$sibling} ? $sibling : $row_of{$name};
			if (defined $other) { $uses{$other} = 1; }
			else { breach("the table has no row for $name, which $row uses"); }
		}
		if ($rows{$row}{all})
		{
			$uses{$_} = 1 foreach grep { $_ ne $row && !is_room($_) } keys %rows;
		}
		$rows{$row}{uses} = \%uses;
	}
	return;
}

sub is_room { return $_[0] =~ m{/.+/$}; }

# the folder that a room is in; other rows are their own house
sub house { return $_[0] =~ m{^([^/]+/).+/$} ? $1 : $_[0]; }

# the row that a file belongs to
sub row
{
	my ($file) = @_;
	my $folder = $file =~ m{^(.*/)} ? $1 : $file;
	return $row_of{$folder} // $folder;
}

sub may_use
{
	my ($from, $to) = @_;

	return 1 if $to eq $compat;
	return 1 if $rows{$from} && $rows{$from}{uses}{$to};
	my $house = house($from);
	return 1 if $to eq $house;
	return $rows{$house} && $rows{$house}{uses}{$to};
}

# ---------------------------------------------------------------- the sources

my %files;	# file => { includes, words, lines, ... }
my %symbols;	# symbol => file that defines it
my %sql_callable;

# blanks out comments, and strings if asked, and keeps the lines
sub blank
{
	my ($text, $strings) = @_;
	my $string = qr/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/s;

	$text =~ s{(/\*.*?\*/|//[^\n]*)|($string)}{
		my ($comment, $literal) = ($1, $2);
		if (defined $comment) { $comment =~ s/[^\n]+/ /g; $comment; }
		elsif ($strings) { '""'; }
		else { $literal; }
	}gse;
	return $text;
}

# What a source has at file level: a list of [text, has a function body].  Bodies,
# initializers and members are left out; so are preprocessor lines.
sub top_level
{
	my ($text) = @_;
	my ($depth, $parens, $chunk, $initializer, @chunks) = (0, 0, '', 0);

	$text =~ s/^[ \t]*#(?:[^\\\n]|\\.)*//gms;
	while ($text =~ /\G([{}();=]|[^{}();=]+)/gc)
	{
		my $token = $1;
		if ($token eq '{')
		{
			$depth++;
			next;
		}
		if ($token eq '}')
		{
			$depth-- if $depth > 0;
			next if $depth > 0;
			# a function ends here, all else with a semicolon
			if ($chunk =~ /\)\s*$/ && !$initializer && $chunk !~ /^\s*typedef\b/)
			{
				push @chunks, [ $chunk, 1 ];
				$chunk = '';
			}
			next;
		}
		next if $depth > 0;
		$parens++ if $token eq '(';
		$parens-- if $token eq ')';
		if ($token eq ';' && $parens <= 0)
		{
			push @chunks, [ $chunk, 0 ];
			($chunk, $initializer, $parens) = ('', 0, 0);
			next;
		}
		$initializer = 1 if $token eq '=' && $parens == 0;
		$chunk .= $token;
	}
	foreach my $chunk (@chunks)
	{
		$chunk->[0] =~ s/^\s+|\s+$//g;
		$chunk->[0] =~ s/\s+/ /g;
	}
	return @chunks;
}

# the function that a chunk declares or defines
sub function_name
{
	my ($chunk) = @_;

	$chunk =~ s/\b(?:pg_attribute_\w+|__attribute__)\s*\((?:[^()]|\([^()]*\))*\)//g;
	return $chunk =~ /(\w+)\s*\(/ ? $1 : undef;
}

# the variables that a declaration names
sub variable_names
{
	my ($chunk) = @_;
	my @names;

	1 while $chunk =~ s/\[[^\[\]]*\]//;
	$chunk =~ s/\(\s*\*\s*(\w+)\s*\)\s*\([^=]*\)/$1/g;
	1 while $chunk =~ s/\([^()]*\)//;
	foreach my $part (split /,/, $chunk)
	{
		$part =~ s/=.*//s;
		# a type alone declares nothing: struct, union, enum
		next if $part =~ /^\s*(?:struct|union|enum)\s*\w*\s*$/;
		push @names, $1 if $part =~ /(\w+)\s*$/;
	}
	return @names;
}

sub read_source
{
	my ($file) = @_;
	local $/;
	open my $in, '<', $file or die "layers: cannot read $file: $!\n";
	my $text = <$in>;
	my $is_c = $file =~ /\.c$/;
	my $bare = blank($text, 0);
	my %own;

	my @includes = $bare =~ /^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]/mg;
	$bare = blank($bare, 1);
	$bare =~ s/^[ \t]*#[ \t]*include.*//mg;
	$files{$file} = { includes => \@includes, lines => ($text =~ tr/\n//), declares => [] };

	foreach my $chunk (top_level($bare))
	{
		my ($what, $has_body) = @$chunk;
		my $is_call = $what =~ /^[A-Z]\w*\s*(?:\(.*\))?$/;

		while ($what =~ s/^PG_FUNCTION_INFO_V1\s*\(\s*(\w+)\s*\)\s*//)
		{
			$sql_callable{$1} = 1;
		}
		next if $what eq '' || $what =~ /^(?:typedef|StaticAssertDecl|PG_MODULE_MAGIC)\b/;
		if ($has_body)
		{
			my $name = function_name($what) // next;
			$own{$name} = 1;
			$symbols{$name} = $file if $is_c && $what !~ /\b(?:static|inline)\b/;
		}
		elsif ($what =~ /^(.*?)\bstatic\b/)
		{
			$own{ function_name($what) // '' } = 1 if $what !~ /=/;
			$own{$_} = 1 foreach variable_names($what);
		}
		elsif ($is_call) { }
		elsif ($what =~ /^extern\b/ || $what =~ /^[^=]*\w\s*\(/ && $what !~ /^[^=]*\(\s*\*/)
		{
			my @names = $what =~ /\w\s*\(/ ? (function_name($what) // ()) : variable_names($what);
			foreach my $name (@names)
			{
				if ($is_c && $what =~ /^extern\b/)
				{
					breach("$file declares $name with extern; include the header that has it");
				}
				else { push @{ $files{$file}{declares} }, $name; }
			}
		}
		elsif ($is_c)
		{
			$symbols{$_} = $file foreach variable_names($what);
		}
	}

	# the words used, declarations apart; members are no symbols
	my $used = $bare;
	$used =~ s/^[ \t]*extern\b[^;{]*;//mg;
	1 while $used =~ s/\b(?:struct|union)\s*\w*\s*\{[^{}]*\}//g;
	while ($used =~ /(\.|->)?\s*\b([A-Za-z_]\w*)\b/g)
	{
		my ($member, $word) = ($1, $2);
		next if defined $member || $own{$word};
		$files{$file}{words}{$word} = 1;
	}
	return;
}

# ---------------------------------------------------------------- the arrows

my %arrows;	# from row => to row => "what" => { file => 1 }

sub arrow
{
	my ($file, $other, $what) = @_;
	my ($from, $to) = (row($file), row($other));

	return if $from eq $to;
	# sources directly in a folder are above its rooms
	return if house($to) eq $from && $file =~ /\.c$/;
	if (house($from) ne house($to)) { $to = house($to); }
	elsif (house($from) eq $to && $other =~ /\.c$/) { $to .= '*.c'; }
	$arrows{$from}{$to}{$what}{$file} = 1;
	return;
}

sub find_arrows
{
	foreach my $file (sort keys %files)
	{
		foreach my $header (@{ $files{$file}{includes} })
		{
			arrow($file, $header, "#include $header") if $files{$header};
		}
		foreach my $word (keys %{ $files{$file}{words} })
		{
			my $where = $symbols{$word} // next;
			# an inline function of the interface may call what its rooms implement
			next if $file =~ /\.h$/ && house(row($where)) eq row($file);
			arrow($file, $where, "$word ($where)");
		}
	}
	return;
}

# a path from a node to itself in a graph of { from => { to => 1 } }, or nothing;
# the one found begins with the first name in alphabetical order
sub cycle
{
	my ($edges) = @_;

	foreach my $start (sort keys %$edges)
	{
		my %from;
		my @queue = ($start);
		while (defined(my $node = shift @queue))
		{
			foreach my $next (sort keys %{ $edges->{$node} || {} })
			{
				if ($next eq $start)
				{
					my @path = ($start);
					for (my $n = $node; $n ne $start; $n = $from{$n}) { unshift @path, $n; }
					return ($start, @path);
				}
				next if exists $from{$next};
				$from{$next} = $node;
				push @queue, $next;
			}
		}
	}
	return;
}

# breaches of one graph, cut open at the last arrow of each cycle found
sub report_cycles
{
	my ($what, $edges) = @_;
	my %rest = map { my $f = $_; $f => { %{ $edges->{$f} } } } keys %$edges;

	while (my @path = cycle(\%rest))
	{
		breach("cycle in $what: " . join(' -> ', @path));
		delete $rest{ $path[-2] }{ $path[-1] };
	}
	return;
}

# the arrows between houses and those between the rooms of one house
sub report_all_cycles
{
	my ($what, $arrows) = @_;
	my (%houses, %rooms);

	foreach my $from (keys %$arrows)
	{
		foreach my $to (keys %{ $arrows->{$from} })
		{
			next if $to eq $compat;
			if (house($from) eq house($to)) { $rooms{ house($from) }{$from}{$to} = 1; }
			else { $houses{ house($from) }{ house($to) } = 1; }
		}
	}
	report_cycles($what, \%houses);
	report_cycles($what, $rooms{$_}) foreach sort keys %rooms;
	return;
}

# ---------------------------------------------------------------- the checks

sub check_table
{
	my %here;

	foreach my $file (sort keys %files)
	{
		my $folder = $file =~ m{^(.*/)} ? $1 : $file;
		$here{$folder} = 1;
		breach("the table has no row for $folder") unless $row_of{$folder};
	}
	foreach my $row (sort keys %rows)
	{
		breach("the table has a row for $row, which is not there")
		  unless $here{$row} || grep { index($_, $row) == 0 } keys %here;
		foreach my $header (sort keys %{ $rows{$row}{interface} })
		{
			next if $header eq '*.h' || $files{$header};
			breach("the interface of $row has a header that is not there: $header")
			  unless $row =~ m{/$} && $files{"$row$header"};
		}
	}
	report_all_cycles('the table', { map { $_ => $rows{$_}{uses} } keys %rows });
	return;
}

sub check_arrows
{
	foreach my $from (sort keys %arrows)
	{
		foreach my $to (sort keys %{ $arrows{$from} })
		{
			next if may_use($from, $to);
			my $what = $arrows{$from}{$to};
			my ($first, @others) = sort { ($a =~ /^#/) <=> ($b =~ /^#/) || $a cmp $b } keys %$what;
			my ($where) = sort keys %{ $what->{$first} };
			breach("$from may not use $to: $first in $where" .
				  (@others ? ', and ' . @others . ' more' : ''));
		}
	}
	report_all_cycles('the sources', \%arrows);
	return;
}

# does the row's interface have this header?
sub is_interface
{
	my ($row, $header) = @_;
	my $interface = $rows{$row} ? $rows{$row}{interface} : {};

	return 1 if $interface->{$header};
	return 0 unless $row =~ m{/$} && index($header, $row) == 0;
	my $name = substr($header, length $row);
	return $interface->{$name} || $interface->{'*.h'} && $name !~ m{/};
}

sub check_includes
{
	my %included;

	foreach my $file (sort keys %files)
	{
		my $from = row($file);
		my $stem = basename($file) =~ s/\.\w+$//r;
		foreach my $header (@{ $files{$file}{includes} })
		{
			next unless $files{$header};
			my $to = row($header);
			$included{$header} = 1 if basename($header, '.h') ne $stem;
			next if $to eq $from || $header eq $compat;
			# a room and the headers of its own folder
			next if is_room($from) && $to eq house($from);
			my $seen = house($from) eq house($to) ? $to : house($to);
			breach("$file includes $header, which is internal to $seen")
			  unless is_interface($seen, $header);
		}
		if ($file =~ /\.c$/)
		{
			my $first = $files{$file}{includes}[0] // 'nothing';
			breach("$file includes $first first, not postgres.h") if $first ne 'postgres.h';
		}
	}
	foreach my $header (sort keys %included)
	{
		my $n = $files{$header}{lines};
		breach("$header has $n lines, more than " . MAX_HEADER_LINES . ' for a header that others include')
		  if $n > MAX_HEADER_LINES && $header ne $compat;
	}
	return;
}

sub check_symbols
{
	foreach my $name (sort keys %symbols)
	{
		my $file = $symbols{$name};
		my $prefix = $file =~ m{^([^/.]+)} ? "$1_" : '';
		if ($sql_callable{$name} || $name =~ /^streamq_\w+_main$/)
		{
			breach("$name in $file is called from SQL and does not begin with streamq_")
			  if index($name, 'streamq_') != 0;
			next;
		}
		next if $name eq '_PG_init' || index($name, $prefix) == 0;
		breach("$name in $file does not begin with $prefix");
	}
	# a header declares what its own folder defines, or a room of that folder
	foreach my $file (sort keys %files)
	{
		foreach my $name (@{ $files{$file}{declares} })
		{
			my $where = $symbols{$name} // next;
			next if row($where) eq row($file) || house(row($where)) eq row($file);
			next if $file =~ /\.c$/ && $where eq $file;
			breach("$file declares $name, which is defined in $where");
		}
	}
	return;
}

sub check_names
{
	my %seen;

	push @{ $seen{ basename($_) } }, $_ foreach sort keys %files;
	foreach my $name (sort keys %seen)
	{
		my @where = @{ $seen{$name} };
		breach("$name is the name of " . @where . " files: @where") if @where > 1;
	}
	return;
}

# ---------------------------------------------------------------- the output

sub print_graph
{
	my $size = sub {
		my ($what) = @_;
		my $headers = grep { /^#/ } keys %$what;
		return sprintf '%d symbols, %d headers', keys(%$what) - $headers, $headers;
	};
	foreach my $from (sort keys %arrows)
	{
		foreach my $to (sort keys %{ $arrows{$from} })
		{
			next if $to eq $compat;
			printf "%s %s -> %s (%s)\n", may_use($from, $to) ? ' ' : '!', $from, $to,
			  $size->($arrows{$from}{$to});
		}
	}
	foreach my $row (sort keys %rows)
	{
		next if $rows{$row}{all};
		my @rooms = ($row, grep { house($_) eq $row } keys %rows);
		my @idle = grep { my $to = $_; !grep { $arrows{$_}{$to} } @rooms }
		  sort keys %{ $rows{$row}{uses} };
		print "  $row may use @idle, and does not\n" if @idle;
	}
	return;
}

sub print_why
{
	my ($from, $to) = map { my $n = $_; $n =~ s{(?<![/hc])$}{/} unless $row_of{$n}; $n } @_;
	my $n = 0;

	foreach my $part (grep { $_ eq $from || house($_) eq $from } sort keys %arrows)
	{
		foreach my $what (sort keys %{ $arrows{$part}{$to} || {} })
		{
			print "$what <- ", join(' ', sort keys %{ $arrows{$part}{$to}{$what} }), "\n";
			$n++;
		}
	}
	print "$from does not use $to\n" unless $n;
	return;
}

read_table();
find({ no_chdir => 1, wanted => sub { read_source($File::Find::name =~ s{^\./}{}r) if /\.[ch]$/ } }, '.');
find_arrows();
if ($graph) { print_graph(); exit 0; }
if (@why) { print_why(@why); exit 0; }
check_table();
check_arrows();
check_includes();
check_symbols();
check_names();
print "layers: $_\n" foreach sort keys %breaches;
exit(%breaches ? 1 : 0);
