/* The PCK certificate of a platform of SGX or TDX: its chain, and what its extension says. Private
 * to src/evidence, but for the attester "tsm", which reads what its own quote needs. */
#ifndef ATLS_EVIDENCE_TDX_PCK_H
#define ATLS_EVIDENCE_TDX_PCK_H

#include "crypto/certificate.h"
#include "wire/tdx.h"
#include "wire/tdx_collateral.h"

#define ATLS_PPID_LEN 16

/* Extension 1.2.840.113741.1.13.1. */
struct atls_pck_facts {
    uint8_t ppid[ATLS_PPID_LEN];
    uint8_t components[ATLS_TDX_COMPONENTS];
    uint16_t pce_svn;
    uint8_t pce_id[2];
    uint8_t fmspc[ATLS_FMSPC_LEN];
    uint8_t sgx_type;
    bool has_instance;
    uint8_t instance[16]; /* platform instance id */
};
/* Reads the extension's value. Members stand in any order, each once; those that are not known are
 * passed over. Errors: ATLS_E_DECODE (malformed). */
ATLS_MUST_CHECK enum atls_code
atls_pck_facts_read(struct atls_bytes value, struct atls_pck_facts *out, struct atls_err *err);

/* The certificates of a PCK chain in their roles, verified or not. */
struct atls_pck_chain {
    struct atls_certificate *leaf, *intermediate, *root;
};
void atls_pck_chain_clear(struct atls_pck_chain *chain);

/* A PCK certificate whose chain was verified. Immutable, reference counted. */
struct atls_pck;
void atls_pck_unref(struct atls_pck *pck); /* NULL is fine */
/* These borrow. */
const struct atls_pck_facts *atls_pck_facts_of(const struct atls_pck *pck);
const struct atls_pck_chain *atls_pck_chain_of(const struct atls_pck *pck);
const struct atls_key *atls_pck_key(const struct atls_pck *pck);
struct atls_bytes atls_pck_ueid(const struct atls_pck *pck); /* 33 bytes, 01 || SHA-256 of platform
                                                                instance id, or of PPID */
/* "platform" or "processor": which authority issued it. */
const char *atls_pck_authority(const struct atls_pck *pck);
const char *atls_pck_authority_of(const struct atls_certificate *leaf); /* by name; "" if neither */

struct atls_pck_check {
    /* PEM: leaf, intermediate and root, or the leaf alone with the others in issuers. */
    struct atls_bytes certificates, issuers;
    const struct atls_certificate_set *anchors; /* NULL: none */
    struct atls_chain_cache *cache;             /* or NULL */
    int64_t time_s;
};
/* Chain, names, time, root, facts; revocation is the caller's. *out is the caller's to unref.
 * Errors: ATLS_E_CERTIFICATE with reason untrusted-root, chain-issuer (names, roles),
 * chain-signature, certificate-expired, certificate-not-yet-valid; ATLS_E_DECODE (malformed);
 * ATLS_E_UNSUPPORTED (unsupported-algorithm: the key is not of P-256); ATLS_E_NOMEM,
 * ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_pck_verify(const struct atls_pck_check *check,
                                               struct atls_pck **out, struct atls_err *err);

/* A certificate of the maker has the common name of its role (chain-issuer). */
ATLS_MUST_CHECK enum atls_code atls_pck_check_name(const struct atls_certificate *c,
                                                   const char *name, struct atls_err *err);
/* Its CA flag (chain-issuer), its time. */
ATLS_MUST_CHECK enum atls_code atls_pck_check_use(const struct atls_certificate *c, bool is_ca,
                                                  int64_t time_s, struct atls_err *err);

#endif
