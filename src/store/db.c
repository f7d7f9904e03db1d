#include "store/db.h"

#include "core/err.h"

/* Values reach SQL through parameters only. A key or a reference value lives as long as its
 * manifest (ON DELETE CASCADE). */
static const char *const sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_DATA_VERSION] = "PRAGMA data_version",
    [SQL_MANIFEST_PUT] =
        "INSERT INTO manifests(name, digest, profile, not_before, not_after, signer,"
        " blob) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
    [SQL_MANIFEST_DELETE] = "DELETE FROM manifests WHERE name = ?1 RETURNING id",
    [SQL_MANIFEST_LIST] = "SELECT name, signer, blob FROM manifests ORDER BY id",
    [SQL_KEY_CONFLICT] = "SELECT k.spki <> ?2, m.name, k.label FROM attest_keys k"
                         " LEFT JOIN manifests m ON m.id = k.manifest"
                         " WHERE k.instance = ?1 AND (k.spki <> ?2 OR k.class_id <> ?3) LIMIT 1",
    [SQL_KEY_PUT] =
        "INSERT INTO attest_keys(manifest, instance, spki, public_area, class_id, vendor,"
        " model, label) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_KEY_SAME] = "SELECT 1 FROM attest_keys WHERE manifest IS ?1 AND instance = ?2",
    [SQL_KEY_REPLACE] = "DELETE FROM attest_keys WHERE manifest IS NULL AND instance = ?1",
    [SQL_KEY_FIND] = "SELECT k.spki, k.public_area, k.class_id, k.vendor, k.model, m.not_before,"
                     " m.not_after FROM attest_keys k LEFT JOIN manifests m ON m.id = k.manifest"
                     " WHERE k.instance = ?1 ORDER BY length(k.public_area) DESC, k.id",
    [SQL_KEY_DELETE] = "DELETE FROM attest_keys WHERE id = ?1 RETURNING id",
    [SQL_KEY_IS_OF_MANIFEST] = "SELECT m.name FROM attest_keys k JOIN manifests m"
                               " ON m.id = k.manifest WHERE k.id = ?1",
    [SQL_KEY_LIST] = "SELECT k.id, m.name, k.instance, k.spki, k.public_area, k.class_id, k.vendor,"
                     " k.model, k.label, m.not_after FROM attest_keys k"
                     " LEFT JOIN manifests m ON m.id = k.manifest ORDER BY k.id",
    [SQL_REFERENCE_PUT] = "INSERT INTO reference_triples(manifest, class_id, environment,"
                          " measurements) VALUES(?1, ?2, ?3, ?4)",
    [SQL_REFERENCE_FIND] = "SELECT r.environment, r.measurements, m.name, m.not_before, m.not_after"
                           " FROM reference_triples r JOIN manifests m ON m.id = r.manifest"
                           " WHERE r.class_id = ?1 ORDER BY r.id",
    [SQL_REFERENCE_LIST] = "SELECT r.id, m.name, r.class_id, r.measurements, m.not_after"
                           " FROM reference_triples r JOIN manifests m ON m.id = r.manifest"
                           " ORDER BY r.id",
    [SQL_ANCHOR_GET_CLASS] = "SELECT class_id, vendor, model FROM anchors"
                             " WHERE purpose = ?1 AND der = ?2",
    [SQL_ANCHOR_PUT] = "INSERT INTO anchors(purpose, der, class_id, vendor, model)"
                       " VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_ANCHOR_DELETE] = "DELETE FROM anchors WHERE id = ?1 RETURNING id",
    [SQL_ANCHOR_LIST] = "SELECT id, purpose, der, class_id, vendor, model FROM anchors"
                        " ORDER BY id",
    [SQL_ANCHOR_OF_PURPOSE] = "SELECT der FROM anchors WHERE purpose = ?1 ORDER BY id",
    [SQL_CRL_FIND] = "SELECT id, this_update, der FROM crls"
                     " WHERE issuer = ?1 AND key_id = ?2 AND scope = ?3",
    [SQL_CRL_PUT] = "INSERT INTO crls(issuer, key_id, scope, this_update, next_update, der)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
                    " ON CONFLICT(issuer, key_id, scope) DO UPDATE SET"
                    " this_update = ?4, next_update = ?5, der = ?6",
    [SQL_CRL_DELETE] = "DELETE FROM crls WHERE id = ?1 RETURNING id",
    [SQL_CRL_LIST] = "SELECT id, issuer, this_update, next_update, der FROM crls ORDER BY id",
    [SQL_HAS_TRUST] = "SELECT EXISTS(SELECT 1 FROM attest_keys)"
                      " OR EXISTS(SELECT 1 FROM anchors WHERE purpose = ?1)",
};

enum atls_code store_sql_error(struct atls_store *s, int rc, const char *doing,
                               struct atls_err *err)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return atls_fail(err, ATLS_E_IO, "store: %s: locked by another process, gave up waiting",
                         doing);
    case SQLITE_NOTADB:
        return atls_fail(err, ATLS_E_CONFIG, "store: the file is not a store");
    case SQLITE_READONLY:
        return atls_fail(err, ATLS_E_CONFIG, "store: %s: opened to be read only", doing);
    case SQLITE_TOOBIG:
        return atls_fail(err, ATLS_E_LIMIT, "store: %s: larger than the database takes", doing);
    default:
        return atls_fail(err, ATLS_E_IO, "store: %s: %s", doing,
                         s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    }
}

enum atls_code store_query(struct atls_store *s, enum store_sql which, struct store_query *out,
                           struct atls_err *err)
{
    int rc = SQLITE_OK;

    if (s->statements[which] == NULL)
        rc = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                &s->statements[which], NULL);
    if (rc != SQLITE_OK)
        return store_sql_error(s, rc, "preparing a statement", err);
    out->store = s;
    out->statement = s->statements[which];
    out->rc = SQLITE_OK;
    return ATLS_OK;
}

static void keep(struct store_query *q, int rc)
{
    if (q->rc == SQLITE_OK)
        q->rc = rc;
}

/* Bound memory is the caller's and outlives the query: nothing is copied. */
void store_bind_bytes(struct store_query *q, int at, struct atls_bytes bytes)
{
    keep(q, bytes.len == 0
                ? sqlite3_bind_zeroblob(q->statement, at, 0)
                : sqlite3_bind_blob64(q->statement, at, bytes.ptr, bytes.len, SQLITE_STATIC));
}

void store_bind_text(struct store_query *q, int at, struct atls_bytes text)
{
    keep(q, sqlite3_bind_text64(q->statement, at, text.len == 0 ? "" : (const char *)text.ptr,
                                text.len, SQLITE_STATIC, SQLITE_UTF8));
}

void store_bind_int(struct store_query *q, int at, int64_t v)
{
    keep(q, sqlite3_bind_int64(q->statement, at, v));
}

void store_bind_null(struct store_query *q, int at)
{
    keep(q, sqlite3_bind_null(q->statement, at));
}

enum atls_code store_step(struct store_query *q, bool *out_row, struct atls_err *err)
{
    enum atls_code code;
    int rc = q->rc;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(q->statement);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        *out_row = rc == SQLITE_ROW;
        return ATLS_OK;
    }
    code = store_sql_error(q->store, rc, "database", err);
    store_end(q);
    return code;
}

enum atls_code store_run(struct store_query *q, struct atls_err *err)
{
    enum atls_code code;
    bool row;

    if ((code = store_step(q, &row, err)) == ATLS_OK)
        store_end(q);
    return code;
}

void store_end(struct store_query *q)
{
    /* Reset repeats the error of the step, which was reported already. */
    (void)sqlite3_reset(q->statement);
    (void)sqlite3_clear_bindings(q->statement);
}

struct atls_bytes store_column(const struct store_query *q, int at)
{
    const void *p = sqlite3_column_blob(q->statement, at);
    int len = sqlite3_column_bytes(q->statement, at);

    return p == NULL || len <= 0 ? atls_bytes_of("", 0) : atls_bytes_of(p, (size_t)len);
}

int64_t store_column_int(const struct store_query *q, int at)
{
    return sqlite3_column_int64(q->statement, at);
}

bool store_column_is_null(const struct store_query *q, int at)
{
    return sqlite3_column_type(q->statement, at) == SQLITE_NULL;
}

static enum atls_code run_plain(struct atls_store *s, enum store_sql which, struct atls_err *err)
{
    struct store_query q = {0};
    enum atls_code code;

    if ((code = store_query(s, which, &q, err)) != ATLS_OK)
        return code;
    return store_run(&q, err);
}

enum atls_code store_begin(struct atls_store *s, struct atls_err *err)
{
    if (!s->writable)
        return atls_fail(err, ATLS_E_CONFIG, "store: opened to be read only");
    return run_plain(s, SQL_BEGIN, err);
}

enum atls_code store_finish(struct atls_store *s, enum atls_code code, struct atls_err *err)
{
    if (code == ATLS_OK)
        code = run_plain(s, SQL_COMMIT, err);
    /* A failed commit may leave the transaction open, a failed statement may have ended it. */
    if (code != ATLS_OK && sqlite3_get_autocommit(s->db) == 0)
        (void)!run_plain(s, SQL_ROLLBACK, NULL);
    store_cache_drop(s->cache);
    return code;
}

void store_set_busy_timeout(struct atls_store *s, int ms)
{
    sqlite3_busy_timeout(s->db, ms);
}

void store_lock(struct atls_store *s)
{
    pthread_mutex_lock(&s->lock);
}

void store_unlock(struct atls_store *s)
{
    pthread_mutex_unlock(&s->lock);
}
