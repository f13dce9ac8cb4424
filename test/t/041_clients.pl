# The programs of docs/clients.md do what the page says, each with the real driver
# of its language.  A language that is not installed here is skipped.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run qw(run timeout);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE} || abs_path(dirname(__FILE__) . '/../..');
my $page = slurp_file("$source/docs/clients.md");
my $dir = PostgreSQL::Test::Utils::tempdir();

# Debian's places of libraries that are not looked for by themselves
$ENV{NODE_PATH} = join(':', grep { defined } '/usr/share/nodejs', $ENV{NODE_PATH});
$ENV{CLASSPATH} = join(':', grep { defined } '/usr/share/java/postgresql.jar', $ENV{CLASSPATH});
$ENV{GO111MODULE} = 'off';
$ENV{GOPATH} = join(':', grep { defined } '/usr/share/gocode', $ENV{GOPATH});
$ENV{GOCACHE} = "$dir/go-cache";
$ENV{GOFLAGS} = '';

# is this command there, and does it succeed?
sub works
{
	my (@command) = @_;

	# a list would lose its place where nothing comes back
	return scalar(eval { run(\@command, '<', \'', '>', \my $out, '2>', \my $err, timeout(120)) });
}

my ($python) = grep { works($_, '-c', 'import psycopg') } ('python3', '/usr/bin/python3');
my %programs = (
	python => {
		file => 'shipper.py',
		there => defined $python,
		needs => 'python3 with psycopg 3',
		command => [ $python // 'python3', "$dir/shipper.py" ],
	},
	java => {
		file => 'Shipper.java',
		there => works('javac', '-version') && -e '/usr/share/java/postgresql.jar',
		needs => "a JDK, and PostgreSQL's JDBC driver",
		command => [ 'java', "$dir/Shipper.java" ],
	},
	js => {
		file => 'shipper.js',
		there => scalar(works('node', '-e', 'require("pg")')),
		needs => 'node with the package pg',
		command => [ 'node', "$dir/shipper.js" ],
	},
	go => {
		file => 'shipper.go',
		there => scalar(works('go', 'list', 'github.com/lib/pq')),
		needs => 'Go with lib/pq',
		command => [ 'go', 'run', "$dir/shipper.go" ],
	},
);

plan skip_all => 'none of the languages of docs/clients.md is installed with its driver'
  unless grep { $_->{there} } values %programs;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# JDBC knows no sockets in directories
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
listen_addresses = '127.0.0.1'
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION streamq');
my ($setup) = $page =~ /```sql\n(.*?)```/s;
$node->safe_psql('postgres', $setup);

my $produced = 0;
for my $language (sort keys %programs)
{
	my $program = $programs{$language};
	my ($text) = $page =~ /```$language\n(.*?)```/s;

	ok(defined $text, "the page has a program in $language");
  SKIP:
	{
		skip "needs $program->{needs}", 3 unless $program->{there};

		append_to_file("$dir/$program->{file}", $text);
		# lib/pq stops at variables of libpq that it does not know
		delete local $ENV{PGSYSCONFDIR};
		local $ENV{PGHOST} = '127.0.0.1';
		local $ENV{PGPORT} = $node->port;
		local $ENV{PGDATABASE} = 'postgres';
		local $ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');
		my ($out, $err) = ('', '');
		my $succeeded =
		  eval { run($program->{command}, '<', \'', '>', \$out, '2>', \$err, timeout(300)) };
		$produced++;
		ok($succeeded, "$language: runs") or diag("$out$err$@");
		# its group begins with the first message of the stream
		is($out =~ s/\s+\z//r, "$produced shipped by " . ($language eq 'js' ? 'node' : $language),
			"$language: what it says");
		is($node->safe_psql('postgres', 'SELECT count(*), min(item), max(item) FROM shipments'),
			"$produced|tea|tea", "$language: its work is committed");
		$node->safe_psql('postgres', 'TRUNCATE shipments');
	}
}
is($node->safe_psql('postgres', 'SELECT count(*), min(acked_offset) FROM streamq.consumer_groups'),
	"$produced|1", 'each has its own group');

$node->stop;
done_testing();
