/*
 * loaded.h
 *	  Was the library loaded at server start, and names that everything uses.
 */
#ifndef STREAMQ_BASE_LOADED_H
#define STREAMQ_BASE_LOADED_H

#include "postgres.h"

#define STREAMQ_VERSION "1.0"
#define STREAMQ_SCHEMA "streamq"

/*
 * True if the library was loaded through shared_preload_libraries, set at the
 * end of _PG_init.
 */
extern bool base_loaded;

/* ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, with the line to add, if not */
extern void base_require_loaded(void);

#endif
