#include "store/postgres_link.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

/* Beyond the wait for a lock, for the work itself; then some more for the server to say so. */
#define STATEMENT_MS 1000
#define ANSWER_MS    2000
/* A replica that stopped in the middle of an import holds up the others no longer than this. */
#define IDLE_IN_TRANSACTION_MS 60000

#define MESSAGE_MAX 256

/* ---- errors ---- */

/* The first line of what libpq says, which has no secrets, fit for a log. */
static const char *message_of(const char *text, char out[MESSAGE_MAX])
{
    size_t len = text == NULL ? 0 : strcspn(text, "\n");

    return atls_escape(atls_bytes_of(text, len), out, MESSAGE_MAX);
}

static enum atls_code lost(struct store_link *l, const char *doing, struct atls_err *err)
{
    char message[MESSAGE_MAX];

    l->base.broken = true;
    return atls_fail(err, ATLS_E_UNAVAILABLE, "store: %s: connection lost: %s", doing,
                     message_of(PQerrorMessage(l->pg), message));
}

/* Classes and codes of PostgreSQL, appendix A; the first row that fits. */
static enum atls_code code_of(const char *state)
{
    static const struct {
        const char *prefix;
        enum atls_code code;
    } rows[] = {
        {"08", ATLS_E_UNAVAILABLE},    /* connection */
        {"25006", ATLS_E_UNAVAILABLE}, /* a standby, until it is promoted */
        {"28", ATLS_E_CONFIG},         /* authorization */
        {"3D", ATLS_E_CONFIG},         /* no such database */
        {"3F", ATLS_E_CONFIG},         /* no such schema */
        {"40", ATLS_E_UNAVAILABLE},    /* rolled back: deadlock, serialization */
        {"42", ATLS_E_CONFIG},         /* no such table, no permission */
        {"53", ATLS_E_UNAVAILABLE},    /* disk full, too many connections */
        {"54", ATLS_E_LIMIT},          /* program limit */
        {"55P03", ATLS_E_UNAVAILABLE}, /* lock not available in time */
        {"57", ATLS_E_UNAVAILABLE},    /* cancelled by a time-out, shutting down */
        {"58", ATLS_E_UNAVAILABLE},    /* system error of the server */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strncmp(state, rows[i].prefix, strlen(rows[i].prefix)) == 0)
            return rows[i].code;
    return ATLS_E_IO;
}

static enum atls_code refused(struct store_link *l, const PGresult *r, const char *doing,
                              struct atls_err *err)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    char message[MESSAGE_MAX];

    if (PQstatus(l->pg) != CONNECTION_OK || state == NULL)
        return lost(l, doing, err);
    /* 57P01 to 57P05: the server ends the connection. */
    if (strncmp(state, "57P", 3) == 0)
        l->base.broken = true;
    return atls_fail(err, code_of(state), "store: %s: %s (SQLSTATE %s)", doing,
                     message_of(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY), message), state);
}

/* ---- waiting ---- */

/* *out: what of events came true; 0 when the time is up. */
static bool wait_for(const PGconn *pg, short events, int64_t deadline_ms)
{
    struct pollfd fd = {PQsocket(pg), events, 0};
    int64_t left;
    int rc;

    if (fd.fd < 0)
        return true; /* the next call of libpq says what is wrong */
    do {
        left = deadline_ms - atls_clock_monotonic_ms(NULL);
        rc = poll(&fd, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
    } while (rc < 0 && errno == EINTR);
    return rc != 0;
}

static enum atls_code too_late(struct store_link *l, const char *doing, struct atls_err *err)
{
    l->base.broken = true;
    return atls_fail(err, ATLS_E_UNAVAILABLE, "store: %s: the database did not answer in time",
                     doing);
}

static enum atls_code flush(struct store_link *l, int64_t deadline_ms, const char *doing,
                            struct atls_err *err)
{
    int rc;

    while ((rc = PQflush(l->pg)) == 1) {
        if (!wait_for(l->pg, POLLIN | POLLOUT, deadline_ms))
            return too_late(l, doing, err);
        if (PQconsumeInput(l->pg) == 0)
            return lost(l, doing, err);
    }
    return rc == 0 ? ATLS_OK : lost(l, doing, err);
}

static enum atls_code next_result(struct store_link *l, int64_t deadline_ms, const char *doing,
                                  PGresult **out, struct atls_err *err)
{
    while (PQisBusy(l->pg) != 0) {
        if (!wait_for(l->pg, POLLIN, deadline_ms))
            return too_late(l, doing, err);
        if (PQconsumeInput(l->pg) == 0)
            return lost(l, doing, err);
    }
    *out = PQgetResult(l->pg);
    return ATLS_OK;
}

static bool succeeded(const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);

    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* Sees what was sent through to its end: the last result, or the first that failed. */
static enum atls_code collect(struct store_link *l, int sent, const char *doing, PGresult **out,
                              struct atls_err *err)
{
    const int64_t deadline_ms =
        atls_clock_monotonic_ms(NULL) + l->base.store->busy_timeout_ms + ANSWER_MS;
    PGresult *kept = NULL, *r = NULL;
    enum atls_code code;

    if (sent == 0)
        return lost(l, doing, err);
    code = flush(l, deadline_ms, doing, err);
    while (code == ATLS_OK && (code = next_result(l, deadline_ms, doing, &r, err)) == ATLS_OK &&
           r != NULL) {
        if (kept != NULL && !succeeded(kept)) {
            PQclear(r);
            continue;
        }
        PQclear(kept);
        kept = r;
    }
    if (code == ATLS_OK && kept == NULL)
        code = lost(l, doing, err);
    if (code == ATLS_OK && !succeeded(kept))
        code = refused(l, kept, doing, err);
    if (code != ATLS_OK) {
        PQclear(kept);
        return code;
    }
    *out = kept;
    return ATLS_OK;
}

/* ---- statements ---- */

enum atls_code store_link_run(struct store_link *l, const char *text, const char *doing,
                              PGresult **out, struct atls_err *err)
{
    return collect(l, PQsendQuery(l->pg, text), doing, out, err);
}

/* The table writes parameters as SQLite does, ?1; no statement has a question mark otherwise. */
static enum atls_code prepare(struct store_link *l, enum store_sql which, const char *name,
                              struct atls_err *err)
{
    const char *from = store_statements[which].postgres;
    size_t len = strlen(from);
    char *text = malloc(len + 1);
    PGresult *r = NULL;
    enum atls_code code;

    if (text == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    for (size_t i = 0; i <= len; i++)
        text[i] = from[i] == '?' ? '$' : from[i];
    code = collect(l, PQsendPrepare(l->pg, name, text, 0, NULL), "preparing a statement", &r, err);
    free(text);
    PQclear(r);
    if (code == ATLS_OK)
        l->prepared[which] = true;
    return code;
}

/* What PQsendQueryPrepared takes, in binary. */
struct parameters {
    const char *values[STORE_PARAMETERS_MAX];
    int lengths[STORE_PARAMETERS_MAX];
    int formats[STORE_PARAMETERS_MAX];
    char numbers[STORE_PARAMETERS_MAX][8];
};

static bool fill_in(struct parameters *p, const struct store_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_value *v = &values[i];

        p->formats[i] = 1;
        p->values[i] = v->bytes.len == 0 ? "" : (const char *)v->bytes.ptr;
        if (v->bytes.len > INT_MAX)
            return false;
        p->lengths[i] = (int)v->bytes.len;
        if (v->kind == STORE_VALUE_NULL)
            p->values[i] = NULL;
        if (v->kind != STORE_VALUE_INT)
            continue;
        for (size_t k = 0; k < 8; k++)
            p->numbers[i][k] = (char)((uint64_t)v->number >> (56 - 8 * k));
        p->values[i] = p->numbers[i];
        p->lengths[i] = 8;
    }
    return true;
}

/* How many parameters the statement has: the highest ?N. */
static size_t parameters_of(enum store_sql which)
{
    const char *p = store_statements[which].postgres;
    size_t count = 0;

    while ((p = strchr(p, '?')) != NULL) {
        size_t n = (size_t)strtoul(++p, NULL, 10);

        count = n > count ? n : count;
    }
    return count;
}

enum atls_code store_link_query(struct store_link *l, const struct store_query *q, PGresult **out,
                                struct atls_err *err)
{
    struct parameters p;
    size_t count = parameters_of(q->which);
    enum atls_code code;
    char name[16];

    snprintf(name, sizeof name, "atls_%d", (int)q->which);
    if (!fill_in(&p, q->values, count))
        return atls_fail(err, ATLS_E_LIMIT, "store: larger than the database takes");
    if (!l->prepared[q->which] && (code = prepare(l, q->which, name, err)) != ATLS_OK)
        return code;
    return collect(l,
                   PQsendQueryPrepared(l->pg, name, (int)count, p.values, p.lengths, p.formats, 1),
                   "database", out, err);
}

/* ---- connecting ---- */

enum atls_code store_link_check_uri(const char *uri, bool *out_tls, struct atls_err *err)
{
    const char *environment = getenv("PGSSLMODE");
    PQconninfoOption *options = PQconninfoParse(uri, NULL);

    if (options == NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "store: the connection URI is malformed, or has a parameter that libpq "
                         "does not know");
    *out_tls = environment != NULL && environment[0] != '\0';
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
        if (strcmp(o->keyword, "sslmode") == 0 && o->val != NULL)
            *out_tls = true;
    PQconninfoFree(options);
    return ATLS_OK;
}

/* The library prints nothing. */
static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static enum atls_code connect_until(struct store_link *l, int64_t deadline_ms, struct atls_err *err)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;
    char message[MESSAGE_MAX];

    while (PQstatus(l->pg) != CONNECTION_BAD && want != PGRES_POLLING_OK &&
           want != PGRES_POLLING_FAILED) {
        if (!wait_for(l->pg, want == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms))
            return too_late(l, "connecting", err);
        want = PQconnectPoll(l->pg);
    }
    if (PQstatus(l->pg) == CONNECTION_OK)
        return ATLS_OK;
    message_of(PQerrorMessage(l->pg), message);
    if (PQconnectionNeedsPassword(l->pg) != 0)
        return atls_fail(err, ATLS_E_CONFIG, "store: the database wants a password: %s", message);
    return atls_fail(err, ATLS_E_UNAVAILABLE, "store: connecting: %s", message);
}

/* The schema has no characters that could end the quotes; pg_temp last, so that no temporary table
 * stands for one of ours. A server that answers before a commit is on disk is told not to. */
static enum atls_code set_session(struct store_link *l, struct atls_err *err)
{
    const struct atls_store *s = l->base.store;
    PGresult *r = NULL;
    char text[512];
    enum atls_code code;

    snprintf(text, sizeof text,
             "SELECT set_config('search_path', '\"%s\", pg_temp', false),"
             " set_config('lock_timeout', '%u', false),"
             " set_config('statement_timeout', '%llu', false),"
             " set_config('idle_in_transaction_session_timeout', '%d', false),"
             " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
             " WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)",
             s->schema, (unsigned)s->busy_timeout_ms,
             (unsigned long long)s->busy_timeout_ms + STATEMENT_MS, IDLE_IN_TRANSACTION_MS);
    code = store_link_run(l, text, "setting up a connection", &r, err);
    PQclear(r);
    return code;
}

static enum atls_code open_link(struct store_link *l, struct atls_err *err)
{
    const struct atls_store *s = l->base.store;
    /* What stands before the URI ("dbname") gives way to what is in it. A connection on which
     * nobody answers is found out in a minute, also while nobody uses it. */
    const char *names[] = {"keepalives_idle",
                           "keepalives_interval",
                           "keepalives_count",
                           "tcp_user_timeout",
                           "dbname",
                           "client_encoding",
                           "fallback_application_name",
                           NULL,
                           NULL};
    const char *values[] = {"30", "10", "3", "10000", s->location, "UTF8", "atls", NULL, NULL};
    const size_t last = sizeof names / sizeof names[0] - 2;
    enum atls_code code;
    bool says_tls;

    if ((code = store_link_check_uri(s->location, &says_tls, err)) != ATLS_OK)
        return code;
    if (!says_tls) {
        names[last] = "sslmode";
        values[last] = "verify-full";
    }
    if ((l->pg = PQconnectStartParams(names, values, 1)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    PQsetNoticeProcessor(l->pg, ignore_notice, NULL);
    if ((code = connect_until(l, atls_clock_monotonic_ms(NULL) + s->busy_timeout_ms + ANSWER_MS,
                              err)) != ATLS_OK)
        return code;
    if (PQsetnonblocking(l->pg, 1) != 0)
        return lost(l, "connecting", err);
    return set_session(l, err);
}

enum atls_code store_link_open(struct atls_store *s, struct store_link **out, struct atls_err *err)
{
    struct store_link *l = calloc(1, sizeof *l);
    enum atls_code code;

    if (l == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    l->base.store = s;
    if ((code = open_link(l, err)) != ATLS_OK) {
        store_link_close(l);
        return code;
    }
    *out = l;
    return ATLS_OK;
}

void store_link_close(struct store_link *l)
{
    PQfinish(l->pg); /* NULL is fine */
    free(l);
}

bool store_link_listen(struct store_link *l)
{
    /* Twice: the first call may stop at a farewell and leave the end behind it unseen. */
    return PQconsumeInput(l->pg) != 0 && PQconsumeInput(l->pg) != 0 &&
           PQstatus(l->pg) == CONNECTION_OK;
}
