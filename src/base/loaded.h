/*
 * loaded.h
 *	  Whether the library was loaded at server start, and names used
 *	  everywhere.
 */
#ifndef STREAMQ_BASE_LOADED_H
#define STREAMQ_BASE_LOADED_H

#include "postgres.h"

#define STREAMQ_VERSION "1.0"
#define STREAMQ_SCHEMA "streamq"

/*
 * True if the library was loaded by shared_preload_libraries.  Set at the end
 * of _PG_init.
 */
extern bool base_loaded;

/* fail with 55000 and the line to add to postgresql.conf, unless loaded */
extern void base_require_loaded(void);

#endif
