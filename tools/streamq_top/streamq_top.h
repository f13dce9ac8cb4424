/*
 * streamq_top.h
 *	  What the parts of streamq_top share.
 */
#ifndef STREAMQ_TOP_H
#define STREAMQ_TOP_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#define lengthof(array) ((int) (sizeof(array) / sizeof((array)[0])))
#define Max(x, y) ((x) > (y) ? (x) : (y))
#define Min(x, y) ((x) < (y) ? (x) : (y))

/* tables that are shown; each is the result of one query */
typedef enum TopTable
{
	TOP_STREAMS,
	TOP_GROUPS,
	TOP_JOBS,
	/* of the stream that is looked into */
	TOP_PARTITIONS,
	TOP_CONSUMERS,
	TOP_NTABLES
} TopTable;

/* rates that are kept for a sparkline */
#define TOP_HISTORY 60

/* the rates of a stream, the last one at the end */
typedef struct TopHistory
{
	struct TopHistory *next;
	char	   *stream;
	double		rates[TOP_HISTORY];
	int			nrates;
} TopHistory;

/* what was read at one time */
typedef struct TopSample
{
	double		at;				/* clock of the server, in seconds; 0: none */
	PGresult   *tables[TOP_NTABLES];	/* NULL: was not read */
} TopSample;

typedef struct TopState
{
	PGconn	   *conn;
	TopSample	before;
	TopSample	now;
	TopHistory *histories;
	char	   *stream;			/* looked into; NULL: overview */
	char	   *error;			/* of the last attempt to read; NULL: none */
} TopState;

/* sample.c */

/*
 * Read all tables, in one snapshot.  Returns false, and sets top->error, if that
 * fails; then the tables are those of the time before.
 */
extern bool top_read(TopState *top);

/* the number of rows, and a value as text ("" if null) */
extern int	top_rows(const TopState *top, TopTable table);
extern const char *top_value(const TopState *top, TopTable table, int row, const char *column);
extern double top_number(const TopState *top, TopTable table, int row, const char *column);

/*
 * How fast the column `counter` of a row has grown since the time before, per
 * second; -1 if that is not known.
 */
extern double top_rate(const TopState *top, TopTable table, int row);

extern const TopHistory *top_history(const TopState *top, const char *stream);

/* screen.c */

/* how streams are sorted */
typedef enum TopOrder
{
	TOP_BY_NAME,
	TOP_BY_RATE,
	TOP_BY_LAG,
	TOP_BY_SIZE,
	TOP_NORDERS
} TopOrder;

/* print everything to standard output, once */
extern void top_print(const TopState *top);

/* watch until the user quits; `interval` is in seconds */
extern void top_watch(TopState *top, double interval, TopOrder order);

#endif
