# shellcheck shell=bash
#
# env.sh: what the scripts of the tests and of the demo share: finding or
# installing PostgreSQL, a private copy of its tree, running without root
# rights.  To be sourced; the caller sets "top" to the checkout.

: "${top:?the caller sets it}"

work=	# directory of this run, see make_work_dir
pgbin=	# programs of the private PostgreSQL, see private_pg

umask 022
export LC_ALL=C.UTF-8 PGSYSCONFDIR=/nonexistent
unset PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE \
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

# The major version to work with.  PG_CONFIG, then PGMAJOR, then the newest
# one that has its development files here, then the one of the Debian release.
choose_pg()
{
	local m

	if [ -n "${PG_CONFIG:-}" ]; then
		command -v "$PG_CONFIG" >/dev/null ||
			die "PG_CONFIG names no program: $PG_CONFIG"
		PGMAJOR=$("$PG_CONFIG" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
	elif [ -z "${PGMAJOR:-}" ]; then
		for m in 15 16 17 18; do
			if [ -e "/usr/lib/postgresql/$m/lib/pgxs/src/makefiles/pgxs.mk" ]; then
				PGMAJOR=$m
			fi
		done
		if [ -z "${PGMAJOR:-}" ] && command -v apt-cache >/dev/null; then
			PGMAJOR=$(debian_pg_major)
			if [ -z "$PGMAJOR" ]; then
				apt_refresh
				PGMAJOR=$(debian_pg_major)
			fi
		fi
		[ -n "${PGMAJOR:-}" ] ||
			die "no PostgreSQL found; set PG_CONFIG to the pg_config of PostgreSQL 15 or newer"
	fi
	: "${PG_CONFIG:=/usr/lib/postgresql/$PGMAJOR/bin/pg_config}"
	[ "$PGMAJOR" -ge 15 ] || die "PostgreSQL $PGMAJOR is too old, 15 is needed"
}

debian_pg_major()
{
	apt-cache depends postgresql 2>/dev/null |
		sed -nE 's/^ *Depends: postgresql-([0-9]+)$/\1/p' | head -n 1
}

# Names of the Debian packages that are needed and not there.  What counts is
# that the files are there, wherever they came from.
missing_packages()
{
	local lib=/usr/lib/postgresql/$PGMAJOR/lib bin=/usr/lib/postgresql/$PGMAJOR/bin
	local absent=()

	if [ -x "$PG_CONFIG" ] || command -v "$PG_CONFIG" >/dev/null; then
		lib=$("$PG_CONFIG" --pkglibdir)
		bin=$("$PG_CONFIG" --bindir)
	fi
	[ -x "$bin/postgres" ] || absent+=("postgresql-$PGMAJOR")
	[ -x "$bin/psql" ] || absent+=("postgresql-client-$PGMAJOR")
	[ -e "$lib/pgxs/src/makefiles/pgxs.mk" ] &&
		[ -e "$lib/pgxs/src/test/isolation/pg_isolation_regress" ] &&
		[ -e "$lib/pgxs/src/test/perl/PostgreSQL/Test/Cluster.pm" ] ||
		absent+=("postgresql-server-dev-$PGMAJOR")
	command -v make >/dev/null || absent+=(make)
	command -v gcc >/dev/null || absent+=(gcc)
	[ -e /usr/include/stdio.h ] || absent+=(libc6-dev)
	command -v prove >/dev/null || absent+=(perl)
	perl -MIPC::Run -e1 2>/dev/null || absent+=(libipc-run-perl)
	command -v setpriv >/dev/null || absent+=(util-linux)
	echo "${absent[*]}"
}

as_admin()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		sudo "$@"
	else
		return 1
	fi
}

# apt_quietly ARGUMENT...: apt-get without its chatter, which is shown if it fails
apt_quietly()
{
	local log rc

	log=$(mktemp)
	as_admin env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1
	rc=$?
	[ "$rc" = 0 ] || tail -n 20 "$log" >&2
	rm -f "$log"
	return $rc
}

apt_refresh()
{
	apt_quietly update
}

# Installs the named packages, or ends with a message that names them.
install_packages()
{
	[ $# -gt 0 ] || return 0
	say "installing: $*"
	if command -v apt-get >/dev/null; then
		# a fresh machine may have no package lists, or old ones
		apt_quietly install -y --no-install-recommends "$@" 2>/dev/null && return 0
		apt_refresh && apt_quietly install -y --no-install-recommends "$@" && return 0
	fi
	die "cannot install what is missing (needs root or sudo on Debian); install these packages: $*"
}

# Everything needed to build and to run a server.
need_postgres()
{
	choose_pg
	# shellcheck disable=SC2046	# a list of words
	install_packages $(missing_packages)
	[ -z "$(missing_packages)" ] ||
		die "still missing after the installation: $(missing_packages)"
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
	work=$(mktemp -d "/tmp/$1.XXXXXX") || die "cannot make a directory in /tmp"
	chmod 755 "$work"
	[ -z "$RUN_USER" ] || chown "$RUN_USER" "$work"
}

# copy_tree DIR: the checkout without what is built, readable for everybody
copy_tree()
{
	mkdir -p "$1"
	tar -C "$top" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' --exclude=./sql/streamq--1.0.sql --exclude=./results \
		--exclude=./tmp_check --exclude=./tmp_check_iso --exclude=./output_iso \
		-cf - . | tar -C "$1" --no-same-owner -xf -
	chmod -R u+rwX,a+rX "$1"
	[ -z "$RUN_USER" ] || chown -R "$RUN_USER" "$1"
}

# private_pg DIR: a copy of the installed PostgreSQL below DIR, into which the
# extension can be installed without any right on the system's directories.
# PostgreSQL finds its files relative to the program, so a copy works as it
# is.  Sets "pgbin" and points PG_CONFIG to the copy.
private_pg()
{
	local dir=$1 d real

	pgbin=$dir$("$PG_CONFIG" --bindir)
	for d in $("$PG_CONFIG" --bindir) $("$PG_CONFIG" --pkglibdir) $("$PG_CONFIG" --sharedir); do
		real=$(readlink -f "$d")
		mkdir -p "$dir$d"
		cp -RL "$real/." "$dir$d/"
	done
	# headers and the client library are only read
	for d in $("$PG_CONFIG" --includedir) $("$PG_CONFIG" --includedir-server) \
		$("$PG_CONFIG" --pkgincludedir) $("$PG_CONFIG" --libdir); do
		link_into "$dir" "$d"
	done
	PG_CONFIG=$pgbin/pg_config
	[ -z "$RUN_USER" ] || chown -R "$RUN_USER" "$dir"
}

# link_into DIR PATH: DIR/PATH leads to PATH unless it is there already
link_into()
{
	[ -e "$1$2" ] && return
	mkdir -p "$(dirname "$1$2")"
	ln -s "$2" "$1$2"
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
