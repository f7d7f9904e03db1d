/* Results that the peer carries: opened, verified under the Verifier's keys, made into a result.
 * That its key is the authenticator's, and its nonce the binder where that is wanted, is checked
 * behind every verifier by atls_verifier_appraise. */
#include <atls/remote.h>

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "verifier/remote/accept_token.h"
#include "verifier/remote/carried_result.h"
#include "verifier/result.h"

#define MAX_AGE_S  86400
#define TIMEOUT_MS 10000

struct passport_verifier {
    struct atls_key_source *keys;
    int64_t max_age_s;
    uint32_t timeout_ms; /* of discovery */
    struct atls_log log;
};

static void passport_close(void *self)
{
    struct passport_verifier *p = self;

    atls_key_source_free(p->keys);
    free(p);
}

static bool is_url(const char *rest)
{
    return strncmp(rest, "https://", 8) == 0 || strncmp(rest, "http://", 7) == 0;
}

/* Keys of a file, which --result-keys may name as well, or those that a service names. */
static enum atls_code open_keys(const char *rest, const struct atls_verifier_options *options,
                                struct atls_key_source **out, struct atls_err *err)
{
    const struct atls_service_options service_options = {
        .url = rest, .http.ca_file = options->ca_file, .log = options->log};
    struct atls_service *service = NULL;
    enum atls_code code;

    if (!is_url(rest))
        return atls_key_source_file(rest, out, err);
    if (options->result_keys != NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "verifier \"passport:\": a service and result keys; want one of them");
    if ((code = atls_service_new(&service_options, &service, err)) != ATLS_OK)
        return code;
    code = atls_key_source_service(service, out, err);
    atls_service_unref(service);
    return code;
}

static enum atls_code passport_open(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    const char *where = *rest != '\0' ? rest : options->result_keys;
    struct passport_verifier *p;
    enum atls_code code;

    if (where == NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "verifier \"passport:\": want a file with the keys of the Verifier, or "
                         "its https URL, behind it");
    if (options->result_max_age_s < 0)
        return atls_fail(err, ATLS_E_CONFIG,
                         "verifier \"passport:\": result_max_age_s is negative");
    if ((p = calloc(1, sizeof *p)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "verifier: out of memory");
    p->max_age_s = options->result_max_age_s == 0 ? MAX_AGE_S : options->result_max_age_s;
    p->timeout_ms = options->timeout_ms == 0 ? TIMEOUT_MS : options->timeout_ms;
    p->log = options->log;
    if ((code = open_keys(where, options, &p->keys, err)) != ATLS_OK) {
        passport_close(p);
        return code;
    }
    *out_self = p;
    return ATLS_OK;
}

static enum atls_code make_result(struct atls_ear *ear, struct atls_result **out,
                                  struct atls_err *err)
{
    const struct atls_result_source source = {.ear = ear};
    struct atls_result *r = NULL;
    enum atls_code code = atls_result_from_ear(&source, &r, err);

    if (code != ATLS_OK)
        return code;
    if (atls_result_key(r).len == 0) {
        code = atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
                                "passport: the result vouches for no key: %s",
                                *atls_result_explanation(r) != '\0' ? atls_result_explanation(r)
                                                                    : "it names none");
        atls_result_unref(r);
        return code;
    }
    *out = r;
    return ATLS_OK;
}

/* Evidence is as fresh as its nonce. Whoever chose that one may have had the evidence for long, and
 * get a new result about it each day: it counts only when it is this connection's binder. */
static enum atls_code check_nonce(const struct atls_ear *ear, struct atls_bytes binder,
                                  struct atls_err *err)
{
    if (!atls_ear_nonce_given(ear) ||
        (ear->nonce_count == 1 && atls_secret_equal(ear->nonces[0], binder)))
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH,
                            "passport: the nonce of its evidence was not the Verifier's, so that "
                            "nobody knows how old that is");
}

static enum atls_code passport_appraise(void *self, const struct atls_appraisal *a,
                                        struct atls_result **out, struct atls_err *err)
{
    struct passport_verifier *p = self;
    const struct atls_token_check check = {.keys = p->keys,
                                           .deadline_ms = atls_http_now_ms() + p->timeout_ms,
                                           .time_s = a->time_s,
                                           .max_age_s = p->max_age_s};
    struct atls_carried_result carried;
    struct atls_ear ear;
    enum atls_code code;

    if ((code = atls_carried_result_open(a->evidence, &carried, err)) != ATLS_OK)
        return code;
    if ((code = atls_remote_accept(carried.token, &check, &ear, err)) != ATLS_OK)
        return code;
    if ((code = atls_carried_result_check(&carried, &ear, err)) == ATLS_OK &&
        (code = check_nonce(&ear, a->binder, err)) == ATLS_OK)
        code = make_result(&ear, out, err);
    atls_ear_clear(&ear);
    if (code == ATLS_OK)
        atls_log(&p->log, ATLS_LOG_DEBUG, "verifier", "passport of %s: %s",
                 atls_result_verifier(*out), atls_tier_name(atls_result_status(*out)));
    return code;
}

static enum atls_code passport_ping(void *self, struct atls_err *err)
{
    struct passport_verifier *p = self;
    enum atls_code code = atls_key_source_ping(p->keys, atls_http_now_ms() + p->timeout_ms, err);

    return atls_key_source_judge(code, err);
}

const struct atls_verifier_ops atls_passport_verifier = {
    .scheme = "passport",
    .input = ATLS_VERIFIER_TAKES_RESULTS,
    .open = passport_open,
    .close = passport_close,
    .appraise = passport_appraise,
    .ping = passport_ping,
};
