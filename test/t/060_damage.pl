# Damage to the files of streams: bits flipped, pages zeroed, swapped, copied over
# others, cut off, filled with random bytes.  Whatever is read, written, vacuumed or
# checked after that ends in a result or in an error that says that data is
# corrupted; the server does not crash and does not hang.  With checksums no wrong result
# comes without a report.
#
# The damage is random, but the same in each run: the seed is in the name of a
# case.  STREAMQ_DAMAGE_ROUNDS makes it more, STREAMQ_DAMAGE_SEED other.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $streams = 240;
my $rounds = $ENV{STREAMQ_DAMAGE_ROUNDS} // 4;
my $seed = $ENV{STREAMQ_DAMAGE_SEED} // 1;
my $page_size = 8192;

# Streams of four kinds, all kinds of pages in each, frozen so that the file tells
# where they end.
my $make = q{
	CREATE EXTENSION streamq;
	CREATE PROCEDURE make_stream(i int) LANGUAGE plpgsql AS $$
	DECLARE
		s text := 's' || i;
	BEGIN
		IF i % 4 = 0 THEN
			PERFORM streamq.create_stream(s, 'id bigint, key text, body text, payload jsonb', partitions => 3);
		ELSIF i % 4 = 1 THEN
			PERFORM streamq.create_stream(s, 'id bigint, u uuid, n numeric, body text, at timestamptz');
		ELSIF i % 4 = 2 THEN
			PERFORM streamq.create_stream(s, 'id bigint, body text, name name, iv interval', partitions => 2);
		ELSE
			PERFORM streamq.create_stream(s, 'id bigint, body text', partitions => 5);
			EXECUTE format('INSERT INTO %I SELECT g, g FROM generate_series(1, 50) g', s);
			EXECUTE format('TRUNCATE %I', s);
		END IF;
		PERFORM streamq.create_group(s, 'g');
		-- in a quarter of them extents that expired, whose blocks are free, or used again
		IF i % 4 = 1 THEN
			COMMIT;
			FOR n IN 1..2 LOOP
				EXECUTE format('INSERT INTO %I (id, body) SELECT g, repeat($q$o$q$, 900) FROM generate_series(1, 120) g', s);
				COMMIT;
			END LOOP;
			PERFORM streamq.alter_stream(s, max_bytes => 100000);
			COMMIT;
			EXECUTE format('INSERT INTO %I (id, body) SELECT g, repeat($q$n$q$, 900) FROM generate_series(1, 120) g', s);
			COMMIT;
			PERFORM streamq.alter_stream(s, max_bytes => 0);
		END IF;
		EXECUTE format('INSERT INTO %I (id, body) SELECT g, md5(g::text) FROM generate_series(1, 400) g', s);
		COMMIT;
		-- a row over several pages, one that is compressed, and what is rolled back
		EXECUTE format($q$INSERT INTO %I (id, body) VALUES (401, (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 900) g)), (402, repeat('x', 5000))$q$, s);
		COMMIT;
		EXECUTE format('INSERT INTO %I (id, body) SELECT g, md5(g::text) FROM generate_series(1, 50) g', s);
		ROLLBACK;
		FOR g IN 403..420 LOOP
			EXECUTE format('INSERT INTO %I (id) VALUES (%s)', s, g);
			COMMIT;
		END LOOP;
		IF i % 4 = 3 THEN
			EXECUTE format('ALTER TABLE %I ADD more int DEFAULT 7', s);
		END IF;
		EXECUTE format('INSERT INTO %I (id, body) SELECT g, repeat($q$é$q$, g %% 100) FROM generate_series(421, 600) g', s);
		COMMIT;
		PERFORM streamq.consume(s, 'g', max_messages => 20);
		COMMIT;
	END $$;
};

# ---- damage ----

sub random_bytes { return join '', map { chr(int(rand(256))) } 1 .. $_[0] }

sub put { my ($data, $pos, $bytes) = @_; substr($$data, $pos, length($bytes)) = $bytes }

# Damages the content of a file; returns what was done.
sub damage
{
	my ($data) = @_;
	my $n = int(length($$data) / $page_size);

	# structure pages come first in the file: as often as all others
	my $p = int(rand(2)) ? int(rand($n)) : int(rand($n < 12 ? $n : 12));
	my $q = int(rand($n));
	my $at = $p * $page_size;
	my $kind = int(rand(13));

	if ($kind <= 2)
	{
		my $bits = 1 + int(rand(6));
		for (1 .. $bits)
		{
			my $pos = $at + int(rand($page_size));
			put($data, $pos, chr(ord(substr($$data, $pos, 1)) ^ (1 << int(rand(8)))));
		}
		return "$bits bits of page $p";
	}
	elsif ($kind == 3) { put($data, $at, "\0" x $page_size); return "page $p zeroed"; }
	elsif ($kind == 4)
	{
		my $page = substr($$data, $at, $page_size);
		put($data, $at, substr($$data, $q * $page_size, $page_size));
		put($data, $q * $page_size, $page);
		return "pages $p and $q swapped";
	}
	elsif ($kind == 5)
	{
		put($data, $at, substr($$data, $q * $page_size, $page_size));
		return "page $q copied over page $p";
	}
	elsif ($kind == 6 && $n > 1)
	{
		my $length = 1 + int(rand($n * $page_size - 1));
		$length -= $length % $page_size if int(rand(2));
		$length = $page_size if $length < $page_size;
		$$data = substr($$data, 0, $length);
		return "cut to $length bytes";
	}
	elsif ($kind == 7) { put($data, $at, random_bytes($page_size)); return "page $p random"; }
	elsif ($kind == 8)
	{
		put($data, $at + $page_size / 2, "\0" x ($page_size / 2));
		return "page $p torn";
	}

	# random bytes: in the page header, the counts behind it, the special space,
	# anywhere; 32-bit words of them
	my ($from, $length) = ([ 0, 24 ], [ 24, 64 ], [ $page_size - 24, 24 ], [ 24, $page_size - 48 ])[ $kind - 9 ]->@*;
	my $words = 1 + int(rand(3));
	for (1 .. $words)
	{
		my $size = (1, 2, 4)[ int(rand(3)) ];
		my $pos = $at + $from + $size * int(rand($length / $size));
		put($data, $pos, int(rand(3)) ? random_bytes($size) : ("\xff" x $size));
	}
	return "$words words of page $p from byte $from on";
}

# ---- what is done with each stream ----

# One psql script: every statement's SQLSTATE and result goes to the error output.
sub script
{
	my ($round) = @_;
	my $sql = "\\set QUIET on\nSET statement_timeout = '20s';\nSET client_min_messages = error;\n";

	for my $i (1 .. $streams)
	{
		my $s = "s$i";
		my $values = 'id, octet_length(body), hashtext(body)';
		my @steps = (
			[ 'check', "SELECT count(*) AS r FROM streamq.check_stream('$s')" ],
			[ 'scan', "SELECT concat_ws('/', count(*), sum(id), sum(octet_length(body)), sum(hashtext(body)), sum(pg_column_size(x.*))) AS r FROM $s x" ],
			[ 'range', "SELECT concat_ws('/', count(*), sum(id)) AS r FROM $s WHERE ctid >= '(0,30)' AND ctid < '(0,90)'" ],
			[ 'tid', "SELECT concat_ws('/', count(*), sum(octet_length(body))) AS r FROM $s WHERE ctid = ANY ('{\"(0,3)\",\"(0,100)\",\"(16777216,5)\"}')" ],
			[ 'read', "SELECT count(*) AS r FROM streamq.read('$s', 0, 10000)" ],
			[ 'consume', "SELECT count(*) > 0 AS r FROM streamq.consume('$s', 'g', max_messages => 100)" ],
			[ 'time', "SELECT count(streamq.seek('$s', 'g', to_time => now() - interval '1 second')) AS r" ],
			[ 'forward', "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM $s; MOVE ALL c" ],
			[ 'backward', 'MOVE BACKWARD ALL c' ],
			[ 'view', "SELECT sum(messages) AS r FROM streamq.partitions WHERE stream = '$s'::regclass" ],
			[ 'insert', "INSERT INTO $s (id, body) VALUES (1, 'new'), (2, repeat(md5(random()::text), 1000))" ],
			[ 'bulk', "INSERT INTO $s (id, body) SELECT g, repeat('z', 300) FROM generate_series(1, 300) g" ],
			[ 'vacuum', "VACUUM $s" ],
			[ 'analyze', "ANALYZE $s" ],
			[ 'recheck', "SELECT count(*) AS r FROM streamq.check_stream('$s')" ],
			[ 'rescan', "SELECT count(*) AS r FROM $s" ]);

		splice(@steps, 2, 0, [ 'parallel', "SELECT concat_ws('/', count(*), sum(id)) AS r FROM $s" ])
		  if $i % 5 == $round % 5 || $round == 0;
		for (@steps)
		{
			my ($name, $statement) = @$_;
			$sql .= "\\set r -\n";
			$sql .= "SET min_parallel_table_scan_size = 0;\n" if $name eq 'parallel';
			$sql .= $statement . ($statement =~ / AS r\b/ ? " \\gset\n" : ";\n");
			$sql .= "\\warn case $i $name :SQLSTATE :r\n";
			$sql .= "ROLLBACK;\n" if $name eq 'backward';
			$sql .= "RESET min_parallel_table_scan_size;\n" if $name eq 'parallel';
		}
	}
	return $sql . "\\warn done\n";
}

# runs the script; returns {stream}{step} = [sqlstate, result], and whether it came to its end
sub run_script
{
	my ($node, $round) = @_;
	my ($out, $err) = ('', '');
	my %result;

	$node->psql('postgres', script($round), stdout => \$out, stderr => \$err, on_error_stop => 0,
		timeout => 180);
	my $message = '';
	for my $line (split /\n/, $err)
	{
		$message = $1 if $line =~ /ERROR:\s+(.*)/;
		$result{$1}{$2} = [ $3, $4, $message ] if $line =~ /case (\d+) (\w+) (\S+) (\S+)$/;
	}
	return (\%result, $err =~ /done\s*$/ ? 1 : 0, $err);
}

sub series
{
	my ($checksums) = @_;
	my $name = $checksums ? 'on' : 'off';
	my $node = PostgreSQL::Test::Cluster->new("checksums_$name");
	my $cases = 0;

	# from PostgreSQL 18 on there are checksums if nothing else is said
	my $without = `initdb --help` =~ /--no-data-checksums/ ? ['--no-data-checksums'] : [];
	$node->init(extra => $checksums ? ['--data-checksums'] : $without);
	$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'streamq'
autovacuum = off
fsync = off
shared_buffers = 64MB
max_parallel_workers_per_gather = 1
log_min_messages = error
log_min_error_statement = panic
restart_after_crash = off
parallel_setup_cost = 0
parallel_tuple_cost = 0
parallel_leader_participation = off
});
	$node->start;
	$node->safe_psql('postgres', $make);
	$node->safe_psql('postgres', join('', map { "CALL make_stream($_);\n" } 1 .. $streams));
	$node->safe_psql('postgres', 'VACUUM');
	$node->safe_psql('postgres', 'VACUUM');
	is( $node->safe_psql('postgres', "SELECT count(*) FROM generate_series(1, $streams) i, streamq.check_stream(('s' || i)::regclass)"),
		'0', "checksums $name: all streams are sound");
	is( $node->safe_psql('postgres', 'SELECT count(DISTINCT stream) FROM streamq.partitions WHERE first_offset > 100'), $streams / 4,
		"checksums $name: extents have expired");
	my %file = map { split /\|/ } split /\n/, $node->safe_psql('postgres',
		"SELECT i, pg_relation_filepath('s' || i) FROM generate_series(1, $streams) i");
	$node->stop;
	my %sound;
	for my $i (keys %file)
	{
		my $path = $node->data_dir . "/$file{$i}";
		$file{$i} = $path;
		$sound{$i} = slurp_file($path);
	}
	$node->start;

	# what comes of sound files
	my ($expected, $finished) = run_script($node, 0);
	ok($finished, "checksums $name: sound streams");
	my @wrong = grep { my $i = $_;
		grep { $expected->{$i}{$_}[0] ne '00000' } keys %{ $expected->{$i} } } 1 .. $streams;
	is("@wrong", '', "checksums $name: no error about sound streams");
	@wrong = grep { $expected->{$_}{check}[1] ne '0' || $expected->{$_}{recheck}[1] ne '0' } 1 .. $streams;
	is("@wrong", '', "checksums $name: no report about sound streams");

	my (%states, $reported);
	for my $round (1 .. $rounds)
	{
		my %what;
		my (@states, @silent, @unfinished);

		$node->stop;
		for my $i (1 .. $streams)
		{
			my $data = $sound{$i};
			my $case = ($seed * 1000 + $round) * 1000 + $i + ($checksums ? 0 : 500);

			srand($case);
			$what{$i} = damage(\$data);
			# often not alone
			$what{$i} .= ', ' . damage(\$data) if !int(rand(4));
			$what{$i} = "s$i, case $case, $what{$i}";
			open(my $fh, '>:raw', $file{$i}) or die "$file{$i}: $!";
			print $fh $data;
			close($fh);
			$cases++;
		}
		$node->start;
		my ($result, $end, $err) = run_script($node, $round);
		ok($end, "checksums $name, round $round: the server is there to the end");

		for my $i (1 .. $streams)
		{
			my $r = $result->{$i};
			my $reported_now = ($r->{check}[1] // '') ne '0' || $r->{check}[0] ne '00000';

			$reported++ if $reported_now;
			for my $step (sort keys %{ $expected->{$i} })
			{
				next if !$r->{$step};
				my ($state, $value, $message) = @{ $r->{$step} };
				$states{$state}++;
				push @states, "$state from $step: $message ($what{$i})"
				  if $state !~ /^(00000|XX001|XX002)$/ && !($step =~ /^(forward|backward)$/ && $state eq '25P02');
				push @silent, "$step: $value, not $expected->{$i}{$step}[1] ($what{$i})"
				  if $step =~ /^(scan|parallel|range|tid|read|forward)$/ && $state eq '00000' &&
				  !$reported_now && $value ne $expected->{$i}{$step}[1];
			}
			push @unfinished, $what{$i} if !$r->{rescan};
		}
		is(join("\n", @states), '', "checksums $name, round $round: errors say that data is corrupted");
		is(join("\n", @silent), '', "checksums $name, round $round: no wrong result without a report")
		  if $checksums;
		if (!$end)
		{
			note "the first that did not finish: $unfinished[0]\n" . substr($err, -2000);
			last;
		}
	}
	note "checksums $name: $cases cases, $reported reported, " .
	  join(', ', map { "$_: $states{$_}" } sort keys %states);
	unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP:/,
		"checksums $name: nothing crashed");
	$node->stop('immediate');
}

series(1);
series(0);
done_testing();
