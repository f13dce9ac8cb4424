# The queries of the Grafana dashboard run, and Prometheus' exporter for
# PostgreSQL gives the metrics of queries.yaml.
use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = $ENV{STREAMQ_SOURCE};
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamq'\nlisten_addresses = '127.0.0.1'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION streamq;
	CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats, pg_read_all_data;
	CREATE TABLE clicks (at timestamptz, url text) USING streamq;
	SELECT streamq.create_group('clicks', 'mailer');
	SELECT streamq.create_continuous_view('per_minute', 'SELECT window_start, count(*) FROM clicks, streamq.tumble(at, $$1 minute$$) GROUP BY window_start');
	INSERT INTO clicks SELECT now() - n * interval '1 second', '/' FROM generate_series(1, 100) n});
$node->safe_psql('postgres', q{SELECT count(*) FROM streamq.consume('clicks', 'mailer', 40, auto_ack => true);
	SELECT streamq.wait_until_caught_up('per_minute')});

# ---- Grafana: its macros and variables as it replaces them ----

my $dashboard = decode_json(slurp_file("$source/tools/grafana/streamq.json"));

sub expand
{
	my ($sql) = @_;

	$sql =~ s/\$__timeGroup\(((?:[^()]|\([^()]*\))+), \$__interval\)/to_timestamp(floor(extract(epoch FROM $1) \/ 10) * 10)/g;
	$sql =~ s/\$__timeFrom\(\)/(now() - interval '1 hour')/g;
	$sql =~ s/\$__timeTo\(\)/now()/g;
	$sql =~ s/\$__interval/10s/g;
	$sql =~ s/\$stream/clicks/g;
	$sql =~ s/\$view/per_minute/g;
	return $sql;
}

for my $panel (@{ $dashboard->{panels} })
{
	my $sql = expand($panel->{targets}[0]{rawSql});
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'monitor' ]);

	is($err, '', "panel \"$panel->{title}\" runs");
	isnt($out, '', '... and has a row') unless $panel->{title} =~ /Consumers/;
}
for my $variable (grep { $_->{type} eq 'query' } @{ $dashboard->{templating}{list} })
{
	is($node->safe_psql('postgres', $variable->{query}), $variable->{name} eq 'stream' ? 'clicks' : 'per_minute',
		"variable $variable->{name}");
}

# ---- Prometheus ----

SKIP:
{
	my ($exporter) = grep { -x "$_/prometheus-postgres-exporter" } split /:/, $ENV{PATH};
	skip 'prometheus-postgres-exporter is not installed', 8 unless $exporter;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $metrics = '';
	my $log = PostgreSQL::Test::Utils::tempdir . '/exporter.log';

	# the exporter ends when it sees settings of libpq that it does not have
	local %ENV = map { $_ => $ENV{$_} } grep { !/^PG/ } keys %ENV;
	$ENV{DATA_SOURCE_NAME} = 'user=monitor dbname=postgres sslmode=disable host=127.0.0.1 port=' . $node->port;
	my $h = IPC::Run::start([ "$exporter/prometheus-postgres-exporter", "--web.listen-address=127.0.0.1:$port", '--disable-default-metrics',
			'--disable-settings-metrics', "--extend.query-path=$source/tools/prometheus/queries.yaml" ],
		'<', '/dev/null', '>', $log, '2>&1');
	for (1 .. 100)
	{
		my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 10);
		if ($socket)
		{
			local $/;
			print $socket "GET /metrics HTTP/1.0\r\n\r\n";
			$metrics = <$socket>;
			last if $metrics =~ /^streamq_/m;
		}
		select(undef, undef, undef, 0.2);
	}
	eval { $h->kill_kill };
	diag(slurp_file($log) . $metrics) unless $metrics =~ /^streamq_/m;
	like($metrics, qr/^streamq_stream_messages\{.*stream="clicks".*\} 100$/m, 'messages of the stream');
	like($metrics, qr/^streamq_stream_appended_total\{.*\} 100$/m, 'what was appended');
	like($metrics, qr/^streamq_group_lag_messages\{group_name="mailer",mode="ordered",.*\} 60$/m, 'lag of the group');
	like($metrics, qr/^streamq_group_acked_total\{.*\} 40$/m, 'what the group has acknowledged');
	like($metrics, qr/^streamq_group_lag_seconds\{.*\} [\d.e-]+$/m, 'its lag in time');
	like($metrics, qr/^streamq_job_processed_total\{job="per_minute".*\} 100$/m, 'what the job has processed');
	like($metrics, qr/^streamq_job_watermark_seconds\{.*\} 1\.\d+e\+09$/m, 'its watermark');
	like($metrics, qr/^streamq_job_failing\{.*\} 0$/m, 'and its state');
}

$node->stop;
done_testing();
