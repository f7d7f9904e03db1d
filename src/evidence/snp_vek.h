/* Endorsement keys of SEV-SNP (VCEK, VLEK): what their certificates say, and the chain above them.
 * Private to src/evidence. */
#ifndef ATLS_EVIDENCE_SNP_VEK_H
#define ATLS_EVIDENCE_SNP_VEK_H

#include <stdatomic.h>

#include "evidence/snp.h"

/* What the certificate says of the TCB that the key was derived for. */
struct atls_snp_vek_tcb {
    struct atls_snp_tcb tcb;
    bool complete;   /* every component of the line is there */
    bool unused_set; /* one that the line has not is there and not 0 */
};

/* Immutable once built, reference counted: what a verified chain holds is kept in the cache. */
struct atls_snp_vek {
    atomic_uint references;
    struct atls_certificate *leaf;
    enum atls_snp_signer signer;
    enum atls_snp_line line;
    struct atls_snp_vek_tcb tcb;
    struct atls_bytes hw_id;   /* 64 or 8 bytes; .ptr NULL: none. These borrow from leaf. */
    struct atls_bytes csp_id;  /* text; .ptr NULL: none */
    struct atls_bytes product; /* text; .ptr NULL: none */
    /* Of the chain, once it was verified: */
    struct atls_attest_key class;
    bool revocation_checked;
    int64_t not_after_s; /* as long as certificates and list hold */
};

/* Reads a leaf (DER, or PEM with the leaf first) that is to be of this kind. Errors:
 * ATLS_E_EVIDENCE (signing-key-mismatch), ATLS_E_UNSUPPORTED (unsupported-algorithm: no P-384 key),
 * ATLS_E_CERTIFICATE (chain-issuer: its issuer is of no line), ATLS_E_DECODE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_snp_vek_parse(struct atls_bytes certificate,
                                                  enum atls_snp_signer signer,
                                                  struct atls_snp_vek **out, struct atls_err *err);
struct atls_snp_vek *atls_snp_vek_ref(struct atls_snp_vek *vek);
void atls_snp_vek_unref(struct atls_snp_vek *vek); /* NULL is fine */

/* The verified key for a report, from the cache or from certificates, steps 5 to 7. line is
 * UNKNOWN where the report does not say. Errors: those of atls_snp_verify. */
ATLS_MUST_CHECK enum atls_code atls_snp_vek_find(const struct atls_snp_check *check,
                                                 const struct atls_snp_report *report,
                                                 enum atls_snp_line line, struct atls_snp_vek **out,
                                                 struct atls_err *err);

/* Where certificates and lists may come from, opened. */
struct atls_snp_offer {
    const struct atls_snp_check *check;
    struct atls_snp_certificates table;
    struct atls_bytes vek, ca, crl; /* of check and its endorsements */
};

/* Chain and revocation list of vek, at the time of the request; fills what the chain tells.
 * anchors may be NULL. */
ATLS_MUST_CHECK enum atls_code atls_snp_chain_verify(const struct atls_snp_offer *offer,
                                                     const struct atls_certificate_set *anchors,
                                                     struct atls_snp_vek *vek,
                                                     struct atls_err *err);

/* Class of an environment whose anchor names none: the kind of key, as AMD's CoRIM profile has it.
 * Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_snp_default_class(enum atls_snp_signer signer,
                                                      struct atls_attest_key *out,
                                                      struct atls_err *err);

/* Why the source had no document. */
struct atls_snp_absence {
    enum atls_code failure; /* of the place to fetch it from; ATLS_OK: none */
    bool crl_expired;       /* it has a list, whose time is over */
};
/* A document of the source; *out stays empty when it has none, and *absence says why, as far as
 * there is a reason; its members are left alone otherwise. Errors: other ones of the source. */
ATLS_MUST_CHECK enum atls_code atls_snp_collateral(const struct atls_evidence_request *request,
                                                   const struct atls_collateral_query *query,
                                                   struct atls_buf *out,
                                                   struct atls_snp_absence *absence,
                                                   struct atls_err *err);
/* "milan" */
void atls_snp_line_subject(enum atls_snp_line line, char out[static 8]);

/* Rules of the operator that the report alone decides, steps 12 to 17. line may be UNKNOWN. */
ATLS_MUST_CHECK enum atls_code atls_snp_rules_check(const struct atls_snp_rules *rules,
                                                    const struct atls_snp_report *report,
                                                    enum atls_snp_line line, struct atls_err *err);
const struct atls_snp_rules *atls_snp_rules_of(const struct atls_evidence_request *request);

#endif
