/* A PostgreSQL server of the test's own, in a directory of its own, on a socket there. */
#ifndef ATLS_TEST_POSTGRES_H
#define ATLS_TEST_POSTGRES_H

#include <stdbool.h>

struct test_postgres;

/* Makes a database and runs the server. NULL, and why on standard error, when Debian's package
 * postgresql is not installed. Started by root it runs as user nobody. Ends with the test program.
 */
struct test_postgres *test_postgres_new(void);
/* A connection URI, superuser; borrows. */
const char *test_postgres_uri(const struct test_postgres *pg);
/* SIGKILL: a crash; SIGINT: shuts down, ending all connections. Returns when it has ended. */
void test_postgres_end(struct test_postgres *pg, int signal_number);
/* Runs it again and waits until it answers. */
void test_postgres_run(struct test_postgres *pg);
/* Ends it and removes its files; NULL is fine. */
void test_postgres_free(struct test_postgres *pg);

#endif
