/* The database under a store: statements, transactions, errors. Callers hold the store's lock. */
#ifndef ATLS_STORE_DB_H
#define ATLS_STORE_DB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "store/store.h"

/* Every statement there is: prepared once, when first used. */
enum store_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_DATA_VERSION,
    SQL_MANIFEST_PUT,
    SQL_MANIFEST_DELETE,
    SQL_MANIFEST_LIST,
    SQL_KEY_CONFLICT,
    SQL_KEY_PUT,
    SQL_KEY_SAME,
    SQL_KEY_REPLACE,
    SQL_KEY_FIND,
    SQL_KEY_DELETE,
    SQL_KEY_IS_OF_MANIFEST,
    SQL_KEY_LIST,
    SQL_REFERENCE_PUT,
    SQL_REFERENCE_FIND,
    SQL_REFERENCE_LIST,
    SQL_ANCHOR_GET_CLASS,
    SQL_ANCHOR_PUT,
    SQL_ANCHOR_DELETE,
    SQL_ANCHOR_LIST,
    SQL_ANCHOR_OF_PURPOSE,
    SQL_CRL_FIND,
    SQL_CRL_PUT,
    SQL_CRL_DELETE,
    SQL_CRL_LIST,
    SQL_HAS_TRUST,
    SQL_COUNT,
};

struct store_cache;

struct atls_store {
    pthread_mutex_t lock; /* guards everything below */
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    struct store_cache *cache;
    struct atls_store_view now; /* of atls_store_source */
    bool writable;
};

/* A statement in use: bind, step until there is no row, end. What binding could not do sticks and
 * store_step reports it. Columns borrow until the next step. */
struct store_query {
    struct atls_store *store;
    sqlite3_stmt *statement;
    int rc;
};

/* Records what SQLite says about the last call. Errors: ATLS_E_NOMEM, ATLS_E_CONFIG (opened to be
 * read only, not a database), ATLS_E_LIMIT (too large), else ATLS_E_IO. */
enum atls_code store_sql_error(struct atls_store *s, int rc, const char *doing,
                               struct atls_err *err);

ATLS_MUST_CHECK enum atls_code store_query(struct atls_store *s, enum store_sql which,
                                           struct store_query *out, struct atls_err *err);
/* Parameters count from 1. A view with .ptr NULL is an empty blob, not NULL. */
void store_bind_bytes(struct store_query *q, int at, struct atls_bytes bytes);
void store_bind_text(struct store_query *q, int at, struct atls_bytes text);
void store_bind_int(struct store_query *q, int at, int64_t v);
void store_bind_null(struct store_query *q, int at);
/* *out_row: a row is there. On failure the query has ended. */
ATLS_MUST_CHECK enum atls_code store_step(struct store_query *q, bool *out_row,
                                          struct atls_err *err);
/* Steps a statement that gives no row, and ends it. */
ATLS_MUST_CHECK enum atls_code store_run(struct store_query *q, struct atls_err *err);
void store_end(struct store_query *q);

/* Columns count from 0; a blob or text of length 0 has a valid .ptr. */
struct atls_bytes store_column(const struct store_query *q, int at);
int64_t store_column_int(const struct store_query *q, int at);
bool store_column_is_null(const struct store_query *q, int at);

/* A write transaction; begin fails at once, with nothing to undo, when the store is to be read
 * only. finish commits when code is ATLS_OK and rolls back otherwise; either way the cache is
 * dropped. Returns code, or why it could not be committed. */
ATLS_MUST_CHECK enum atls_code store_begin(struct atls_store *s, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_finish(struct atls_store *s, enum atls_code code,
                                            struct atls_err *err);

/* Milliseconds to wait for another process's lock; 5000 unless told. */
void store_set_busy_timeout(struct atls_store *s, int ms);

/* ---- between the files of this folder ---- */

#define STORE_UUID_TEXT     37 /* with its NUL */
#define STORE_UUID_CLASS_ID 19 /* tag 37 and 16 bytes, encoded */

void store_lock(struct atls_store *s);
void store_unlock(struct atls_store *s);

/* lookup.c */
ATLS_MUST_CHECK enum atls_code store_cache_new(struct store_cache **out, struct atls_err *err);
void store_cache_drop(struct store_cache *c); /* forgets all */
void store_cache_free(struct store_cache *c);

/* import.c: each within a transaction that the caller began. check_time false takes manifests
 * whatever their validity. */
struct store_manifest_import {
    struct atls_bytes corim;
    struct atls_bytes signer_spki;
    bool check_time;
    int64_t time_s;
};
ATLS_MUST_CHECK enum atls_code store_put_manifest(struct atls_store *s,
                                                  const struct store_manifest_import *import,
                                                  struct atls_store_import_report *out,
                                                  struct atls_err *err);
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
ATLS_MUST_CHECK enum atls_code store_put_anchor(struct atls_store *s,
                                                const struct store_anchor *anchor, bool *out_new,
                                                struct atls_err *err);
ATLS_MUST_CHECK enum atls_code store_put_attest_key(struct atls_store *s,
                                                    const struct atls_store_attest_key *key,
                                                    struct atls_err *err);

/* crl.c: within a transaction. *out_new: it was not on file. Errors: those of
 * atls_store_import_crls. */
ATLS_MUST_CHECK enum atls_code store_put_crl(struct atls_store *s, struct atls_bytes der,
                                             bool *out_new, struct atls_err *err);
/* Every list on file; those of issuers that a path does not have are not looked at. */
ATLS_MUST_CHECK enum atls_code store_add_crls(struct atls_store *s, struct atls_anchors *anchors,
                                              struct atls_err *err);

/* text.c */
/* 8-4-4-4-12 hexadecimal digits of either case. */
ATLS_MUST_CHECK bool store_uuid_parse(const char *text, uint8_t out[16]);
const char *store_uuid_text(const uint8_t uuid[16], char out[STORE_UUID_TEXT]);
/* A class-id as encoded item from the text of a UUID, and back: the UUID as text, else the item in
 * hexadecimal ("" for none). */
ATLS_MUST_CHECK bool store_class_from_uuid(const char *text, uint8_t out[STORE_UUID_CLASS_ID]);
const char *store_class_text(struct atls_bytes class_id, char *out, size_t size);
const char *store_purpose_name(enum atls_anchor_purpose purpose); /* "ak", "ek", "tls", or NULL */
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
/* A measurement key: "PCR 7", "name", an OID or UUID in hexadecimal, "" for none; escaped. */
const char *store_mkey_text(const struct atls_mkey *mkey, char *out, size_t size);
/* Hexadecimal digits of either case; false when they are not, or do not fit. */
ATLS_MUST_CHECK bool store_hex_parse(const char *text, uint8_t *out, size_t size, size_t *out_len);

#endif
