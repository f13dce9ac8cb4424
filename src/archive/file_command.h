/*
 * file_command.h
 *	  The command that is run for each file of an archive.
 */
#ifndef STREAMQ_ARCHIVE_FILE_COMMAND_H
#define STREAMQ_ARCHIVE_FILE_COMMAND_H

#include "postgres.h"

/* 22023 if the command has an unknown placeholder */
extern void archive_command_check(const char *command);

/* The command for a file, with %p, %f and %% replaced. */
extern char *archive_command_expand(const char *command, const char *path);

#endif
