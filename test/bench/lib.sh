# shellcheck shell=bash
#
# lib.sh: the server of the benchmarks, measuring, and the table of results.
# To be sourced; the caller sets "top".

# shellcheck source=test/lib/env.sh
. "${top:?the caller sets it}/test/lib/env.sh"

# ---- the server ----

disk=()	# what to run programs with, see choose_disk

# SLOW_DISK: flushing a file takes at least that long
choose_disk()
{
	local ns

	case ${SLOW_DISK:-} in
		'') return ;;
		*us) ns=${SLOW_DISK%us}000 ;;
		*ms) ns=${SLOW_DISK%ms}000000 ;;
		*) ns= ;;
	esac
	[[ $ns =~ ^[1-9][0-9]{3,11}$ ]] || die "SLOW_DISK must be a time as \"2ms\" or \"500us\""
	disk=(env "LD_PRELOAD=$work/slow_disk.so" "SLOW_DISK_NS=$ns")
}

start_bench_server()
{
	local setting

	say "starting a private server in $work"
	run_as_user "$pgbin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 \
		--no-locale --no-sync >"$work/initdb.log" 2>&1 || die "initdb failed: $(tail -n 3 "$work/initdb.log")"
	{
		cat "$top/test/bench/postgresql.conf"
		echo "unix_socket_directories = '$work'"
		for setting in ${SETTINGS:-}; do echo "${setting%%=*} = '${setting#*=}'"; done
	} >>"$work/data/postgresql.conf"
	run_as_user "${disk[@]}" "$pgbin/pg_ctl" -D "$work/data" -l "$work/server.log" -w start >/dev/null ||
		die "the server does not start: $(tail -n 3 "$work/server.log")"
	sql -c 'CREATE EXTENSION streamq' || die "CREATE EXTENSION failed"
}

restart_bench_server()
{
	run_as_user "$pgbin/pg_ctl" -D "$work/data" -l "$work/server.log" -m fast -w restart >/dev/null ||
		die "the server does not start: $(tail -n 3 "$work/server.log")"
}

# programs of our own: a client, and a function in the server
build_programs()
{
	local dir=$top/test/bench name

	for name in client latency; do
		gcc -O2 -Wall -I"$("$PG_CONFIG" --includedir)" -o "$work/$name" "$dir/$name.c" \
			-L"$("$PG_CONFIG" --libdir)" -lpq ||
			die "cannot build $name.c: it needs the headers of libpq (libpq-dev)"
	done
	gcc -O2 -Wall -fPIC -shared -I"$("$PG_CONFIG" --includedir-server)" \
		-o "$work/floor.so" "$dir/floor.c" || die "cannot build floor.c"
	gcc -O2 -Wall -fPIC -shared -o "$work/slow_disk.so" "$dir/slow_disk.c" -ldl ||
		die "cannot build slow_disk.c"
	chmod 755 "$work/client" "$work/latency" "$work/floor.so" "$work/slow_disk.so"
}

# sql [PSQL OPTION]...: psql, errors end it
sql()
{
	run_as_user "$pgbin/psql" -X -q -v ON_ERROR_STOP=1 -h "$work" -U postgres -d postgres "$@"
}

# value QUERY: its one value
value()
{
	sql -At -c "$1"
}

# ---- the disk ----

# What the disk gives: ratios depend on it.  pg_test_fsync has many tests of a
# second each, of which the second or third is that of the server's method.
disk_rates()
{
	local method fsyncs seconds mb=256

	method=$(value "SHOW wal_sync_method")
	fsyncs=$(run_as_user "${disk[@]}" timeout 4 "$pgbin/pg_test_fsync" -s 1 -f "$work/fsync" 2>/dev/null |
		sed -nE "s/^ +$method +([0-9]+)\.[0-9]+ ops.*/\1/p" | head -n 1)
	sql -c CHECKPOINT
	seconds=$(run_as_user "$work/client" "host=$work user=postgres dbname=postgres" 1 1 \
		"SELECT bench_wal_floor($((mb * 128)), 8192)") || die "WAL could not be written"
	rates="${fsyncs:-unknown} $method/s, WAL $(calc "int($mb / $seconds)") MB/s${SLOW_DISK:+, SLOW_DISK=$SLOW_DISK}"
	echo "   $rates"
}

# ---- measuring ----

# record NAME VALUE: one more measurement
record()
{
	echo "$1 $2" >>"$work/measurements"
}

# client_seconds OPTIONS CLIENTS TIMES STATEMENT [ROWS BYTES]: prints how long a client
# takes that is given these options
client_seconds()
{
	local options=$1
	shift

	# shellcheck disable=SC2086	# a list of words
	run_as_user "$work/client" $options "host=$work user=postgres dbname=postgres" "$@"
}

# measure_with OPTIONS NAME CLIENTS TIMES STATEMENT [ROWS BYTES]: records these seconds
measure_with()
{
	local options=$1 name=$2 seconds
	shift 2

	seconds=$(client_seconds "$options" "$@") || die "$name could not be measured"
	record "$name" "$seconds"
}

measure()
{
	measure_with "" "$@"
}

# measure_warm: the same in a session that has done it before
measure_warm()
{
	measure_with -w "$@"
}

# median NAME
median()
{
	awk -v name="$1" '$1 == name { print $2 }' "$work/measurements" | sort -g |
		awk '{ v[NR] = $1 } END { if (NR) print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# in_turn ROUND WORD...: the words, in the other order every other round
in_turn()
{
	local round=$1 w turns=
	shift

	for w in "$@"; do
		if [ $((round % 2)) = 1 ]; then turns="$turns $w"; else turns="$w $turns"; fi
	done
	echo "$turns"
}

calc()
{
	awk "BEGIN { print $* }"
}

# ---- the table ----

# result WHAT PEER FIGURE BAR FIGURES: FIGURE must be BAR or more, or, if BAR
# begins with "<", less or the same
result()
{
	local verdict

	verdict=$(awk -v f="$3" -v b="$4" 'BEGIN {
		most = sub(/^</, "", b)
		print (most ? f + 0 <= b + 0 : f + 0 >= b + 0) ? "ok" : "below" }')
	printf '%s|%s|%s|%s|%s|%s\n' "$1" "$2" "$3" "$4" "$verdict" "$5" >>"$work/table"
	printf '   %s%s: %s (bar %s) %s\n' "$1" "${2:+, against $2}" "$3" "$4" "$verdict"
}

# ratio OURS THEIRS: the median of theirs / ours, round by round: what else the
# machine does meanwhile is the same for the two of a round at least
ratio()
{
	awk -v ours="$1" -v theirs="$2" '
		$1 == ours { a[++n] = $2 }
		$1 == theirs { b[++m] = $2 }
		END { for (i = 1; i <= n; i++) print b[i] / a[i] }' "$work/measurements" | sort -g |
		awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# faster WHAT PEER BAR OURS THEIRS ROWS: two names of measurements in seconds
faster()
{
	local ours theirs

	ours=$(median "$4")
	theirs=$(median "$5")
	result "$1" "$2" "$(ratio "$4" "$5")" "$3" \
		"$(awk -v n="$6" -v a="$ours" -v b="$theirs" 'BEGIN {
			printf "%.1f against %.1f thousand/s", n / a / 1000, n / b / 1000 }')"
}

print_table()
{
	local f="%-52s | %-22s | %8s | %8s | %-5s | %s\n"

	echo
	# shellcheck disable=SC2059	# one format for all lines
	printf "$f" what against figure bar "" "stream's and peer's medians"
	# shellcheck disable=SC2059
	while IFS='|' read -r what peer figure bar verdict figures; do
		case $bar in
			'<'*) bar="<= ${bar#<}" ;;
			*) bar="${bar}x" figure="${figure}x" ;;
		esac
		printf "$f" "$what" "$peer" "$figure" "$bar" "$verdict" "$figures"
	done <"$work/table"
	echo
	echo "$(grep -c '|below|' "$work/table") of $(wc -l <"$work/table") below the bar"
}
