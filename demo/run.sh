#!/bin/bash
#
# run.sh [FILE]: the main job on real input, on a private server.
# Without FILE the input is the server's own log while it is written; FILE is
# a web server's access log in combined format, plain or compressed by gzip.
# An empty name is an error: it may come of a variable that was not set.
#
# Environment: SECONDS_OF_LOAD (how long pgbench runs, 20), PGMAJOR, PG_CONFIG.

set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=demo/lib.sh
. "$top/demo/lib.sh"

file=
if [ $# -gt 0 ]; then
	file=$1
	[ -n "$file" ] || die "FILE is empty: name an access log, or leave FILE out to see the server's own log"
	# the shell does not always do this after "FILE="
	[[ $file != \~/* ]] || file=$HOME/${file#\~/}
	[[ $file = /* ]] || file=$PWD/$file
	[ ! -d "$file" ] || die "FILE is a directory, not an access log: $file"
	[ -e "$file" ] || die "there is no file $file"
	[ -f "$file" ] || die "FILE is no ordinary file: $file"
	[ -r "$file" ] || die "cannot read $file"
	[ -s "$file" ] || die "FILE is an empty file: $file"
	file=$(readlink -f "$file")
fi
load=${SECONDS_OF_LOAD:-20}
[[ $load =~ ^[1-9][0-9]{0,5}$ ]] || die "SECONDS_OF_LOAD is a number of seconds, not \"$load\""

# what runs beside the report ends with this script, however that ends
finish()
{
	touch "$work/stop" 2>/dev/null
	wait
}

need_postgres demo
choose_user
remove_place
make_place
cd "$work" || die "cannot enter $work"	# the unprivileged user may not like the old one
trap finish EXIT
trap 'exit 130' INT TERM

say "building for PostgreSQL $PGMAJOR"
copy_tree "$work/src"
private_pg "$work/pg"
build_into "$work/src" >"$work/build.log" 2>&1 || { tail "$work/build.log"; die "the build failed"; }
start_server

if [ -n "$file" ]; then
	# shellcheck source=demo/access_log.sh
	. "$top/demo/access_log.sh"
else
	# shellcheck source=demo/server_log.sh
	. "$top/demo/server_log.sh"
fi
