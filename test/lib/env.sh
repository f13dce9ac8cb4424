# shellcheck shell=bash
#
# env.sh: what the scripts of the tests and of the demo share: finding or
# installing PostgreSQL, a private copy of its tree, running without root
# rights.  To be sourced; the caller sets "top" to the checkout.

: "${top:?the caller sets it}"

work=	# directory of this run, see make_work_dir
pgbin=	# programs of the private PostgreSQL, see private_pg

umask 022
# (the TAP tests take away LC_ALL, and LANG gives new servers their encoding)
export LANG=C.UTF-8 LC_ALL=C.UTF-8 PGSYSCONFDIR=/nonexistent
unset CDPATH PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE \
	PGSERVICE PGSERVICEFILE PGOPTIONS PGDATA PGCLIENTENCODING PGTZ

die()
{
	echo "streamq: $*" >&2
	exit 1
}

say()
{
	echo "== $*"
}

# Debian's packages have one directory below these for each version.
debian_pg=/usr/lib/postgresql
debian_include=/usr/include/postgresql

# The major version to work with: that of PG_CONFIG, or PGMAJOR, or else the
# newest one of Debian's that is here with all that is needed, else what the
# pg_config in PATH belongs to if nothing is missing there, else the newest one
# whose server is here, or whose headers are, else the one of the Debian release.
# Sets PG_CONFIG and PGMAJOR.
choose_pg()
{
	local m name

	if [ -n "${PG_CONFIG:-}" ]; then
		name=$PG_CONFIG
		PG_CONFIG=$(command -v "$name") && [ -x "$PG_CONFIG" ] ||
			die "PG_CONFIG names no program: $name"
		PG_CONFIG=$(cd "$(dirname "$PG_CONFIG")" && pwd)/$(basename "$PG_CONFIG")
		PGMAJOR=$(pg_major "$PG_CONFIG")
		[ -n "$PGMAJOR" ] || die "PG_CONFIG is no pg_config: $name"
	elif [ -z "${PGMAJOR:-}" ]; then
		PG_CONFIG=
		for m in 18 17 16 15; do
			PGMAJOR=$m
			is_complete && break
			PGMAJOR=
		done
		if [ -z "$PGMAJOR" ] && name=$(command -v pg_config) && PGMAJOR=$(pg_major "$name"); then
			PG_CONFIG=$name
			[ "${PGMAJOR:-0}" -ge 15 ] && is_complete || PGMAJOR='' PG_CONFIG=
		fi
		for name in "$debian_pg/N/bin/postgres" "$debian_include/N/server/postgres.h"; do
			for m in 18 17 16 15; do
				[ -n "$PGMAJOR" ] || [ ! -e "${name/\/N\//\/$m\/}" ] || PGMAJOR=$m
			done
		done
		if [ -z "$PGMAJOR" ] && command -v apt-cache >/dev/null; then
			PGMAJOR=$(debian_pg_major)
			if [ -z "$PGMAJOR" ] && apt_refresh; then
				PGMAJOR=$(debian_pg_major)
			fi
			# without package lists and the right to fetch some
			[ -n "$PGMAJOR" ] || PGMAJOR=$(release_pg_major)
		fi
		[ -n "${PGMAJOR:-}" ] ||
			die "no PostgreSQL found, and apt knows none (apt-get update?); set PG_CONFIG to the pg_config of PostgreSQL 15 or newer"
	fi
	: "${PG_CONFIG:=$debian_pg/$PGMAJOR/bin/pg_config}"
	[ "$PGMAJOR" -ge 15 ] 2>/dev/null || die "PostgreSQL 15 or newer is needed, not \"$PGMAJOR\""
}

# Is everything of this PostgreSQL here?  The compiler and the like come afterwards.
is_complete()
{
	[ -z "$(missing_files | grep '^postgresql-')" ]
}

# pg_major PG_CONFIG: its major version
pg_major()
{
	"$1" --version 2>/dev/null | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p'
}

debian_pg_major()
{
	apt-cache depends postgresql 2>/dev/null |
		sed -nE 's/^ *Depends: postgresql-([0-9]+)$/\1/p' | head -n 1
}

# what a stable release of Debian has
release_pg_major()
{
	# shellcheck source=/dev/null
	case $( . /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") in
		bookworm) echo 15 ;;
		trixie) echo 17 ;;
	esac
}

# What the scripts are about to do, see need_postgres.
purpose=build

# pg_path OPTION DEFAULT: what PG_CONFIG says, or where Debian has it
pg_path()
{
	"$PG_CONFIG" "$1" 2>/dev/null || echo "$2"
}

# missing_files: a line "PACKAGE FILE" for each thing that is used and not there.
# What counts is the file, wherever it came from; the package is the one of
# Debian that holds it.
missing_files()
{
	local PG_CONFIG=${PG_CONFIG:-$debian_pg/$PGMAJOR/bin/pg_config}
	local server=postgresql-$PGMAJOR client=postgresql-client-$PGMAJOR
	local dev=postgresql-server-dev-$PGMAJOR
	local bin lib pgxs include cc name

	bin=$(pg_path --bindir "$debian_pg/$PGMAJOR/bin")
	lib=$(pg_path --pkglibdir "$debian_pg/$PGMAJOR/lib")
	pgxs=$(pg_path --pgxs "$lib/pgxs/src/makefiles/pgxs.mk")
	include=$(pg_path --includedir-server "$debian_include/$PGMAJOR/server")
	for name in postgres initdb pg_ctl; do need_file "$server" "$bin/$name"; done
	for name in psql createdb pg_config; do need_file "$client" "$bin/$name"; done
	need_file "$client" "$pgxs"
	need_file "$dev" "$include/postgres.h"

	need_program make make
	cc=$(pg_path --cc gcc)
	cc=${cc%% *}
	need_program gcc "${cc:=gcc}"
	if command -v "$cc" >/dev/null && ! "$cc" -E -include stdio.h -x c /dev/null >/dev/null 2>&1; then
		echo "libc6-dev stdio.h"
	fi
	need_program tar tar
	need_program findutils find
	need_program libc-bin getent
	[ "$(id -u)" != 0 ] || need_program util-linux setpriv
	case $purpose in
		demo)
			need_file "$server" "$bin/pgbench"
			need_program gzip gzip
			need_module perl Encode Time::Local Time::HiRes
			;;
		check)
			pgxs=${pgxs%/makefiles/pgxs.mk}
			for name in regress/pg_regress isolation/pg_isolation_regress \
				isolation/isolationtester perl/PostgreSQL/Test/Cluster.pm; do
				need_file "$client" "$pgxs/test/$name"
			done
			need_file "$server" "$bin/pgbench"
			need_file "$server" "$lib/file_fdw.so"
			need_program perl prove
			need_module perl Test::More Time::HiRes
			need_module libipc-run-perl IPC::Run
			need_program diffutils diff
			need_program gzip gzip
			;;
		bench)
			need_file libpq-dev "$(pg_path --includedir "$debian_include")/libpq-fe.h"
			# a peer in some lines, which are left out where there is none
			if apt-cache show "postgresql-$PGMAJOR-pgq3" >/dev/null 2>&1 && can_be_admin; then
				need_file "postgresql-$PGMAJOR-pgq3" \
					"$(pg_path --sharedir "/usr/share/postgresql/$PGMAJOR")/extension/pgq.control"
			fi
			;;
	esac
}

need_file()
{
	[ -e "$2" ] || echo "$1 $2"
}

need_program()
{
	command -v "$2" >/dev/null || echo "$1 $2"
}

# need_module PACKAGE MODULE...: of Perl
need_module()
{
	local package=$1 module
	shift

	for module in "$@"; do
		perl "-M$module" -e1 2>/dev/null || echo "$package $module"
	done
}

# Names of the Debian packages that are needed and not there, in one line.
missing_packages()
{
	local words

	words=$(missing_files | sed 's/ .*//' | sort -u)
	echo ${words:+$words}
}

# can_be_admin: root, or sudo, which may ask for a password at a terminal
can_be_admin()
{
	[ "$(id -u)" != 0 ] || return 0
	command -v sudo >/dev/null || return 1
	sudo -n true 2>/dev/null && return 0
	[ -t 0 ] && sudo -v
}

as_admin()
{
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# run_apt ARGUMENT...: apt-get, whose progress is shown in short; the end of what it
# printed follows if it fails.  The output goes to a file, since a server that a
# package starts would keep a pipe open.
run_apt()
{
	local log rc watcher

	can_be_admin || return 1
	log=$(mktemp) || return 1
	follow_apt "$log" &
	watcher=$!
	as_admin env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l LC_ALL=C.UTF-8 \
		apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null
	rc=$?
	kill "$watcher" 2>/dev/null
	wait "$watcher" 2>/dev/null
	[ ! -t 1 ] || printf '\r\033[K'
	[ "$rc" = 0 ] || tail -n 20 "$log" >&2
	rm -f "$log"
	return $rc
}

# follow_apt LOG: says what apt-get does: in one line that changes on a terminal, else
# in a line every few seconds.  Ended by its caller.
follow_apt()
{
	local start=$SECONDS said=$SECONDS line size=

	while sleep 1; do
		if [ -z "$size" ] && size=$(grep -m 1 '^Need to get' "$1"); then
			[ ! -t 1 ] || printf '\r\033[K'
			echo "   $size"
		fi
		line=$(grep -E '^(Get:|Unpacking |Setting up |Reading |Waiting |Processing )' "$1" | tail -n 1 |
			sed -E -e 's/^Get:[0-9]+ [^ ]+ [^ ]+ [^ ]+ ([^ ]+) .*(\[.*\])$/Downloading \1 \2/' \
				-e 's/^Get:[0-9]+ [^ ]+ (.*)$/Downloading \1/' \
				-e 's/^(Unpacking|Setting up) ([^ ]+) .*/\1 \2/' | cut -c 1-60)
		if [ -t 1 ]; then
			printf '\r\033[K   %3d s  %s' $((SECONDS - start)) "$line"
		elif [ $((SECONDS - said)) -ge 5 ]; then
			printf '   %3d s  %s\n' $((SECONDS - start)) "$line"
			said=$SECONDS
		fi
	done
}

apt_refresh()
{
	can_be_admin || return 1
	say "reading Debian's package lists"
	run_apt update
}

# Where the names of the packages that scripts of this checkout have installed are kept.
installed_list=$top/build/packages

# install_packages NAME...: or ends with a message that names them
install_packages()
{
	local new name

	[ $# -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		cannot_install "there is no apt-get here to install them" "$@"
	can_be_admin ||
		cannot_install "to install them needs root rights, and sudo does not give them" "$@"
	new=$(for name in "$@"; do has_package "$name" || echo "$name"; done)
	# a fresh machine may have no package lists, or old ones
	if apt-cache show -- "$@" >/dev/null 2>&1; then
		say "installing: $*"
		run_apt install -y --no-install-recommends "$@" || set -- again "$@"
	else
		set -- again "$@"
	fi
	if [ "$1" = again ]; then
		shift
		apt_refresh	# one broken archive of several need not matter
		say "installing: $*"
		run_apt install -y --no-install-recommends "$@" ||
			cannot_install "apt-get could not install them" "$@"
	fi
	if [ -n "$new" ] && mkdir -p "${installed_list%/*}" 2>/dev/null; then
		echo "$new" >>"$installed_list" 2>/dev/null
	fi
}

has_package()
{
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -q '^installed$'
}

# cannot_install REASON NAME...
cannot_install()
{
	local reason=$1 files
	shift

	if [ -n "${PGMAJOR:-}" ] && files=$(missing_files) && [ -n "$files" ]; then
		echo "streamq: not found, with the Debian package that holds it:" >&2
		sed -E 's/^([^ ]+) (.*)/    \2 (\1)/' <<<"$files" >&2
	fi
	die "packages are missing, and $reason; as root:
    apt-get update && apt-get install --no-install-recommends $*"
}

# What the scripts have installed stays; says what, and how to take it away.
say_what_stays()
{
	local names

	names=$(sort -u "$installed_list" 2>/dev/null | tr '\n' ' ')
	names=${names% }
	[ -n "$names" ] || return 0
	cat <<-EOF

		These packages were installed for it, and stay:
		    $names
		To remove them and what came with them (as root):
		    apt-get remove --auto-remove $names
	EOF
	if grep -qE '^postgresql-[0-9]+$' "$installed_list"; then
		echo "Debian's PostgreSQL package makes a server of its own (pg_lsclusters shows it), which is not used here."
	fi
}

# need_postgres [demo|check|bench]: everything needed to build, to run a server, and
# for that
need_postgres()
{
	local include

	purpose=${1:-build}
	choose_pg
	# shellcheck disable=SC2046	# a list of words
	install_packages $(missing_packages)
	if [ -n "$(missing_packages)" ]; then
		include=$("$PG_CONFIG" --includedir-server 2>/dev/null)
		[ -e "$include" ] || [ ! -L "$include" ] ||
			die "$include is a link that leads nowhere: remove it and install postgresql-server-dev-$PGMAJOR again"
		die "still missing after the installation (PG_CONFIG is $PG_CONFIG): $(missing_files | tr '\n' ';')"
	fi
	export PG_CONFIG PGMAJOR
}

# PostgreSQL does not run as root: as root the server's programs, and the
# build, are run by the user "postgres" (or "nobody").
choose_user()
{
	if [ "$(id -u)" != 0 ]; then
		RUN_USER=
	elif getent passwd postgres >/dev/null; then
		RUN_USER=postgres
	else
		RUN_USER=nobody
	fi
}

# run_as_user COMMAND...: without root rights, HOME at $work
run_as_user()
{
	if [ -n "$RUN_USER" ]; then
		setpriv --reuid="$RUN_USER" --regid="$(id -g "$RUN_USER")" --init-groups \
			env HOME="$work" USER="$RUN_USER" LOGNAME="$RUN_USER" "$@"
	else
		"$@"
	fi
}

# make_work_dir NAME: sets "work" to a new directory that belongs to the
# unprivileged user.  Its path is short, because the path of a socket may be
# 107 bytes long at most.
make_work_dir()
{
	local dir

	for dir in /tmp /var/tmp; do
		work=$(mktemp -d "$dir/$1.XXXXXX") || continue
		chmod 755 "$work"
		[ -z "$RUN_USER" ] || chown "$RUN_USER" "$work"
		can_run_in "$work" && return
		rm -rf "$work"
	done
	die "cannot make a directory in /tmp or /var/tmp from which programs can be run"
}

# can_run_in DIR: may the unprivileged user write and run programs there?
can_run_in()
{
	# shellcheck disable=SC2016	# for the inner shell
	run_as_user sh -c 'echo "#!/bin/sh" >"$1/try" && chmod +x "$1/try" && "$1/try"; rc=$?
		rm -f "$1/try"; exit $rc' sh "$1" 2>/dev/null
}

# copy_tree DIR: the checkout without what is built, readable for everybody
copy_tree()
{
	mkdir -p "$1"
	tar -C "$top" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' --exclude=./sql/streamq--1.0.sql --exclude=./sql/streamq_pgmq--1.0.sql --exclude=./results \
		--exclude=./tmp_check --exclude=./tmp_check_iso --exclude=./output_iso \
		-cf - . | tar -C "$1" --no-same-owner -xf -
	chmod -R u+rwX,a+rX "$1"
	[ -z "$RUN_USER" ] || chown -R "$RUN_USER" "$1"
}

# private_pg DIR: a copy of the installed PostgreSQL below DIR, into which the
# extension can be installed without any right on the system's directories.
# PostgreSQL finds its files relative to the program, so a copy works as it
# is.  Sets "pgbin" and points PG_CONFIG to the copy.  PGXS wants a path without
# spaces and the like.
private_pg()
{
	local dir=$1 option bin d

	[[ $dir != *[!A-Za-z0-9/._+-]* ]] ||
		die "PGXS takes no such path: \"$dir\" (letters, digits and /._+- only)"
	bin=$("$PG_CONFIG" --bindir)
	pgbin=$dir$bin
	mkdir -p "$pgbin"
	# elsewhere than on Debian this may be /usr/bin
	cp -L "$bin"/pg* "$bin"/{postgres,initdb,psql,ecpg,vacuumlo,oid2name} \
		"$bin"/{create,drop}{db,user} "$bin"/{cluster,reindex,vacuum}db "$pgbin/" 2>/dev/null
	for option in --pkglibdir --sharedir; do
		d=$("$PG_CONFIG" $option)
		mkdir -p "$dir$d"
		cp -RL "$(readlink -f "$d")/." "$dir$d/"
	done
	[ -x "$pgbin/postgres" ] && [ -e "$dir$("$PG_CONFIG" --pgxs)" ] ||
		die "cannot copy PostgreSQL to $dir (is the disk full?)"
	# headers and the client library are only read
	for option in --includedir --includedir-server --pkgincludedir --libdir; do
		link_into "$dir" "$("$PG_CONFIG" $option)"
	done
	PG_CONFIG=$pgbin/pg_config
	[ -z "$RUN_USER" ] || chown -R "$RUN_USER" "$dir"
}

# link_into DIR PATH: DIR/PATH leads to PATH.  Where a part of it is such a link
# already it does, and to write there would be to write into the system.
link_into()
{
	local at=$1 rest=${2#/} entry

	while [ -n "$rest" ]; do
		at=$at/${rest%%/*}
		[ ! -L "$at" ] || return 0
		[ "${rest#*/}" != "$rest" ] || break
		rest=${rest#*/}
	done
	if [ -d "$at" ]; then
		# partly copied
		for entry in "$2"/*; do
			[ -e "$at/${entry##*/}" ] || [ ! -e "$entry" ] || ln -s "$entry" "$at/"
		done
	elif [ -e "$2" ]; then
		mkdir -p "$(dirname "$at")"
		ln -s "$2" "$at"
	fi
}

# build_into SRC: builds the tree SRC and installs it into the private PostgreSQL
build_into()
{
	run_as_user make -s --no-print-directory -C "$1" -j"$(nproc)" with_llvm=no PG_CONFIG="$PG_CONFIG" \
		COPT="${COPT:-}" all &&
		run_as_user make -s --no-print-directory -C "$1" with_llvm=no PG_CONFIG="$PG_CONFIG" install
}

# stop_servers DIR: ends every server whose data directory is below DIR
stop_servers()
{
	local pidfile

	find "$1" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		run_as_user "$pgbin/pg_ctl" -D "$(dirname "$pidfile")" -m immediate -w stop \
			>/dev/null 2>&1
	done
	return 0
}

# find_data: the directory with real input for the tests that want some:
# STREAMQ_TEST_DATA, or a directory "data" in one beside the checkout
find_data()
{
	local d

	if [ -n "${STREAMQ_TEST_DATA:-}" ]; then
		echo "$STREAMQ_TEST_DATA"
		return
	fi
	for d in "$top"/../*/data; do
		if [ -e "$d/apache_access.log.gz" ]; then
			readlink -f "$d"
			return
		fi
	done
}
