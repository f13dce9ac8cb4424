/*
 * client.c
 *	  A client that does the same thing again and again, and how long it takes.
 *
 *	client [-w] [-p] [-i TURNS] CONNINFO CLIENTS TIMES STATEMENT [ROWS BYTES]
 *
 * CLIENTS processes connect, and begin together when all are ready: each runs
 * STATEMENT so many TIMES, every time in a transaction of its own.  With -w it is
 * run once before it counts.  Prints the seconds from the beginning to the end of
 * the last client; connecting is not counted.
 *
 * STATEMENT may be several, separated by ";;".  They are prepared if there are
 * several, or with -p.  Those that have a parameter $1 get, as a bigint[], the first
 * column of the rows that the first statement with a result has returned in the same
 * turn: what a consumer acknowledges.  If there are none, they are left out.
 *
 * With ROWS the statement is prepared, and its parameter $1 is an array of so many
 * texts of BYTES bytes, sent in binary form.  With -i the parameter $2 is an array of
 * as many texts that are different from all others; the same array is sent in so many
 * TURNS.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define TEXTOID			25
#define TEXTARRAYOID	1009
#define INT8ARRAYOID	1016

#define MAX_STEPS		8
#define MAX_ID			48		/* bytes of an identifier */

/* what the clients are to do, the same for all */
static int	warm = 0;
static int	prepared = 0;
static int	id_turns = 0;		/* 0: no identifiers */
static int	times;
static int	rows = 0;
static int	bytes = 0;
static int	nsteps = 0;
static char *steps[MAX_STEPS];

static void
fail(const char *what, const char *detail)
{
	fprintf(stderr, "client: %s: %s\n", what, detail);
	exit(1);
}

static char *
put_int(char *p, uint32_t value)
{
	value = htonl(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

/* the beginning of a text[] in its binary form, with room for the elements */
static char *
begin_array(int most, char **p)
{
	char	   *array = malloc(20 + (size_t) rows * (4 + most));

	if (array == NULL)
		fail("array", "out of memory");
	*p = put_int(array, 1);		/* dimensions */
	*p = put_int(*p, 0);		/* no nulls */
	*p = put_int(*p, TEXTOID);
	*p = put_int(*p, rows);
	*p = put_int(*p, 1);		/* lower bound */
	return array;
}

static char *
make_payloads(int *len)
{
	char	   *p;
	char	   *array = begin_array(bytes, &p);

	for (int i = 0; i < rows; i++)
	{
		p = put_int(p, bytes);
		for (int k = 0; k < bytes; k++)
			*p++ = 'a' + (i * 7 + k * 11) % 26;
	}
	*len = (int) (p - array);
	return array;
}

/* identifiers that no other client and no other time has */
static char *
make_ids(int turn, int *len)
{
	char	   *p;
	char	   *array = begin_array(MAX_ID, &p);
	static long start = 0;

	if (start == 0)
		start = (long) time(NULL);
	for (int i = 0; i < rows; i++)
	{
		int			n = snprintf(p + 4, MAX_ID, "order-%lx-%x-%d-%d", start, (unsigned) getpid(), turn, i);

		p = put_int(p, n) + n;
	}
	*len = (int) (p - array);
	return array;
}

/* the first column as a bigint[] in its text form; NULL if there are no rows */
static char *
first_column(const PGresult *result)
{
	int			n = PQntuples(result);
	char	   *array = malloc(3 + (size_t) n * 24);
	char	   *p = array;

	if (array == NULL)
		fail("array", "out of memory");
	for (int i = 0; i < n && PQnfields(result) > 0; i++)
		p += sprintf(p, "%c%s", i == 0 ? '{' : ',', PQgetvalue(result, i, 0));
	strcpy(p, "}");
	if (n > 0 && PQnfields(result) > 0 && !PQgetisnull(result, 0, 0))
		return array;
	free(array);
	return NULL;
}

static void
check(PGconn *conn, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail("statement failed", PQerrorMessage(conn));
}

static void
prepare(PGconn *conn)
{
	Oid			types[2] = {rows > 0 ? TEXTARRAYOID : INT8ARRAYOID, TEXTARRAYOID};

	for (int i = 0; i < nsteps; i++)
	{
		char		name[2] = {'a' + i, 0};
		int			nparams = strstr(steps[i], "$2") != NULL ? 2 : strstr(steps[i], "$1") != NULL ? 1 : 0;
		PGresult   *result = PQprepare(conn, name, steps[i], nparams, types);

		check(conn, result);
		PQclear(result);
	}
}

/* all statements once */
static void
take_turn(PGconn *conn, int turn, const char *payloads, int payloads_len)
{
	const char *values[2] = {payloads, NULL};
	int			lens[2] = {payloads_len, 0};
	int			formats[2] = {1, 1};
	char	   *ids = NULL;
	char	   *kept = NULL;
	int			returned = 0;

	if (id_turns > 0)
		values[1] = ids = make_ids(turn / id_turns, &lens[1]);
	for (int i = 0; i < nsteps; i++)
	{
		char		name[2] = {'a' + i, 0};
		int			nparams = strstr(steps[i], "$2") != NULL ? 2 : strstr(steps[i], "$1") != NULL ? 1 : 0;
		PGresult   *result;

		if (rows == 0 && nparams > 0)
		{
			if (kept == NULL)
				continue;
			values[0] = kept;
			formats[0] = 0;
		}
		result = prepared ? PQexecPrepared(conn, name, nparams, values, lens, formats, 0) :
			PQexec(conn, steps[i]);
		check(conn, result);
		if (!returned && PQresultStatus(result) == PGRES_TUPLES_OK)
		{
			kept = first_column(result);
			returned = 1;
		}
		PQclear(result);
	}
	free(kept);
	free(ids);
}

/*
 * One client.  It connects, takes the turns that do not count, says so on "ready", and
 * waits until "go" is closed.  Then it takes those that count, and says so on "done".
 */
static void
run(const char *conninfo, int ready, int go, int done)
{
	PGconn	   *conn = PQconnectdb(conninfo);
	char	   *payloads = NULL;
	int			len = 0;
	char		c = 0;

	if (PQstatus(conn) != CONNECTION_OK)
		fail("cannot connect", PQerrorMessage(conn));
	if (rows > 0)
		payloads = make_payloads(&len);
	if (prepared)
		prepare(conn);
	for (int i = -warm * (id_turns > 0 ? id_turns : 1); i < times; i++)
	{
		if (i == 0 && (write(ready, &c, 1) != 1 || read(go, &c, 1) != 0))
			fail("pipe", "broken");
		take_turn(conn, i + (id_turns > 0 ? id_turns : 0), payloads, len);
	}
	if (write(done, &c, 1) != 1)
		fail("pipe", "broken");
	PQfinish(conn);
}

/* what is between the separators */
static void
split(char *statement)
{
	char	   *end;

	for (;;)
	{
		if (nsteps == MAX_STEPS)
			fail("usage", "too many statements");
		steps[nsteps++] = statement;
		end = strstr(statement, ";;");
		if (end == NULL)
			break;
		*end = 0;
		statement = end + 2;
	}
}

/* returns the number of clients */
static int
arguments(int argc, char **argv, char **conninfo)
{
	int			opt;

	/* "+": options are before the rest */
	while ((opt = getopt(argc, argv, "+wpi:")) != -1)
	{
		if (opt == 'w')
			warm = 1;
		else if (opt == 'p')
			prepared = 1;
		else if (opt == 'i')
			id_turns = atoi(optarg);
	}
	argc -= optind;
	argv += optind;
	if (argc != 4 && argc != 6)
		fail("usage", "client [-w] [-p] [-i TURNS] CONNINFO CLIENTS TIMES STATEMENT [ROWS BYTES]");
	*conninfo = argv[0];
	times = atoi(argv[2]);
	split(argv[3]);
	if (argc == 6)
	{
		rows = atoi(argv[4]);
		bytes = atoi(argv[5]);
	}
	if (rows > 0 || nsteps > 1)
		prepared = 1;
	return atoi(argv[1]);
}

int
main(int argc, char **argv)
{
	char	   *conninfo;
	int			clients = arguments(argc, argv, &conninfo);
	int			ready[2];
	int			go[2];
	int			done[2];
	char		c;
	struct timespec begin;
	struct timespec end;
	int			bad = 0;

	if (pipe(ready) != 0 || pipe(go) != 0 || pipe(done) != 0)
		fail("pipe", "cannot be made");
	for (int i = 0; i < clients; i++)
	{
		pid_t		pid = fork();

		if (pid < 0)
			fail("fork", "failed");
		if (pid == 0)
		{
			close(ready[0]);
			close(go[1]);
			close(done[0]);
			run(conninfo, ready[1], go[0], done[1]);
			exit(0);
		}
	}
	close(ready[1]);
	close(done[1]);
	for (int i = 0; i < clients; i++)
		if (read(ready[0], &c, 1) != 1)
			exit(1);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	close(go[1]);
	for (int i = 0; i < clients; i++)
		if (read(done[0], &c, 1) != 1)
			exit(1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (int i = 0; i < clients; i++)
	{
		int			status;

		if (wait(&status) < 0 || status != 0)
			bad = 1;
	}
	printf("%.6f\n", (end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) / 1e9);
	return bad;
}
