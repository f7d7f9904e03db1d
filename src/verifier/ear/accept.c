#include "verifier/ear/accept.h"

#include <inttypes.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/secret.h"
#include "verifier/ear/envelope.h"
#include "verifier/ear/keys.h"

/* Clocks of verifier and reader may differ by as much. */
#define SKEW_S 60

void atls_ear_check_init(struct atls_ear_check *check)
{
    *check = (struct atls_ear_check){.size = sizeof(*check)};
}

enum atls_code atls_ear_check_usage(const struct atls_ear_check *check, struct atls_err *err)
{
    if (check == NULL || check->size != sizeof(*check) ||
        (check->keys == NULL && check->public_key_pem.len == 0))
        return atls_fail(err, ATLS_E_USAGE, "EAR: what to check, or the key, is missing");
    if (check->keys != NULL && check->public_key_pem.len != 0)
        return atls_fail(err, ATLS_E_USAGE, "EAR: want keys or PEM text of a key, not both");
    if (check->max_age_s < 1 && check->max_age_s != ATLS_EAR_ANY_AGE)
        return atls_fail(err, ATLS_E_USAGE,
                         "EAR: want an age of at least 1 s, or ATLS_EAR_ANY_AGE, is %" PRId64,
                         check->max_age_s);
    if (check->nonce.len != 0 && (check->nonce.len < 8 || check->nonce.len > 64))
        return atls_fail(err, ATLS_E_USAGE, "EAR: nonce of %zu bytes, want 8..64",
                         check->nonce.len);
    return ATLS_OK;
}

static enum atls_code check_times(const struct atls_ear *ear, const struct atls_ear_check *check,
                                  struct atls_err *err)
{
    int64_t now = check->time_s;

    if (ear->issued_at_s - SKEW_S > now ||
        (ear->has_not_before && ear->not_before_s - SKEW_S > now))
        return atls_fail_reason(
            err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID,
            "EAR: issued at %" PRId64 ", valid from %" PRId64 ", and it is %" PRId64,
            ear->issued_at_s, ear->has_not_before ? ear->not_before_s : ear->issued_at_s, now);
    if (ear->has_expiry && now - SKEW_S >= ear->expiry_s)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
                                "EAR: expired at %" PRId64 ", and it is %" PRId64, ear->expiry_s,
                                now);
    /* Issued at 0 or later, and at most a little after now: the difference cannot overflow. */
    if (check->max_age_s != ATLS_EAR_ANY_AGE && now - ear->issued_at_s > check->max_age_s)
        return atls_fail_reason(err, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
                                "EAR: issued %" PRId64 " s ago, want at most %" PRId64,
                                now - ear->issued_at_s, check->max_age_s);
    return ATLS_OK;
}

/* Where one was sent, exactly one, and the same octets. */
static enum atls_code check_nonce(const struct atls_ear *ear, struct atls_bytes nonce,
                                  struct atls_err *err)
{
    if (nonce.len == 0)
        return ATLS_OK;
    if (ear->nonce_count != 1)
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_NONCE_MISMATCH,
                                "EAR: %zu nonces, want the one that was sent", ear->nonce_count);
    if (!atls_secret_equal(ear->nonces[0], nonce))
        return atls_fail_reason(err, ATLS_E_VERIFY, ATLS_REASON_NONCE_MISMATCH,
                                "EAR: its nonce is not the one that was sent");
    return ATLS_OK;
}

static enum atls_code verify_signature(const struct atls_envelope *e,
                                       const struct atls_ear_check *check, struct atls_err *err)
{
    struct atls_ear_keys *keys = check->keys;
    enum atls_code code;

    if (keys != NULL)
        return atls_ear_keys_verify(keys, &e->signature, err);
    if ((code = atls_ear_keys_parse(check->public_key_pem, &keys, err)) != ATLS_OK)
        return code;
    code = atls_ear_keys_verify(keys, &e->signature, err);
    atls_ear_keys_unref(keys);
    return code;
}

enum atls_code atls_ear_accept_envelope(const struct atls_envelope *e,
                                        const struct atls_ear_check *check, struct atls_ear *out,
                                        struct atls_err *err)
{
    unsigned int flags = 0;
    struct atls_ear ear;
    enum atls_code code;

    if (check->allow_float_times)
        flags |= ATLS_EAR_FLOAT_TIMES;
    if ((code = verify_signature(e, check, err)) != ATLS_OK ||
        (code = atls_envelope_claims(e, flags, &ear, err)) != ATLS_OK)
        return code;
    if ((code = check_times(&ear, check, err)) != ATLS_OK ||
        (code = check_nonce(&ear, check->nonce, err)) != ATLS_OK) {
        atls_ear_clear(&ear);
        return code;
    }
    *out = ear;
    return ATLS_OK;
}

enum atls_code atls_ear_accept(struct atls_bytes token, const struct atls_ear_check *check,
                               struct atls_ear *out, struct atls_err *err)
{
    struct atls_envelope e;
    enum atls_code code;

    if ((code = atls_ear_check_usage(check, err)) != ATLS_OK ||
        (code = atls_envelope_open(token, &e, err)) != ATLS_OK)
        return code;
    code = atls_ear_accept_envelope(&e, check, out, err);
    atls_envelope_clear(&e);
    return code;
}
