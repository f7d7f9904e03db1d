#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "store/db.h"

#define BUSY_TIMEOUT_MS 5000

/* "ATLS": tells our files from other databases (PRAGMA application_id). */
#define APPLICATION_ID 0x41544c53

/* migrations[n] brings a store of version n to version n + 1 (PRAGMA user_version), inside one
 * transaction. Never change one that was released: append.
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
    " instance BLOB NOT NULL,"                                      /* UEID */
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
};
#define STORE_VERSION ((int64_t)(sizeof migrations / sizeof migrations[0]))

static enum atls_code run_text(struct atls_store *s, const char *text, const char *doing,
                               struct atls_err *err)
{
    int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? ATLS_OK : store_sql_error(s, rc, doing, err);
}

static enum atls_code read_number(struct atls_store *s, const char *pragma, int64_t *out,
                                  struct atls_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum atls_code code = ATLS_OK;
    int rc;

    if ((rc = sqlite3_prepare_v2(s->db, pragma, -1, &statement, NULL)) == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else
        code = store_sql_error(s, rc, "reading the header", err);
    sqlite3_finalize(statement);
    return code;
}

/* Brings the schema to our version, from what it is once nobody else can write. */
static enum atls_code migrate(struct atls_store *s, struct atls_err *err)
{
    enum atls_code code;
    int64_t version;

    if ((code = store_begin(s, err)) != ATLS_OK)
        return code;
    code = read_number(s, "PRAGMA user_version", &version, err);
    for (; code == ATLS_OK && version < STORE_VERSION; version++)
        code = run_text(s, migrations[version], "bringing the schema up to date", err);
    return store_finish(s, code, err);
}

static enum atls_code check_version(struct atls_store *s, struct atls_err *err)
{
    int64_t application, version;
    enum atls_code code;

    if ((code = read_number(s, "PRAGMA application_id", &application, err)) != ATLS_OK ||
        (code = read_number(s, "PRAGMA user_version", &version, err)) != ATLS_OK)
        return code;
    if (application != APPLICATION_ID)
        return atls_fail(err, ATLS_E_CONFIG, "store: the file is not a store");
    if (version < 0 || version > STORE_VERSION)
        return atls_fail(err, ATLS_E_CONFIG,
                         "store: version %lld is newer than version %lld that this program knows",
                         (long long)version, (long long)STORE_VERSION);
    if (version == STORE_VERSION)
        return ATLS_OK;
    if (!s->writable)
        return atls_fail(err, ATLS_E_CONFIG,
                         "store: version %lld is older than %lld: open it for writing once",
                         (long long)version, (long long)STORE_VERSION);
    return migrate(s, err);
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

static enum atls_code open_database(struct atls_store *s, const char *path,
                                    enum atls_store_mode mode, struct atls_err *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE |
                (mode == ATLS_STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    char *plain = plain_path(path);
    int rc;

    if (plain == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    rc = sqlite3_open_v2(plain, &s->db, flags, NULL);
    free(plain);
    if (rc != SQLITE_OK)
        return store_sql_error(s, rc, "opening", err);
    sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
    /* The file may come from elsewhere: its schema gets no say in what runs. */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    return run_text(s, "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL;", "opening", err);
}

static enum atls_code set_up(struct atls_store *s, const char *path, enum atls_store_mode mode,
                             struct atls_err *err)
{
    enum atls_code code;

    if ((code = store_cache_new(&s->cache, err)) != ATLS_OK ||
        (code = open_database(s, path, mode, err)) != ATLS_OK)
        return code;
    if (mode != ATLS_STORE_CREATE)
        return check_version(s, err);
    if ((code = run_text(s, "PRAGMA journal_mode = WAL", "creating", err)) != ATLS_OK)
        return code;
    return migrate(s, err);
}

enum atls_code atls_store_open(const char *path, enum atls_store_mode mode, struct atls_store **out,
                               struct atls_err *err)
{
    struct atls_store *s;
    enum atls_code code;

    if (path == NULL || path[0] == '\0' || mode < ATLS_STORE_READ || mode > ATLS_STORE_CREATE)
        return atls_fail(err, ATLS_E_USAGE, "store: no path, or no such mode");
    code = mode == ATLS_STORE_CREATE ? create_file(path, err) : check_file(path, err);
    if (code != ATLS_OK)
        return code;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "store: out of memory");
    pthread_mutex_init(&s->lock, NULL);
    s->writable = mode != ATLS_STORE_READ;
    s->now.store = s;
    if ((code = set_up(s, path, mode, err)) != ATLS_OK) {
        atls_store_close(s);
        if (mode == ATLS_STORE_CREATE)
            (void)!unlink(path);
        return code;
    }
    *out = s;
    return ATLS_OK;
}

void atls_store_close(struct atls_store *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    store_cache_free(s->cache);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- removal ---- */

static enum atls_code delete_row(struct atls_store *s, enum store_sql which, int64_t id,
                                 const char *what, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_query(s, which, &q, err)) != ATLS_OK)
        return code;
    store_bind_int(&q, 1, id);
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    store_end(&q);
    return row ? ATLS_OK
               : atls_fail(err, ATLS_E_NOT_FOUND, "store: there is no %s:%lld", what,
                           (long long)id);
}

static enum atls_code remove_anchor(struct atls_store *s, int64_t id, struct atls_err *err)
{
    return delete_row(s, SQL_ANCHOR_DELETE, id, "anchor", err);
}

static enum atls_code remove_crl(struct atls_store *s, int64_t id, struct atls_err *err)
{
    return delete_row(s, SQL_CRL_DELETE, id, "crl", err);
}

/* A key that a manifest brought would be back with the next import of it. */
static enum atls_code remove_key(struct atls_store *s, int64_t id, struct atls_err *err)
{
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_query(s, SQL_KEY_IS_OF_MANIFEST, &q, err)) != ATLS_OK)
        return code;
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
    return row ? code : delete_row(s, SQL_KEY_DELETE, id, "attest-key", err);
}

static enum atls_code remove_manifest(struct atls_store *s, const char *name, struct atls_err *err)
{
    char escaped[128];
    struct store_query q;
    enum atls_code code;
    bool row;

    if ((code = store_query(s, SQL_MANIFEST_DELETE, &q, err)) != ATLS_OK)
        return code;
    store_bind_text(&q, 1, atls_bytes_of(name, strlen(name)));
    if ((code = store_step(&q, &row, err)) != ATLS_OK)
        return code;
    store_end(&q);
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

static enum atls_code remove_what(struct atls_store *s, const char *what, struct atls_err *err)
{
    static const struct {
        const char *prefix;
        enum atls_code (*remove)(struct atls_store *s, int64_t id, struct atls_err *err);
    } kinds[] = {{"anchor:", remove_anchor}, {"attest-key:", remove_key}, {"crl:", remove_crl}};
    const char *rest = after(what, "manifest:");
    int64_t id;

    if (rest != NULL)
        return remove_manifest(s, rest, err);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if ((rest = after(what, kinds[i].prefix)) != NULL && get_id(rest, &id))
            return kinds[i].remove(s, id, err);
    return atls_fail(err, ATLS_E_USAGE,
                     "store: what to remove is anchor:NUMBER, attest-key:NUMBER, crl:NUMBER or "
                     "manifest:ID");
}

enum atls_code atls_store_remove(struct atls_store *s, const char *what, struct atls_err *err)
{
    enum atls_code code;

    store_lock(s);
    if ((code = store_begin(s, err)) == ATLS_OK)
        code = store_finish(s, remove_what(s, what, err), err);
    store_unlock(s);
    return code;
}
