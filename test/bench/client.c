/*
 * client.c
 *	  A client that does the same thing again and again, and how long it takes.
 *
 *	client [-w] CONNINFO CLIENTS TIMES STATEMENT [ROWS BYTES]
 *
 * CLIENTS processes connect, and begin together when all are ready: each runs
 * STATEMENT so many TIMES, every time in a transaction of its own.  With ROWS
 * it is prepared, and its parameter $1 is an array of so many texts of BYTES
 * bytes, sent in binary form.  With -w it is run once before it counts.  Prints the
 * seconds from the beginning to the end of the last client; connecting is not counted.
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

/* a text[] in its binary form */
static char *
make_array(int rows, int bytes, int *len)
{
	char	   *array = malloc(20 + (size_t) rows * (4 + bytes));
	char	   *p = array;

	if (array == NULL)
		fail("array", "out of memory");
	p = put_int(p, 1);			/* dimensions */
	p = put_int(p, 0);			/* no nulls */
	p = put_int(p, TEXTOID);
	p = put_int(p, rows);
	p = put_int(p, 1);			/* lower bound */
	for (int i = 0; i < rows; i++)
	{
		p = put_int(p, bytes);
		for (int k = 0; k < bytes; k++)
			*p++ = 'a' + (i * 7 + k * 11) % 26;
	}
	*len = (int) (p - array);
	return array;
}

static void
check(PGconn *conn, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail("statement failed", PQerrorMessage(conn));
	PQclear(result);
}

/*
 * One client.  It connects, runs the statement "warm" times, says so on "ready", and
 * waits until "go" is closed.  Then it runs the statement "times" times.  With rows
 * the statement's argument is an array of so many texts.
 */
static void
run(const char *conninfo, int warm, int times, const char *statement, int rows, int bytes,
	int ready, int go, int done)
{
	PGconn	   *conn = PQconnectdb(conninfo);
	char	   *array = NULL;
	int			len = 0;
	int			format = 1;
	Oid			type = TEXTARRAYOID;
	char		c = 0;

	if (PQstatus(conn) != CONNECTION_OK)
		fail("cannot connect", PQerrorMessage(conn));
	if (rows > 0)
	{
		array = make_array(rows, bytes, &len);
		check(conn, PQprepare(conn, "s", statement, 1, &type));
	}
	for (int i = -warm; i < times; i++)
	{
		const char *value = array;

		if (i == 0 && (write(ready, &c, 1) != 1 || read(go, &c, 1) != 0))
			fail("pipe", "broken");

		check(conn, rows > 0 ?
			  PQexecPrepared(conn, "s", 1, &value, &len, &format, 1) :
			  PQexec(conn, statement));
	}
	if (write(done, &c, 1) != 1)
		fail("pipe", "broken");
	PQfinish(conn);
}

int
main(int argc, char **argv)
{
	int			clients;
	int			ready[2];
	int			go[2];
	int			done[2];
	char		c;
	struct timespec begin;
	struct timespec end;
	int			bad = 0;
	int			warm = argc > 1 && strcmp(argv[1], "-w") == 0;

	argc -= warm;
	argv += warm;
	if (argc != 5 && argc != 7)
		fail("usage", "client [-w] CONNINFO CLIENTS TIMES STATEMENT [ROWS BYTES]");
	clients = atoi(argv[2]);
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
			run(argv[1], warm, atoi(argv[3]), argv[4], argc == 7 ? atoi(argv[5]) : 0,
				argc == 7 ? atoi(argv[6]) : 0, ready[1], go[0], done[1]);
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
