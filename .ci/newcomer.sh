#!/bin/bash
#
# newcomer.sh MAJOR KIND: what a new user does with streamq, on a Debian that has
# nothing but make (KIND bare), or PostgreSQL's server and libpq-dev, but no server
# headers (server).  Run by fresh.sh as root in a chroot of its own, with the tree in
# /streamq.tar.  No file of the system may be written by anybody but apt.

set -u
major=$1
kind=$2
root_tree=/root/streamq			# which the user "postgres" cannot read
user_tree="/home/user/it's a \$HOME dir"
log=/tmp/newcomer.log

fail()
{
	echo "-- FAILED: $*"
	tail -n 100 "$log"
	exit 1
}

# does NAME COMMAND...: must succeed, the output is in $log
does()
{
	local name=$1 start=$SECONDS
	shift

	"$@" >"$log" 2>&1 || fail "$name"
	echo "-- $name ($((SECONDS - start)) s)"
}

# refuses NAME COMMAND...: must fail
refuses()
{
	local name=$1
	shift

	"$@" >"$log" 2>&1 && fail "$name: succeeded"
	echo "-- $name"
}

# says TEXT, says_not TEXT: what the last command printed
says()
{
	grep -qF -e "$1" "$log" || fail "this is missing in the output: $1"
}

says_not()
{
	! grep -qF -e "$1" "$log" || fail "this is in the output: $1"
}

as_user()
{
	(cd "$user_tree" && setpriv --reuid=1000 --regid=1000 --clear-groups \
		env HOME=/home/user USER=user LOGNAME=user "$@")
}

as_root()
{
	(cd "$root_tree" && "$@")
}

# Every file of the system with what changes when it is written; not the server that
# Debian's package starts.
system_files()
{
	find / -xdev \( -path /tmp -o -path /proc -o -path /sys -o -path /dev -o -path "$root_tree" \
		-o -path "$user_tree" -o -path '/var/lib/postgresql/*' -o -path /var/log/postgresql \
		-o -path /run/postgresql \) -prune -o \
		-printf '%p %y %m %U:%G %s %T@ %C@ %l\n' | sort
}

# the rest must leave the system alone
system_stays()
{
	system_files >/tmp/system.before
}

system_stayed()
{
	system_files >/tmp/system.after
	diff /tmp/system.before /tmp/system.after >"$log" || fail "files of the system were written"
	echo "-- no file of the system was written"
}

check()
{
	make check SUITES="$1"
}

access_log()
{
	for i in 1 2 3; do
		echo "10.0.0.$i - - [10/Oct/2025:13:55:3$i +0000] \"GET /a HTTP/1.1\" 200 23 \"-\" \"x\""
	done | gzip
}

: >"$log"
mkdir -p "$root_tree" "$user_tree"
tar -C "$root_tree" --no-same-owner -xf /streamq.tar
tar -C "$user_tree" --no-same-owner -xf /streamq.tar
chmod 700 /root
echo 'user:x:1000:1000::/home/user:/bin/bash' >>/etc/passwd
echo 'user:x:1000:' >>/etc/group
chown -R 1000:1000 /home/user

refuses "a user without rights is told what is missing" as_user make demo
says "    apt-get update && apt-get install --no-install-recommends "
says "/usr/include/postgresql/$major/server/postgres.h (postgresql-server-dev-$major)"
says "gcc (gcc)"
if [ "$kind" = bare ]; then
	says "bin/postgres (postgresql-$major)"
else
	says_not "bin/postgres ("
	refuses "plain make says that the headers are missing" as_root make
	says "no server headers of PostgreSQL $major"
	says "install postgresql-server-dev-$major"
fi

if [ "$major" -ge 17 ]; then
	does "make check installs what is missing" \
		as_root check "regress/window isolation/view tap/001_preload"
	says "== installing: "
	says "3 passed, 0 failed"
	does "make demo" as_root make demo SECONDS_OF_LOAD=3
	says_not "== installing: "
	system_stays
	does "make demo of a user" as_user make demo SECONDS_OF_LOAD=3
	says "The check holds."
	does "make check of a user" as_user make check SUITES="regress/window tap/030_crash"
else
	does "make demo installs what is missing" as_root make demo SECONDS_OF_LOAD=3
	says "Need to get"
	says "== installing: "
	says "The check holds."
	says "These packages were installed for it, and stay:"
	says "postgresql-server-dev-$major"
	says_not "libipc-run-perl"
	refuses "make check of a user is told what is missing" as_user make check SUITES=regress/window
	says "libipc-run-perl"
	does "make check installs it" as_root make check SUITES="regress/window tap/030_crash"
	says "2 passed, 0 failed"
	system_stays
	does "make demo again" as_root make demo SECONDS_OF_LOAD=3
	says_not "== installing: "
	says "The check holds."
	access_log >"$user_tree/it's a \$x log.gz"
	# shellcheck disable=SC2016	# make passes the dollar sign on
	does "make demo of a user with a file" as_user make demo FILE='it'\''s a $x log.gz'
	says "The check holds."
	does "make check of a user" as_user make check SUITES="regress/window isolation/view tap/001_preload"
	says "3 passed, 0 failed"
fi
does "plain make of a user" as_user make -s PG_CONFIG=
does "build/demo/psql of a user" as_user build/demo/psql -c 'TABLE streamq.streams'
does "make demo-clean of a user" as_user make demo-clean
does "make demo-clean" as_root make demo-clean
says "apt-get remove --auto-remove"
system_stayed
[ -z "$(find /tmp -maxdepth 1 -name 'streamq*' -print -quit)" ] || fail "something is left in /tmp: $(ls /tmp)"
[ -z "$(find /var/tmp /dev/shm -mindepth 1 ! -name 'PostgreSQL.*' -print -quit)" ] || fail "something is left in /var/tmp"
