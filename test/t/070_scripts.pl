# The scripts of the demo and of the tests: what they find missing, which PostgreSQL
# they take, that they never write through a link out of their own directories, and
# file names and paths with characters that a shell or make would take for its own.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use File::Path qw(make_path);
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE} || abs_path(dirname(__FILE__) . '/../..');
my $tmp = PostgreSQL::Test::Utils::tempdir_short();
my $odd = "$tmp/it's a \$HOME \"dir\"";
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $cc = `$pg_config --cc`);

delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES FILE SUITES COPT PGMAJOR)};

# Runs a command; returns its status and all that it printed.
sub run
{
	my ($dir, $env, @command) = @_;
	my $out = '';

	local %ENV = (%ENV, %$env);
	delete @ENV{ grep { !defined $env->{$_} } keys %$env };
	my $h = IPC::Run::start(\@command, '<', \'', '>&', \$out, init => sub { chdir $dir or die $! });
	$h->finish;
	note "in $dir: @command: " . $h->full_result . "\n$out";
	return ($h->full_result || 0, $out);
}

sub write_file
{
	my ($name, $text, $mode) = @_;

	make_path(dirname($name));
	open(my $fh, '>', $name) or die "$name: $!";
	print $fh $text;
	close($fh);
	chmod($mode, $name) if $mode;
}

# The scripts' functions with Debian's directories at $tmp/$system.
sub with_env
{
	my ($system, $env, $script) = @_;

	return run('/', { PG_CONFIG => undef, %$env }, 'bash', '-uc', qq{
		top=\$1 system=\$2
		. "\$top/test/lib/env.sh"
		debian_pg=\$system/lib debian_include=\$system/include RUN_USER=
		$script}, 'bash', $source, "$tmp/$system");
}

# A PostgreSQL as Debian's packages lay it out.  Which of them are there is said by
# their first words: server, client, dev, libpq.
sub fake_pg
{
	my ($system, $major, @packages) = @_;
	my %has = map { $_ => 1 } @packages;
	my ($lib, $include) = ("$tmp/$system/lib/$major", "$tmp/$system/include");
	my $script = <<"END";
#!/bin/sh
case \$1 in
	--version) echo 'PostgreSQL $major.1 (Debian $major.1-1)' ;;
	--bindir) echo $lib/bin ;;
	--pkglibdir) echo $lib/lib ;;
	--sharedir) echo $lib/share ;;
	--pgxs) echo $lib/lib/pgxs/src/makefiles/pgxs.mk ;;
	--includedir | --pkgincludedir) echo $include ;;
	--includedir-server) echo $include/$major/server ;;
	--libdir) echo $tmp/$system/libdir ;;
	--cc) echo $cc ;;
esac
END

	make_path($include, "$tmp/$system/libdir");
	if ($has{server})
	{
		write_file("$lib/bin/$_", '', 0755) for qw(postgres initdb pg_ctl pgbench);
		write_file("$lib/lib/file_fdw.so", '');
		write_file("$lib/share/x", '');
	}
	if ($has{client})
	{
		write_file("$lib/bin/$_", '', 0755) for qw(psql createdb);
		write_file("$lib/bin/pg_config", $script, 0755);
		write_file("$lib/lib/pgxs/src/$_", '', 0755)
		  for qw(makefiles/pgxs.mk test/regress/pg_regress test/isolation/pg_isolation_regress
			  test/isolation/isolationtester test/perl/PostgreSQL/Test/Cluster.pm);
	}
	write_file("$include/$major/server/postgres.h", '') if $has{dev};
	write_file("$include/libpq-fe.h", '') if $has{libpq};
	write_file("$tmp/$system/usr/pg_config", $script, 0755) if $has{libpq};
}

sub missing
{
	my ($system, $major, $purpose) = @_;
	my ($status, $out) = with_env($system, { PGMAJOR => $major },
		"purpose=$purpose; choose_pg; missing_packages");
	chomp $out;
	return $out;
}

sub chosen
{
	my ($system, %env) = @_;
	my ($status, $out) = with_env($system, \%env, 'choose_pg && echo "$PGMAJOR $PG_CONFIG"');
	chomp $out;
	return $out;
}

# ---- what is missing ----

fake_pg('all', 15, qw(server client dev libpq));
is(missing('all', 15, $_), '', "$_: nothing is missing") for qw(build demo check bench);
fake_pg('noheaders', 15, qw(server client));
is(missing('noheaders', 15, $_), 'postgresql-server-dev-15', "$_: the server's headers are missing")
  for qw(build demo check);
is(missing('noheaders', 15, 'bench'), 'libpq-dev postgresql-server-dev-15', "bench: and libpq's");
fake_pg('onlyclient', 15, qw(client dev));
is(missing('onlyclient', 15, 'demo'), 'postgresql-15', 'the server is missing');
fake_pg('onlylibpq', 15, qw(libpq));
is(missing('onlylibpq', 15, 'demo'),
	'postgresql-15 postgresql-client-15 postgresql-server-dev-15', 'all but libpq is missing');
for my $file (qw(bin/postgres bin/initdb bin/pgbench lib/file_fdw.so))
{
	rename("$tmp/all/lib/15/$file", "$tmp/hidden") or die $!;
	is(missing('all', 15, 'check'), 'postgresql-15', "without $file");
	rename("$tmp/hidden", "$tmp/all/lib/15/$file") or die $!;
}
for my $file (qw(bin/psql bin/createdb lib/pgxs/src/makefiles/pgxs.mk lib/pgxs/src/test/regress/pg_regress
	lib/pgxs/src/test/isolation/isolationtester lib/pgxs/src/test/perl/PostgreSQL/Test/Cluster.pm))
{
	rename("$tmp/all/lib/15/$file", "$tmp/hidden") or die $!;
	is(missing('all', 15, 'check'), 'postgresql-client-15', "without $file");
	rename("$tmp/hidden", "$tmp/all/lib/15/$file") or die $!;
}

# ---- which PostgreSQL is taken ----

my $nothing = "$tmp/path";    # a PATH without any pg_config, apt or sudo
make_path($nothing);
for my $program (qw(bash sh env id sed grep sort tr head cat tail dirname basename readlink mkdir ln cp rm
	ls make gcc cc tar find getent setpriv gzip perl prove diff mktemp chmod chown tee sleep kill uname
	as ld), $cc)
{
	for my $dir (split /:/, $ENV{PATH})
	{
		next if $dir eq dirname($pg_config) || !-x "$dir/$program";
		symlink("$dir/$program", "$nothing/$program") unless -e "$nothing/$program";
	}
}

my %bare = (PATH => $nothing);
is(chosen('all', %bare), "15 $tmp/all/lib/15/bin/pg_config", 'the one that is there');
fake_pg('several', 15, qw(server client dev));
fake_pg('several', 17, qw(server client));
fake_pg('several', 18, qw(dev));
is(chosen('several', %bare), "15 $tmp/several/lib/15/bin/pg_config",
	'of several versions the newest one that is complete');
is(chosen('several', %bare, PGMAJOR => 17), "17 $tmp/several/lib/17/bin/pg_config", 'PGMAJOR');
is(chosen('several', %bare, PG_CONFIG => "$tmp/several/lib/17/bin/pg_config"),
	"17 $tmp/several/lib/17/bin/pg_config", 'PG_CONFIG');
fake_pg('mixed', 17, qw(server client));
fake_pg('mixed', 15, qw(server client));
fake_pg('mixed', 18, qw(dev));
is(chosen('mixed', %bare), "17 $tmp/mixed/lib/17/bin/pg_config",
	'where none is complete the newest server, not the newest headers');
is(chosen('several', %bare, PG_CONFIG => ''), "15 $tmp/several/lib/15/bin/pg_config", 'an empty PG_CONFIG is none');
like(chosen('several', %bare, PG_CONFIG => '/nonexistent/pg_config'),
	qr/^streamq: PG_CONFIG names no program/, 'a PG_CONFIG that is not there');
like(chosen('several', %bare, PG_CONFIG => '/bin/true'),
	qr/^streamq: PG_CONFIG is no pg_config/, 'a PG_CONFIG that is something else');
like(chosen('several', %bare, PGMAJOR => 'new'), qr/^streamq: PostgreSQL 15 or newer is needed, not "new"/,
	'a PGMAJOR that is no number');
like(chosen('several', %bare, PGMAJOR => 14), qr/^streamq: PostgreSQL 15 or newer is needed/, 'an old one');
is(chosen('onlylibpq', PATH => "$tmp/onlylibpq/usr:$nothing", PG_CONFIG => 'pg_config'),
	"15 $tmp/onlylibpq/usr/pg_config", "libpq-dev's pg_config by name");

# ---- without the right to install ----

for my $case (
	[ 'mixed', {}, 'to install them needs root rights', 'postgresql-server-dev-17' ],
	[ 'onlylibpq', { PATH => "$tmp/onlylibpq/usr:$nothing", PG_CONFIG => 'pg_config' },
		'to install them needs root rights',
		'postgresql-15 postgresql-client-15 postgresql-server-dev-15' ])
{
	my ($system, $env, $why, $packages) = @$case;
  SKIP:
	{
		skip 'root may install', 2 if $> == 0;
		# apt is there, sudo is not
		write_file("$nothing/apt-get", "#!/bin/sh\necho 'apt-get was run'\nexit 1\n", 0755);
		my ($status, $out) = with_env($system, { %bare, %$env }, 'need_postgres demo; echo went on');
		is($status >> 8, 1, "$system: ends with status 1");
		like($out, qr/packages are missing, and $why.*\n +apt-get update && apt-get install --no-install-recommends \Q$packages\E\n\z/,
			"$system: the message names the packages");
		unlink("$nothing/apt-get");
	}
}
my ($status, $out) = with_env('mixed', \%bare, 'need_postgres demo; echo went on');
like($out, qr/there is no apt-get here/, 'without apt');
like($out, qr{^ +\Q$tmp\E/mixed/include/17/server/postgres\.h \(postgresql-server-dev-17\)$}m,
	'the message names the files');

# ---- a private copy leaves the system alone ----

for my $system (qw(noheaders all))
{
	my $list = sub { `cd $tmp/$system && find . -printf '%p %y %s %T\@ %C\@ %l\n' | sort` };
	my $before = $list->();
	($status, $out) = with_env($system, { PG_CONFIG => "$tmp/$system/lib/15/bin/pg_config" },
		"private_pg $tmp/copy-$system && echo copied");
	is($out, "copied\n", "$system: copied");
	is($list->(), $before, "$system: nothing is written into the system");
	ok(-x "$tmp/copy-$system$tmp/$system/lib/15/bin/postgres", "$system: the server is there");
}
ok(-e "$tmp/copy-all$tmp/all/include/15/server/postgres.h", 'the headers are found');
make_path("$tmp/outside/a");
symlink("$tmp/outside", "$tmp/link");
($status, $out) = with_env('all', {}, qq{
	mkdir -p $tmp/own$tmp && ln -s $tmp/outside $tmp/own$tmp/outside &&
		link_into $tmp/own $tmp/outside/a/b && link_into $tmp/own $tmp/outside/c/d; echo done});
is(join(' ', sort map { s/^\Q$tmp\E\///r } split /\n/, `find $tmp/outside`), 'outside outside/a',
	'nothing is linked through a link');

# ---- names and paths ----

make_path($odd);
system_or_bail('cp', '-R', map({ "$source/$_" } qw(Makefile demo src sql streamq.control streamq_pgmq.control test)), $odd);
# what was built keeps its times, so that only a little is compiled
system_or_bail('find', $source, '-maxdepth', 1, '-name', 'streamq.so', '-exec', 'cp', '-p', '{}', $odd, ';');
system_or_bail('sh', '-c', 'cd "$1" && find src sql -type f | while read -r f; do touch -r "$f" "$2/$f"; done',
	'sh', $source, $odd);
unlink("$odd/streamq.so");
utime(time, time, "$odd/src/compat.c");
($status, $out) = run($odd, { PG_CONFIG => undef }, 'make', '-s', 'with_llvm=no', "PG_CONFIG=$pg_config");
is($status, 0, 'make in a path with a space, quotes and a dollar sign');
($status, $out) = run($odd, { PG_CONFIG => undef },
	'make', '-s', 'install', 'with_llvm=no', "PG_CONFIG=$pg_config", "DESTDIR=$tmp/dest");
is($status, 0, 'make install there');
chomp(my $lib = `$pg_config --pkglibdir`);
ok(-e "$tmp/dest$lib/streamq.so", 'it is installed');
($status, $out) = run($odd, { PATH => dirname($pg_config) . ":$ENV{PATH}" }, 'make', '-n', 'PG_CONFIG=');
is($status, 0, 'make PG_CONFIG= takes the one in PATH');
($status, $out) = run($odd, {}, 'make', 'PG_CONFIG=/nonexistent/pg_config');
like($out, qr{"/nonexistent/pg_config" is no pg_config}, 'make with a PG_CONFIG that is not there');
($status, $out) = run($odd, {}, 'make', "PG_CONFIG=$tmp/noheaders/lib/15/bin/pg_config");
like($out, qr{no server headers of PostgreSQL 15.*: install postgresql-server-dev-15,}, 'make without headers');
($status, $out) = run($odd, {}, 'make', "PG_CONFIG=$tmp/onlylibpq/usr/pg_config");
like($out, qr{no PGXS of PostgreSQL 15.*: install postgresql-server-dev-15,}, "make with libpq-dev's pg_config");

# what make gives to the scripts
my $args = "$tmp/args";
make_path($args);
system_or_bail('cp', "$source/Makefile", $args);
write_file("$args/$_", "#!/bin/sh\nprintf '%s|' \"\$#\" \"\$@\"\n", 0755)
  for qw(demo/run.sh test/lib/check.sh);
for my $name ("it's log.gz", 'a $b "c" `d` #e.log', '$(shell touch /tmp/f)', '-n', "a\\b")
{
	($status, $out) = run($args, {}, 'make', '-s', 'demo', "FILE=$name");
	is($out, "1|$name|", "make demo FILE=$name");
}
is((run($args, {}, 'make', '-s', 'demo'))[1], '0|', 'make demo');
is((run($args, {}, 'make', '-s', 'demo', 'FILE='))[1], '1||', 'make demo FILE=');
is((run($args, { FILE => 'x y' }, 'make', '-s', 'demo'))[1], '1|x y|', 'FILE in the environment');
is((run($args, {}, 'make', '-s', 'check', 'SUITES=regress/a tap/b'))[1], '2|regress/a|tap/b|', 'make check SUITES=');

# what the demo says of files that it cannot take
write_file("$odd/empty.log", '');
for my $case (
	[ '', qr/^streamq: FILE is empty: / ],
	[ "$odd/demo", qr/^streamq: FILE is a directory, not an access log: \Q$odd\E\/demo$/m ],
	[ 'demo', qr/^streamq: FILE is a directory, not an access log: \Q$odd\E\/demo$/m ],
	[ "it's not there", qr/^streamq: there is no file \Q$odd\E\/it's not there$/m ],
	[ 'empty.log', qr/^streamq: FILE is an empty file: / ],
	[ '/dev/null', qr/^streamq: FILE is no ordinary file: / ])
{
	my ($name, $expected) = @$case;
	($status, $out) = run($odd, {}, 'make', '-s', 'demo', "FILE=$name");
	isnt($status, 0, "make demo FILE=$name fails");
	like($out, $expected, "make demo FILE=$name");
}
($status, $out) = run($odd, { SECONDS_OF_LOAD => 'many' }, 'make', '-s', 'demo');
like($out, qr/^streamq: SECONDS_OF_LOAD is a number of seconds, not "many"/, 'SECONDS_OF_LOAD');

done_testing();
