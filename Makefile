# streamq: a streaming platform inside PostgreSQL

MODULE_big = streamq
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c) $(wildcard src/*/*.c)))
PGFILEDESC = "streamq - streams, consumer groups and continuous queries"

EXTENSION = streamq
DATA_built = sql/streamq--1.0.sql

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wno-declaration-after-statement

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The install script is kept in parts, one for each capability.
sql/streamq--1.0.sql: $(sort $(wildcard sql/parts/*.sql))
	cat $^ > $@

# Every object depends on every header: a wrong incremental build costs more
# than the few seconds of a full one.
$(OBJS): $(wildcard src/*.h) $(wildcard src/*/*.h)
