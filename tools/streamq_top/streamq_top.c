/*
 * streamq_top.c
 *	  Shows the streams, groups and jobs of a database, like top(1).
 *
 * Exit status: 0, 1 if the database cannot be read, 2 for wrong arguments.
 */
#include "streamq_top.h"

#include <getopt.h>
#include <locale.h>
#include <unistd.h>

static void
usage(FILE *out)
{
	fprintf(out,
			"streamq_top shows the streams, groups and jobs of a database.\n\n"
			"Usage:\n"
			"  streamq_top [OPTION]... [DBNAME]\n\n"
			"Options:\n"
			"  -1, --once             print the tables as text and end\n"
			"  -i, --interval=SECS    time between two looks, over which rates are measured (default 1)\n"
			"  -s, --sort=ORDER       name, rate, lag or size (default name)\n"
			"      --stream=STREAM    show one stream, as streamq.streams writes its name\n"
			"  -d, --dbname=DBNAME    database, or a connection string\n"
			"  -h, --host=HOST        host of the server, or directory of its socket\n"
			"  -p, --port=PORT        port of the server\n"
			"  -U, --username=USER    name of the role\n"
			"      --help             show this help\n\n"
			"Keys: q quits, s sorts otherwise, the arrows select a stream, Enter looks into\n"
			"it, Esc goes back, + and - change the interval.\n");
}

static void
wrong_argument(const char *what, const char *value)
{
	fprintf(stderr, "streamq_top: invalid value for option \"%s\": \"%s\"\n", what, value);
	exit(2);
}

static double
parse_interval(const char *text)
{
	char	   *end;
	double		value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0.1 && value <= 3600))
		wrong_argument("--interval", text);
	return value;
}

static TopOrder
parse_order(const char *text)
{
	static const char *const names[] = {"name", "rate", "lag", "size"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(names[i], text) == 0)
			return (TopOrder) i;
	}
	wrong_argument("--sort", text);
	return TOP_BY_NAME;
}

static void
fail(const char *message)
{
	fprintf(stderr, "streamq_top: %s\n", message);
	exit(1);
}

static void
check_extension(PGconn *conn)
{
	PGresult   *result = PQexec(conn, "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'streamq'");

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(PQerrorMessage(conn));
	if (PQntuples(result) == 0)
	{
		fprintf(stderr, "streamq_top: extension \"streamq\" is not installed in database \"%s\"\n", PQdb(conn));
		exit(1);
	}
	PQclear(result);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"once", no_argument, NULL, '1'},
		{"interval", required_argument, NULL, 'i'},
		{"sort", required_argument, NULL, 's'},
		{"stream", required_argument, NULL, 'S'},
		{"dbname", required_argument, NULL, 'd'},
		{"host", required_argument, NULL, 'h'},
		{"port", required_argument, NULL, 'p'},
		{"username", required_argument, NULL, 'U'},
		{"help", no_argument, NULL, 'H'},
		{NULL}
	};
	const char *keywords[] = {"dbname", "host", "port", "user", "fallback_application_name", NULL};
	const char *values[] = {NULL, NULL, NULL, NULL, "streamq_top", NULL};
	TopState	top = {0};
	TopOrder	order = TOP_BY_NAME;
	double		interval = 1;
	bool		once = false;
	int			c;

	setlocale(LC_ALL, "");
	/* numbers of the server have a point */
	setlocale(LC_NUMERIC, "C");
	while ((c = getopt_long(argc, argv, "1i:s:d:h:p:U:", options, NULL)) != -1)
	{
		switch (c)
		{
			case 'H':
				usage(stdout);
				return 0;
			case '1':
				once = true;
				break;
			case 'i':
				interval = parse_interval(optarg);
				break;
			case 's':
				order = parse_order(optarg);
				break;
			case 'S':
				top.stream = strdup(optarg);
				break;
			case 'd':
				values[0] = optarg;
				break;
			case 'h':
				values[1] = optarg;
				break;
			case 'p':
				values[2] = optarg;
				break;
			case 'U':
				values[3] = optarg;
				break;
			default:
				fprintf(stderr, "Try \"streamq_top --help\" for more information.\n");
				return 2;
		}
	}
	if (optind < argc)
		values[0] = argv[optind++];
	if (optind < argc)
	{
		fprintf(stderr, "streamq_top: too many command-line arguments (first is \"%s\")\n", argv[optind]);
		return 2;
	}

	top.conn = PQconnectdbParams(keywords, values, 1);
	if (PQstatus(top.conn) != CONNECTION_OK)
		fail(PQerrorMessage(top.conn));
	check_extension(top.conn);
	if (!top_read(&top))
		fail(top.error);
	if (once)
	{
		/* rates need two looks */
		usleep((useconds_t) (interval * 1000000));
		if (!top_read(&top))
			fail(top.error);
		top_print(&top);
	}
	else if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		fail("standard input and output are not a terminal; use --once");
	else
		top_watch(&top, interval, order);
	PQfinish(top.conn);
	return 0;
}
