/* Views: each decodes its input whole, and only then writes one JSON value under key (NULL: an
 * element or the document), so that a failed view has written nothing and the caller may show the
 * input in another way. Nothing is verified. Errors are those of the decoders. One thread at a
 * time. */
#ifndef ATLS_VERIFIER_INSPECT_VIEW_H
#define ATLS_VERIFIER_INSPECT_VIEW_H

#include "core/json_writer.h"
#include "wire/cmw.h"

/* Certificates carry wrappers and wrappers certificates: deeper ones are shown in hexadecimal. */
#define ATLS_VIEW_NESTING_MAX 4

struct atls_view {
    struct atls_json *j;
    unsigned int nesting;
    struct atls_err *err;
};

/* A member that is left out when it is absent (.ptr NULL). */
static inline void atls_view_put_text(struct atls_json *j, const char *key, struct atls_bytes text)
{
    if (text.ptr != NULL)
        atls_json_put_text(j, key, text);
}

static inline void atls_view_put_hex(struct atls_json *j, const char *key, struct atls_bytes bytes)
{
    if (bytes.ptr != NULL)
        atls_json_put_hex(j, key, bytes);
}

/* Any well-formed CBOR, as diagnostic notation (RFC 8949 section 8). */
ATLS_MUST_CHECK enum atls_code atls_view_cbor(struct atls_view *v, const char *key,
                                              struct atls_bytes in);
/* A conceptual message wrapper in any of its shapes, in COSE_Sign1 or a JWS too; values of known
 * types are looked into. */
ATLS_MUST_CHECK enum atls_code atls_view_cmw(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_kat(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_soft(struct atls_view *v, const char *key,
                                              struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_corim(struct atls_view *v, const char *key,
                                               struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_comid(struct atls_view *v, const char *key,
                                               struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_cots(struct atls_view *v, const char *key,
                                              struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_cotl(struct atls_view *v, const char *key,
                                              struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_ear(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
/* An EAT in any envelope: CWT, UCCS, bundle, JWT, or a claims set alone, in CBOR or JSON. */
ATLS_MUST_CHECK enum atls_code atls_view_eat(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_psa(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_cca(struct atls_view *v, const char *key,
                                             struct atls_bytes in);

ATLS_MUST_CHECK enum atls_code atls_view_tpm_attest(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_tpm_public(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_tpm_signature(struct atls_view *v, const char *key,
                                                       struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_tpm_certify(struct atls_view *v, const char *key,
                                                     struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_tpm_quote(struct atls_view *v, const char *key,
                                                   struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_event_log(struct atls_view *v, const char *key,
                                                   struct atls_bytes in);

ATLS_MUST_CHECK enum atls_code atls_view_ima_log(struct atls_view *v, const char *key,
                                                 struct atls_bytes in);
/* Lines of an index and a digest. */
ATLS_MUST_CHECK enum atls_code atls_view_pcrs(struct atls_view *v, const char *key,
                                              struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_ccel_table(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);

ATLS_MUST_CHECK enum atls_code atls_view_tsm_report(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);
/* A report, and the certificate table where it follows. */
ATLS_MUST_CHECK enum atls_code atls_view_snp_report(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_snp_certificates(struct atls_view *v, const char *key,
                                                          struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_tdx_quote(struct atls_view *v, const char *key,
                                                   struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_sgx_quote(struct atls_view *v, const char *key,
                                                   struct atls_bytes in);
/* A quote of either kind. */
ATLS_MUST_CHECK enum atls_code atls_view_quote(struct atls_view *v, const char *key,
                                               struct atls_bytes in);
/* Evidence of others in certificates: the members alone, into the object that is open (false, with
 * nothing written, where it does not decode); and each as an object. */
ATLS_MUST_CHECK bool atls_put_tagged_evidence(struct atls_view *v, struct atls_bytes in);
ATLS_MUST_CHECK bool atls_put_oe_report(struct atls_view *v, struct atls_bytes in);
ATLS_MUST_CHECK bool atls_put_oe_evidence(struct atls_view *v, struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_tagged_evidence(struct atls_view *v, const char *key,
                                                         struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_oe_report(struct atls_view *v, const char *key,
                                                   struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_oe_evidence(struct atls_view *v, const char *key,
                                                     struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_hcl(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_parsec_cca(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_parsec_tpm(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_kat_batch(struct atls_view *v, const char *key,
                                                   struct atls_bytes in);
/* TCB info, enclave identity, TCB evaluation data numbers: of TDX or SGX, of any version. */
ATLS_MUST_CHECK enum atls_code atls_view_intel_collateral(struct atls_view *v, const char *key,
                                                          struct atls_bytes in);

/* Any well-formed JSON. */
ATLS_MUST_CHECK enum atls_code atls_view_json(struct atls_view *v, const char *key,
                                              struct atls_bytes in);
/* Claims of PSA or CCA by their names, as test suites write them. */
ATLS_MUST_CHECK enum atls_code atls_view_json_claims(struct atls_view *v, const char *key,
                                                     struct atls_bytes in);
/* COSE_Sign1 or COSE_Mac0 of any content. */
ATLS_MUST_CHECK enum atls_code atls_view_cose(struct atls_view *v, const char *key,
                                              struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_public_key(struct atls_view *v, const char *key,
                                                    struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_jwk(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
/* Revocation lists: one of DER, or PEM. */
ATLS_MUST_CHECK enum atls_code atls_view_crl(struct atls_view *v, const char *key,
                                             struct atls_bytes in);
/* DER of one certificate, or PEM of one or more. */
ATLS_MUST_CHECK enum atls_code atls_view_certificate(struct atls_view *v, const char *key,
                                                     struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_request(struct atls_view *v, const char *key,
                                                 struct atls_bytes in);
ATLS_MUST_CHECK enum atls_code atls_view_authenticator(struct atls_view *v, const char *key,
                                                       struct atls_bytes in);
/* One frame of atls/1, or its header alone. */
ATLS_MUST_CHECK enum atls_code atls_view_frame(struct atls_view *v, const char *key,
                                               struct atls_bytes in);

struct atls_cose_key;
void atls_view_put_cose_key(struct atls_view *v, const char *key, const struct atls_cose_key *k);
/* Dotted form of an OID's content octets, as far as it is one. */
void atls_view_put_oid(struct atls_writer *w, struct atls_bytes oid);

typedef enum atls_code atls_view_function(struct atls_view *v, const char *key,
                                          struct atls_bytes in);
/* view of in where that works and nesting allows, hexadecimal otherwise. */
void atls_view_or_hex(struct atls_view *v, const char *key, struct atls_bytes in,
                      atls_view_function *view);

#endif
