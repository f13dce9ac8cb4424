#!/bin/bash
#
# style.sh: rules of the source that a program can check.  Prints every breach,
# ends with status 1 if there is one.

set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0

breach()
{
	echo "style: $*"
	bad=1
}

# forbid WHAT PATTERN FILE...: no line may match
forbid()
{
	local what=$1 pattern=$2 hits
	shift 2
	[ $# -gt 0 ] || return 0
	hits=$(grep -nE -e "$pattern" "$@" /dev/null)
	[ -z "$hits" ] || breach "$what"$'\n'"$hits"
}

shopt -s globstar nullglob
code=(src/**/*.c src/**/*.h)
sql=(sql/parts/*.sql sql/pgmq/*.sql)
scripts=(.ci/run .ci/*.sh test/lib/*.sh test/bench/*.sh demo/*.sh examples/*.sh)
text=(*.md docs/*.md examples/*.md src/**/*.md)

for f in "${code[@]}" "${sql[@]}" "${scripts[@]}" demo/*.pl test/lib/*.pl test/t/*.pl; do
	n=$(wc -l <"$f")
	[ "$n" -lt 1100 ] || breach "$f has $n lines, at most 1,099 are allowed"
done

others=()
for f in "${code[@]}"; do
	[ "$f" = src/compat.h ] || others+=("$f")
done
forbid "PG_VERSION_NUM belongs in src/compat.h" PG_VERSION_NUM "${others[@]}"
forbid "the install script replaces nothing" \
	'CREATE OR REPLACE|IF NOT EXISTS' "${sql[@]}"

# the words are put together so that this file does not hold them
forbid "unfinished work" "\\b(TO""DO|FIX""ME|XX""X)\\b|not[ ]implemented" \
	"${code[@]}" "${sql[@]}" "${scripts[@]}" "${text[@]}" \
	test/sql/*.sql test/isolation/specs/*.spec test/t/*.pl
forbid "a line ends in white space" '[ 	]+$' \
	"${code[@]}" "${sql[@]}" "${scripts[@]}" Makefile test/lib/*.pl test/t/*.pl
forbid "C++ comments" '^[ 	]*//' "${code[@]}"

# every ereport of an error or a warning says its SQLSTATE
if [ ${#code[@]} -gt 0 ]; then
	hits=$(perl -0777 -ne '
		while (/\bereport\s*\(\s*(ERROR|FATAL|PANIC|WARNING)\s*,(.*?)\)\s*;/sg) {
			my ($start, $body) = ($-[0], $2);
			next if $body =~ /\berrcode(_for_file_access)?\s*\(/;
			my $line = 1 + (substr($_, 0, $start) =~ tr/\n//);
			print "$ARGV:$line\n";
		}' "${code[@]}")
	[ -z "$hits" ] || breach "ereport without errcode"$'\n'"$hits"
fi

# how long functions are, and that the longer ones are explained
hits=$(test/lib/functions.pl "${code[@]}" test/*/*.c) || breach "functions"$'\n'"$hits"

# a number belongs to one TAP test
hits=$(for f in test/t/*.pl; do basename "$f"; done | cut -c1-4 | sort | uniq -d)
for n in $hits; do breach "test numbers that are there twice:" test/t/"$n"*; done
for f in test/t/*; do
	[[ $f =~ /[0-9]{3}_[a-z0-9_]+\.pl$ ]] || breach "$f is not called NNN_name.pl"
done

# what the planner may do with a function is said, not left to the defaults
if [ ${#sql[@]} -gt 0 ]; then
	hits=$(perl -0777 -ne '
		while (/^CREATE FUNCTION (\S+?)\(.*?(^LANGUAGE [^\n]*)/smg) {
			my ($start, $name, $line) = ($-[0], $1, $2);
			next if $line =~ /\b(IMMUTABLE|STABLE|VOLATILE)\b/ &&
				$line =~ /\bPARALLEL (SAFE|RESTRICTED|UNSAFE)\b/;
			my $n = 1 + (substr($_, 0, $start) =~ tr/\n//);
			print "$ARGV:$n: $name\n";
		}' "${sql[@]}")
	[ -z "$hits" ] ||
		breach "functions without volatility or PARALLEL on the line of LANGUAGE"$'\n'"$hits"
	# otherwise an operator of the caller's schema could take the place of another
	hits=$(perl -0777 -ne '
		while (/^CREATE (?:FUNCTION|PROCEDURE) (\S+?)\(.*?^LANGUAGE (?:sql|plpgsql)\b[^\n]*\n([^\n]*)/smg) {
			print "$ARGV: $1\n"
				unless $2 =~ /^(SET search_path = pg_catalog, pg_temp|BEGIN ATOMIC|RETURN )/;
		}' "${sql[@]}")
	[ -z "$hits" ] || breach "functions without a search_path"$'\n'"$hits"
	forbid "defaults of arguments are given with DEFAULT" \
		'^[^-]*\bpg_catalog\.[a-z0-9_]+(\[\])? = ' "${sql[@]}"
fi

# every regression test and spec has its expected output, and the other way round
for f in test/sql/*.sql; do
	n=$(basename "$f" .sql)
	[ -e "expected/$n.out" ] || breach "expected/$n.out is missing"
done
for f in expected/*.out; do
	n=$(basename "$f" .out)
	[ -e "test/sql/${n%_[0-9]}.sql" ] || [ -e "test/sql/$n.sql" ] ||
		breach "$f belongs to no test"
done
for f in test/isolation/specs/*.spec; do
	n=$(basename "$f" .spec)
	[ -e "test/isolation/expected/$n.out" ] ||
		breach "test/isolation/expected/$n.out is missing"
done

# links between the documents lead somewhere
for f in "${text[@]}"; do
	while read -r link; do
		[ -e "$(dirname "$f")/$link" ] || breach "$f: broken link $link"
	done < <(grep -oE '\]\([^)#:]+[)#]' "$f" | cut -c3- | tr -d ')#')
done

# folders use what is below them; and the check of that finds what it must
test/lib/layers.pl || bad=1
test/lib/layers_test.sh || bad=1

# PostgreSQL's layout
if command -v pg_bsd_indent >/dev/null; then
	test/lib/indent.pl --check || breach "the layout is not PostgreSQL's: run test/lib/indent.pl"
else
	echo "style: note: no pg_bsd_indent here, the layout is not checked"
fi

if command -v shellcheck >/dev/null; then
	shellcheck -x -S warning "${scripts[@]}" || bad=1
fi

exit $bad
