/* Evidence in a form that a verifier service takes, best first.
 *
 *   application/cmw+cbor; cmwc_t="<ATLS_BUNDLE_TYPE>"       our bundle as it is; nonce = binder
 *   application/vnd.parallaxsecond.key-attestation.tpm      TPM evidence as CBOR {"kat": {...},
 *       "pat": {...}} with what both halves have in common with ours (docs/veraison.md); nonce =
 *       what the TPM signed: the binder, or SHA-256 of a 48-byte one
 *   application/vnd.parallaxsecond.key-attestation.cca      CCA evidence as CBOR {"kat": KAT,
 *       "pat": token}, both as they stand; nonce = binder
 *   the type of the platform token, or another name of it   that token alone; nonce = what it
 *       signs, 64 bytes. The service sees no key then, and its result attests none: whoever sends
 *       this has checked what ties challenge, key attestation token, binder and key */
#ifndef ATLS_VERIFIER_REMOTE_PACK_H
#define ATLS_VERIFIER_REMOTE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "wire/kat.h"

#define ATLS_BUNDLE_MEDIA_TYPE     "application/cmw+cbor; cmwc_t=\"" ATLS_BUNDLE_TYPE "\""
#define ATLS_PARSEC_TPM_MEDIA_TYPE "application/vnd.parallaxsecond.key-attestation.tpm"
#define ATLS_PARSEC_CCA_MEDIA_TYPE "application/vnd.parallaxsecond.key-attestation.cca"
#define ATLS_PACKED_NONCE_MAX      64

struct atls_packed {
    const char *form;                     /* static */
    struct atls_buf body;                 /* the caller's to clear */
    bool names_no_key;                    /* the platform token alone */
    size_t nonce_len;                     /* 32 or 48; of a platform token alone 64 */
    uint8_t nonce[ATLS_PACKED_NONCE_MAX]; /* what a verifier finds signed */
};
void atls_packed_clear(struct atls_packed *packed);

/* The first form above that types (media types, count of them) name and that this evidence
 * (one CMW, CBOR, made over binder of 32 or 48 bytes) can have. Errors: ATLS_E_UNSUPPORTED with
 * reason unknown-evidence-type, ATLS_E_DECODE, ATLS_E_USAGE (binder), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_pack(struct atls_bytes evidence, struct atls_bytes binder,
                                         const struct atls_bytes *types, size_t count,
                                         struct atls_packed *out, struct atls_err *err);

/* Evidence whose key and connection are named by what the platform token signs (profile "bare"). */
struct atls_bare_token {
    struct atls_bytes evidence; /* one CMW, CBOR */
    uint8_t challenge[ATLS_PACKED_NONCE_MAX];
};
/* The platform token alone, with its challenge as nonce. out->form is NULL (and nothing has to be
 * cleared) when evidence is no such token, or types name it in no way. Errors: ATLS_E_DECODE,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_pack_bare(const struct atls_bare_token *bare,
                                              const struct atls_bytes *types, size_t count,
                                              struct atls_packed *out, struct atls_err *err);

/* The one of types that names form, in the spelling it has there, or empty. */
struct atls_bytes atls_pack_find(const struct atls_bytes *types, size_t count, const char *form);

#endif
