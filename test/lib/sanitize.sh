#!/bin/bash
#
# sanitize.sh [SUITE]...: the tests of check.sh with an extension that the compiler
# has instrumented with UndefinedBehaviorSanitizer.  What it finds ends the process
# that did it, so the test fails; the report is in the server's log, and printed
# here.  Without arguments: regress, isolation and some of the TAP files.
#
# AddressSanitizer is not used: it wants its library loaded before all others, and a
# server that is linked with GnuTLS, as Debian's is, then hangs in locks of the C
# library as it starts.  It would see little, too, as PostgreSQL's memory
# contexts are not instrumented.
#
# Environment: as check.sh

set -u
top=$(cd "$(dirname "$0")/../.." && pwd)

[ $# -gt 0 ] || set -- regress isolation tap/043_group_late_commit tap/045_group_crash \
	tap/013_replay tap/021_job_workers tap/050_retention
export TEST_ENV="UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:abort_on_error=1"
export COPT="${COPT:-} -O1 -g -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=all"

"$top/test/lib/check.sh" "$@"
rc=$?
# each report once
grep -rhE 'runtime error: ' "$top/build/check" 2>/dev/null | sort -u | head -n 100
exit $rc
