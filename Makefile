# streamq: a streaming platform inside PostgreSQL

# Goals that run scripts and bring what they need with them: they work where
# neither PostgreSQL nor its build files (PGXS) are installed yet.
SCRIPT_GOALS = check demo demo-clean bench

ifneq ($(filter $(SCRIPT_GOALS),$(MAKECMDGOALS)),)

FILE_GIVEN := $(origin FILE)

.NOTPARALLEL:
.PHONY: $(MAKECMDGOALS)

# What the user gives reaches the scripts through the environment and as it is
# written: a file's name may hold quotes, spaces and dollar signs.
override FILE := $(value FILE)
override SUITES := $(value SUITES)
export FILE SUITES

check:
	@test/lib/check.sh $$SUITES

demo:
	@demo/run.sh $(if $(filter-out undefined,$(FILE_GIVEN)),"$$FILE")

demo-clean:
	@demo/clean.sh

bench: export ONLY := $(ONLY)
bench: export ROWS := $(ROWS)
bench: export ROUNDS := $(ROUNDS)
bench: export SETTINGS := $(SETTINGS)
bench: export SLOW_DISK := $(SLOW_DISK)
bench:
	@test/bench/run.sh

# "make clean check" and the like
$(filter-out $(SCRIPT_GOALS),$(MAKECMDGOALS)):
	@$(MAKE) $@

else

MODULE_big = streamq
# what the library shows of its symbols
SHLIB_EXPORTS = src/exports.txt
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c) $(wildcard src/*/*.c) $(wildcard src/*/*/*.c)))
PGFILEDESC = "streamq - streams, consumer groups and continuous queries"

EXTENSION = streamq streamq_pgmq
DATA_built = sql/streamq--1.0.sql sql/streamq_pgmq--1.0.sql

# "make installcheck" wants a running server with streamq installed and loaded.
# The output must not depend on what else is loaded there: with pg_stat_statements
# EXPLAIN VERBOSE would show query identifiers.
installcheck: export PGOPTIONS := $(PGOPTIONS) -c compute_query_id=regress
REGRESS = $(sort $(notdir $(basename $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --outputdir=. --load-extension=streamq
ISOLATION = $(sort $(notdir $(basename $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=streamq \
	$(if $(filter-out 15,$(MAJORVERSION)),--expecteddir=test/isolation)
EXTRA_CLEAN = build/check

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wno-declaration-after-statement

# An empty PG_CONFIG is none.
override PG_CONFIG := $(or $(PG_CONFIG),pg_config)
PG_MAJOR := $(shell $(PG_CONFIG) --version 2>/dev/null | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p')
ifeq ($(PG_MAJOR),)
$(error "$(PG_CONFIG)" is no pg_config that can be run: install postgresql-server-dev-N, or set PG_CONFIG to the pg_config of PostgreSQL 15 or newer (its path without spaces))
endif
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifneq ($(words $(PGXS)),1)
$(error PostgreSQL's build files are in a path with a space, "$(PGXS)", which PGXS cannot take)
endif
ifeq ($(wildcard $(PGXS)),)
$(error no PGXS of PostgreSQL $(PG_MAJOR), whose pg_config is "$(PG_CONFIG)", at $(PGXS): install postgresql-server-dev-$(PG_MAJOR), or set PG_CONFIG to the pg_config of a PostgreSQL that has it)
endif
ifeq ($(wildcard $(shell $(PG_CONFIG) --includedir-server)/postgres.h),)
$(error no server headers of PostgreSQL $(PG_MAJOR), whose pg_config is "$(PG_CONFIG)": install postgresql-server-dev-$(PG_MAJOR), or set PG_CONFIG to the pg_config of a PostgreSQL that has them)
endif
include $(PGXS)

# The install scripts are kept in parts, one for each capability.
sql/streamq--1.0.sql: $(sort $(wildcard sql/parts/*.sql))
	cat $^ > $@
sql/streamq_pgmq--1.0.sql: $(sort $(wildcard sql/pgmq/*.sql))
	cat $^ > $@

# Every object depends on every header: a wrong incremental build costs more
# than the few seconds of a full one.
$(OBJS): $(wildcard src/*.h) $(wildcard src/*/*.h) $(wildcard src/*/*/*.h)

endif
