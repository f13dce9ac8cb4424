#!/bin/bash
#
# install.sh DIR: a private copy of PostgreSQL below DIR with streamq, built from
# this checkout, installed into it: the old installation of an upgrade that is
# tested on another machine.  DIR/needed gets the shared libraries its programs
# were linked with, for a machine that has others.
#
# Environment: PG_CONFIG or PGMAJOR (which PostgreSQL).  Prints the directory, to
# be named in STREAMQ_OLD_INSTALL.

set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/lib/env.sh
. "$top/test/lib/env.sh"

[ $# = 1 ] || die "usage: install.sh DIR"
need_postgres
RUN_USER=	# nothing is run but the build
mkdir -p "$1/needed"
private_pg "$1"
build_into "$top" || die "the build failed"
lib=$("$PG_CONFIG" --pkglibdir)
# without it no LLVM is needed either
rm -rf "$lib"/llvmjit* "$lib/bitcode"
find "$pgbin/" "$lib/" -type f \( -perm -u+x -o -name '*.so' \) -exec ldd {} + 2>/dev/null |
	sed -nE 's/^.* => (\/[^ ]*) .*/\1/p' | sort -u |
	while read -r file; do cp -L "$file" "$1/needed/"; done
dirname "$pgbin"
