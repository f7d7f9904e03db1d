#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "store/db.h"

#define BUSY_TIMEOUT_MAX_MS 600000
#define CONNECTIONS_MAX     1024
#define SCHEMA_MAX          63

/* ---- opening ---- */

void atls_store_options_init(struct atls_store_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

static bool is_uri(const char *location)
{
    return strncmp(location, "postgresql://", 13) == 0 || strncmp(location, "postgres://", 11) == 0;
}

enum atls_code store_check_version(int64_t version, bool writable, struct atls_err *err)
{
    if (version < 0 || version > STORE_VERSION)
        return atls_fail(err, ATLS_E_CONFIG,
                         "store: version %lld is newer than version %d that this program knows",
                         (long long)version, STORE_VERSION);
    if (version < STORE_VERSION && !writable)
        return atls_fail(err, ATLS_E_CONFIG,
                         "store: version %lld is older than %d: open it for writing once",
                         (long long)version, STORE_VERSION);
    return ATLS_OK;
}

static enum atls_code new_store(const char *location, const struct atls_store_options *options,
                                struct atls_store **out, struct atls_err *err)
{
    struct atls_store *s = calloc(1, sizeof *s);
    pthread_condattr_t monotonic;

    if (s == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->returned, &monotonic);
    pthread_condattr_destroy(&monotonic);
    s->backend = is_uri(location) ? &store_postgres : &store_sqlite;
    s->writable = options->mode != ATLS_STORE_READ;
    s->connections_max = options->connections != 0 ? options->connections : 4;
    s->busy_timeout_ms = options->busy_timeout_ms != 0 ? options->busy_timeout_ms : 5000;
    s->sessions_max = options->sessions_max != 0 ? options->sessions_max : 10000;
    s->now.store = s;
    snprintf(s->schema, sizeof s->schema, "%s", options->schema != NULL ? options->schema : "atls");
    *out = s;
    if ((s->location = strdup(location)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    return store_cache_new(&s->cache, err);
}

static enum atls_code check_options(const char *location, const struct atls_store_options *options,
                                    struct atls_err *err)
{
    if (location == NULL || location[0] == '\0' || options->mode < ATLS_STORE_READ ||
        options->mode > ATLS_STORE_CREATE)
        return atls_fail(err, ATLS_E_USAGE, "store: no location, or no such mode");
    if (options->size != sizeof *options)
        return atls_fail(err, ATLS_E_USAGE, "store: options that were not initialised");
    if (options->busy_timeout_ms > BUSY_TIMEOUT_MAX_MS || options->connections > CONNECTIONS_MAX)
        return atls_fail(err, ATLS_E_USAGE,
                         "store: a time-out of at most %d milliseconds and at most %d connections",
                         BUSY_TIMEOUT_MAX_MS, CONNECTIONS_MAX);
    if (options->schema != NULL && !is_uri(location))
        return atls_fail(err, ATLS_E_CONFIG, "store %s: a file has no schema", location);
    if (options->schema != NULL && strlen(options->schema) > SCHEMA_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "store: the name of the schema has more than %d bytes",
                         SCHEMA_MAX);
    return ATLS_OK;
}

enum atls_code atls_store_open_with(const char *location, const struct atls_store_options *options,
                                    struct atls_store **out, struct atls_err *err)
{
    struct atls_store *s = NULL;
    enum atls_code code;

    if ((code = check_options(location, options, err)) != ATLS_OK)
        return code;
    if ((code = new_store(location, options, &s, err)) == ATLS_OK)
        code = s->backend->set_up(s, options->mode, err);
    if (code != ATLS_OK) {
        atls_store_close(s);
        return code;
    }
    *out = s;
    return ATLS_OK;
}

enum atls_code atls_store_open(const char *path, enum atls_store_mode mode, struct atls_store **out,
                               struct atls_err *err)
{
    struct atls_store_options options;

    atls_store_options_init(&options);
    options.mode = mode;
    return atls_store_open_with(path, &options, out, err);
}

enum atls_code atls_store_ping(struct atls_store *s, struct atls_err *err)
{
    return store_refresh(s, true, err);
}

enum atls_code atls_store_generation(struct atls_store *s, uint64_t *out, struct atls_err *err)
{
    enum atls_code code = store_refresh(s, true, err);

    if (code == ATLS_OK)
        *out = atomic_load(&s->generation);
    return code;
}

bool atls_store_is_writable(const struct atls_store *s)
{
    return s->writable;
}

void atls_store_close(struct atls_store *s)
{
    if (s == NULL)
        return;
    store_drop_idle(s);
    s->backend->tear_down(s);
    store_cache_free(s->cache);
    pthread_cond_destroy(&s->returned);
    pthread_mutex_destroy(&s->lock);
    if (s->location != NULL)
        atls_wipe(s->location, strlen(s->location)); /* a URI may hold a password */
    free(s->location);
    free(s);
}

/* ---- removal ---- */

static enum atls_code delete_row(struct store_connection *c, enum store_sql which, int64_t id,
                                 const char *what, struct atls_err *err)
{
    struct store_query q = store_query(c, which);
    enum atls_code code;
    bool row;

    store_bind_int(&q, 1, id);
    if ((code = store_run(&q, &row, err)) != ATLS_OK)
        return code;
    return row ? ATLS_OK
               : atls_fail(err, ATLS_E_NOT_FOUND, "store: there is no %s:%lld", what,
                           (long long)id);
}

static enum atls_code remove_anchor(struct store_connection *c, int64_t id, struct atls_err *err)
{
    return delete_row(c, SQL_ANCHOR_DELETE, id, "anchor", err);
}

static enum atls_code remove_collateral(struct store_connection *c, int64_t id,
                                        struct atls_err *err)
{
    return delete_row(c, SQL_COLLATERAL_DELETE, id, "collateral", err);
}

static enum atls_code remove_crl(struct store_connection *c, int64_t id, struct atls_err *err)
{
    return delete_row(c, SQL_CRL_DELETE, id, "crl", err);
}

/* A key that a manifest brought would be back with the next import of it. */
static enum atls_code remove_key(struct store_connection *c, int64_t id, struct atls_err *err)
{
    struct store_query q = store_query(c, SQL_KEY_IS_OF_MANIFEST);
    enum atls_code code;
    bool row;

    store_bind_int(&q, 1, id);
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    if (row) {
        struct atls_bytes name = store_column(&q, 0);

        code = atls_fail(err, ATLS_E_CONFIG,
                         "store: attest-key:%lld goes with its manifest (manifest:%.*s)",
                         (long long)id, (int)name.len, (const char *)name.ptr);
    }
    store_end(&q);
    return row ? code : delete_row(c, SQL_KEY_DELETE, id, "attest-key", err);
}

static enum atls_code remove_manifest(struct store_connection *c, const char *name,
                                      struct atls_err *err)
{
    char escaped[128];
    struct store_query q = store_query(c, SQL_MANIFEST_DELETE);
    enum atls_code code;
    bool row;

    store_bind_text(&q, 1, atls_bytes_of(name, strlen(name)));
    if ((code = store_run(&q, &row, err)) != ATLS_OK)
        return code;
    return row ? ATLS_OK
               : atls_fail(err, ATLS_E_NOT_FOUND, "store: there is no manifest \"%s\"",
                           atls_escape(atls_bytes_of(name, strlen(name)), escaped, sizeof escaped));
}

static bool get_id(const char *text, int64_t *out)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

/* What follows prefix in text, or NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static enum atls_code remove_what(struct store_connection *c, const char *what,
                                  struct atls_err *err)
{
    static const struct {
        const char *prefix;
        enum atls_code (*remove)(struct store_connection *c, int64_t id, struct atls_err *err);
    } kinds[] = {{"anchor:", remove_anchor},
                 {"attest-key:", remove_key},
                 {"collateral:", remove_collateral},
                 {"crl:", remove_crl}};
    const char *rest = after(what, "manifest:");
    int64_t id;

    if (rest != NULL)
        return remove_manifest(c, rest, err);
    if ((rest = after(what, "signing-key:")) != NULL)
        return store_remove_signing_key(c, rest, err);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if ((rest = after(what, kinds[i].prefix)) != NULL && get_id(rest, &id))
            return kinds[i].remove(c, id, err);
    return atls_fail(err, ATLS_E_USAGE,
                     "store: what to remove is anchor:NUMBER, attest-key:NUMBER, "
                     "collateral:NUMBER, crl:NUMBER, signing-key:KID or manifest:ID");
}

enum atls_code atls_store_remove(struct atls_store *s, const char *what, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) != ATLS_OK)
        return code;
    return store_finish(c, STORE_ACCESS_WRITE, remove_what(c, what, err), err);
}
