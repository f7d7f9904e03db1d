/* Tokens of simulated Arm platforms, realms and PSA devices, and Parsec's bundles around them:
 * honest ones, and such as differ from them in what is ordered.
 *
 *     struct atls_sim_cca cca;
 *     code = atls_sim_cca_init(&cca, cpak, rak, &err);
 *     cca.challenge = challenge;
 *     code = atls_sim_cca_token(&cca, &token, &err);
 *
 * Everything is signed by the keys given, changed parts included, unless a signature is ordered to
 * be wrong. Specifications borrow what they point at. One thread at a time per specification. */
#ifndef ATLS_SIMULATOR_ARM_H
#define ATLS_SIMULATOR_ARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "wire/cca.h"
#include "wire/psa.h"

struct atls_sim_component {
    const char *type, *version, *hash; /* NULL: left out */
    struct atls_bytes value, signer_id;
};

/* A claim that is not as it would be: the encoded item in its place, none when item.ptr is NULL;
 * beside: both. Lists end with key 0 and no item. */
struct atls_sim_claim {
    int64_t key;
    struct atls_bytes item;
    bool beside;
};

/* Envelope of a token; zeros make an honest one. */
struct atls_sim_envelope {
    const struct atls_private_key *key;
    int64_t alg;                          /* 0: that of the key */
    struct atls_bytes protected_header;   /* content in place of {1: alg} */
    struct atls_bytes unprotected_header; /* encoded map in place of {} */
    struct atls_bytes signature;          /* in place of the true one */
    uint64_t tag;                         /* 0: 18 */
    bool no_tag;
};

struct atls_sim_cca {
    uint64_t tag; /* of the wrapper: 399 or 907; 0: none, the shape of 907 */
    bool wide;    /* heads of CBOR as long as they can be, wherever there are some */
    struct atls_sim_envelope platform_envelope, realm_envelope;
    const struct atls_sim_claim *platform_changes, *realm_changes; /* or NULL */
    struct atls_bytes platform_token, realm_token; /* another one's, in place of those made */

    enum atls_cca_platform_profile platform_profile;
    uint8_t implementation_id[32], instance_id[33];
    struct atls_bytes config;
    uint64_t lifecycle;
    const struct atls_sim_component *components;
    size_t component_count;
    enum atls_arm_hash platform_hash; /* claim 2402 */

    enum atls_cca_realm_profile realm_profile;
    struct atls_bytes challenge; /* 64 bytes */
    uint8_t personalization_value[64];
    enum atls_arm_hash realm_hash; /* claim 44236: of measurements, which are as long */
    uint8_t initial_measurement[64], extensible[ATLS_CCA_EXTENSIBLE][64];
    enum atls_arm_hash binding;  /* claim 44240 */
    struct atls_bytes realm_key; /* content of claim 44237 in place of the key of realm_envelope */
};
/* An honest platform and realm in the tag 399, of the profiles of 2023: secured, the instance id
 * from the platform's key. The challenge is for the caller to set. Errors: ATLS_E_CRYPTO,
 * ATLS_E_UNSUPPORTED (a key that is no EC key). */
ATLS_MUST_CHECK enum atls_code atls_sim_cca_init(struct atls_sim_cca *cca,
                                                 const struct atls_private_key *platform,
                                                 const struct atls_private_key *realm,
                                                 struct atls_err *err);
/* The wrapped token, the caller's to clear. Errors: ATLS_E_CRYPTO, ATLS_E_UNSUPPORTED,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_cca_token(const struct atls_sim_cca *cca,
                                                  struct atls_buf *out, struct atls_err *err);
/* The claim 44237 of an honest realm with this key. */
ATLS_MUST_CHECK enum atls_code atls_sim_realm_key(const struct atls_private_key *key, bool legacy,
                                                  struct atls_buf *out, struct atls_err *err);

struct atls_sim_psa {
    bool wide;
    struct atls_sim_envelope envelope;
    const struct atls_sim_claim *changes; /* or NULL */

    enum atls_psa_profile profile;
    struct atls_bytes nonce;
    uint8_t implementation_id[32], instance_id[33];
    int32_t client_id;
    uint64_t lifecycle;
    struct atls_bytes boot_seed;         /* .ptr NULL: none */
    const char *certification_reference; /* NULL: none */
    const struct atls_sim_component *components;
    size_t component_count; /* 0: none were measured, in profile 1 */
};
/* An honest device of the profile of RFC 9783; otherwise as atls_sim_cca_init. */
ATLS_MUST_CHECK enum atls_code atls_sim_psa_init(struct atls_sim_psa *psa,
                                                 const struct atls_private_key *key,
                                                 struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_sim_psa_token(const struct atls_sim_psa *psa,
                                                  struct atls_buf *out, struct atls_err *err);

/* 01 || SHA-256 of the point, as many devices derive it. */
ATLS_MUST_CHECK enum atls_code atls_sim_arm_instance(const struct atls_private_key *key,
                                                     uint8_t out[33], struct atls_err *err);

/* Parsec's bundle of a realm: cca->challenge is not looked at, it is the hash of the KAT. */
struct atls_sim_parsec_cca {
    struct atls_sim_cca *cca;
    struct atls_bytes nonce; /* 8..64 bytes */
    struct atls_bytes spki;  /* of the attested key */
    struct atls_bytes kat;   /* in place of the one of nonce and spki */
    bool untagged_hash;      /* the challenge is of the KAT without its tag */
};
ATLS_MUST_CHECK enum atls_code atls_sim_parsec_cca_bundle(const struct atls_sim_parsec_cca *parsec,
                                                          struct atls_buf *out,
                                                          struct atls_err *err);

/* Parsec's bundle of a TPM. Public area and signature formats are those of P-256 and SHA-256. */
struct atls_sim_parsec_tpm {
    const struct atls_private_key *ak;       /* signs both halves */
    const struct atls_private_key *quote_ak; /* NULL: ak */
    struct atls_bytes spki;                  /* P-256: the attested key */
    struct atls_bytes nonce;                 /* at most 66 bytes */
    struct atls_bytes quote_nonce;           /* .ptr NULL: nonce */
    uint8_t kid[33];
    uint8_t quote_kid[33];         /* first byte 0: kid */
    const char *version;           /* NULL: "2.0" */
    uint32_t attributes;           /* of the attested key; 0: 0x00040072 */
    uint16_t bank;                 /* TPM_ALG_ID; 0: SHA-256 */
    uint32_t pcrs;                 /* bit n: PCR n; 0: PCR 0 to 2 */
    struct atls_bytes pcr_digest;  /* .ptr NULL: of PCRs that are zero */
    struct atls_bytes public_area; /* in place of that of spki; .ptr NULL: that */
    bool two_banks;                /* the quote selects the same PCRs of a second bank, SHA-384 */
    bool swapped;    /* the quote stands where the certification belongs, and the other way */
    bool other_name; /* the certified Name is another object's */
    bool other_boot; /* the quote is of another boot */
    bool clock_unsafe;
};
ATLS_MUST_CHECK enum atls_code atls_sim_parsec_tpm_bundle(const struct atls_sim_parsec_tpm *parsec,
                                                          struct atls_buf *out,
                                                          struct atls_err *err);

#endif
