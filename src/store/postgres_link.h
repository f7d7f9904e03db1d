/* One connection to PostgreSQL that never hangs: every wait has a deadline of its own, because a
 * server that is stopped or cut off keeps no time-out. One thread at a time. */
#ifndef ATLS_STORE_POSTGRES_LINK_H
#define ATLS_STORE_POSTGRES_LINK_H

#include <libpq-fe.h>

#include "store/db.h"

struct store_link {
    struct store_connection base;
    PGconn *pg;
    bool prepared[SQL_COUNT];
};

/* Whether uri is one that libpq reads; says nothing of what is in it, which may be a password.
 * *out_tls: it says itself which TLS it wants. Errors: ATLS_E_CONFIG, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code store_link_check_uri(const char *uri, bool *out_tls,
                                                    struct atls_err *err);

/* Connects and sets schema and time-outs of the session. Unless the URI or PGSSLMODE says
 * otherwise, a server that is not on this machine's sockets must prove its name (verify-full). */
ATLS_MUST_CHECK enum atls_code store_link_open(struct atls_store *s, struct store_link **out,
                                               struct atls_err *err);
void store_link_close(struct store_link *l);

/* Reads what the server sent unasked: false when the connection is lost. */
bool store_link_listen(struct store_link *l);

/* Runs statements without parameters; the last result, the caller's to PQclear. */
ATLS_MUST_CHECK enum atls_code store_link_run(struct store_link *l, const char *text,
                                              const char *doing, PGresult **out,
                                              struct atls_err *err);
/* Runs a statement of the table, prepared once, with the values of q. Results are binary. */
ATLS_MUST_CHECK enum atls_code store_link_query(struct store_link *l, const struct store_query *q,
                                                PGresult **out, struct atls_err *err);

#endif
