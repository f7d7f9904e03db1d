/* The store of a verifier (library libatls-verifier): trust anchors, revocation lists, attestation
 * keys and reference values, in one SQLite file.
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

/* A store of an older version is brought up to date when it is opened for writing. Errors:
 * ATLS_E_CONFIG (missing, exists already, of a newer version, of an older one and only to be read,
 * not a store, writable by everybody), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_open(const char *path, enum atls_store_mode mode,
                                                        struct atls_store **out,
                                                        struct atls_err *err);
ATLS_API void atls_store_close(struct atls_store *s); /* NULL is fine */

enum atls_anchor_purpose {
    ATLS_ANCHOR_AK = 1,  /* vouches for attestation key certificates */
    ATLS_ANCHOR_EK = 2,  /* TPM makers: vouches for endorsement key certificates (enrolment) */
    ATLS_ANCHOR_TLS = 3, /* vouches for identity (AIK and TLS) certificates */
};

/* Imports certificates (DER, one; or PEM, one or many) as anchors, all or none. class_uuid (UUID as
 * text) says which class of machines an AK anchor stands for; may be NULL. An anchor that is on
 * file already with the same purpose and class is no error. *out_count (may be NULL) says how many
 * are new. Errors: ATLS_E_DECODE, ATLS_E_CONFIG (class_uuid is no UUID, the anchor is on file for
 * another class), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_import_anchors(struct atls_store *s, enum atls_anchor_purpose purpose,
                          struct atls_bytes certificates, const char *class_uuid, size_t *out_count,
                          struct atls_err *err);

/* What anchors are imported as; what is not said is zero. */
struct atls_store_anchor_options {
    enum atls_anchor_purpose purpose;
    const char *class_uuid;     /* as above; may be NULL */
    const char *vendor, *model; /* of the class, which must then be given: reference values that
                                   name them match; may be NULL, at most 127 bytes */
};
/* The same with all that can be said of an anchor. It is on file for one class, vendor and model.
 */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_import_anchors_as(struct atls_store *s, struct atls_bytes certificates,
                             const struct atls_store_anchor_options *as, size_t *out_count,
                             struct atls_err *err);

/* Imports certificate revocation lists (DER, one; or PEM, one or many), all or none. They count for
 * the anchors of every purpose: from then on a certificate of the same issuer is refused that is on
 * the list, or that no list on file speaks for, or once the list is past its nextUpdate
 * (docs/store.md). A list takes the place of an older one of the same issuer, key and scope; the
 * very same one again is no error. The list of an anchor's own must be signed by it; that of an
 * authority below an anchor is verified whenever a path leads over that authority. *out_count (may
 * be NULL) says how many were not on file. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (delta,
 * indirect, of some reasons only, unknown critical extension), ATLS_E_VERIFY, ATLS_E_CONFIG (not
 * newer than the one on file), ATLS_E_LIMIT (more than 1024), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_import_crls(struct atls_store *s,
                                                               struct atls_bytes crls,
                                                               size_t *out_count,
                                                               struct atls_err *err);

struct atls_store_import_report {
    char manifest_id[128];
    size_t reference_values, attest_keys,
        skipped; /* skipped: triples that no technology here uses */
};
/* Imports an unsigned or signed CoRIM (docs/store.md: profiles), whole or not at all. time_s: now,
 * for validity. A signed one must verify under signer_spki (DER) unless that is empty, and then it
 * is refused: say so with an unsigned one. Importing an id again replaces what it brought before.
 * Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (profile), ATLS_E_VERIFY, ATLS_E_CERTIFICATE
 * (validity), ATLS_E_CONFIG (an instance would get two different keys), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_import_corim(struct atls_store *s, struct atls_bytes corim,
                        struct atls_bytes signer_spki, int64_t time_s,
                        struct atls_store_import_report *out, struct atls_err *err);

/* An attestation key that was enrolled on its own, not by a manifest. */
struct atls_store_attest_key {
    struct atls_bytes
        instance;           /* UEID, 7..33 bytes; of a TPM 01 || SHA-256 part of the AK's Name */
    struct atls_bytes spki; /* DER */
    struct atls_bytes
        public_area;            /* TPMT_PUBLIC; may be empty, else of the same key and instance */
    const char *class_uuid;     /* UUID as text; NULL: no class, so no reference value applies */
    const char *vendor, *model; /* of the class; may be NULL */
    const char *label;          /* for people: a host name; may be NULL, at most 127 bytes */
};
/* Adds one; the very same one again is no error. Errors: ATLS_E_CONFIG (the instance has another
 * key or another class on file: says where it came from; class_uuid is no UUID; the public area is
 * of another key or instance), ATLS_E_DECODE, ATLS_E_UNSUPPORTED (key type), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_add_attest_key(struct atls_store *s, const struct atls_store_attest_key *key,
                          struct atls_err *err);

/* One row of the store for listing: kind "anchor", "crl", "attest-key", "reference" (one a
 * measurement, all of a triple with its id). Text is escaped already and borrowed for the call.
 * visit must not call functions of the store; what it returns beside ATLS_OK ends the listing. */
struct atls_store_entry {
    int64_t id;
    const char *kind;
    const char *manifest; /* manifest id, "" for anchors, lists and keys enrolled on their own */
    const char *subject;  /* anchor subject, CRL issuer, instance UEID hex, class and measurement */
    const char *value;    /* purpose, next update, key fingerprint, digest */
    int64_t not_after_s;  /* 0: unlimited; of a CRL its nextUpdate */
};
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_list(
    struct atls_store *s,
    enum atls_code (*visit)(void *arg, const struct atls_store_entry *entry, struct atls_err *err),
    void *arg, struct atls_err *err);
/* Removes an anchor ("anchor:3"), a revocation list ("crl:2") or an enrolled key ("attest-key:7")
 * by its id, or a manifest with all it brought ("manifest:ID"). Errors: ATLS_E_USAGE (none of these
 * forms), ATLS_E_CONFIG (the key goes with its manifest), ATLS_E_NOT_FOUND, ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_remove(struct atls_store *s, const char *what,
                                                          struct atls_err *err);
/* The whole content as JSON text that atls_store_import_json takes back; NUL terminated in out. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_export_json(struct atls_store *s, struct atls_buf *out, struct atls_err *err);
/* Adds what an export holds to what is on file, whole or not at all. Signatures of manifests are
 * verified again under the key that they were imported with; validity is left to appraisal, so that
 * an expired manifest can be carried over. Errors: as the other imports, with the JSON path. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_import_json(struct atls_store *s, struct atls_bytes json, struct atls_err *err);
/* PEM of all anchors of one purpose; empty when there are none. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_anchors_pem(struct atls_store *s,
                                                               enum atls_anchor_purpose purpose,
                                                               struct atls_buf *out,
                                                               struct atls_err *err);
/* PEM of all revocation lists, for atls_config_options.crls; empty when there are none. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_crls_pem(struct atls_store *s, struct atls_buf *out, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
