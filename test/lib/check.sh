#!/bin/bash
#
# check.sh [SUITE]...: builds the checkout out of nothing in a directory of its
# own, installs it into a private copy of PostgreSQL and runs the tests there
# against throw-away servers.  Suites: regress, isolation, tap (all of them).
# A name of a test after a slash runs that test alone: regress/log, tap/030_crash.
#
# Environment: PG_CONFIG or PGMAJOR (which PostgreSQL), COPT (more flags for the
# compiler), KEEP=1 (leave the directory for a look), ACCEPT=1 (put the output of
# regression scripts and specs into expected/: look at the difference after that),
# TEST_ENV (words VARIABLE=VALUE for the environment of tests and servers),
# TAP_JOBS (how many TAP files run at the same time, default 2: each has servers of
# its own, and waits most of the time).
#
# Counts one for each regression script, isolation spec and TAP file; the last
# line is "N passed, N failed".  Logs of what failed go to build/check.

set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/lib/env.sh
. "$top/test/lib/env.sh"

passed=0
failed=0
skipped=0

finish()
{
	local pids

	# a shell in the background ignores the interrupt, and so do its tests
	pids=$(jobs -p)
	if [ -n "$pids" ]; then
		# shellcheck disable=SC2086	# a list
		kill $pids 2>/dev/null
		pkill -f "^$work/reaper " 2>/dev/null
		wait
	fi
	stop_servers "$work"
	if [ "${KEEP:-}" = 1 ]; then
		echo "kept: $work"
	else
		rm -rf "$work"
	fi
}

# save FILE...: puts logs where they outlive the run
save()
{
	mkdir -p "$top/build/check" 2>/dev/null && cp -R "$@" "$top/build/check/" 2>/dev/null
}

# accept SUITE RESULTS: makes what came out the expected output
accept()
{
	local f to=$top/expected

	[ "$1" = regress ] || to=$top/test/isolation/expected
	mkdir -p "$to"
	for f in "$2"/*.out; do
		[ -e "$f" ] || continue
		cat "$f" >"$to/$(basename "$f")"
	done
}

# wanted SUITE NAME: was this test asked for?
wanted()
{
	local s

	[ ${#suites[@]} -gt 0 ] || return 0
	for s in "${suites[@]}"; do
		case $s in "$1" | "$1/$2") return 0 ;; esac
	done
	return 1
}

# tests SUITE DIR SUFFIX: the names of the tests to run
tests()
{
	local f name

	for f in "$2"/*"$3"; do
		[ -e "$f" ] || continue
		name=$(basename "$f" "$3")
		if wanted "$1" "$name"; then echo "$name"; fi
	done
}

# run_pg_regress SUITE PROGRAM DIR NAME...: pg_regress or its sibling for
# isolation specs, on a server of its own
run_pg_regress()
{
	local suite=$1 program=$2 dir=$3 ok log
	shift 3

	[ $# -gt 0 ] || return 0
	say "$suite: $# tests"
	log=$work/$suite.log
	# shellcheck disable=SC2086	# a list of words
	(cd "$dir" && run_as_user env ${TEST_ENV:-} "$work/reaper" "$program" --bindir="$pgbin" \
		--inputdir="$dir" --outputdir="$dir" --temp-instance="$dir/server" \
		--temp-config="$src/test/streamq.conf" --no-locale --encoding=UTF8 \
		--load-extension=streamq --dbname=streamq_test \
		"$@" 2>&1) | tee "$log" | grep -E '^(not ok|ok|test|#|diff|pg_regress)|FAILED'
	# "test x ... ok" up to version 15, "ok 1 - x" from 16 on
	ok=$(grep -cE '^(test .* ok +[0-9]+ ms|ok [0-9]+ )' "$log")
	passed=$((passed + ok))
	failed=$((failed + $# - ok))
	if [ "${ACCEPT:-}" = 1 ]; then
		accept "$suite" "$dir/results"
	fi
	if [ "$ok" -lt $# ]; then
		if [ -s "$dir/regression.diffs" ]; then
			cat "$dir/regression.diffs"
		else
			tail -n 30 "$log"
			tail -n 30 "$dir"/log/*.log 2>/dev/null
		fi
		mkdir -p "$work/save/$suite"
		cp -R "$dir/regression.diffs" "$dir/results" "$dir/log" "$work/save/$suite/" 2>/dev/null
		save "$work/save/$suite"
	fi
}

# run_tap NAME: one TAP file; what became of it goes to a file, as it may run in the
# background
run_tap()
{
	local name=$1 dir=$work/tap/$1 start=$SECONDS outcome

	run_as_user mkdir -p "$dir/tmp_check/log"
	# shellcheck disable=SC2086	# a list of words
	if (cd "$dir" && run_as_user env ${TEST_ENV:-} PATH="$pgbin:$PATH" \
		PERL5LIB="$pgxs/src/test/perl" PG_REGRESS="$pgxs/src/test/regress/pg_regress" \
		TESTDIR="$dir" TESTDATADIR="$dir/tmp_check" TESTLOGDIR="$dir/tmp_check/log" \
		STREAMQ_SOURCE="$src" STREAMQ_TEST_DATA="$data" \
		"$work/reaper" prove -v "$src/test/t/$name.pl" >"$dir/prove.log" 2>&1); then
		if grep -q 'skipped: ' "$dir/prove.log"; then
			outcome="skipped: $(sed -n 's/.*skipped: //p' "$dir/prove.log" | tail -n 1)"
		else
			outcome=ok
		fi
	else
		outcome=FAILED
	fi
	echo "$outcome" >"$work/tap/$name.outcome"
	printf 'tap %-28s ... %s  (%s s)\n' "$name" "$outcome" $((SECONDS - start))
	if [ "$outcome" = FAILED ]; then
		grep -E -A 12 '^# +Failed test|^Bailout' "$dir/prove.log" | head -n 100
		grep -E '^(not ok|Dubious|Failed)' "$dir/prove.log"
		echo "-- the end of the test's log"
		tail -n 25 "$dir/tmp_check/log/regress_log_$name" 2>/dev/null
		rm -rf "$dir"/tmp_check/t_*_data
		save "$dir"
	fi
}

# run_taps NAME...: several at a time
run_taps()
{
	local name report

	for name; do
		while [ "$(jobs -pr | wc -l)" -ge "${TAP_JOBS:-2}" ]; do wait -n; done
		{ report=$(run_tap "$name"); echo "$report"; } &
	done
	wait
	for name; do
		case $(cat "$work/tap/$name.outcome" 2>/dev/null) in
			ok) passed=$((passed + 1)) ;;
			skipped:*) skipped=$((skipped + 1)) ;;
			*) failed=$((failed + 1)) ;;
		esac
	done
}

suites=("$@")
need_postgres check
choose_user
make_work_dir streamq-check
src=$work/src
pgbin=
trap finish EXIT
trap 'exit 130' INT TERM
rm -rf "$top/build/check" 2>/dev/null

data=$(find_data)
if [ -d "$data" ]; then
	mkdir -p "$work/data"
	cp -R "$data/." "$work/data/"
	chmod -R a+rX "$work/data"
	data=$work/data
fi

say "PostgreSQL $PGMAJOR, $work"
copy_tree "$src"
private_pg "$work/pg"
build_into "$src" || die "the build failed"
"$("$PG_CONFIG" --cc | sed 's/ .*//')" -O1 -Wall -o "$work/reaper" "$src/test/lib/reaper.c" ||
	die "cannot build the reaper"
chmod 755 "$work/reaper"
pgxs=$(dirname "$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")")

if [ ${#suites[@]} -gt 0 ]; then
	for s in "${suites[@]}"; do
		case $s in
			regress | isolation | tap | regress/* | isolation/* | tap/*) ;;
			*) die "unknown suite \"$s\": there are regress, isolation and tap" ;;
		esac
	done
fi

regress=$work/regress
run_as_user mkdir -p "$regress"
run_as_user cp -R "$src/test/sql" "$src/expected" "$regress/"
# shellcheck disable=SC2046	# a list of words
run_pg_regress regress "$pgxs/src/test/regress/pg_regress" "$regress" \
	$(tests regress "$src/test/sql" .sql)

isolation=$work/isolation
run_as_user cp -R "$src/test/isolation" "$isolation"
# shellcheck disable=SC2046	# a list of words
run_pg_regress isolation "$pgxs/src/test/isolation/pg_isolation_regress" "$isolation" \
	$(tests isolation "$src/test/isolation/specs" .spec)

names=$(tests tap "$src/test/t" .pl)
if [ -n "$names" ]; then
	say "tap: $(echo "$names" | wc -l) files"
	# shellcheck disable=SC2086	# a list of words
	run_taps $names
fi

[ "$skipped" = 0 ] || echo "$skipped skipped"
[ "$failed" = 0 ] || echo "logs of what failed: build/check"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
