/* The store of a verifier (library libatls-verifier): trust anchors, revocation lists, attestation
 * keys, reference values and other endorsements, the keys that sign results, and the open sessions
 * of a service.
 *
 * It lives in one SQLite file, or, where several machines share it, in a schema of a PostgreSQL
 * database ("postgresql://..."). Thread safe; several processes may have one store open. An import
 * either takes effect whole or not at all. */
#ifndef ATLS_STORE_H
#define ATLS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atls_store;

enum atls_store_mode {
    ATLS_STORE_READ = 1,   /* must exist */
    ATLS_STORE_WRITE = 2,  /* must exist */
    ATLS_STORE_CREATE = 3, /* must not exist; mode 0600 */
};

/* As atls_store_open_with with no other options: path may be a URI. A store of an older version is
 * brought up to date when it is opened for writing. Errors: ATLS_E_USAGE; ATLS_E_CONFIG (missing,
 * exists already, of a newer version, of an older one and only to be read, not a store, writable by
 * everybody, with private keys and accessible for others than its owner), ATLS_E_UNAVAILABLE,
 * ATLS_E_IO. Every function below fails with ATLS_E_UNAVAILABLE, too, when the database cannot be
 * reached, is locked, full or does not answer in time: nothing has taken effect then, unless the
 * message says that it is not known. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_open(const char *path, enum atls_store_mode mode,
                                                        struct atls_store **out,
                                                        struct atls_err *err);
ATLS_API void atls_store_close(struct atls_store *s); /* NULL is fine */

/* Call atls_store_options_init first; strings borrow during open. */
struct atls_store_options {
    size_t size; /* of this struct, set by init */
    enum atls_store_mode mode;
    const char *schema; /* PostgreSQL: schema of this store, [a-z_][a-z0-9_]{0,62}; NULL: "atls" */
    uint32_t connections;     /* PostgreSQL: at most this many (1024), and one that listens; 0: 4 */
    uint32_t busy_timeout_ms; /* wait for another's lock, or for a connection; at most 600000,
                                 0: 5000. An answer is waited for two seconds longer */
    uint32_t sessions_max;    /* open sessions at a time, all processes together for PostgreSQL;
                                 0: 10000 */
};
ATLS_API void atls_store_options_init(struct atls_store_options *options);
/* location: path of a file, or a connection URI of libpq that starts with "postgresql://" or
 * "postgres://". A server over TCP must prove its name by TLS (sslmode verify-full) unless the URI
 * or PGSSLMODE says otherwise. CREATE makes the schema, or fills one that is empty. Errors: as
 * atls_store_open. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_open_with(const char *location, const struct atls_store_options *options,
                     struct atls_store **out, struct atls_err *err);
/* Asks the database: ATLS_OK, or ATLS_E_UNAVAILABLE and why. What anybody committed before this was
 * called counts in every look-up after it. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_ping(struct atls_store *s, struct atls_err *err);
/* The same, and *out is a number that has grown if anybody changed the store since it was asked for
 * last; sessions do not count. It is this opened store's own: another's says nothing about it. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_generation(struct atls_store *s, uint64_t *out,
                                                              struct atls_err *err);

enum atls_anchor_purpose {
    ATLS_ANCHOR_AK = 1,  /* vouches for attestation key certificates */
    ATLS_ANCHOR_EK = 2,  /* TPM makers: vouches for endorsement key certificates (enrolment) */
    ATLS_ANCHOR_TLS = 3, /* vouches for identity (AIK and TLS) certificates */
    ATLS_ANCHOR_TEE = 4, /* maker of confidential-computing hardware: vouches for its evidence */
};

/* Imports certificates (DER, one; or PEM, one or many) as anchors, all or none. class_uuid (UUID as
 * text) says which class of machines an AK or TEE anchor stands for; may be NULL. An anchor that is
 * on file already with the same purpose and class is no error. *out_count (may be NULL) says how
 * many are new. A TEE anchor is a CA certificate that is signed by itself, or by a TEE anchor on
 * file or in the same import. Errors: ATLS_E_DECODE, ATLS_E_CONFIG (class_uuid is no UUID, the
 * anchor is on file for another class), ATLS_E_CERTIFICATE (a TEE anchor that is none:
 * chain-issuer, chain-signature, key-usage), ATLS_E_IO. */
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
    /* Told of every certificate once all are imported; may be NULL. Text is escaped, borrowed for
     * the call; fingerprint: SHA-256 of the certificate, 64 hexadecimal digits. */
    void (*imported)(void *arg, const char *subject, const char *fingerprint, bool is_new);
    void *imported_arg;
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

/* ---- collateral: what makers of confidential-computing hardware publish (docs/collateral.md) ----
 *
 * A document has a kind and a subject, which its file name tells: "snp-crl-milan.crl". It is not
 * believed for being on file: evidence verification checks its signature each time. */

enum atls_store_collateral_import {
    ATLS_STORE_COLLATERAL_NEW = 1,   /* is on file now, in the place of what was there */
    ATLS_STORE_COLLATERAL_SAME = 2,  /* was on file */
    ATLS_STORE_COLLATERAL_OLDER = 3, /* that on file was issued later, and stays */
};
/* Imports one document (at most 256 KiB) under a name; directories in front of it do not count.
 * time_s: when it was fetched. *out may be NULL. Errors: ATLS_E_CONFIG (no such name),
 * ATLS_E_DECODE (not in the format of its kind), ATLS_E_CERTIFICATE (crl-signature: a list of AMD
 * or of Intel's root that the root of that name on file has not signed), ATLS_E_LIMIT, ATLS_E_IO.
 */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_import_collateral(struct atls_store *s, const char *file_name,
                             struct atls_bytes document, int64_t time_s,
                             enum atls_store_collateral_import *out, struct atls_err *err);

/* One document; borrowed for the call. */
struct atls_store_collateral {
    int64_t id;
    const char *kind, *subject, *file_name;
    int64_t fetched_s;
    int64_t not_before_s, not_after_s; /* as the document says; 0: it does not */
    struct atls_bytes document;
};
typedef enum atls_code atls_store_collateral_visit(void *arg,
                                                   const struct atls_store_collateral *collateral,
                                                   struct atls_err *err);
/* Every document on file; visit must not call functions of the store, and what it returns beside
 * ATLS_OK ends the listing. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_list_collateral(struct atls_store *s, atls_store_collateral_visit *visit, void *arg,
                           struct atls_err *err);
/* What a file (its name without directories) and the document in it say: fetched_s and id are 0,
 * texts live in buffer. Errors: ATLS_E_NOT_FOUND (not the name of a document), ATLS_E_DECODE,
 * ATLS_E_LIMIT. */
#define ATLS_COLLATERAL_BUFFER 512
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_collateral_describe(const char *file_name, struct atls_bytes document,
                         char buffer[ATLS_COLLATERAL_BUFFER], struct atls_store_collateral *out,
                         struct atls_err *err);

struct atls_store_import_report {
    char manifest_id[128];
    size_t reference_values, attest_keys, skipped; /* skipped: triples that nothing here uses */
    size_t endorsements, identity_keys, anchors;
    bool unchanged; /* the very same one was on file: the numbers are 0 */
};
/* Imports an unsigned or signed CoRIM (docs/store.md: profiles), whole or not at all. time_s: now,
 * for validity. A signed one must verify under signer_spki (DER) unless that is empty, and then it
 * is refused: say so with an unsigned one. Importing an id again replaces what it brought before.
 * The very same one again changes nothing and is no error. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED (profile), ATLS_E_VERIFY, ATLS_E_CERTIFICATE (validity), ATLS_E_CONFIG (an
 * environment would get two different keys), ATLS_E_LIMIT, ATLS_E_IO. */
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
    /* "tpm", "soft", "psa", ...: evidence of any other is refused. NULL: "soft" for a key without
     * public area whose instance is 01 || SHA-256 of its SPKI, "tpm" for all others. */
    const char *technology;
};
/* Adds one; the very same one again is no error. Errors: ATLS_E_CONFIG (the instance has another
 * key, class or technology on file: says where it came from; class_uuid is no UUID; the public area
 * is of another key or instance; technology is not known, or has no public areas), ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED (key type), ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_add_attest_key(struct atls_store *s, const struct atls_store_attest_key *key,
                          struct atls_err *err);

/* One row of the store for listing: kind "anchor", "crl", "collateral", "attest-key",
 * "identity-key", "reference" (one a measurement, all of a triple with its id), "endorsement",
 * "signing-key". Text is escaped
 * already and borrowed for the call. visit must not call functions of the store; what it returns
 * beside ATLS_OK ends the listing. */
struct atls_store_entry {
    int64_t id;
    const char *kind;
    const char *manifest; /* manifest id, "" for anchors, lists and keys enrolled on their own */
    const char *subject;  /* anchor subject, CRL issuer, instance in hexadecimal, class and
                             measurement, class, KID */
    const char *value;    /* purpose, next update, key fingerprint and technology, digest, kind of
                             triple, time */
    int64_t not_after_s;  /* 0: unlimited; of a CRL its nextUpdate */
};
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_list(
    struct atls_store *s,
    enum atls_code (*visit)(void *arg, const struct atls_store_entry *entry, struct atls_err *err),
    void *arg, struct atls_err *err);
/* Removes an anchor ("anchor:3"), a revocation list ("crl:2"), a published document
 * ("collateral:4") or an enrolled key ("attest-key:7") by its id, a signing key
 * ("signing-key:KID"), or a manifest with all it brought ("manifest:ID"). Errors: ATLS_E_USAGE
 * (none of these forms), ATLS_E_CONFIG (the key goes with its manifest, or signs now),
 * ATLS_E_NOT_FOUND, ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_remove(struct atls_store *s, const char *what,
                                                          struct atls_err *err);
/* The whole content but its private keys as JSON text that atls_store_import_json takes back; NUL
 * terminated in out. */
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

/* A CoRIM with who may have signed it. Call atls_store_corim_options_init first. */
struct atls_store_corim_options {
    size_t size;                   /* of this struct, set by init */
    struct atls_bytes signer_spki; /* DER; the one key that must have signed it; or empty */
    struct atls_bytes anchors;     /* PEM: its x5chain must lead to one of these; or empty */
    bool allow_unsigned;           /* asked for by name: anyone could have written it */
    const char *profile;           /* the manifest's must be this one, a URI, or an OID as "1.3.6";
                                      or NULL */
    int64_t time_s;                /* now */
    bool legacy;                   /* take the forms of older tools, too (atls/corim.h) */
};
ATLS_API void atls_store_corim_options_init(struct atls_store_corim_options *options);
/* Imports as atls_store_import_corim; without signer, anchors and allow_unsigned: ATLS_E_USAGE.
 * With leave to be unsigned a manifest that is signed must still verify. The revocation lists on
 * file count for its certificates. Errors besides: ATLS_E_VERIFY (unsigned or foreign-signed),
 * ATLS_E_CERTIFICATE (chain or validity), ATLS_E_UNSUPPORTED (profile, also when it is not the one
 * asked for). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_import_corim_as(struct atls_store *s, struct atls_bytes corim,
                           const struct atls_store_corim_options *options,
                           struct atls_store_import_report *out, struct atls_err *err);

/* ---- keys that sign results ---- */

/* SHA-256 JWK thumbprint (RFC 7638) as base64url, and its NUL, fit. */
#define ATLS_KID_TEXT 65

/* At most 32 are on file. A store with private keys in it is as secret as they are; a file must be
 * accessible for its owner only.
 *
 * Makes a signing key (ATLS_KEY_P256, ATLS_KEY_P384 or ATLS_KEY_ED25519) that is published at once
 * and signs from use_from_s on (seconds since 1970), when the one before it stops; that one stays
 * published until it is removed. out_kid: ATLS_KID_TEXT bytes. Errors: ATLS_E_USAGE (type),
 * ATLS_E_CONFIG (others may read the file), ATLS_E_LIMIT, ATLS_E_CRYPTO, ATLS_E_IO. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_new_signing_key(struct atls_store *s, enum atls_key_type type, int64_t use_from_s,
                           char *out_kid, struct atls_err *err);
/* The same with a key of the caller's: PEM "PRIVATE KEY". One that is on file is no error and
 * keeps its time. Errors besides: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (type of key). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_add_signing_key(struct atls_store *s, struct atls_bytes private_key_pem,
                           int64_t use_from_s, char *out_kid, struct atls_err *err);
/* The public keys as a JWK set (RFC 7517), the one that signs at time_s first; NUL terminated. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_signing_keys_jwks(struct atls_store *s,
                                                                     int64_t time_s,
                                                                     struct atls_buf *out,
                                                                     struct atls_err *err);
/* The whole content with its private signing keys: as secret as these. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_export_json_with_keys(struct atls_store *s, struct atls_buf *out, struct atls_err *err);

/* ---- sessions of the challenge-response API ---- */

enum atls_store_session_state {
    ATLS_SESSION_WAITING = 1,    /* for evidence */
    ATLS_SESSION_PROCESSING = 2, /* evidence was taken, once for all */
    ATLS_SESSION_COMPLETE = 3,
    ATLS_SESSION_FAILED = 4,
};
#define ATLS_SESSION_ID_TEXT 37 /* random UUID (122 bits), NUL terminated */
#define ATLS_NONCE_MAX       64

struct atls_store_session {
    char id[ATLS_SESSION_ID_TEXT];
    enum atls_store_session_state state;
    uint8_t nonce[ATLS_NONCE_MAX];
    size_t nonce_len;
    int64_t expires_s;
    struct atls_buf media_type, evidence, result; /* text is NUL terminated, not counted; empty
                                                     before they are there */
};
ATLS_API void atls_store_session_clear(struct atls_store_session *session);

/* Sessions live in memory for a SQLite store (one process) and in an unlogged table for PostgreSQL
 * (any replica answers); a crash may forget them. A session is there while now_s is at most its
 * expires_s.
 *
 * Opens a session for nonce (8..64 bytes) until expires_s. Errors: ATLS_E_USAGE, ATLS_E_LIMIT
 * (sessions_max are open that have not expired). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_session_open(struct atls_store *s, struct atls_bytes nonce, int64_t now_s,
                        int64_t expires_s, char out_id[ATLS_SESSION_ID_TEXT], struct atls_err *err);
/* The same for a nonce that the client chose, which evidence of any age may answer. The id says so:
 * a UUID of version 8 instead of 4 (RFC 9562). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_session_open_given(struct atls_store *s, struct atls_bytes nonce, int64_t now_s,
                              int64_t expires_s, char out_id[ATLS_SESSION_ID_TEXT],
                              struct atls_err *err);
/* Whether the session of this id was opened by atls_store_session_open_given. */
ATLS_API bool atls_store_session_is_given(const char *id);
/* Reads one. Errors: ATLS_E_NOT_FOUND (unknown, or expired at now_s). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_session_get(struct atls_store *s, const char *id,
                                                               int64_t now_s,
                                                               struct atls_store_session *out,
                                                               struct atls_err *err);
/* Waiting to processing, for exactly one caller whatever the number of replicas; *out has its
 * nonce. Errors: ATLS_E_NOT_FOUND; ATLS_E_PROTOCOL (evidence was given already). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_session_take(struct atls_store *s,
                                                                const char *id, int64_t now_s,
                                                                struct atls_store_session *out,
                                                                struct atls_err *err);
/* Waiting or processing to complete or failed, for exactly one caller: keeps what session holds
 * (state, media type, evidence, result; at most 256 KiB together). A store in a file keeps its
 * sessions in memory, and evidence there as long as that of all sessions is at most 64 MiB: beyond,
 * a session has none. Errors: ATLS_E_USAGE (another state), ATLS_E_NOT_FOUND, ATLS_E_PROTOCOL (it
 * was finished), ATLS_E_LIMIT. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_session_finish(struct atls_store *s, const struct atls_store_session *session,
                          struct atls_err *err);
/* ATLS_E_NOT_FOUND when there is none. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_store_session_remove(struct atls_store *s, const char *id, struct atls_err *err);
/* Removes what expired before now_s; *out_open (may be NULL): how many are left. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_store_session_sweep(struct atls_store *s,
                                                                 int64_t now_s, size_t *out_open,
                                                                 struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
