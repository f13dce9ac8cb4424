/*
 * value_settings.h
 *	  Settings under which values are written to files and read from them.
 */
#ifndef STREAMQ_ARCHIVE_VALUE_SETTINGS_H
#define STREAMQ_ARCHIVE_VALUE_SETTINGS_H

#include "postgres.h"

/* The encoding of the files of this database, by name. */
extern const char *archive_encoding(void);

/*
 * Make the text and binary forms of values independent of the session, until
 * AtEOXact_GUC(false, result) or the end of the (sub)transaction.
 */
extern int	archive_set_settings(void);

#endif
