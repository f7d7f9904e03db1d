/* A store for a test, on either engine: each test of a group runs on both. */
#ifndef ATLS_TEST_STORE_PLACE_H
#define ATLS_TEST_STORE_PLACE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <sqlite3.h>

#include "postgres.h"
#include "testlib.h"

#include "store/db.h"

static struct test_postgres *server; /* NULL: places are files */

struct place {
    char directory[64];
    char path[160];       /* location of the store: a file, or the server's URI */
    char schema[2][32];   /* PostgreSQL */
    char other_path[160]; /* of a second one */
    struct atls_store *store;
};

static inline bool on_postgres(void)
{
    return server != NULL;
}

static inline void place_options(const struct place *p, int which, enum atls_store_mode mode,
                                 struct atls_store_options *out)
{
    atls_store_options_init(out);
    out->mode = mode;
    if (on_postgres())
        out->schema = p->schema[which];
}

/* Opens the store of a place once more. */
static inline enum atls_code place_open(const struct place *p, enum atls_store_mode mode,
                                        struct atls_store **out, struct atls_err *err)
{
    struct atls_store_options options;

    place_options(p, 0, mode, &options);
    return atls_store_open_with(p->path, &options, out, err);
}

/* Makes or opens the second store of a place. */
static inline enum atls_code place_open_other(const struct place *p, enum atls_store_mode mode,
                                              struct atls_store **out, struct atls_err *err)
{
    struct atls_store_options options;

    place_options(p, 1, mode, &options);
    return atls_store_open_with(p->other_path, &options, out, err);
}

static inline struct place *place_new(void)
{
    static unsigned int count;
    struct place *p = calloc(1, sizeof *p);
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(p);
    snprintf(p->directory, sizeof p->directory, "/tmp/atls-store-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    snprintf(p->path, sizeof p->path, "%s/store.db", p->directory);
    snprintf(p->other_path, sizeof p->other_path, "%s/other.db", p->directory);
    if (on_postgres()) {
        snprintf(p->path, sizeof p->path, "%s", test_postgres_uri(server));
        snprintf(p->other_path, sizeof p->other_path, "%s", test_postgres_uri(server));
        snprintf(p->schema[0], sizeof p->schema[0], "s%u", ++count);
        snprintf(p->schema[1], sizeof p->schema[1], "s%u", ++count);
    }
    test_assert_code(place_open(p, ATLS_STORE_CREATE, &p->store, &err), ATLS_OK, &err);
    return p;
}

static inline void place_free(struct place *p)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm",
                                        "other.db", "other.db-wal", "other.db-shm"};
    char path[160];

    atls_store_close(p->store);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", p->directory, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(p->directory), 0);
    free(p);
}

/* For WITH_STORE of the tests. */
static inline int place_set_up(void **state)
{
    *state = place_new();
    return 0;
}

static inline int place_tear_down(void **state)
{
    place_free(*state);
    return 0;
}

/* Runs SQL beside the store, as somebody else would. */
static inline void sql_on_file(const char *path, const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline void sql_on_server(const char *schema, const char *text)
{
    PGconn *db = PQconnectdb(test_postgres_uri(server));
    char search_path[96];
    PGresult *r;

    snprintf(search_path, sizeof search_path, "SET search_path TO \"%s\"", schema);
    PQclear(PQexec(db, search_path));
    r = PQexec(db, text);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s", PQresultErrorMessage(r));
    PQclear(r);
    PQfinish(db);
}

/* The same in both dialects; what others change by hand is no change that is announced. */
static inline void place_sql(struct place *p, const char *sqlite, const char *postgres)
{
    if (!on_postgres()) {
        sql_on_file(p->path, sqlite);
        return;
    }
    sql_on_server(p->schema[0], postgres);
    sql_on_server(p->schema[0], "UPDATE store_state SET change = change + 1");
    test_assert_code(atls_store_ping(p->store, NULL), ATLS_OK, NULL);
}

static inline int place_end(void **state)
{
    (void)state;
    test_postgres_free(server);
    server = NULL;
    return 0;
}

/* Runs the group with files, then with a server; 77 (skipped) without one. The second group may
 * leave out what is about files. */
#define PLACE_RUN_BOTH(group_name, files, servers)                                                 \
    (cmocka_run_group_tests_name(group_name " on SQLite", files, NULL, NULL) != 0 ? 1              \
     : (server = test_postgres_new()) == NULL                                                      \
         ? 77                                                                                      \
         : cmocka_run_group_tests_name(group_name " on PostgreSQL", servers, NULL, place_end))

#endif
