#include <atls/verifier.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "core/secret.h"
#include "verifier/result.h"

struct atls_verifier {
    atomic_uint references;
    const struct atls_verifier_ops *ops;
    void *self;
    struct atls_clock clock;
    bool wants_binder;
};

void atls_verifier_options_init(struct atls_verifier_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
}

enum atls_code atls_verifier_check_rules(const char *const *list, struct atls_err *err)
{
    struct atls_rules rules = {.snp = {0}};

    return atls_rules_set_all(&rules, list, err);
}

/* The options that this build knows; a caller built against an older header gave fewer. */
static enum atls_code take_options(const struct atls_verifier_options *in,
                                   struct atls_verifier_options *out, struct atls_err *err)
{
    atls_verifier_options_init(out);
    if (in == NULL)
        return ATLS_OK;
    if (in->size < sizeof in->size || in->size > sizeof *out)
        return atls_fail(err, ATLS_E_USAGE,
                         "verifier options: size %zu, want at most %zu; was "
                         "atls_verifier_options_init called?",
                         in->size, sizeof *out);
    memcpy(out, in, in->size);
    out->size = sizeof *out;
    return ATLS_OK;
}

static const struct atls_verifier_ops *find_backend(const struct atls_verifier_ops *const *backends,
                                                    const char *uri, size_t scheme_len)
{
    for (; backends != NULL && *backends != NULL; backends++)
        if (strlen((*backends)->scheme) == scheme_len &&
            memcmp((*backends)->scheme, uri, scheme_len) == 0)
            return *backends;
    return NULL;
}

enum atls_code atls_verifier_open(const char *uri, const struct atls_verifier_ops *const *backends,
                                  const struct atls_verifier_options *options,
                                  struct atls_verifier **out, struct atls_err *err)
{
    const char *colon = strchr(uri, ':');
    const struct atls_verifier_ops *ops;
    struct atls_verifier_options taken;
    struct atls_verifier *v;
    enum atls_code code;
    char shown[96];

    if (colon == NULL || (ops = find_backend(backends, uri, (size_t)(colon - uri))) == NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "verifier \"%s\": no backend of this program has that scheme",
                         atls_escape(atls_bytes_of(uri, strlen(uri)), shown, sizeof shown));
    if ((code = take_options(options, &taken, err)) != ATLS_OK)
        return code;
    if ((v = calloc(1, sizeof *v)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "verifier: out of memory");
    if ((code = ops->open(colon + 1, &taken, &v->self, err)) != ATLS_OK) {
        free(v);
        return code;
    }
    atomic_init(&v->references, 1);
    v->ops = ops;
    v->clock = taken.clock;
    v->wants_binder = ops->input == ATLS_VERIFIER_TAKES_RESULTS && taken.result_echoes_binder;
    *out = v;
    return ATLS_OK;
}

struct atls_verifier *atls_verifier_ref(struct atls_verifier *v)
{
    atomic_fetch_add_explicit(&v->references, 1, memory_order_relaxed);
    return v;
}

void atls_verifier_unref(struct atls_verifier *v)
{
    if (v == NULL || atomic_fetch_sub_explicit(&v->references, 1, memory_order_acq_rel) != 1)
        return;
    v->ops->close(v->self);
    free(v);
}

enum atls_verifier_input atls_verifier_input(const struct atls_verifier *v)
{
    return v->ops->input;
}

bool atls_verifier_wants_binder(const struct atls_verifier *v)
{
    return v->wants_binder;
}

enum atls_code atls_verifier_generation(struct atls_verifier *v, uint64_t *out,
                                        struct atls_err *err)
{
    if (v->ops->generation == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "verifier \"%s:\": what it judges by is not in a store of ours",
                         v->ops->scheme);
    return v->ops->generation(v->self, out, err);
}

enum atls_code atls_verifier_ping(struct atls_verifier *v, struct atls_err *err)
{
    return v->ops->ping == NULL ? ATLS_OK : v->ops->ping(v->self, err);
}

/* No backend is trusted to have looked at binder and key: a result about another connection or
 * another key is none. A passport was made before there was a connection, so that only its key ties
 * it to this one, unless the Relying Party asks for more. */
static enum atls_code check_result(const struct atls_verifier *v, const struct atls_appraisal *a,
                                   const struct atls_result *r, struct atls_err *err)
{
    bool answers = v->ops->input == ATLS_VERIFIER_TAKES_EVIDENCE || v->wants_binder;

    if (answers && !atls_secret_equal(atls_result_nonce(r), a->binder))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_BINDER_MISMATCH,
                                "result: its nonce is not the binder of this connection");
    if (atls_result_key(r).len == 0 || !atls_bytes_equal(atls_result_key(r), a->aik_spki))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
                                "result: the key that it attests is not the authenticator's");
    return ATLS_OK;
}

enum atls_code atls_verifier_appraise(struct atls_verifier *v,
                                      const struct atls_appraisal *appraisal,
                                      struct atls_result **out, struct atls_err *err)
{
    struct atls_appraisal a = *appraisal;
    struct atls_result *r = NULL;
    enum atls_code code;

    if (a.binder.len != 32 && a.binder.len != 48)
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                                "appraisal: binder of %zu bytes, want 32 or 48", a.binder.len);
    if (a.aik_spki.len == 0)
        return atls_fail(err, ATLS_E_USAGE, "appraisal: the authenticator's key is missing");
    if (a.evidence.len == 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                                "appraisal: there is no evidence");
    if (a.time_s == 0)
        a.time_s = atls_clock_wall_s(&v->clock);
    if ((code = v->ops->appraise(v->self, &a, &r, err)) != ATLS_OK)
        return code;
    if ((code = check_result(v, &a, r, err)) != ATLS_OK) {
        atls_result_unref(r);
        return code;
    }
    *out = r;
    return ATLS_OK;
}
