#!/bin/bash
#
# layers_test.sh: does layers.pl find what it promises to?  Makes a small tree
# that keeps the rules, then breaks one rule after the other in a copy and looks
# for the line that must be printed.  What is no breach is planted as well.

set -u
layers=$(cd "$(dirname "$0")" && pwd)/layers.pl
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# put FILE: standard input becomes the file
put()
{
	mkdir -p "$dir/src/$(dirname "$1")"
	cat >"$dir/src/$1"
}

# source FILE: the same, after "postgres.h" and the headers named by the rest
source_file()
{
	local file=$1 header
	shift

	{
		echo '#include "postgres.h"'
		for header in "$@"; do echo "#include \"$header\""; done
		cat
	} | put "$file"
}

make_tree()
{
	rm -rf "$dir/src"
	put README.md <<'END'
# A tree

| folder | duty | interface | uses |
|---|---|---|---|
| `compat.h` | versions | `compat.h` | nothing |
| `base/` | the base | `*.h` | nothing |
| `log/` | the log | `log.h` | `base/` |
| `log/page/` | pages | `row.h` | nothing |
| `log/write/` | appending | none | `page/` |
| `group/` | groups | `group.h` | `log/`, `base/` |
| `streamq.c`, `streamq.h` | loading | none | all |

Text with `other/` names.
END
	put compat.h <<<'#define COMPAT 1'
	put streamq.h <<<'extern int streamq_setting;'
	source_file streamq.c streamq.h group/group.h <<'END'
int			streamq_setting = 1;

void
_PG_init(void)
{
	group_init();
}
END
	put base/base.h <<'END'
extern int	base_count;
extern void base_clear(void);
END
	source_file base/base.c base/base.h compat.h <<'END'
int			base_count;

void
base_clear(void)
{
	base_count = COMPAT;
}
END
	put log/log.h <<'END'
extern void log_append(int n);
static inline void
log_append_one(void)
{
	log_append(1);
}
END
	put log/page/row.h <<<'extern int log_row_size(int n);'
	put log/page/page.h <<<'#define LOG_PAGE_SIZE 8192'
	source_file log/page/row.c log/page/row.h log/page/page.h base/base.h <<'END'
#define OPEN {
#define TWICE(n) \
	{ \
		(void) (n)
enum log_kind
{
	LOG_KIND = '{'
};
struct log_shape
{
	int			(*base_clear) (int);
};
struct group_shape;
union row_shape
{
	int			a;
};
static int	streamq_setting;
StaticAssertDecl(sizeof(struct log_shape) == sizeof(void *),
				 "log_state");
static const int sizes[2] = {1, 2}, *last = &sizes[1];
static int	group_init(int n);
typedef int (*row_function) (int, int);

static int
group_init(int n)
{
	return n;
}

static int
group_state(void)
{
	return 0;
}

static int
size(int n)
{
	return group_init(n) + group_state() + streamq_setting + base_count + (sizes < last);
}

int
log_row_size(int n)
{
	return size(n) % LOG_PAGE_SIZE;
}
END
	source_file log/write/append.c log/log.h log/page/row.h <<'END'
/* group_state(): a comment calls nobody */
static const char *const names[] = {"group_state", "log_row_size"};

void
log_append(int n)
{
	elog(LOG, "group_state() %s %d", names[0], log_row_size(n));
}
END
	source_file log/init.c log/log.h log/page/row.h <<'END'
void
log_init(void)
{
	log_append(log_row_size(0));
}
END
	put group/group.h <<'END'
extern void group_init(void);
END
	put group/state.h <<<'extern int group_state(void);'
	source_file group/state.c group/state.h log/log.h <<'END'
typedef struct Shape
{
	int			log_row_size;
} Shape;

int
group_state(void)
{
	Shape		shape;

	shape.log_row_size = 1;
	log_append_one();
	return shape.log_row_size;
}

PG_FUNCTION_INFO_V1(streamq_state);

Datum
streamq_state(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(group_state());
}
END
	source_file group/group.c group/group.h base/base.h group/state.h <<'END'
static void base_note(void);

static void
base_note(void)
{
	(void) group_state();
}

void
group_init(void)
{
	base_clear();
	base_note();
}

void
streamq_group_main(Datum arg)
{
	group_init();
}
END
}

# lines N: that many lines
lines()
{
	local i

	for ((i = 1; i <= $1; i++)); do echo "/* $i */"; done
}

# expect LINE: exactly this breach is found, or nothing if there is no line
expect()
{
	local out rc want=${1:-}

	out=$("$layers" "$dir/src" 2>&1)
	rc=$?
	if [ -z "$want" ]; then
		[ "$rc" = 0 ] && [ -z "$out" ] && return
		echo "layers_test: nothing is wrong, but layers.pl ends with status $rc and says:"
	elif [ "$rc" = 1 ] && grep -qxF -e "layers: $want" <<<"$out" && [ -z "${2:-}" ] && [ "$(wc -l <<<"$out")" = 1 ]; then
		return
	elif [ "$rc" = 1 ] && [ -n "${2:-}" ] && grep -qxF -e "layers: $want" <<<"$out"; then
		return
	else
		echo "layers_test: \"$want\" was to be found, but layers.pl ends with status $rc and says:"
	fi
	echo "${out:-nothing}"
	failed=1
}

# breach LINE [more]: expects this line, and no other one unless "more" is given;
# the tree is whole again after it
breach()
{
	expect "$@"
	make_tree
}

make_tree
expect

# arrows that the table does not allow
echo 'void base_up(void) { log_append(1); }' >>"$dir/src/base/base.c"
breach "base/ may not use log/: log_append (log/write/append.c) in base/base.c" more

sed -i '1a #include "log/log.h"' "$dir/src/base/base.h"
breach "base/ may not use log/: #include log/log.h in base/base.h" more

echo '#define base_twice() (log_append(1), log_append(2))' >>"$dir/src/base/base.h"
breach "base/ may not use log/: log_append (log/write/append.c) in base/base.h" more

echo 'int base_setting(void) { return streamq_setting; }' >>"$dir/src/base/base.c"
breach "base/ may not use streamq.c: streamq_setting (streamq.c) in base/base.c" more

echo 'void log_row_up(void) { log_append(1); }' >>"$dir/src/log/page/row.c"
breach "log/page/ may not use log/write/: log_append (log/write/append.c) in log/page/row.c" more

echo 'void log_state(void) { group_init(); (void) group_state(); }' >>"$dir/src/log/write/append.c"
breach "log/write/ may not use group/: group_init (group/group.c) in log/write/append.c, and 1 more" more

echo 'void log_row_up(void) { log_init(); }' >>"$dir/src/log/page/row.c"
breach "log/page/ may not use log/*.c: log_init (log/init.c) in log/page/row.c"

sed -i '1a #include "log/page/page.h"' "$dir/src/log/init.c"
breach "log/init.c includes log/page/page.h, which is internal to log/page/"

# cycles
sed -i '/^| `base\//s/nothing/`group\/`/' "$dir/src/README.md"
breach "cycle in the table: base/ -> group/ -> base/" more

sed -i '/^| `log\/page\//s/nothing/`write\/`/' "$dir/src/README.md"
breach "cycle in the table: log/page/ -> log/write/ -> log/page/"

echo 'void log_up(void) { group_init(); }' >>"$dir/src/log/write/append.c"
breach "cycle in the sources: group/ -> log/ -> group/" more

sed -i '/^| `base\//s/nothing/`log\/`/; /^| `log\/` /s/`base\/`/nothing/' "$dir/src/README.md"
echo 'void base_up(void) { log_append(1); }' >>"$dir/src/base/base.c"
breach "cycle in the sources: base/ -> log/ -> base/" more

echo 'void log_row_up(void) { log_append(1); }' >>"$dir/src/log/page/row.c"
breach "cycle in the sources: log/page/ -> log/write/ -> log/page/" more

sed -i '1i #include "log/page/row.h"' "$dir/src/log/log.h"
sed -i '1i #include "log/log.h"' "$dir/src/log/page/row.h"
breach "cycle in the sources: log/ -> log/page/ -> log/" more

# internal headers
sed -i '1a #include "log/page/row.h"' "$dir/src/group/state.c"
breach "group/state.c includes log/page/row.h, which is internal to log/"

sed -i '1a #include "log/page/page.h"' "$dir/src/log/write/append.c"
breach "log/write/append.c includes log/page/page.h, which is internal to log/page/"

sed -i '1a #include "group/state.h"' "$dir/src/streamq.c"
breach "streamq.c includes group/state.h, which is internal to group/"

# declarations by hand
echo 'extern int base_count;' >>"$dir/src/group/group.c"
breach "group/group.c declares base_count with extern; include the header that has it"

sed -i '1a extern int base_count, base_other;' "$dir/src/group/group.c"
breach "group/group.c declares base_other with extern; include the header that has it" more

echo 'void base_clear(void);' >>"$dir/src/group/group.c"
breach "group/group.c declares base_clear, which is defined in base/base.c"

echo 'extern void base_clear(void);' >>"$dir/src/group/state.h"
breach "group/state.h declares base_clear, which is defined in base/base.c"

echo 'extern void log_append(int n);' >>"$dir/src/log/page/row.h"
breach "log/page/row.h declares log_append, which is defined in log/write/append.c"

# the kinds of definitions
definition()
{
	echo "$2" >>"$dir/src/log/page/row.c"
	breach "$1 in log/page/row.c does not begin with log_" ${3:-}
}
definition row_a 'int row_a;'
definition row_b 'const struct log_shape *row_b = &(const struct log_shape){0};'
definition row_c 'int *row_c[2] = {NULL, NULL}, log_c;'
definition row_d 'int log_d = (1, 2), row_d;'
definition row_e 'static int row_f; int row_e(int n) { return row_f; }'
definition row_g 'struct log_shape row_g(void) { struct log_shape s = {0}; return s; }'
definition row_h 'pg_attribute_printf(1, 2) void row_h(const char *f,...) { }'
definition row_i 'int (*row_i) (int, int) = NULL;'
definition row_j 'static inline int row_k(void) { return 0; } enum log_kind row_j = LOG_KIND;'
definition row_l 'struct row_m { int row_n; } row_l = {.row_n = 1};'
definition row_o 'void row_o(void) { if (1) { int row_p = 1; (void) row_p; } }'

# prefixes
echo 'void reset(void) { }' >>"$dir/src/group/group.c"
breach "reset in group/group.c does not begin with group_"

echo 'static int a; int row_width, log_b = 1, *widths[2] = {0};' >>"$dir/src/log/page/row.c"
breach "widths in log/page/row.c does not begin with log_" more

echo 'bool (*group) (int) = NULL;' >>"$dir/src/group/group.c"
breach "group in group/group.c does not begin with group_"

echo 'void group_main(void) { }' >>"$dir/src/streamq.c"
breach "group_main in streamq.c does not begin with streamq_"

sed 's/streamq_state/group_of_state/' "$dir/src/group/state.c" >"$dir/copy" && cp "$dir/copy" "$dir/src/group/state.c"
breach "group_of_state in group/state.c is called from SQL and does not begin with streamq_"

# names and sizes of files
source_file group/row.c </dev/null
breach "row.c is the name of 2 files: group/row.c log/page/row.c"

lines 250 >"$dir/src/group/state.h"
expect
lines 251 >"$dir/src/group/state.h"
breach "group/state.h has 251 lines, more than 250 for a header that others include"

lines 251 >"$dir/src/compat.h"
echo '#define COMPAT 1' >>"$dir/src/compat.h"
expect
make_tree

# postgres.h
sed -i '1d' "$dir/src/base/base.c"
breach "base/base.c includes base/base.h first, not postgres.h"

# the table and the tree
source_file job/run.c </dev/null
breach "the table has no row for job/"

source_file log/read/run.c </dev/null
breach "the table has no row for log/read/"

sed -i 's/^| `base\/` .*/&\n| `job\/` | jobs | none | `base\/` |/' "$dir/src/README.md"
breach "the table has a row for job/, which is not there"

sed -i '/^| `group\//s/`group.h`/`group.h`, `other.h`/' "$dir/src/README.md"
breach "the interface of group/ has a header that is not there: other.h"

sed -i '/^| `group\//s/`base\/`/`bases\/`/' "$dir/src/README.md"
breach "the table has no row for bases/, which group/ uses" more

sed -i 's/^| `base\/` .*/&\n&/' "$dir/src/README.md"
breach 'the table has two rows for base/'

sed -i 's/^| folder/| map/' "$dir/src/README.md"
if "$layers" "$dir/src" >/dev/null 2>&1; then
	echo "layers_test: a README without the table is no error"
	failed=1
fi
make_tree

# the other outputs
has()
{
	local want=$1
	shift
	"$layers" "$@" "$dir/src" | grep -qxF -e "$want" && return
	echo "layers_test: layers.pl $* does not print \"$want\""
	failed=1
}
has "  group/ -> log/ (0 symbols, 1 headers)" --graph
has "  log/write/ -> log/page/ (1 symbols, 1 headers)" --graph
has "  log/page/ -> base/ (1 symbols, 1 headers)" --graph
has "base_count (base/base.c) <- log/page/row.c" --why log base
has "log_row_size (log/page/row.c) <- log/write/append.c" --why log/write/ log/page/
has "group/ does not use streamq.c" --why group streamq.c

exit $failed
