#include "verifier/remote/accept_token.h"

#include "core/err.h"

static enum atls_code accept_with(struct atls_ear_keys *keys, struct atls_bytes token,
                                  const struct atls_token_check *check, struct atls_ear *out,
                                  struct atls_err *err)
{
    struct atls_ear_check c;

    atls_ear_check_init(&c);
    c.keys = keys;
    c.time_s = check->time_s;
    c.max_age_s = check->max_age_s;
    c.nonce = check->nonce;
    return atls_ear_accept(token, &c, out, err);
}

/* A kid or a signature that these keys do not know, or a key of a kind that they lack. */
static bool may_be_newer(enum atls_code code, const struct atls_err *err)
{
    return (code == ATLS_E_VERIFY && err->reason != ATLS_REASON_NONCE_MISMATCH) ||
           code == ATLS_E_UNSUPPORTED;
}

static enum atls_code get_keys(const struct atls_token_check *check, struct atls_ear_keys **out,
                               struct atls_err *err)
{
    enum atls_code code = atls_key_source_get(check->keys, check->deadline_ms, out, err);

    return atls_key_source_judge(code, err);
}

enum atls_code atls_remote_accept(struct atls_bytes token, const struct atls_token_check *check,
                                  struct atls_ear *out, struct atls_err *err)
{
    struct atls_ear_keys *keys = NULL, *newer = NULL;
    struct atls_err first = ATLS_ERR_INIT;
    enum atls_code code;

    if ((code = get_keys(check, &keys, err)) != ATLS_OK)
        return code;
    code = accept_with(keys, token, check, out, &first);
    if (may_be_newer(code, &first) &&
        atls_key_source_renew(check->keys, keys, check->deadline_ms, &newer, NULL) == ATLS_OK) {
        if (newer != keys) {
            atls_err_clear(&first);
            code = accept_with(newer, token, check, out, &first);
        }
        atls_ear_keys_unref(newer);
    }
    atls_ear_keys_unref(keys);
    if (code != ATLS_OK && err != NULL)
        *err = first;
    return code;
}
