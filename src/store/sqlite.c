/* The store in one SQLite file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "core/err.h"
#include "store/db.h"

/* "ATLS": tells our files from other databases (PRAGMA application_id). */
#define APPLICATION_ID 0x41544c53

/* migrations[n] brings a store of version n to version n + 1 (PRAGMA user_version), inside one
 * transaction. Never change one that was released: append, there and in postgres.c.
 *
 * A class-id is an encoded CBOR item, empty for none. Times are seconds since 1970, NULL without
 * limit. */
static const char *const migrations[] = {
    "CREATE TABLE manifests("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE," /* id of the CoRIM, escaped */
    " digest BLOB NOT NULL,"      /* SHA-256 of blob */
    " profile TEXT NOT NULL,"     /* escaped, '' for none */
    " not_before INTEGER,"
    " not_after INTEGER,"
    " signer BLOB,"       /* SubjectPublicKeyInfo that it verified under, NULL: unsigned */
    " blob BLOB NOT NULL" /* as imported */
    ") STRICT;"
    "CREATE TABLE attest_keys("
    " id INTEGER PRIMARY KEY,"
    " manifest INTEGER REFERENCES manifests(id) ON DELETE CASCADE," /* NULL: enrolled on its own */
    " instance BLOB NOT NULL,"                                      /* UEID, or 16 bytes: UUID */
    " spki BLOB NOT NULL,"
    " public_area BLOB NOT NULL," /* TPMT_PUBLIC, or empty */
    " class_id BLOB NOT NULL,"
    " vendor TEXT NOT NULL,"
    " model TEXT NOT NULL,"
    " label TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX attest_keys_by_instance ON attest_keys(instance);"
    "CREATE INDEX attest_keys_by_manifest ON attest_keys(manifest);"
    "CREATE TABLE reference_triples("
    " id INTEGER PRIMARY KEY,"
    " manifest INTEGER NOT NULL REFERENCES manifests(id) ON DELETE CASCADE,"
    " class_id BLOB NOT NULL,"
    " environment BLOB NOT NULL," /* encoded environment-map */
    " measurements BLOB NOT NULL" /* encoded list of measurement-maps */
    ") STRICT;"
    "CREATE INDEX reference_triples_by_class ON reference_triples(class_id);"
    "CREATE INDEX reference_triples_by_manifest ON reference_triples(manifest);"
    "CREATE TABLE anchors("
    " id INTEGER PRIMARY KEY,"
    " purpose INTEGER NOT NULL," /* enum atls_anchor_purpose */
    " der BLOB NOT NULL,"
    " class_id BLOB NOT NULL,"
    " UNIQUE(purpose, der)"
    ") STRICT;"
    "PRAGMA application_id = 1096043603;"
    "PRAGMA user_version = 1;",
    /* One list of a kind: a newer one takes its place. */
    "CREATE TABLE crls("
    " id INTEGER PRIMARY KEY,"
    " issuer BLOB NOT NULL," /* Name, DER */
    " key_id BLOB NOT NULL," /* of the authorityKeyIdentifier, or empty */
    " scope BLOB NOT NULL,"  /* issuingDistributionPoint, or empty */
    " this_update INTEGER NOT NULL,"
    " next_update INTEGER NOT NULL,"
    " der BLOB NOT NULL,"
    " UNIQUE(issuer, key_id, scope)"
    ") STRICT;"
    "PRAGMA user_version = 2;",
    /* What the class is, as references may say it: '' for not said. */
    "ALTER TABLE anchors ADD COLUMN vendor TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE anchors ADD COLUMN model TEXT NOT NULL DEFAULT '';"
    "PRAGMA user_version = 3;",
    /* Triples that add claims, identity keys, and the keys that sign results. */
    "ALTER TABLE attest_keys ADD COLUMN kind INTEGER NOT NULL DEFAULT 3;" /* of the triple: 2, 3 */
    "CREATE TABLE endorsement_triples("
    " id INTEGER PRIMARY KEY,"
    " manifest INTEGER NOT NULL REFERENCES manifests(id) ON DELETE CASCADE,"
    " kind INTEGER NOT NULL,"  /* enum atls_comid_triple: 1, 8, 10 */
    " class_id BLOB NOT NULL," /* of the environment, or of one condition: a row each */
    " item BLOB NOT NULL"      /* the record, encoded */
    ") STRICT;"
    "CREATE INDEX endorsement_triples_by_class ON endorsement_triples(class_id);"
    "CREATE INDEX endorsement_triples_by_manifest ON endorsement_triples(manifest);"
    "CREATE TABLE signing_keys("
    " id INTEGER PRIMARY KEY,"
    " kid TEXT NOT NULL UNIQUE," /* JWK thumbprint */
    " use_from INTEGER NOT NULL,"
    " private_key BLOB NOT NULL" /* PEM */
    ") STRICT;"
    "PRAGMA user_version = 4;",
    /* Makers of confidential-computing hardware: anchors that manifests bring, and the documents
     * that makers publish, one of a kind and subject. */
    "CREATE TABLE manifest_anchors("
    " id INTEGER PRIMARY KEY,"
    " manifest INTEGER NOT NULL REFERENCES manifests(id) ON DELETE CASCADE,"
    " der BLOB NOT NULL,"
    " class_id BLOB NOT NULL,"
    " vendor TEXT NOT NULL,"
    " model TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX manifest_anchors_by_der ON manifest_anchors(der);"
    "CREATE INDEX manifest_anchors_by_manifest ON manifest_anchors(manifest);"
    "CREATE TABLE collateral("
    " id INTEGER PRIMARY KEY,"
    " kind TEXT NOT NULL," /* name of its row in evidence/collateral.c */
    " subject TEXT NOT NULL,"
    " fetched INTEGER NOT NULL,"
    " not_before INTEGER," /* as the document says: issue date, this update */
    " not_after INTEGER,"
    " document BLOB NOT NULL,"
    " UNIQUE(kind, subject)"
    ") STRICT;"
    "PRAGMA user_version = 5;",
    /* Name of a row of atls_technologies; what is on file gets it from technology.c. */
    "ALTER TABLE attest_keys"
    " ADD COLUMN technology TEXT NOT NULL DEFAULT '';"
    "PRAGMA user_version = 6;",
};
_Static_assert(sizeof migrations / sizeof migrations[0] == STORE_VERSION, "a migration a version");

struct connection {
    struct store_connection base;
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
};

/* A connection that never writes, whose data_version tells what any other has committed. */
struct watch {
    pthread_mutex_t lock;
    struct store_connection *connection;
    int64_t version;
};

static struct connection *of(struct store_connection *c)
{
    return (struct connection *)c;
}

/* What SQLite does not call a full disk: a quota, a limit of the process, and shared memory. */
static bool is_no_room(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG;
}

static enum atls_code sql_error(const struct connection *c, int rc, const char *doing,
                                struct atls_err *err)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return atls_fail(err, ATLS_E_UNAVAILABLE,
                         "store: %s: locked by another process, gave up waiting", doing);
    case SQLITE_FULL:
        return atls_fail(err, ATLS_E_UNAVAILABLE, "store: %s: no room left on the disk", doing);
    case SQLITE_IOERR:
        if (c->db != NULL && is_no_room(sqlite3_system_errno(c->db)))
            return atls_fail(err, ATLS_E_UNAVAILABLE, "store: %s: no room left for the file",
                             doing);
        break;
    case SQLITE_NOTADB:
        return atls_fail(err, ATLS_E_CONFIG, "store: the file is not a store");
    case SQLITE_READONLY:
        return atls_fail(err, ATLS_E_CONFIG, "store: %s: opened to be read only", doing);
    case SQLITE_TOOBIG:
        return atls_fail(err, ATLS_E_LIMIT, "store: %s: larger than the database takes", doing);
    default:
        break;
    }
    return atls_fail(err, ATLS_E_IO, "store: %s: %s", doing,
                     c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
}

static enum atls_code run_text(struct store_connection *base, const char *text, const char *doing,
                               struct atls_err *err)
{
    struct connection *c = of(base);
    int rc = sqlite3_exec(c->db, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? ATLS_OK : sql_error(c, rc, doing, err);
}

/* ---- connections ---- */

static void disconnect(struct store_connection *base)
{
    struct connection *c = of(base);

    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(c->statements[i]);
    sqlite3_close(c->db);
    free(c);
}

/* SQLite reads "file:" and ":memory:" as something else than a path. */
static char *plain_path(const char *path)
{
    size_t len = strlen(path);
    char *out = malloc(len + 3);

    if (out == NULL)
        return NULL;
    memcpy(out, "./", 2);
    memcpy(out + (path[0] == '/' ? 0 : 2), path, len + 1);
    return out;
}

static enum atls_code open_database(struct atls_store *s, struct connection *c,
                                    struct atls_err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE |
                (s->writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    char *plain = plain_path(s->location);
    int rc;

    if (plain == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    rc = sqlite3_open_v2(plain, &c->db, flags, NULL);
    free(plain);
    if (rc != SQLITE_OK)
        return sql_error(c, rc, "opening", err);
    sqlite3_busy_timeout(c->db, (int)s->busy_timeout_ms);
    /* The file may come from elsewhere: its schema gets no say in what runs. */
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    return run_text(&c->base,
                    "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL;"
                    "PRAGMA secure_delete = ON;",
                    "opening", err);
}

static enum atls_code connect_file(struct atls_store *s, struct store_connection **out,
                                   struct atls_err *err)
{
    struct connection *c = calloc(1, sizeof *c);
    enum atls_code code;

    if (c == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    c->base.store = s;
    if ((code = open_database(s, c, err)) != ATLS_OK) {
        disconnect(&c->base);
        return code;
    }
    *out = &c->base;
    return ATLS_OK;
}

static bool is_alive(struct store_connection *c)
{
    (void)c;
    return true;
}

/* ---- statements ---- */

/* A view of no bytes is an empty value, not NULL. */
static int bind_value(sqlite3_stmt *statement, int at, const struct store_value *v)
{
    const char *text = v->bytes.len == 0 ? "" : (const char *)v->bytes.ptr;

    switch (v->kind) {
    case STORE_VALUE_INT:
        return sqlite3_bind_int64(statement, at, v->number);
    case STORE_VALUE_BYTES:
        return sqlite3_bind_blob64(statement, at, text, v->bytes.len, SQLITE_STATIC);
    case STORE_VALUE_TEXT:
        return sqlite3_bind_text64(statement, at, text, v->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    case STORE_VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(statement, at);
}

static enum atls_code start(struct store_query *q, struct atls_err *err)
{
    struct connection *c = of(q->connection);
    sqlite3_stmt **statement = &c->statements[q->which];
    int rc = SQLITE_OK, count;

    if (*statement == NULL)
        rc = sqlite3_prepare_v3(c->db, store_statements[q->which].sqlite, -1,
                                SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (rc != SQLITE_OK)
        return sql_error(c, rc, "preparing a statement", err);
    q->rows = *statement;
    count = sqlite3_bind_parameter_count(*statement);
    for (int i = 1; i <= count && rc == SQLITE_OK; i++)
        rc = bind_value(*statement, i, &q->values[i - 1]);
    return rc == SQLITE_OK ? ATLS_OK : sql_error(c, rc, "database", err);
}

static enum atls_code step(struct store_query *q, bool *out_row, struct atls_err *err)
{
    int rc = sqlite3_step(q->rows);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sql_error(of(q->connection), rc, "database", err);
    *out_row = rc == SQLITE_ROW;
    return ATLS_OK;
}

static void end(struct store_query *q)
{
    if (q->rows == NULL)
        return;
    /* Reset repeats the error of the step, which was reported already. */
    (void)sqlite3_reset(q->rows);
    (void)sqlite3_clear_bindings(q->rows);
}

static struct atls_bytes column(const struct store_query *q, int at)
{
    const void *p = sqlite3_column_blob(q->rows, at);
    int len = sqlite3_column_bytes(q->rows, at);

    return p == NULL || len <= 0 ? atls_bytes_of("", 0) : atls_bytes_of(p, (size_t)len);
}

static int64_t column_int(const struct store_query *q, int at)
{
    return sqlite3_column_int64(q->rows, at);
}

static bool column_is_null(const struct store_query *q, int at)
{
    return sqlite3_column_type(q->rows, at) == SQLITE_NULL;
}

/* ---- transactions ---- */

static enum atls_code begin(struct store_connection *c, enum store_access access,
                            struct atls_err *err)
{
    return run_text(c, access == STORE_ACCESS_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", "database", err);
}

static enum atls_code commit(struct store_connection *c, enum store_access access,
                             struct atls_err *err)
{
    (void)access;
    return run_text(c, "COMMIT", "database", err);
}

/* A failed commit may leave the transaction open, a failed statement may have ended it. */
static void roll_back(struct store_connection *c)
{
    if (sqlite3_get_autocommit(of(c)->db) == 0)
        (void)!run_text(c, "ROLLBACK", "database", NULL);
}

static enum atls_code refresh(struct atls_store *s, bool ask, struct atls_err *err)
{
    struct watch *w = s->watch;
    struct store_query q = store_query(w->connection, SQL_CHANGE);
    enum atls_code code;
    int64_t version;
    bool row;

    (void)ask; /* asking costs no more than a look at shared memory */
    pthread_mutex_lock(&w->lock);
    if ((code = store_step(&q, &row, err)) == ATLS_OK) {
        version = store_column_int(&q, 0);
        store_end(&q);
        if (version != w->version)
            store_changed(s);
        w->version = version;
    }
    pthread_mutex_unlock(&w->lock);
    return code;
}

/* ---- opening ---- */

static enum atls_code read_number(struct store_connection *c, const char *pragma, int64_t *out,
                                  struct atls_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum atls_code code = ATLS_OK;
    int rc;

    if ((rc = sqlite3_prepare_v2(of(c)->db, pragma, -1, &statement, NULL)) == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else
        code = sql_error(of(c), rc, "reading the header", err);
    sqlite3_finalize(statement);
    return code;
}

/* From what the schema is once nobody else can write. */
static enum atls_code migrate_from(struct store_connection *c, struct atls_err *err)
{
    enum atls_code code;
    int64_t version, before;

    if ((code = read_number(c, "PRAGMA user_version", &before, err)) != ATLS_OK)
        return code;
    for (version = before; code == ATLS_OK && version < STORE_VERSION; version++)
        code = run_text(c, migrations[version], "bringing the schema up to date", err);
    return code == ATLS_OK && before != 0 ? store_bring_up_to_date(c, before, err) : code;
}

static enum atls_code migrate(struct atls_store *s, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_begin(s, STORE_ACCESS_WRITE, &c, err)) != ATLS_OK)
        return code;
    return store_finish(c, STORE_ACCESS_WRITE, migrate_from(c, err), err);
}

/* *out_old: it must be brought up to date. */
static enum atls_code check_version(struct store_connection *c, bool *out_old, struct atls_err *err)
{
    int64_t application, version;
    enum atls_code code;

    if ((code = read_number(c, "PRAGMA application_id", &application, err)) != ATLS_OK ||
        (code = read_number(c, "PRAGMA user_version", &version, err)) != ATLS_OK)
        return code;
    if (application != APPLICATION_ID)
        return atls_fail(err, ATLS_E_CONFIG, "store: the file is not a store");
    *out_old = version != STORE_VERSION;
    return store_check_version(version, c->store->writable, err);
}

/* The file exists as its mode wants, and nobody else may write trust into it. */
static enum atls_code check_file(const char *path, struct atls_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0 && errno == ENOENT)
        return atls_fail(err, ATLS_E_CONFIG, "store %s: there is none (atls store init makes one)",
                         path);
    if (stat(path, &st) != 0)
        return atls_fail_errno(err, errno, "store %s", path);
    if (!S_ISREG(st.st_mode))
        return atls_fail(err, ATLS_E_CONFIG, "store %s: not a file", path);
    if ((st.st_mode & S_IWOTH) != 0)
        return atls_fail(err, ATLS_E_CONFIG, "store %s: everybody may write to it (chmod o-w)",
                         path);
    return ATLS_OK;
}

static enum atls_code create_file(const char *path, struct atls_err *err)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0 && errno == EEXIST)
        return atls_fail(err, ATLS_E_CONFIG, "store %s: exists already", path);
    if (fd < 0)
        return atls_fail_errno(err, errno, "store %s: cannot be created", path);
    close(fd);
    return ATLS_OK;
}

static enum atls_code may_hold_secrets(struct store_connection *c, struct atls_err *err)
{
    const char *path = c->store->location;
    struct stat st;

    if (stat(path, &st) != 0)
        return atls_fail_errno(err, errno, "store %s", path);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return atls_fail(err, ATLS_E_CONFIG,
                         "store %s: holds private keys, and others than its owner have access "
                         "(chmod 600)",
                         path);
    return ATLS_OK;
}

static enum atls_code check_content(struct atls_store *s, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;
    bool is_old = false;

    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    code = check_version(c, &is_old, err);
    store_give_back(c);
    if (code == ATLS_OK && is_old)
        code = migrate(s, err);
    if (code != ATLS_OK || (code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    code = store_check_secrets(c, err);
    store_give_back(c);
    return code;
}

static enum atls_code create_content(struct atls_store *s, struct atls_err *err)
{
    struct store_connection *c;
    enum atls_code code;

    if ((code = store_borrow(s, &c, err)) != ATLS_OK)
        return code;
    code = run_text(c, "PRAGMA journal_mode = WAL", "creating", err);
    store_give_back(c);
    return code == ATLS_OK ? migrate(s, err) : code;
}

static enum atls_code start_watch(struct atls_store *s, struct atls_err *err)
{
    struct watch *w = calloc(1, sizeof *w);
    enum atls_code code;

    if (w == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    if ((code = connect_file(s, &w->connection, err)) != ATLS_OK) {
        free(w);
        return code;
    }
    pthread_mutex_init(&w->lock, NULL);
    s->watch = w;
    return ATLS_OK;
}

static enum atls_code set_up(struct atls_store *s, enum atls_store_mode mode, struct atls_err *err)
{
    enum atls_code code;

    s->connections_max = 1;
    code = mode == ATLS_STORE_CREATE ? create_file(s->location, err) : check_file(s->location, err);
    if (code != ATLS_OK)
        return code;
    code = mode == ATLS_STORE_CREATE ? create_content(s, err) : check_content(s, err);
    if (code == ATLS_OK &&
        (code = store_memory_sessions_new(s->sessions_max, &s->sessions, err)) == ATLS_OK)
        code = start_watch(s, err);
    if (code != ATLS_OK && mode == ATLS_STORE_CREATE) {
        store_drop_idle(s);
        (void)!unlink(s->location);
    }
    return code;
}

static void tear_down(struct atls_store *s)
{
    struct watch *w = s->watch;

    store_memory_sessions_free(s->sessions);
    if (w == NULL)
        return;
    disconnect(w->connection);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

const struct store_backend store_sqlite = {
    .set_up = set_up,
    .tear_down = tear_down,
    .connect = connect_file,
    .disconnect = disconnect,
    .is_alive = is_alive,
    .run_text = run_text,
    .start = start,
    .step = step,
    .end = end,
    .column = column,
    .column_int = column_int,
    .column_is_null = column_is_null,
    .begin = begin,
    .commit = commit,
    .roll_back = roll_back,
    .refresh = refresh,
    .may_hold_secrets = may_hold_secrets,
};
