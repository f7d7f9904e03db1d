/* The store of a verifier (library libatls-verifier): trust anchors, attestation keys and reference
 * values, in one SQLite file.
 *
 * Thread safe; several processes may have one store open (WAL). An import either takes effect whole
 * or not at all. */
#ifndef ATLS_STORE_H
#define ATLS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atls_store;

enum atls_store_mode {
    ATLS_STORE_READ = 1,   /* must exist */
    ATLS_STORE_WRITE = 2,  /* must exist */
    ATLS_STORE_CREATE = 3, /* must not exist; mode 0600 */
};

/* Errors: ATLS_E_CONFIG (missing, exists already, of a newer version, not a store), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_open(const char *path, enum atls_store_mode mode,
                                                        struct atls_store **out,
                                                        struct atls_err *err);
ATLS_API void atls_store_close(struct atls_store *s);

enum atls_anchor_purpose {
    ATLS_ANCHOR_AK = 1,  /* vouches for attestation key certificates */
    ATLS_ANCHOR_EK = 2,  /* TPM makers: vouches for endorsement key certificates (enrolment) */
    ATLS_ANCHOR_TLS = 3, /* vouches for identity (AIK and TLS) certificates */
};

/* Imports certificates (DER or PEM, one or many) as anchors. class_id (16 bytes of UUID) and label
 * say which class of machines an AK anchor stands for; may be NULL. An anchor that is on file already
 * with the same purpose is no error. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_import_anchors(struct atls_store *s, enum atls_anchor_purpose purpose,
                          struct atls_bytes certificates, const char *class_uuid, size_t *out_count,
                          struct atls_err *err);

struct atls_store_import_report {
    char manifest_id[128];
    size_t reference_values, attest_keys, skipped; /* skipped: triples that no technology here uses */
};
/* Imports an unsigned or signed CoRIM (docs/store.md: profiles), whole or not at all. time_s: now, for
 * validity. A signed one must verify under signer_spki (DER) unless that is empty, and then it is
 * refused: say so with an unsigned one. Importing an id again replaces what it brought before.
 * Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (profile), ATLS_E_VERIFY, ATLS_E_CERTIFICATE (validity),
 * ATLS_E_CONFIG (an instance would get two different keys), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_import_corim(struct atls_store *s,
                                                                struct atls_bytes corim,
                                                                struct atls_bytes signer_spki,
                                                                int64_t time_s,
                                                                struct atls_store_import_report *out,
                                                                struct atls_err *err);

/* One row of the store for listing: kind "anchor", "attest-key", "reference". text fields are
 * escaped already. */
struct atls_store_entry {
    int64_t id;
    const char *kind;
    const char *manifest; /* manifest id, "" for anchors */
    const char *subject;  /* anchor subject, instance UEID hex, class and measurement */
    const char *value;    /* purpose, key fingerprint, digest */
    int64_t not_after_s;  /* 0: unlimited */
};
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_list(struct atls_store *s,
                enum atls_code (*visit)(void *arg, const struct atls_store_entry *entry,
                                        struct atls_err *err),
                void *arg, struct atls_err *err);
/* Removes an anchor by its id ("anchor:3") or a manifest with all it brought ("manifest:ID").
 * Errors: ATLS_E_NOT_FOUND, ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_remove(struct atls_store *s, const char *what,
                                                          struct atls_err *err);
/* The whole content as JSON text that atls_store_import_json takes back; NUL terminated in out. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_export_json(struct atls_store *s,
                                                               struct atls_buf *out,
                                                               struct atls_err *err);
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_import_json(struct atls_store *s,
                                                               struct atls_bytes json,
                                                               struct atls_err *err);
/* PEM of all anchors of one purpose; empty when there are none. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_anchors_pem(struct atls_store *s,
                                                               enum atls_anchor_purpose purpose,
                                                               struct atls_buf *out,
                                                               struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
