/*
 * latency.c
 *	  How long a message takes from a producer to a consumer that waits for it.
 *
 *	latency CONNINFO TIMES PRODUCE CONSUME
 *
 * One session runs CONSUME, which waits.  When it has waited for a while, which differs
 * from time to time, another session runs PRODUCE.  The time counts from before PRODUCE
 * is sent until the result of CONSUME is there: with the producer's commit and both ways
 * to the server.  Prints the 50th and 99th percentile of so many TIMES in ms.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define WARM_UP		20

static void
fail(const char *what, const char *detail)
{
	fprintf(stderr, "latency: %s: %s\n", what, detail);
	exit(1);
}

static PGconn *
connect_to(const char *conninfo, const char *statement)
{
	PGconn	   *conn = PQconnectdb(conninfo);
	PGresult   *result;

	if (PQstatus(conn) != CONNECTION_OK)
		fail("cannot connect", PQerrorMessage(conn));
	result = PQprepare(conn, "s", statement, 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("cannot prepare", PQerrorMessage(conn));
	PQclear(result);
	return conn;
}

static void
start(PGconn *conn)
{
	if (!PQsendQueryPrepared(conn, "s", 0, NULL, NULL, NULL, 0))
		fail("cannot send", PQerrorMessage(conn));
}

/* waits for the result; returns its number of rows */
static int
finish(PGconn *conn)
{
	PGresult   *result;
	int			n = 0;

	while ((result = PQgetResult(conn)) != NULL)
	{
		if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
			fail("statement failed", PQerrorMessage(conn));
		n = PQntuples(result);
		PQclear(result);
	}
	return n;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	PGconn	   *producer;
	PGconn	   *consumer;
	int			times;
	double	   *ms;

	if (argc != 5 || (times = atoi(argv[2])) < 1)
		fail("usage", "latency CONNINFO TIMES PRODUCE CONSUME");
	ms = malloc(times * sizeof(double));
	if (ms == NULL)
		fail("array", "out of memory");
	producer = connect_to(argv[1], argv[3]);
	consumer = connect_to(argv[1], argv[4]);
	srandom(1);
	for (int i = -WARM_UP; i < times; i++)
	{
		struct pollfd wait = {PQsocket(consumer), POLLIN, 0};
		double		begin;

		start(consumer);
		usleep(2000 + random() % 8000);
		if (poll(&wait, 1, 0) > 0)
			fail("the consumer", "did not wait");
		begin = now();
		start(producer);
		if (finish(consumer) != 1)
			fail("the consumer", "did not get one message");
		if (i >= 0)
			ms[i] = now() - begin;
		finish(producer);
	}
	qsort(ms, times, sizeof(double), compare);
	printf("%.3f %.3f\n", ms[times / 2], ms[(int) (times * 0.99)]);
	PQfinish(producer);
	PQfinish(consumer);
	return 0;
}
