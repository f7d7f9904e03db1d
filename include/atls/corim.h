/* Reference manifests (CoRIM, draft-ietf-rats-corim; library libatls-verifier): made from a JSON
 * template, which may come from evidence, shown as text. */
#ifndef ATLS_CORIM_H
#define ATLS_CORIM_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* JSON template (docs/store.md) -> unsigned CoRIM:
 *   {"id": "...", "tag-id": "...",
 *    "profile"?: "tpm" (default), "soft", "snp", "tdx", "cca-platform", "cca-realm" or "psa",
 *    "class": "<uuid>"; snp: "vcek" (default), "vlek" or a UUID; tdx: a UUID, by default that of
 *        trust domains; cca-platform, psa: implementation id in hexadecimal; cca-realm: initial
 *        measurement in hexadecimal,
 *    "vendor"?, "model"?, "instance-form"?: "ueid" (default) or "bytes", "not-before"?,
 *    "not-after"?: seconds since 1970 or "2026-01-31T12:00:00Z",
 *    "attest-keys"?: [{"instance": "<66 hex>", "key": "<PEM>" }],
 *    "reference-values"?: tpm, soft: {"sha256": {"0": "<hex>" or ["<hex>", ...], ...}};
 *        others by name: {"measurement": "<hex>" or ["<hex>", ...], ...},
 *    "endorsed-values"?: [measurement, ...],
 *    "conditional-endorsements"?: [{"conditions": [measurement, ...], "additions": [...]}, ...],
 *    "conditional-series"?: [{"conditions"?: [...],
 *                             "series": [{"selection": [...], "addition": [...]}, ...]}, ...]}
 *   measurement: {"mkey"?: name or number, "version"?, "svn"? or "min-svn"?, "name"?,
 *                 "digests"?: {"sha256": "<hex>"}, "flags"?: {"debug": false},
 *                 "raw-value"?: "<hex>"}
 * The members of a bank are PCR numbers (tpm) or names of measurements (soft). Errors:
 * ATLS_E_DECODE with the JSON path and rule. *out is the caller's to clear. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_corim_create(struct atls_bytes template_json, struct atls_buf *out, struct atls_err *err);
/* Strings borrow for the call. */
struct atls_corim_evidence_options {
    const char *id;      /* of the manifest; needed */
    const char *profile; /* of the template, or NULL; of CCA cca-platform or cca-realm, needed */
    const char *const *only; /* names of reference values, NULL-terminated; NULL: the usual ones */
};
/* A template with the measurements of known-good evidence (one CMW, CBOR: SEV-SNP, TDX, CCA, PSA)
 * as reference values. Nothing is verified: the evidence is good because the caller says so. *out
 * (JSON, NUL terminated, not counted) is the caller's to clear. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED (other evidence), ATLS_E_CONFIG (profile, names), ATLS_E_NOT_FOUND (the
 * evidence has no such value), ATLS_E_USAGE (no id), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_corim_template_of_evidence(struct atls_bytes evidence,
                                const struct atls_corim_evidence_options *options,
                                struct atls_buf *out, struct atls_err *err);
/* A CoRIM (unsigned or signed) as JSON text, NUL terminated (not counted); nothing is verified. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_corim_to_json(struct atls_bytes corim, struct atls_buf *out, struct atls_err *err);

struct atls_corim_sign_options {
    struct atls_bytes key_pem; /* private key, PEM, unencrypted */
    const char *signer;        /* name of the signer, 1..127 bytes of UTF-8 */
    int64_t not_before_s;      /* 0: none */
    int64_t not_after_s;       /* 0: none */
    /* Certificates that go into the signature (x5chain), PEM, at most ATLS_CHAIN_MAX, the signer's
     * first; empty: none. */
    struct atls_bytes chain_pem;
};
/* Unsigned CoRIM -> signed one (COSE_Sign1 with corim-meta and CWT claims). Errors: ATLS_E_DECODE
 * (not an unsigned CoRIM), ATLS_E_USAGE (also certificates of another key), ATLS_E_UNSUPPORTED
 * (COSE has no algorithm for the key). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_corim_sign(struct atls_bytes corim, const struct atls_corim_sign_options *options,
                struct atls_buf *out, struct atls_err *err);
/* Verifies a signed CoRIM under signer_spki (DER) and its validity at time_s. *out_payload (may be
 * NULL) borrows the unsigned CoRIM from corim. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED,
 * ATLS_E_VERIFY (unsigned, or signed by another key), ATLS_E_CERTIFICATE (validity). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_corim_verify(struct atls_bytes corim, struct atls_bytes signer_spki, int64_t time_s,
                  struct atls_bytes *out_payload, struct atls_err *err);

/* Whose signature counts. With both a key and anchors, either will do. */
struct atls_corim_trust {
    struct atls_bytes signer_spki; /* SubjectPublicKeyInfo (DER), or a JWK (JSON); empty: none */
    struct atls_bytes anchors;     /* certificates, PEM; empty: none */
    struct atls_bytes crls;        /* revocation lists, DER or PEM; empty: none. Need anchors */
    int64_t time_s;                /* seconds since 1970 at which all of it must be valid */
    bool legacy;                   /* take the payload of an old tool that left tag 501 out */
};
/* As atls_corim_verify; anchors are for certificates in the signature (x5chain, label 33), whose
 * first must lead to one of them, be for signing (keyUsage digitalSignature, extended usage none,
 * codeSigning or any) and hold the key that signed. Errors: as above, those of certificates
 * (ATLS_E_CERTIFICATE with the reason), ATLS_E_USAGE (neither key nor anchors). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_corim_verify_trusted(struct atls_bytes corim, const struct atls_corim_trust *trust,
                          struct atls_bytes *out_payload, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
