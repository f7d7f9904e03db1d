/* What appraisal asks of a store; imports and listing are atls/store.h. */
#ifndef ATLS_STORE_STORE_H
#define ATLS_STORE_STORE_H

#include <atls/store.h>

#include "crypto/crypto.h"
#include "evidence/evidence.h"
#include "wire/corim_triples.h"
#include "wire/measurement.h"

/* Fills the functions that evidence verification asks; borrows s. Look-ups are cached in memory and
 * the cache is dropped when the store changes: at once for a file (PRAGMA data_version), as soon as
 * the notice arrives for a server, and within a second should it get lost. A hot look-up runs no
 * SQL but that pragma, and asks a server nothing. Keys count while their manifest is valid by the
 * system's clock. */
void atls_store_source(struct atls_store *s, struct atls_endorsement_source *out);

/* One appraisal's view: as atls_store_source, with validity judged at time_s. Its first look-up
 * asks whether the store has changed, and what was committed before that is seen; later ones of the
 * same view do not ask again. One thread at a time. */
struct atls_store_view {
    struct atls_store *store;
    int64_t time_s;
    bool asked; /* false at first */
};
/* Borrows view, which must stay where it is as long as out is used. */
void atls_store_view_source(struct atls_store_view *view, struct atls_endorsement_source *out);

/* The one attestation key of an environment: class_id as encoded (empty: any), instance the bytes
 * of a UEID or UUID, untagged. Technologies whose instances mean nothing without their class (PSA,
 * CCA) ask so. Errors: ATLS_E_NOT_FOUND, ATLS_E_CONFIG (two different keys), ATLS_E_UNAVAILABLE,
 * ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_store_attest_key(struct atls_store_view *view,
                                                     struct atls_bytes class_id,
                                                     struct atls_bytes instance,
                                                     struct atls_attest_key *out,
                                                     struct atls_err *err);

/* Reference values of one class: decoded once, cached, immutable while referenced. */
struct atls_reference_set;
struct atls_reference {
    const char *manifest;                /* id of the CoRIM it came from, NUL terminated, escaped */
    struct atls_environment environment; /* class, perhaps instance */
    const struct atls_measurement *measurements;
    size_t count;
    struct atls_bytes authority; /* SubjectPublicKeyInfo that verified it; empty: unsigned */
};
/* All reference triples whose class-id is class_id (encoded item) and whose validity covers time_s.
 * *out is the caller's to unref; an empty set is ATLS_OK with count 0. */
ATLS_MUST_CHECK enum atls_code atls_store_references(struct atls_store *s,
                                                     struct atls_bytes class_id, int64_t time_s,
                                                     struct atls_reference_set **out,
                                                     struct atls_err *err);
const struct atls_reference *atls_reference_set_items(const struct atls_reference_set *set,
                                                      size_t *out_count);
void atls_reference_set_unref(struct atls_reference_set *set);

/* One triple that adds claims. Exactly one of endorsed, series and conditional is not NULL, the one
 * of kind (ATLS_TRIPLE_ENDORSED, _CONDITIONAL_SERIES, _CONDITIONAL). */
struct atls_endorsement_set;
struct atls_endorsement {
    const char *manifest; /* as of a reference */
    struct atls_bytes authority;
    enum atls_comid_triple kind;
    const struct atls_corim_endorsed *endorsed;
    const struct atls_corim_series *series;
    const struct atls_corim_conditional *conditional;
};
/* All of these whose environment, or that of a condition, has this class-id; an empty class_id:
 * those of which an environment or condition names none, and which are under no other. Decoded
 * once, cached and immutable as reference values are. *out is the caller's to unref. Errors:
 * ATLS_E_UNAVAILABLE, ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_store_endorsements(struct atls_store *s,
                                                       struct atls_bytes class_id, int64_t time_s,
                                                       struct atls_endorsement_set **out,
                                                       struct atls_err *err);
const struct atls_endorsement *atls_endorsement_set_items(const struct atls_endorsement_set *set,
                                                          size_t *out_count);
void atls_endorsement_set_unref(struct atls_endorsement_set *set);

/* What an appraisal asks for, from one look at the store: reference values and endorsements of a
 * class, and the endorsements that name none. */
struct atls_class_holdings {
    struct atls_reference_set *references; /* NULL without class */
    struct atls_endorsement_set *of_class; /* likewise */
    struct atls_endorsement_set *of_any;
};
/* class_id may be empty. *out is the caller's to clear. Errors: those of the two above. */
ATLS_MUST_CHECK enum atls_code atls_store_holdings(struct atls_store_view *view,
                                                   struct atls_bytes class_id,
                                                   struct atls_class_holdings *out,
                                                   struct atls_err *err);
void atls_class_holdings_clear(struct atls_class_holdings *holdings);

/* The key that signs results at a time: of those that may be used by then, the one whose use began
 * last. */
struct store_signing_key {
    char kid[ATLS_KID_TEXT];
    struct atls_private_key *key; /* a reference: the caller's to atls_private_key_free */
};
/* Cached as look-ups are. Errors: ATLS_E_NOT_FOUND (none is to be used yet), ATLS_E_UNAVAILABLE,
 * ATLS_E_IO. */
ATLS_MUST_CHECK enum atls_code atls_store_signing_key(struct atls_store *s, int64_t time_s,
                                                      struct store_signing_key *out,
                                                      struct atls_err *err);

/* Anchors of a purpose (not TEE) as a parsed set (new reference), or *out NULL when there are none.
 */
ATLS_MUST_CHECK enum atls_code atls_store_anchors(struct atls_store *s,
                                                  enum atls_anchor_purpose purpose,
                                                  struct atls_anchors **out, struct atls_err *err);
/* Imports one document, as atls_store_import_collateral. ATLS_E_CONFIG when the store is to be read
 * only. */
ATLS_MUST_CHECK enum atls_code
atls_store_put_collateral(struct atls_store *s, const struct atls_collateral_query *query,
                          struct atls_bytes document, int64_t fetched_s,
                          enum atls_store_collateral_import *out, struct atls_err *err);
/* Whether it could be imported: of the format of its kind, and, of a list that a root on file
 * signs, signed by it. Errors: ATLS_E_CERTIFICATE (crl-signature), ATLS_E_DECODE, ATLS_E_LIMIT,
 * ATLS_E_USAGE, ATLS_E_UNAVAILABLE, ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_store_check_collateral(struct atls_store *s, const struct atls_collateral_query *query,
                            struct atls_bytes document, struct atls_err *err);
/* True when what is written into the store stays: it was not opened to be read only. */
bool atls_store_is_writable(const struct atls_store *s);

/* True when the store holds at least one AK or TEE anchor, or attestation key. */
ATLS_MUST_CHECK enum atls_code atls_store_has_trust(struct atls_store *s, bool *out,
                                                    struct atls_err *err);

#endif
