# streamq: a streaming platform inside PostgreSQL

# Goals that run scripts and bring what they need with them: they work where
# neither PostgreSQL nor its build files (PGXS) are installed yet.
SCRIPT_GOALS = check demo demo-clean bench

ifneq ($(filter $(SCRIPT_GOALS),$(MAKECMDGOALS)),)

.NOTPARALLEL:
.PHONY: $(MAKECMDGOALS)

check:
	@test/lib/check.sh $(SUITES)

demo:
	@demo/run.sh $(if $(FILE),'$(FILE)')

demo-clean:
	@demo/clean.sh

bench: export ONLY := $(ONLY)
bench: export ROWS := $(ROWS)
bench: export ROUNDS := $(ROUNDS)
bench: export SETTINGS := $(SETTINGS)
bench:
	@test/bench/run.sh

# "make clean check" and the like
$(filter-out $(SCRIPT_GOALS),$(MAKECMDGOALS)):
	@$(MAKE) $@

else

MODULE_big = streamq
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c) $(wildcard src/*/*.c)))
PGFILEDESC = "streamq - streams, consumer groups and continuous queries"

EXTENSION = streamq
DATA_built = sql/streamq--1.0.sql

# "make installcheck" wants a running server with streamq installed and loaded
REGRESS = $(sort $(notdir $(basename $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --outputdir=. --load-extension=streamq
ISOLATION = $(sort $(notdir $(basename $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=streamq \
	$(if $(filter-out 15,$(MAJORVERSION)),--expecteddir=test/isolation)
EXTRA_CLEAN = build/check

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wno-declaration-after-statement

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(wildcard $(PGXS)),)
$(error no PGXS found through "$(PG_CONFIG)": install postgresql-server-dev-N, or set PG_CONFIG to the pg_config of a PostgreSQL that has it)
endif
include $(PGXS)

# The install script is kept in parts, one for each capability.
sql/streamq--1.0.sql: $(sort $(wildcard sql/parts/*.sql))
	cat $^ > $@

# Every object depends on every header: a wrong incremental build costs more
# than the few seconds of a full one.
$(OBJS): $(wildcard src/*.h) $(wildcard src/*/*.h)

endif
