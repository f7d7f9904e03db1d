#include <atls/policy.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"

struct atls_policy {
    atomic_uint references;
    const struct atls_policy_ops *ops;
    void *self;
};

enum atls_code atls_policy_new(const struct atls_policy_ops *ops, void *self,
                               struct atls_policy **out, struct atls_err *err)
{
    struct atls_policy *p = calloc(1, sizeof *p);

    if (p == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "policy: out of memory");
    atomic_init(&p->references, 1);
    p->ops = ops;
    p->self = self;
    *out = p;
    return ATLS_OK;
}

struct atls_policy *atls_policy_ref(struct atls_policy *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
    return p;
}

void atls_policy_unref(struct atls_policy *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1)
        return;
    if (p->ops->free != NULL)
        p->ops->free(p->self);
    free(p);
}

static void add_reason(struct atls_decision *d, const char *text)
{
    if (d->reason_count < ATLS_DECISION_REASONS_MAX)
        snprintf(d->reasons[d->reason_count++], sizeof d->reasons[0], "%s", text);
}

/* An accepting backend must have named an insecure technology; a refusal always has a reason. */
static void guard(const struct atls_result *result, struct atls_decision *d)
{
    char text[sizeof d->reasons[0]];

    if (d->accept && atls_result_insecure(result) && !d->names_insecure) {
        d->accept = false;
        snprintf(text, sizeof text,
                 "evidence of type \"%s\" is insecure and the policy does not name it",
                 atls_result_evidence_type(result));
        add_reason(d, text);
    }
    if (!d->accept && d->reason_count == 0)
        add_reason(d, atls_result_explanation(result)[0] != '\0' ? atls_result_explanation(result)
                                                                 : "the policy gave no reason");
}

enum atls_code atls_policy_decide(struct atls_policy *p, struct atls_result *result,
                                  struct atls_decision *out, struct atls_err *err)
{
    struct atls_decision decision;
    enum atls_code code;

    memset(out, 0, sizeof *out);
    memset(&decision, 0, sizeof decision);
    if ((code = p->ops->decide(p->self, result, &decision, err)) != ATLS_OK)
        return code;
    guard(result, &decision);
    *out = decision;
    return ATLS_OK;
}

static enum atls_code decide_default(void *self, struct atls_result *result,
                                     struct atls_decision *out, struct atls_err *err)
{
    size_t count = atls_result_submods(result), affirming = 0;
    char text[sizeof out->reasons[0]], shown[32];
    const char *label;

    (void)self;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        enum atls_tier tier = atls_result_submod_status(result, i);

        if (tier == ATLS_TIER_AFFIRMING) {
            affirming++;
            continue;
        }
        /* 112 of the 160 bytes for the explanation: what is cut there stands in the result. A label
         * may be the choice of another Verifier. */
        label = atls_result_submod_name(result, i);
        snprintf(text, sizeof text, "%.24s is %s: %.112s",
                 atls_escape(atls_bytes_of(label, strlen(label)), shown, sizeof shown),
                 atls_tier_name(tier), atls_result_explanation(result));
        add_reason(out, text);
    }
    out->accept = count > 0 && affirming == count &&
                  atls_result_status(result) == ATLS_TIER_AFFIRMING &&
                  !atls_result_insecure(result);
    return ATLS_OK;
}

enum atls_code atls_policy_default(struct atls_policy **out, struct atls_err *err)
{
    static const struct atls_policy_ops ops = {NULL, decide_default};

    return atls_policy_new(&ops, NULL, out, err);
}
