/*
 * screen.c
 *	  Showing the tables: as text once, or in a terminal until the user quits.
 *
 * Both ways write the same lines.  In a terminal they go into a pad of which
 * as much is shown as fits.
 */
#include "streamq_top.h"

#include <langinfo.h>
#include <math.h>
#include <stdarg.h>

#include <ncurses.h>

typedef enum LineStyle
{
	LINE_PLAIN,
	LINE_HEAD,
	LINE_SELECTED,
	LINE_WARNING
} LineStyle;

/* where lines go */
typedef struct Output
{
	bool		terminal;
	int			line;			/* of the terminal, from 0 */
	bool		utf8;
} Output;

static const char *const order_names[TOP_NORDERS] = {"name", "rate", "lag", "size"};

static void put(Output *out, LineStyle style, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));

static void
put(Output *out, LineStyle style, const char *fmt,...)
{
	static const int attributes[] = {A_NORMAL, A_BOLD, A_REVERSE, A_BOLD | A_STANDOUT};
	char		text[1024];
	va_list		args;
	size_t		len;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	len = strlen(text);
	while (len > 0 && text[len - 1] == ' ')
		text[--len] = '\0';
	if (!out->terminal)
	{
		puts(text);
		return;
	}
	if (out->line >= LINES - 1)
		return;
	attrset(attributes[style]);
	mvaddnstr(out->line++, 0, text, -1);
	attrset(A_NORMAL);
}

/* a number in at most five characters, with k, M, G or T */
static const char *
short_number(double number)
{
	static char texts[8][16];
	static int	next = 0;
	char	   *text = texts[next++ % lengthof(texts)];
	static const char units[] = " kMGTPE";
	int			unit = 0;

	if (number < 0)
		return "-";
	while (number >= 9999.5 && unit < (int) strlen(units) - 1)
	{
		number /= 1000;
		unit++;
	}
	if (unit == 0)
		snprintf(text, 16, number > 0 && number < 9.95 && number != floor(number) ? "%.1f" : "%.0f", number);
	else
		snprintf(text, 16, "%.0f%c", number, units[unit]);
	return text;
}

/* the rates as small columns, the last at the right */
static const char *
sparkline(const Output *out, const TopHistory *history, int width)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const letters[] = {"_", ".", "-", "~", "=", "+", "*", "#"};
	static char text[TOP_HISTORY * 3 + 1];
	double		most = 0;
	int			first;

	text[0] = '\0';
	if (history == NULL)
		return text;
	first = Max(0, history->nrates - width);
	for (int i = first; i < history->nrates; i++)
		most = fmax(most, history->rates[i]);
	for (int i = first; i < history->nrates; i++)
	{
		int			level = most > 0 ? (int) ceil(history->rates[i] / most * 7) : 0;

		strcat(text, (out->utf8 ? blocks : letters)[Min(7, level)]);
	}
	return text;
}

/* ---- tables ---- */

static void
show_streams(const TopState *top, Output *out, const int *rows, int selected)
{
	put(out, LINE_HEAD, "%-32s %5s %6s %6s %6s %6s %6s %5s  %s", "STREAM", "PARTS", "MSGS", "BYTES",
		"RATE/s", "LAG", "GROUPS", "JOBS", "RATE");
	for (int i = 0; i < top_rows(top, TOP_STREAMS); i++)
	{
		int			row = rows[i];
		const char *stream = top_value(top, TOP_STREAMS, row, "stream");

		put(out, i == selected ? LINE_SELECTED : LINE_PLAIN, "%-32.32s %5s %6s %6s %6s %6s %6s %5s  %s", stream,
			top_value(top, TOP_STREAMS, row, "partitions"),
			short_number(top_number(top, TOP_STREAMS, row, "messages")),
			short_number(top_number(top, TOP_STREAMS, row, "bytes")),
			short_number(top_rate(top, TOP_STREAMS, row)),
			short_number(top_number(top, TOP_STREAMS, row, "lag")),
			top_value(top, TOP_STREAMS, row, "groups"),
			top_value(top, TOP_STREAMS, row, "jobs"),
			sparkline(out, top_history(top, stream), 30));
	}
}

static void
show_groups(const TopState *top, Output *out, const char *stream)
{
	put(out, LINE_PLAIN, " ");
	put(out, LINE_HEAD, "%-32s %-20s %-10s %6s %10s %6s %6s %6s %6s %6s", "STREAM", "GROUP", "MODE", "LAG",
		"LAG TIME", "FLIGHT", "RATE/s", "CONS", "DEAD", "");
	for (int i = 0; i < top_rows(top, TOP_GROUPS); i++)
	{
		if (stream && strcmp(top_value(top, TOP_GROUPS, i, "stream"), stream) != 0)
			continue;
		put(out, LINE_PLAIN, "%-32.32s %-20.20s %-10s %6s %10.10s %6s %6s %6s %6s %6s",
			top_value(top, TOP_GROUPS, i, "stream"),
			top_value(top, TOP_GROUPS, i, "group_name"),
			top_value(top, TOP_GROUPS, i, "mode"),
			short_number(top_number(top, TOP_GROUPS, i, "lag")),
			top_value(top, TOP_GROUPS, i, "lag_time"),
			short_number(top_number(top, TOP_GROUPS, i, "in_flight")),
			short_number(top_rate(top, TOP_GROUPS, i)),
			top_value(top, TOP_GROUPS, i, "consumers"),
			short_number(top_number(top, TOP_GROUPS, i, "dead")),
			top_value(top, TOP_GROUPS, i, "state"));
	}
}

static void
show_jobs(const TopState *top, Output *out, const char *stream)
{
	put(out, LINE_PLAIN, " ");
	put(out, LINE_HEAD, "%-32s %-15s %-8s %6s %6s %6s %6s  %-22s %s", "JOB", "KIND", "STATE", "LAG",
		"RATE/s", "LATE", "ERRORS", "WATERMARK", "SOURCE");
	for (int i = 0; i < top_rows(top, TOP_JOBS); i++)
	{
		const char *state = top_value(top, TOP_JOBS, i, "state");

		if (stream && strcmp(top_value(top, TOP_JOBS, i, "source"), stream) != 0)
			continue;
		put(out, strcmp(state, "failing") == 0 ? LINE_WARNING : LINE_PLAIN,
			"%-32.32s %-15s %-8s %6s %6s %6s %6s  %-22s %s",
			top_value(top, TOP_JOBS, i, "name"),
			top_value(top, TOP_JOBS, i, "kind"), state,
			short_number(top_number(top, TOP_JOBS, i, "lag")),
			short_number(top_rate(top, TOP_JOBS, i)),
			short_number(top_number(top, TOP_JOBS, i, "late_rows")),
			short_number(top_number(top, TOP_JOBS, i, "errors")),
			top_value(top, TOP_JOBS, i, "watermark"),
			top_value(top, TOP_JOBS, i, "source"));
		if (stream && top_value(top, TOP_JOBS, i, "last_error")[0] != '\0')
			put(out, LINE_PLAIN, "    %s", top_value(top, TOP_JOBS, i, "last_error"));
	}
}

/* one stream: partitions, groups, consumers, jobs */
static void
show_stream(const TopState *top, Output *out)
{
	put(out, LINE_HEAD, "stream %s  %s", top->stream, sparkline(out, top_history(top, top->stream), TOP_HISTORY));
	put(out, LINE_PLAIN, " ");
	put(out, LINE_HEAD, "%9s %8s %8s %14s %14s %14s %8s %10s", "PARTITION", "MSGS", "BYTES", "FIRST",
		"NEXT", "STABLE", "RATE/s", "BLOCKED BY");
	for (int i = 0; i < top_rows(top, TOP_PARTITIONS); i++)
		put(out, LINE_PLAIN, "%9s %8s %8s %14s %14s %14s %8s %10s",
			top_value(top, TOP_PARTITIONS, i, "partition"),
			short_number(top_number(top, TOP_PARTITIONS, i, "messages")),
			short_number(top_number(top, TOP_PARTITIONS, i, "bytes")),
			top_value(top, TOP_PARTITIONS, i, "first_offset"),
			top_value(top, TOP_PARTITIONS, i, "counter"),
			top_value(top, TOP_PARTITIONS, i, "stable_offset"),
			short_number(top_rate(top, TOP_PARTITIONS, i)),
			top_value(top, TOP_PARTITIONS, i, "blocked_by"));
	show_groups(top, out, top->stream);
	put(out, LINE_PLAIN, " ");
	put(out, LINE_HEAD, "%-20s %-32s %8s %8s %12s  %s", "GROUP", "CONSUMER", "PID", "FLIGHT", "SEEN AGO", "PARTITIONS");
	for (int i = 0; i < top_rows(top, TOP_CONSUMERS); i++)
		put(out, LINE_PLAIN, "%-20.20s %-32.32s %8s %8s %12s  %s",
			top_value(top, TOP_CONSUMERS, i, "group_name"),
			top_value(top, TOP_CONSUMERS, i, "consumer"),
			top_value(top, TOP_CONSUMERS, i, "pid"),
			short_number(top_number(top, TOP_CONSUMERS, i, "in_flight")),
			top_value(top, TOP_CONSUMERS, i, "seen"),
			top_value(top, TOP_CONSUMERS, i, "partitions"));
	show_jobs(top, out, top->stream);
}

/* ---- order ---- */

static const TopState *sorted_top;
static TopOrder sorted_by;

static double
sort_value(int row)
{
	switch (sorted_by)
	{
		case TOP_BY_RATE:
			return top_rate(sorted_top, TOP_STREAMS, row);
		case TOP_BY_LAG:
			return top_number(sorted_top, TOP_STREAMS, row, "lag");
		case TOP_BY_SIZE:
			return top_number(sorted_top, TOP_STREAMS, row, "bytes");
		default:
			return 0;
	}
}

/* largest first, then by name: the rows come in that order */
static int
compare_rows(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	double		vx = sort_value(x);
	double		vy = sort_value(y);

	if (vx != vy)
		return vx > vy ? -1 : 1;
	return x - y;
}

/* rows of the streams, sorted; malloc'd */
static int *
sort_streams(const TopState *top, TopOrder order)
{
	int			n = top_rows(top, TOP_STREAMS);
	int		   *rows = malloc(sizeof(int) * Max(1, n));

	if (rows == NULL)
	{
		fprintf(stderr, "streamq_top: out of memory\n");
		exit(1);
	}
	for (int i = 0; i < n; i++)
		rows[i] = i;
	sorted_top = top;
	sorted_by = order;
	qsort(rows, n, sizeof(int), compare_rows);
	return rows;
}

/* ---- the two ways ---- */

void
top_print(const TopState *top)
{
	Output		out = {.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
	int		   *rows;

	if (top->stream)
	{
		show_stream(top, &out);
		return;
	}
	rows = sort_streams(top, TOP_BY_NAME);
	show_streams(top, &out, rows, -1);
	show_groups(top, &out, NULL);
	show_jobs(top, &out, NULL);
	free(rows);
}

static void
draw(const TopState *top, TopOrder order, int *selected)
{
	Output		out = {.terminal = true, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
	int			n = top_rows(top, TOP_STREAMS);
	int		   *rows = sort_streams(top, order);

	erase();
	*selected = Max(0, Min(*selected, n - 1));
	put(&out, LINE_HEAD, "streamq_top  database %s  %d streams  sorted by %s", PQdb(top->conn), n,
		order_names[order]);
	if (top->error)
		put(&out, LINE_WARNING, "%s", top->error);
	put(&out, LINE_PLAIN, " ");
	if (top->stream)
		show_stream(top, &out);
	else
	{
		show_streams(top, &out, rows, *selected);
		show_groups(top, &out, NULL);
		show_jobs(top, &out, NULL);
	}
	attrset(A_REVERSE);
	mvaddnstr(LINES - 1, 0, top->stream ? " q quit  Esc back  + - interval " :
			  " q quit  s sort  Up Down select  Enter look into  + - interval ", -1);
	attrset(A_NORMAL);
	refresh();
	free(rows);
}

/* look into the stream that is selected */
static void
look_into(TopState *top, TopOrder order, int selected)
{
	int		   *rows = sort_streams(top, order);

	if (selected < top_rows(top, TOP_STREAMS))
	{
		top->stream = strdup(top_value(top, TOP_STREAMS, rows[selected], "stream"));
		(void) top_read(top);
	}
	free(rows);
}

/* false: quit */
static bool
take_key(TopState *top, int key, double *interval, TopOrder *order, int *selected)
{
	switch (key)
	{
		case 'q':
		case 'Q':
			return false;
		case 's':
			*order = (*order + 1) % TOP_NORDERS;
			break;
		case KEY_UP:
		case 'k':
			(*selected)--;
			break;
		case KEY_DOWN:
		case 'j':
			(*selected)++;
			break;
		case '+':
			*interval = Min(*interval * 2, 3600);
			break;
		case '-':
			*interval = Max(*interval / 2, 0.1);
			break;
		case '\n':
		case '\r':
		case KEY_ENTER:
			if (top->stream == NULL)
				look_into(top, *order, *selected);
			break;
		case 27:				/* Esc */
		case KEY_BACKSPACE:
		case KEY_LEFT:
			free(top->stream);
			top->stream = NULL;
			break;
	}
	return true;
}

void
top_watch(TopState *top, double interval, TopOrder order)
{
	int			selected = 0;
	bool		more = true;

	set_escdelay(25);
	initscr();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	while (more)
	{
		int			key;

		draw(top, order, &selected);
		timeout((int) (interval * 1000));
		key = getch();
		if (key == ERR)
			(void) top_read(top);
		else
			more = take_key(top, key, &interval, &order, &selected);
	}
	endwin();
}
