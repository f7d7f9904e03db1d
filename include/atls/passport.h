/* Passport (RFC 9334 section 5.1): the Attester obtains an attestation result about itself and
 * shows this, instead of evidence, to Relying Parties that trust the Verifier who signed it.
 *
 *     struct atls_passport_options o;
 *     atls_passport_options_init(&o);
 *     o.attester = attester;  o.verifier_url = "https://verifier.example:8443";
 *     atls_passport_open(&o, &passport, &err);
 *     config_options.passport = passport;
 *
 * A result names the AIK, and the AIK signs the authenticator of this connection: so the result is
 * about the peer of the connection, as of the time at which it was issued (docs/passport.md).
 * Reference counted; may be used from any thread. */
#ifndef ATLS_PASSPORT_H
#define ATLS_PASSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/attester.h>
#include <atls/bytes.h>
#include <atls/clock.h>
#include <atls/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atls_passport;

/* A backend, so that libatls needs no HTTP. */
struct atls_passport_ops {
    void (*close)(void *self);
    /* One CMW (CBOR) with the result. binder is empty: any result that is valid yet; else 32 or 48
     * bytes that the result must echo. */
    enum atls_code (*result)(void *self, struct atls_bytes binder, struct atls_buf *out_cmw,
                             struct atls_err *err);
};
/* Takes self on success. Errors: ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_passport_new(const struct atls_passport_ops *ops,
                                                          void *self, struct atls_passport **out,
                                                          struct atls_err *err);
ATLS_API struct atls_passport *atls_passport_ref(struct atls_passport *p);
ATLS_API void atls_passport_unref(struct atls_passport *p); /* NULL is fine */
/* The result to show; *out_cmw is the caller's to clear. Slow when there is none in stock. Errors:
 * those of the backend, ATLS_E_LIMIT (more than ATLS_CMW_DATA_MAX bytes). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_passport_result(struct atls_passport *p,
                                                             struct atls_bytes binder,
                                                             struct atls_buf *out_cmw,
                                                             struct atls_err *err);

/* ---- library libatls-verifier: from a verifier service ---- */

/* Call atls_passport_options_init first; strings borrow during open. */
struct atls_passport_options {
    size_t size;                    /* of this struct, set by init */
    struct atls_attester *attester; /* referenced */
    const char *verifier_url;       /* of a service that speaks Veraison's challenge-response API */
    const char *ca_file;            /* PEM, for https; NULL: the system's */
    const char *result_keys;        /* as struct atls_verifier_options; NULL: by discovery */
    uint32_t timeout_ms;            /* of one whole exchange; 0: 10000 */
    int64_t lifetime_s;             /* of a result that names no expiry, a day at most; 0: 3600 */
    struct atls_clock clock;
    struct atls_log log;
    bool later; /* a service that gives no answer is no error of open: results come when it does */
};
ATLS_API void atls_passport_options_init(struct atls_passport_options *options);

/* Obtains the first result, then renews it in a thread of its own when a fifth of its life is left
 * (at least 30 s), and again after failures with growing pauses; an expired one is never shown, nor
 * one that is older than a day. Callers that find none in stock wait for one exchange together. A
 * result that is not affirming, or names another key, is an error that says what the Verifier
 * found. Errors: ATLS_E_CONFIG, ATLS_E_USAGE (options), ATLS_E_UNAVAILABLE and ATLS_E_TIMEOUT (no
 * answer; not with later), ATLS_E_PROTOCOL (one that makes no sense), ATLS_E_UNSUPPORTED (the
 * service takes no such evidence), ATLS_E_REFUSED (the Verifier does not trust this attester),
 * ATLS_E_VERIFY and ATLS_E_CERTIFICATE (its result, or its TLS certificate), ATLS_E_NOMEM, those of
 * the attester. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_passport_open(const struct atls_passport_options *options, struct atls_passport **out,
                   struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
