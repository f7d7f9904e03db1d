/* What every flavour does, however it carries attestation: makes the CMW that proves our side, and
 * judges the CMW of the peer. Functions may be called from any thread and may take as long as an
 * attester or a verifier needs. */
#ifndef ATLS_FLAVOUR_BASE_JUDGE_H
#define ATLS_FLAVOUR_BASE_JUDGE_H

#include <stdbool.h>

#include <atls/attester.h>
#include <atls/ea.h>
#include <atls/result.h>

#include "bind/binder.h"
#include "flavour/base/config.h"

/* ---- our side ---- */

/* What to show. A value; config is borrowed. */
struct atls_proof {
    struct atls_config *config; /* with an attester */
    struct atls_binder binder;
    unsigned int profiles; /* enum atls_evidence_profile: those that the peer takes */
    bool shows_result;     /* a result of the passport instead of evidence */
    bool echoes_binder;    /* which was made for this binder */
};

/* Starts what has to wait for the attester: true when *out_call is there and ready will be called;
 * false when there is nothing to wait for. */
ATLS_MUST_CHECK bool atls_proof_start(const struct atls_proof *proof, atls_attester_ready *ready,
                                      void *arg, struct atls_attester_call **out_call);
/* Makes the CMW, in CBOR; the caller clears it. call: of atls_proof_start, given back here whatever
 * comes; or NULL. Errors: as atls_attester_evidence_for, atls_passport_result. */
ATLS_MUST_CHECK enum atls_code atls_proof_make(const struct atls_proof *proof,
                                               struct atls_attester_call *call,
                                               struct atls_buf *out_cmw, struct atls_err *err);

/* ---- the peer ---- */

/* All that counts of a peer. Everything is borrowed. */
struct atls_judgement {
    struct atls_config *config; /* with require_peer */
    enum atls_role role;        /* ours */
    const char *peer_name;      /* pkix: what the certificate must carry; NULL: any (server) */
    /* same-key: DER key of the TLS leaf whose chain TLS validated; empty when it did not. */
    struct atls_bytes tls_spki;
    struct atls_bytes known;        /* AIK that was accepted before on this connection; or empty */
    const struct atls_bytes *chain; /* of the AIK, DER, end entity first */
    size_t chain_len;
    struct atls_bytes spki;   /* of chain[0] */
    struct atls_bytes cmw;    /* evidence or a result */
    struct atls_bytes binder; /* that evidence must answer: 32 or 48 bytes */
    struct atls_bytes nonce;  /* of struct atls_appraisal, for profile ra-tls alone; or empty */
};

/* What was being judged when a judgement failed. */
enum atls_judge_step { ATLS_JUDGE_IDENTITY = 1, ATLS_JUDGE_EVIDENCE = 2, ATLS_JUDGE_POLICY = 3 };

/* Identity, evidence or result, type, policy, in this order: of cost, and of what a later check
 * needs. *out_result (new reference) is set as soon as there is a result, also when it was refused;
 * NULL before. *out_step says which check failed. Errors: ATLS_E_CERTIFICATE, those of
 * atls_verifier_appraise, ATLS_E_EVIDENCE (insecure-technology, unknown-evidence-type),
 * ATLS_E_REFUSED (policy), those of atls_policy_decide. err is required. */
ATLS_MUST_CHECK enum atls_code atls_judge(const struct atls_judgement *judgement,
                                          struct atls_result **out_result,
                                          enum atls_judge_step *out_step, struct atls_err *err);

/* What is left to judge of a peer that shows no attestation, in flavours whose TLS certificate is
 * the attester's: with identity pkix the chain, by the same anchors, revocation lists and name. The
 * other identities rest on TLS or on evidence: nothing is judged here. Of judgement only config,
 * role, peer_name and chain count. Errors: ATLS_E_CERTIFICATE; ATLS_E_USAGE (the configuration
 * wants attestation). */
ATLS_MUST_CHECK enum atls_code atls_judge_unattested(const struct atls_judgement *judgement,
                                                     struct atls_err *err);

/* True when a failure lies in what the peer sent, not in what this side could not do. */
bool atls_is_peers_fault(enum atls_code code);

#endif
