#include "store/db.h"

#include <errno.h>
#include <time.h>

#include "core/err.h"

/* ---- the pool ---- */

static struct timespec deadline_in(uint32_t ms)
{
    struct timespec at = {0, 0};

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

/* Takes an idle connection, or the right to make one (*out NULL). */
static enum atls_code take(struct atls_store *s, struct store_connection **out,
                           struct atls_err *err)
{
    const struct timespec deadline = deadline_in(s->busy_timeout_ms);
    enum atls_code code = ATLS_OK;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    while (s->idle == NULL && s->connections >= s->connections_max && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&s->returned, &s->lock, &deadline);
    *out = s->idle;
    if (s->idle != NULL)
        s->idle = s->idle->next;
    else if (s->connections < s->connections_max)
        s->connections++;
    else
        code = atls_fail(err, ATLS_E_UNAVAILABLE,
                         "store: all %u connections in use for %u milliseconds, gave up waiting",
                         (unsigned)s->connections_max, (unsigned)s->busy_timeout_ms);
    pthread_mutex_unlock(&s->lock);
    return code;
}

/* There is one connection less. */
static void forget(struct atls_store *s)
{
    pthread_mutex_lock(&s->lock);
    s->connections--;
    pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->lock);
}

enum atls_code store_borrow(struct atls_store *s, struct store_connection **out,
                            struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if ((code = take(s, &c, err)) != ATLS_OK)
        return code;
    /* One that got lost while nobody used it is replaced: nothing was asked on it yet. */
    if (c != NULL && !s->backend->is_alive(c)) {
        s->backend->disconnect(c);
        c = NULL;
    }
    if (c == NULL && (code = s->backend->connect(s, &c, err)) != ATLS_OK) {
        forget(s);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

void store_give_back(struct store_connection *c)
{
    struct atls_store *s;

    if (c == NULL)
        return;
    s = c->store;
    if (c->broken) {
        s->backend->disconnect(c);
        forget(s);
        return;
    }
    pthread_mutex_lock(&s->lock);
    c->next = s->idle;
    s->idle = c;
    pthread_cond_signal(&s->returned);
    pthread_mutex_unlock(&s->lock);
}

void store_drop_idle(struct atls_store *s)
{
    struct store_connection *c, *next;

    pthread_mutex_lock(&s->lock);
    c = s->idle;
    s->idle = NULL;
    pthread_mutex_unlock(&s->lock);
    for (; c != NULL; c = next) {
        next = c->next;
        s->backend->disconnect(c);
        forget(s);
    }
}

/* ---- statements ---- */

struct store_query store_query(struct store_connection *c, enum store_sql which)
{
    const struct store_query q = {.connection = c, .which = which};

    return q;
}

static void bind(struct store_query *q, int at, struct store_value value)
{
    q->values[at - 1] = value;
}

void store_bind_bytes(struct store_query *q, int at, struct atls_bytes bytes)
{
    bind(q, at, (struct store_value){STORE_VALUE_BYTES, 0, bytes});
}

void store_bind_text(struct store_query *q, int at, struct atls_bytes text)
{
    bind(q, at, (struct store_value){STORE_VALUE_TEXT, 0, text});
}

void store_bind_int(struct store_query *q, int at, int64_t v)
{
    bind(q, at, (struct store_value){STORE_VALUE_INT, v, {NULL, 0}});
}

enum atls_code store_step(struct store_query *q, bool *out_row, struct atls_err *err)
{
    const struct store_backend *backend = q->connection->store->backend;
    enum atls_code code = ATLS_OK;

    if (!q->started) {
        code = backend->start(q, err);
        q->started = true;
    }
    if (code == ATLS_OK)
        code = backend->step(q, out_row, err);
    if (code != ATLS_OK)
        store_end(q);
    return code;
}

enum atls_code store_run(struct store_query *q, bool *out_row, struct atls_err *err)
{
    enum atls_code code;
    bool row;

    if ((code = store_step(q, &row, err)) != ATLS_OK)
        return code;
    store_end(q);
    if (out_row != NULL)
        *out_row = row;
    return ATLS_OK;
}

void store_end(struct store_query *q)
{
    if (q->started)
        q->connection->store->backend->end(q);
    q->started = false;
}

/* Steps through one page; *last is the id of its last row. */
static enum atls_code each_of_page(struct store_query *q, store_row *row_function, void *arg,
                                   int64_t *last, struct atls_err *err)
{
    enum atls_code code;
    bool row;

    while ((code = store_step(q, &row, err)) == ATLS_OK && row) {
        *last = store_column_int(q, 0);
        if ((code = row_function(arg, q, err)) != ATLS_OK)
            break;
    }
    store_end(q);
    return code;
}

enum atls_code store_each(struct store_connection *c, enum store_sql list, store_row *row_function,
                          void *arg, struct atls_err *err)
{
    int64_t last = 0, before;
    enum atls_code code;

    do {
        struct store_query q = store_query(c, list);

        before = last;
        store_bind_int(&q, 1, before);
        code = each_of_page(&q, row_function, arg, &last, err);
    } while (code == ATLS_OK && last != before);
    return code;
}

struct atls_bytes store_column(const struct store_query *q, int at)
{
    return q->connection->store->backend->column(q, at);
}

int64_t store_column_int(const struct store_query *q, int at)
{
    return q->connection->store->backend->column_int(q, at);
}

bool store_column_is_null(const struct store_query *q, int at)
{
    return q->connection->store->backend->column_is_null(q, at);
}

/* ---- transactions ---- */

enum atls_code store_begin(struct atls_store *s, enum store_access access,
                           struct store_connection **out, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if (access == STORE_ACCESS_WRITE && !s->writable)
        return atls_fail(err, ATLS_E_CONFIG, "store: opened to be read only");
    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    if ((code = s->backend->begin(c, access, err)) != ATLS_OK) {
        s->backend->roll_back(c);
        store_give_back(c);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

enum atls_code store_finish(struct store_connection *c, enum store_access access,
                            enum atls_code code, struct atls_err *err)
{
    struct atls_store *s = c->store;

    if (code == ATLS_OK)
        code = s->backend->commit(c, access, err);
    if (code != ATLS_OK)
        s->backend->roll_back(c);
    store_give_back(c);
    /* Also when a commit failed: its answer may have got lost. */
    if (access == STORE_ACCESS_WRITE)
        store_cache_drop(s->cache);
    return code;
}
