/*
 * sample.c
 *	  Reading what is shown, and rates between two times.
 */
#include "streamq_top.h"

#include <math.h>

typedef struct TableQuery
{
	const char *query;			/* $1: the stream */
	const char *key[2];			/* columns that identify a row */
	bool		of_stream;		/* only if a stream is looked into */
} TableQuery;

static const TableQuery queries[TOP_NTABLES] = {
	[TOP_STREAMS] = {
		"SELECT s.stream, s.partitions, s.messages, s.bytes,"
		" (SELECT sum(p.next_offset) FROM streamq.partitions p WHERE p.stream = s.stream) AS counter,"
		" coalesce(greatest((SELECT max(g.lag) FROM (SELECT sum(c.lag) AS lag FROM streamq.consumer_groups c"
		" WHERE c.stream = s.stream GROUP BY c.group_name) g),"
		" (SELECT max(j.lag) FROM streamq.jobs j WHERE j.source = s.stream)), 0) AS lag,"
		" (SELECT count(DISTINCT c.group_name) FROM streamq.consumer_groups c WHERE c.stream = s.stream) AS groups,"
		" (SELECT count(*) FROM streamq.jobs j WHERE j.source = s.stream) AS jobs"
		" FROM streamq.streams s ORDER BY s.stream::text",
		{"stream"}
	},
	[TOP_GROUPS] = {
		"SELECT g.stream, g.group_name, min(g.mode) AS mode, sum(g.lag) AS lag,"
		" coalesce(date_trunc('second', max(g.lag_time))::text, '') AS lag_time, sum(g.in_flight) AS in_flight,"
		" sum(g.redelivered) AS redelivered, sum(coalesce(g.dead_lettered, 0)) AS dead, sum(g.acked_offset) AS counter,"
		" CASE WHEN bool_or(g.paused) THEN 'paused' ELSE '' END AS state,"
		" (SELECT count(*) FROM streamq.consumers c WHERE c.stream = g.stream AND c.group_name = g.group_name) AS consumers"
		" FROM streamq.consumer_groups g GROUP BY g.stream, g.group_name ORDER BY g.stream::text, g.group_name",
		{"stream", "group_name"}
	},
	[TOP_JOBS] = {
		"SELECT name, kind, state, source, lag, coalesce(date_trunc('second', watermark)::text, '') AS watermark,"
		" rows_processed AS counter, late_rows, errors, coalesce(last_error, '') AS last_error"
		" FROM streamq.jobs ORDER BY name",
		{"name"}
	},
	[TOP_PARTITIONS] = {
		"SELECT partition, messages, bytes, first_offset, next_offset AS counter, stable_offset,"
		" coalesce(blocked_by_pid::text, '') AS blocked_by"
		" FROM streamq.partitions WHERE stream::text = $1 ORDER BY partition",
		{"partition"}, true
	},
	[TOP_CONSUMERS] = {
		"SELECT group_name, consumer, coalesce(pid::text, '') AS pid, coalesce(partitions::text, '') AS partitions,"
		" in_flight, coalesce(date_trunc('second', clock_timestamp() - last_seen_at)::text, '') AS seen"
		" FROM streamq.consumers WHERE stream::text = $1 ORDER BY group_name, consumer",
		{"group_name", "consumer"}, true
	},
};

static void
clear_sample(TopSample *sample)
{
	for (int i = 0; i < TOP_NTABLES; i++)
		PQclear(sample->tables[i]);
	memset(sample, 0, sizeof(TopSample));
}

static void
set_error(TopState *top, const char *message)
{
	char	   *end;

	free(top->error);
	top->error = strdup(message);
	if (top->error && (end = strchr(top->error, '\n')) != NULL)
		*end = '\0';
}

static PGresult *
run(TopState *top, const char *query, const char *stream)
{
	PGresult   *result = PQexecParams(top->conn, query, stream ? 1 : 0, NULL, &stream, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return result;
	set_error(top, PQerrorMessage(top->conn));
	PQclear(result);
	return NULL;
}

static bool
run_command(TopState *top, const char *command)
{
	PGresult   *result = run(top, command, NULL);

	PQclear(result);
	return result != NULL;
}

static bool
read_tables(TopState *top, TopSample *sample)
{
	PGresult   *clock;

	if (!run_command(top, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
		return false;
	clock = run(top, "SELECT extract(epoch FROM clock_timestamp())", NULL);
	if (clock == NULL)
		return false;
	sample->at = atof(PQgetvalue(clock, 0, 0));
	PQclear(clock);
	for (int i = 0; i < TOP_NTABLES; i++)
	{
		if (queries[i].of_stream && top->stream == NULL)
			continue;
		sample->tables[i] = run(top, queries[i].query, queries[i].of_stream ? top->stream : NULL);
		if (sample->tables[i] == NULL)
			return false;
	}
	return run_command(top, "COMMIT");
}

static void
add_to_history(TopState *top, const char *stream, double rate)
{
	TopHistory *history = (TopHistory *) top_history(top, stream);

	if (history == NULL)
	{
		history = calloc(1, sizeof(TopHistory));
		if (history == NULL)
			return;
		history->stream = strdup(stream);
		history->next = top->histories;
		top->histories = history;
	}
	if (history->nrates == TOP_HISTORY)
		memmove(history->rates, history->rates + 1, sizeof(double) * --history->nrates);
	history->rates[history->nrates++] = rate;
}

bool
top_read(TopState *top)
{
	TopSample	sample = {0};

	if (PQstatus(top->conn) != CONNECTION_OK)
		PQreset(top->conn);
	if (PQstatus(top->conn) != CONNECTION_OK)
	{
		set_error(top, PQerrorMessage(top->conn));
		return false;
	}
	if (!read_tables(top, &sample))
	{
		clear_sample(&sample);
		if (PQstatus(top->conn) == CONNECTION_OK)
			PQclear(PQexec(top->conn, "ROLLBACK"));
		return false;
	}
	free(top->error);
	top->error = NULL;
	clear_sample(&top->before);
	top->before = top->now;
	top->now = sample;
	for (int i = 0; i < top_rows(top, TOP_STREAMS); i++)
	{
		double		rate = top_rate(top, TOP_STREAMS, i);

		if (rate >= 0)
			add_to_history(top, top_value(top, TOP_STREAMS, i, "stream"), rate);
	}
	return true;
}

int
top_rows(const TopState *top, TopTable table)
{
	return top->now.tables[table] ? PQntuples(top->now.tables[table]) : 0;
}

static const char *
value_of(const TopSample *sample, TopTable table, int row, const char *column)
{
	PGresult   *result = sample->tables[table];

	return PQgetvalue(result, row, PQfnumber(result, column));
}

const char *
top_value(const TopState *top, TopTable table, int row, const char *column)
{
	return value_of(&top->now, table, row, column);
}

double
top_number(const TopState *top, TopTable table, int row, const char *column)
{
	return atof(top_value(top, table, row, column));
}

static bool
is_same_row(const TopState *top, TopTable table, int now, int before)
{
	for (int i = 0; i < lengthof(queries[table].key) && queries[table].key[i]; i++)
	{
		if (strcmp(value_of(&top->now, table, now, queries[table].key[i]),
				   value_of(&top->before, table, before, queries[table].key[i])) != 0)
			return false;
	}
	return true;
}

double
top_rate(const TopState *top, TopTable table, int row)
{
	double		seconds = top->now.at - top->before.at;
	PGresult   *before = top->before.tables[table];

	if (before == NULL || seconds <= 0)
		return -1;
	for (int i = 0; i < PQntuples(before); i++)
	{
		if (is_same_row(top, table, row, i))
			return fmax(0, (atof(value_of(&top->now, table, row, "counter")) -
							atof(value_of(&top->before, table, i, "counter"))) / seconds);
	}
	return -1;
}

const TopHistory *
top_history(const TopState *top, const char *stream)
{
	TopHistory *history = top->histories;

	while (history && strcmp(history->stream, stream) != 0)
		history = history->next;
	return history;
}
