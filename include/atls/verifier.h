/* The Verifier: appraises evidence and says what it found (RFC 9334 section 4.1).
 *
 *     const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
 *     atls_verifier_open("local:/var/lib/atls/endorsements.db", backends, NULL, &verifier, &err);
 *
 * Further backends are in atls/remote.h. Reference counted; may be used from any thread. */
#ifndef ATLS_VERIFIER_H
#define ATLS_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/clock.h>
#include <atls/log.h>
#include <atls/result.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atls_verifier;

/* Call atls_verifier_options_init first. */
struct atls_verifier_options {
    size_t size;                    /* of this struct, set by init */
    bool allow_insecure_technology; /* let "soft" evidence be appraised; the policy must name it too
                                     */
    bool allow_sha1_pcr_bank;
    bool allow_unsafe_clock;
    bool require_ak_eku;
    struct atls_clock clock; /* zeros: the system's */
    struct atls_log log;
    /* Let an IMA log pass that says of files that they changed while they were measured: then
     * nobody knows what ran. measurement otherwise. */
    bool allow_ima_violations;

    /* Verifiers that are elsewhere ("veraison:") and results that were made before ("passport:").
     * Strings borrow during open. */
    const char *ca_file;       /* PEM: who may vouch for https servers; NULL: the system's */
    const char *result_keys;   /* file with the verifier's public keys (JWK, JWK set or PEM), read
                                  again when it changes; NULL: by discovery over https */
    uint32_t timeout_ms;       /* of one whole exchange; 0: 10000 */
    int64_t result_max_age_s;  /* since a result was issued; 0: 300, of a passport 86400 */
    bool result_echoes_binder; /* a passport counts only if it was made for this connection */

    /* What evidence of confidential computing has to keep to, and what it is let pass:
     * "NAME=VALUE", NULL-terminated (docs/tee-rules.md); NULL: the strict defaults. Borrows during
     * open. */
    const char *const *rules;
    /* Services to fetch what makers of confidential-computing hardware publish from, when the store
     * has it not: as atls_collateral_options_add takes them (atls/collateral.h), NULL-terminated;
     * NULL: nothing is fetched. ca_file counts for them. Borrows during open. */
    const char *const *collateral_from;
};
ATLS_API void atls_verifier_options_init(struct atls_verifier_options *options);

/* Are these rules that a verifier or an issuer takes? list may be NULL. Errors: ATLS_E_CONFIG,
 * which names the rule, its value and what is wanted. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_verifier_check_rules(const char *const *list,
                                                                  struct atls_err *err);

/* Everything that an appraisal needs, together: there is no call without binder and AIK. */
struct atls_appraisal {
    struct atls_bytes evidence; /* one CMW, CBOR: evidence, or a result for one that takes these */
    struct atls_bytes binder; /* 32 or 48 bytes that the evidence must answer; absent is an error */
    struct atls_bytes aik_spki; /* DER key of the authenticator's end-entity certificate */
    int64_t time_s;             /* 0: the clock's now */
    /* enum atls_evidence_profile: those that evidence may come in (evidence-profile otherwise); 0:
     * kat-bundle and kat-batch. */
    unsigned int profiles;
    /* What evidence of profile ra-tls must carry, since it was sent to whoever made it (nonce-
     * mismatch otherwise); empty: none was. Other profiles answer the binder. */
    struct atls_bytes nonce;
};

/* What a verifier can be given of a peer. */
enum atls_verifier_input {
    ATLS_VERIFIER_TAKES_EVIDENCE = 0, /* background check */
    ATLS_VERIFIER_TAKES_RESULTS = 1, /* passport: the peer carries the result of another Verifier */
};

struct atls_verifier_ops {
    const char *scheme; /* "local" */
    enum atls_verifier_input input;
    enum atls_code (*open)(const char *rest, const struct atls_verifier_options *options,
                           void **out_self, struct atls_err *err);
    void (*close)(void *self);
    /* New reference in *out on ATLS_OK. */
    enum atls_code (*appraise)(void *self, const struct atls_appraisal *appraisal,
                               struct atls_result **out, struct atls_err *err);
    /* As atls_verifier_generation and atls_verifier_ping; NULL: there is no such number, and
     * nothing that could be away. */
    enum atls_code (*generation)(void *self, uint64_t *out, struct atls_err *err);
    enum atls_code (*ping)(void *self, struct atls_err *err);
};

/* Errors: ATLS_E_CONFIG (unknown scheme, store missing or without any trust anchor or key),
 * ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_verifier_open(const char *uri, const struct atls_verifier_ops *const *backends,
                   const struct atls_verifier_options *options, struct atls_verifier **out,
                   struct atls_err *err);
ATLS_API struct atls_verifier *atls_verifier_ref(struct atls_verifier *v);
ATLS_API void atls_verifier_unref(struct atls_verifier *v);
ATLS_API enum atls_verifier_input atls_verifier_input(const struct atls_verifier *v);
/* True when it refuses results that do not echo the binder of the connection. */
ATLS_API bool atls_verifier_wants_binder(const struct atls_verifier *v);

/* *out is a number that has grown if what this verifier judges by (reference values, keys, anchors,
 * revocation lists of its store) was changed by anybody since it was asked for last: who was judged
 * before had better attest again. It is this opened verifier's own. May wait for a disk or a
 * database. Errors: ATLS_E_UNSUPPORTED (what the verifier judges by is elsewhere, or files of
 * options), ATLS_E_UNAVAILABLE, ATLS_E_IO and what else a store may say: nothing is known then. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_verifier_generation(struct atls_verifier *v, uint64_t *out, struct atls_err *err);
/* Whether it could appraise now, as far as can be told without evidence: its store answers, or its
 * service, over TLS where the URL is https, says of itself that it is ready and takes sessions
 * (GET /.well-known/veraison/verification), and there are keys to verify results with. May wait, at
 * most as long as the verifier's timeout_ms. Errors: those of an appraisal that are not about
 * evidence. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_verifier_ping(struct atls_verifier *v,
                                                           struct atls_err *err);

/* Appraises. ATLS_OK means that the evidence is genuine, answers this binder and names this AIK (a
 * passport: that a trusted Verifier's result names this AIK, and echoes the binder if
 * atls_verifier_wants_binder); the result then says how its claims compare with reference values.
 * Any failed check is an error with its reason (ATLS_E_EVIDENCE, ATLS_E_DECODE, ATLS_E_UNSUPPORTED)
 * and no result. Others: ATLS_E_USAGE (binder or AIK absent), ATLS_E_IO, ATLS_E_CONFIG,
 * ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_verifier_appraise(struct atls_verifier *v, const struct atls_appraisal *appraisal,
                       struct atls_result **out, struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
