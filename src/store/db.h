/* The database under a store: connections, statements, transactions, errors.
 *
 * Two engines keep one set of tables: SQLite (sqlite.c) and PostgreSQL (postgres.c), behind struct
 * store_backend. What runs SQL borrows a connection of the store and gives it back:
 *
 *     store_borrow(s, &c, err);
 *     store_query(c, SQL_KEY_FIND, &q);
 *     store_bind_bytes(&q, 1, instance);
 *     while ((code = store_step(&q, &row, err)) == ATLS_OK && row) ...
 *     store_end(&q);
 *     store_give_back(c);
 */
#ifndef ATLS_STORE_DB_H
#define ATLS_STORE_DB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "wire/corim_profile.h"

/* Every statement there is: prepared once a connection, when first used. The text is in sql.c. */
enum store_sql {
    SQL_VERSION,
    SQL_CHANGE,
    SQL_SAVEPOINT,
    SQL_SAVEPOINT_RELEASE,
    SQL_SAVEPOINT_ROLLBACK,
    SQL_MANIFEST_PUT,
    SQL_MANIFEST_DELETE,
    SQL_MANIFEST_DIGEST,
    SQL_MANIFEST_LIST,
    SQL_KEY_CONFLICT,
    SQL_KEY_PUT,
    SQL_KEY_SAME,
    SQL_KEY_REPLACE,
    SQL_KEY_FIND,
    SQL_KEY_DELETE,
    SQL_KEY_IS_OF_MANIFEST,
    SQL_KEY_DELETE_OF_MANIFEST,
    SQL_KEY_LIST,
    SQL_KEY_SET_TECHNOLOGY,
    SQL_REFERENCE_PUT,
    SQL_REFERENCE_FIND,
    SQL_REFERENCE_DELETE_OF_MANIFEST,
    SQL_REFERENCE_LIST,
    SQL_ENDORSEMENT_PUT,
    SQL_ENDORSEMENT_FIND,
    SQL_ENDORSEMENT_DELETE_OF_MANIFEST,
    SQL_ENDORSEMENT_LIST,
    SQL_ANCHOR_GET_CLASS,
    SQL_ANCHOR_CLASS,
    SQL_ANCHOR_PUT,
    SQL_ANCHOR_DELETE,
    SQL_ANCHOR_LIST,
    SQL_ANCHOR_OF_PURPOSE,
    SQL_TEE_ANCHORS,
    SQL_MANIFEST_ANCHOR_PUT,
    SQL_MANIFEST_ANCHOR_DELETE_OF_MANIFEST,
    SQL_MANIFEST_ANCHOR_LIST,
    SQL_COLLATERAL_FIND,
    SQL_COLLATERAL_PUT,
    SQL_COLLATERAL_DELETE,
    SQL_COLLATERAL_LIST,
    SQL_CRL_FIND,
    SQL_CRL_PUT,
    SQL_CRL_DELETE,
    SQL_CRL_LIST,
    SQL_SIGNING_KEY_PUT,
    SQL_SIGNING_KEY_FIND,
    SQL_SIGNING_KEY_DELETE,
    SQL_SIGNING_KEY_LIST,
    SQL_HAS_TRUST,
    SQL_SESSION_OPEN,
    SQL_SESSION_GET,
    SQL_SESSION_TAKE,
    SQL_SESSION_FINISH,
    SQL_SESSION_REMOVE,
    SQL_SESSION_SWEEP,
    SQL_COUNT,
};

/* NULL: the engine does without. Parameters are ?1, ?2, ... in either dialect. */
struct store_statement {
    const char *sqlite, *postgres;
};
extern const struct store_statement store_statements[SQL_COUNT];

/* Version of the tables, the same for both engines; docs/store.md. */
#define STORE_VERSION 6
/* Manifests that came into a store of a version below brought less than they would today. */
#define STORE_READ_AGAIN_BELOW 5
/* Keys in a store of a version below do not say what they were enrolled for. */
#define STORE_TECHNOLOGY_BELOW 6

struct store_connection {
    struct atls_store *store;
    struct store_connection *next; /* of those that nobody uses */
    bool broken;                   /* found lost: not to be used again */
};

#define STORE_PARAMETERS_MAX 10

enum store_value_kind {
    STORE_VALUE_NULL = 0,
    STORE_VALUE_INT,
    STORE_VALUE_BYTES,
    STORE_VALUE_TEXT
};
struct store_value {
    enum store_value_kind kind;
    int64_t number;
    struct atls_bytes bytes;
};

/* A statement in use: bind, step until there is no row, end. Columns borrow until the next step.
 * Several may be under way on one connection, of different statements. */
struct store_query {
    struct store_connection *connection;
    enum store_sql which;
    struct store_value values[STORE_PARAMETERS_MAX];
    bool started;
    void *rows; /* of the engine */
    int row;    /* of the engine */
};

enum store_access { STORE_ACCESS_READ, STORE_ACCESS_WRITE };

/* An engine. Errors of all of them: ATLS_E_UNAVAILABLE (cannot be reached, locked, disk full, out
 * of time: nothing has taken effect, but see commit), ATLS_E_NOMEM, ATLS_E_CONFIG (to be read only,
 * no such database, no permission), ATLS_E_LIMIT (too large), else ATLS_E_IO. */
struct store_backend {
    /* Makes the store, or checks its version and brings it up to date; s->location and the like
     * are set. What was made stays when it fails only if somebody else made it. */
    enum atls_code (*set_up)(struct atls_store *s, enum atls_store_mode mode, struct atls_err *err);
    /* Ends what set_up began; the pool is empty. */
    void (*tear_down)(struct atls_store *s);
    enum atls_code (*connect)(struct atls_store *s, struct store_connection **out,
                              struct atls_err *err);
    void (*disconnect)(struct store_connection *c);
    /* Whether a connection that nobody used for a while is still one; asks nobody. */
    bool (*is_alive)(struct store_connection *c);
    /* Runs SQL without parameters or rows; several statements. */
    enum atls_code (*run_text)(struct store_connection *c, const char *text, const char *doing,
                               struct atls_err *err);
    enum atls_code (*start)(struct store_query *q, struct atls_err *err);
    /* *out_row: a row is there. */
    enum atls_code (*step)(struct store_query *q, bool *out_row, struct atls_err *err);
    void (*end)(struct store_query *q);
    struct atls_bytes (*column)(const struct store_query *q, int at);
    int64_t (*column_int)(const struct store_query *q, int at);
    bool (*column_is_null)(const struct store_query *q, int at);
    /* WRITE: nobody else writes until finish. READ: what is read is of one moment. */
    enum atls_code (*begin)(struct store_connection *c, enum store_access access,
                            struct atls_err *err);
    /* A commit whose answer got lost is ATLS_E_UNAVAILABLE and may have taken effect. */
    enum atls_code (*commit)(struct store_connection *c, enum store_access access,
                             struct atls_err *err);
    void (*roll_back)(struct store_connection *c);
    /* Calls store_changed if somebody has changed the store since the last call, before any other
     * caller gets to know that nothing has changed since then. ask: now, else as far as is known
     * without asking, for at most STORE_STALE_MS. */
    enum atls_code (*refresh)(struct atls_store *s, bool ask, struct atls_err *err);
    /* Nobody but the owner has access. Errors: ATLS_E_CONFIG. */
    enum atls_code (*may_hold_secrets)(struct store_connection *c, struct atls_err *err);
};
extern const struct store_backend store_sqlite, store_postgres;
/* store.c: whether tables of a version may be used, perhaps after they are brought up to date. */
ATLS_MUST_CHECK enum atls_code store_check_version(int64_t version, bool writable,
                                                   struct atls_err *err);

/* How long a look-up may miss what another replica has committed when its notice got lost. */
#define STORE_STALE_MS 1000

struct store_cache;
struct store_memory_sessions;

struct atls_store {
    const struct store_backend *backend;
    char *location;
    char schema[64]; /* PostgreSQL */
    bool writable;
    uint32_t busy_timeout_ms, connections_max, sessions_max;

    pthread_mutex_t lock; /* of the pool */
    pthread_cond_t returned;
    struct store_connection *idle;
    uint32_t connections;

    void *watch; /* of the engine: what refresh() looks at */
    struct store_cache *cache;
    _Atomic uint64_t generation; /* of the content; grows when refresh() sees that it changed */
    struct store_memory_sessions *sessions; /* SQLite; NULL: in the database */
    struct atls_store_view now;             /* of atls_store_source */
};

/* A connection for one caller. Errors: ATLS_E_UNAVAILABLE (none in time), those of connect. */
ATLS_MUST_CHECK enum atls_code store_borrow(struct atls_store *s, struct store_connection **out,
                                            struct atls_err *err);
void store_give_back(struct store_connection *c); /* NULL is fine */
/* Ends every connection that nobody uses. */
void store_drop_idle(struct atls_store *s);

struct store_query store_query(struct store_connection *c, enum store_sql which);
/* Parameters count from 1; memory is the caller's and outlives the query. A view with .ptr NULL is
 * an empty blob, not NULL, which is what a parameter is that was not bound. */
void store_bind_bytes(struct store_query *q, int at, struct atls_bytes bytes);
void store_bind_text(struct store_query *q, int at, struct atls_bytes text);
void store_bind_int(struct store_query *q, int at, int64_t v);
/* *out_row: a row is there. On failure the query has ended. */
ATLS_MUST_CHECK enum atls_code store_step(struct store_query *q, bool *out_row,
                                          struct atls_err *err);
/* Runs a statement to its end. *out_row (may be NULL): there was a row. */
ATLS_MUST_CHECK enum atls_code store_run(struct store_query *q, bool *out_row,
                                         struct atls_err *err);
void store_end(struct store_query *q);
/* Every row of one of the lists, whose first column is the id; page by page. What row returns
 * beside ATLS_OK ends it. */
typedef enum atls_code store_row(void *arg, const struct store_query *q, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_each(struct store_connection *c, enum store_sql list,
                                          store_row *row_function, void *arg, struct atls_err *err);

/* Columns count from 0; a blob or text of length 0 has a valid .ptr. */
struct atls_bytes store_column(const struct store_query *q, int at);
int64_t store_column_int(const struct store_query *q, int at);
bool store_column_is_null(const struct store_query *q, int at);

/* Borrows a connection and begins; *out NULL on failure. Writing fails at once when the store is to
 * be read only. finish commits when code is ATLS_OK and rolls back otherwise, gives the connection
 * back and, after a write, drops the cache. Returns code, or why it could not be committed. */
ATLS_MUST_CHECK enum atls_code store_begin(struct atls_store *s, enum store_access access,
                                           struct store_connection **out, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_finish(struct store_connection *c, enum store_access access,
                                            enum atls_code code, struct atls_err *err);

/* ---- between the files of this folder ---- */

#define STORE_UUID_TEXT     37 /* with its NUL */
#define STORE_UUID_CLASS_ID 19 /* tag 37 and 16 bytes, encoded */
#define STORE_UEID_MIN      7  /* bytes of an instance */
#define STORE_UEID_MAX      33

/* lookup.c */
ATLS_MUST_CHECK enum atls_code store_cache_new(struct store_cache **out, struct atls_err *err);
void store_cache_drop(struct store_cache *c); /* forgets all; any thread */
void store_cache_free(struct store_cache *c); /* NULL is fine */
/* For refresh of an engine: somebody has changed the store. Drops the cache, and counts. */
void store_changed(struct atls_store *s);
/* Calls store_changed if somebody has changed the store; ask as in struct store_backend. */
ATLS_MUST_CHECK enum atls_code store_refresh(struct atls_store *s, bool ask, struct atls_err *err);

/* import_manifest.c: each within a transaction that the caller began. check_time false takes
 * manifests whatever their validity. */
struct store_manifest_import {
    struct atls_bytes corim;
    struct atls_bytes signer_spki;
    struct atls_anchors *anchors; /* NULL: none */
    const char *profile;          /* that it must have; NULL: any */
    bool legacy;                  /* also in the forms of older tools */
    bool check_time;
    int64_t time_s;
};
ATLS_MUST_CHECK enum atls_code store_put_manifest(struct store_connection *c,
                                                  const struct store_manifest_import *import,
                                                  struct atls_store_import_report *out,
                                                  struct atls_err *err);

/* anchor.c: likewise. */
struct store_anchor {
    enum atls_anchor_purpose purpose;
    struct atls_bytes der;
    struct atls_bytes class_id; /* encoded item, or empty */
    struct atls_bytes vendor, model;
};
/* What the options say beside certificates; class_bytes backs the class. Errors: ATLS_E_USAGE,
 * ATLS_E_CONFIG. */
ATLS_MUST_CHECK enum atls_code store_anchor_of(const struct atls_store_anchor_options *as,
                                               uint8_t class_bytes[STORE_UUID_CLASS_ID],
                                               struct store_anchor *out, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_put_anchor(struct store_connection *c,
                                                const struct store_anchor *anchor, bool *out_new,
                                                struct atls_err *err);
/* anchor_tee.c: within a transaction in which der, and what it may lead to, are on file. Errors:
 * ATLS_E_DECODE, ATLS_E_CERTIFICATE (key-usage, chain-issuer, chain-signature). */
ATLS_MUST_CHECK enum atls_code store_check_tee_anchor(struct store_connection *c,
                                                      struct atls_bytes der, struct atls_err *err);
/* A list that a root signs itself (of a line of SEV-SNP, of Intel's root) is signed by the one of
 * that name, where there is one: a forged list, issued later than any, would otherwise keep out all
 * that its maker issues. Errors: ATLS_E_CERTIFICATE (crl-signature), ATLS_E_IO, ATLS_E_NOMEM. */
struct store_collateral;
struct store_collateral_dates;
ATLS_MUST_CHECK enum atls_code store_check_list(struct store_connection *c,
                                                const struct store_collateral *list,
                                                const struct store_collateral_dates *dates,
                                                struct atls_err *err);
/* Brought by a manifest. */
ATLS_MUST_CHECK enum atls_code store_put_manifest_anchor(struct store_connection *c,
                                                         int64_t manifest,
                                                         const struct store_anchor *anchor,
                                                         struct atls_err *err);

/* import.c: likewise. */
ATLS_MUST_CHECK enum atls_code store_put_attest_key(struct store_connection *c,
                                                    const struct atls_store_attest_key *key,
                                                    struct atls_err *err);

/* A key as it goes into the table. */
struct store_key_row {
    int64_t manifest; /* 0: enrolled on its own */
    enum atls_comid_triple kind;
    struct atls_bytes instance, spki, public_area, class_id;
    struct atls_bytes vendor, model, label;
    const char *technology; /* static */
};
/* ATLS_E_CONFIG when the instance has another key, class or technology on file. */
ATLS_MUST_CHECK enum atls_code store_check_conflict(struct store_connection *c,
                                                    const struct store_key_row *row,
                                                    struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_put_key_row(struct store_connection *c,
                                                 const struct store_key_row *row,
                                                 struct atls_err *err);
/* Manifests that an older program imported bring now what it did not know. */
ATLS_MUST_CHECK enum atls_code store_read_manifests_again(struct store_connection *c,
                                                          struct atls_err *err);

/* technology.c: what keys are enrolled for (docs/store.md: technologies of keys). */
/* That of a manifest's scheme; NULL: none says it. Static. */
const char *store_technology_of_scheme(enum atls_corim_scheme scheme);
/* Of a key about which nobody said it: a key of the software attester has a shape of its own, and
 * must not pass for a TPM's. *out is static. Errors: ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code store_technology_unsaid(const struct store_key_row *row,
                                                       const char **out, struct atls_err *err);
/* Within the transaction that brings the tables of version before up to date: names the technology
 * of every key, by its manifest's profile or its shape, then reads manifests again where need be.
 * Errors: ATLS_E_UNAVAILABLE, ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code store_bring_up_to_date(struct store_connection *c, int64_t before,
                                                      struct atls_err *err);

/* signing.c: within a transaction. The KID is that of the key on file. Errors: those of
 * atls_store_add_signing_key. */
ATLS_MUST_CHECK enum atls_code store_put_signing_key(struct store_connection *c,
                                                     struct atls_bytes private_key_pem,
                                                     int64_t use_from_s, char kid[ATLS_KID_TEXT],
                                                     struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_remove_signing_key(struct store_connection *c, const char *kid,
                                                        struct atls_err *err);
/* A store with private keys in it is nobody else's to read. Errors: ATLS_E_CONFIG. */
ATLS_MUST_CHECK enum atls_code store_check_secrets(struct store_connection *c,
                                                   struct atls_err *err);

/* sessions.c */
ATLS_MUST_CHECK enum atls_code store_memory_sessions_new(size_t sessions_max,
                                                         struct store_memory_sessions **out,
                                                         struct atls_err *err);
void store_memory_sessions_free(struct store_memory_sessions *m); /* NULL is fine */

/* crl.c: within a transaction. *out_new: it was not on file. Errors: those of
 * atls_store_import_crls. */
ATLS_MUST_CHECK enum atls_code store_put_crl(struct store_connection *c, struct atls_bytes der,
                                             bool *out_new, struct atls_err *err);
/* Every list on file; those of issuers that a path does not have are not looked at. */
ATLS_MUST_CHECK enum atls_code store_add_crls(struct store_connection *c,
                                              struct atls_anchors *anchors, struct atls_err *err);

/* collateral.c: within a transaction. */
struct store_collateral {
    struct atls_collateral_query query;
    struct atls_bytes document;
    int64_t fetched_s;
};
/* Takes the place of what is on file unless that is newer by its own dates. Errors: those of
 * atls_store_import_collateral. */
ATLS_MUST_CHECK enum atls_code store_put_collateral(struct store_connection *c,
                                                    const struct store_collateral *collateral,
                                                    enum atls_store_collateral_import *out,
                                                    struct atls_err *err);

/* time.c: seconds since 1970 of "2026-01-31T12:00:00Z" (RFC 3339); false when it is not one. */
ATLS_MUST_CHECK bool store_time_parse(const char *text, int64_t *out);

/* text.c */
/* 8-4-4-4-12 hexadecimal digits of either case. */
ATLS_MUST_CHECK bool store_uuid_parse(const char *text, uint8_t out[16]);
const char *store_uuid_text(const uint8_t uuid[16], char out[STORE_UUID_TEXT]);
/* A class-id as encoded item from the text of a UUID, and back: the UUID as text, else the item in
 * hexadecimal ("" for none). */
ATLS_MUST_CHECK bool store_class_from_uuid(const char *text, uint8_t out[STORE_UUID_CLASS_ID]);
const char *store_class_text(struct atls_bytes class_id, char *out, size_t size);
const char *
store_purpose_name(enum atls_anchor_purpose purpose); /* "ak", "ek", "tls", "tee", or NULL */
ATLS_MUST_CHECK bool store_purpose_by_name(const char *name, enum atls_anchor_purpose *out);
/* Subject of a certificate as escaped text ("CN=Example, O=Example Ltd"). */
const char *store_subject_text(struct atls_bytes certificate, char *out, size_t size);
/* The same of a Name (DER). */
const char *store_name_text(struct atls_bytes name, char *out, size_t size);
/* "2027-12-31T23:59:59Z"; "(no date)" for what no calendar has. */
#define STORE_TIME_TEXT 24
const char *store_time_text(int64_t time_s, char out[STORE_TIME_TEXT]);
/* "sha256:" and 16 hexadecimal digits of the digest of bytes. */
#define STORE_FINGERPRINT_TEXT 24
const char *store_fingerprint(struct atls_bytes bytes, char out[STORE_FINGERPRINT_TEXT]);
/* The whole digest, 64 digits. */
#define STORE_DIGEST_TEXT 65
const char *store_digest_text(struct atls_bytes bytes, char out[STORE_DIGEST_TEXT]);
/* A measurement key: "PCR 7", or where no TPM has so many "field 641" (of a report), "name", an OID
 * or UUID in hexadecimal, "" for none; escaped. */
const char *store_mkey_text(const struct atls_mkey *mkey, char *out, size_t size);
/* An OID (tag 111, encoded) as "2.16.840": false when it is not one, or does not fit. */
ATLS_MUST_CHECK bool store_oid_text(struct atls_bytes item, char *out, size_t size);
/* Hexadecimal digits of either case; false when they are not, or do not fit. */
ATLS_MUST_CHECK bool store_hex_parse(const char *text, uint8_t *out, size_t size, size_t *out_len);

#endif
