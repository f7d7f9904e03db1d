#include "judge.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "text.h"

struct judge {
    atomic_uint refs;
    char route[64]; /* its name */
    enum atls_verifier_input input;
    bool wants_binder;
    pthread_mutex_t lock;
    struct atls_verifier *verifier; /* these six under the lock */
    struct metrics_part *part;
    struct atls_policy *policy;
    uint64_t number;                   /* of this pair; 0: there is none yet */
    struct atls_policy *policy_before; /* of the pair before */
    uint64_t number_before;
    _Atomic uint64_t turn;
};

/* The pair whose verifier was asked last on this thread, which goes on to ask a policy: that of the
 * same pair, or two configurations would let pass together what neither does alone. */
static _Thread_local struct {
    const struct judge *judge;
    uint64_t number;
} asked;

static bool report_only;

void judge_report_only(void)
{
    report_only = true;
    metrics_report_only();
}

enum atls_code judge_new(const char *route, enum atls_verifier_input input, bool wants_binder,
                         struct judge **out, struct atls_err *err)
{
    struct judge *j = calloc(1, sizeof *j);

    if (j == NULL)
        return set_error(err, ATLS_E_NOMEM, "out of memory");
    atomic_init(&j->refs, 1);
    atomic_init(&j->turn, 1);
    snprintf(j->route, sizeof j->route, "%s", route);
    j->input = input;
    j->wants_binder = wants_binder;
    pthread_mutex_init(&j->lock, NULL);
    *out = j;
    return ATLS_OK;
}

struct judge *judge_ref(struct judge *j)
{
    atomic_fetch_add(&j->refs, 1);
    return j;
}

void judge_unref(struct judge *j)
{
    if (j == NULL || atomic_fetch_sub(&j->refs, 1) != 1)
        return;
    atls_verifier_unref(j->verifier);
    atls_policy_unref(j->policy);
    atls_policy_unref(j->policy_before);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

bool judge_suits(const struct judge *j, const struct atls_verifier *verifier)
{
    return j->input == atls_verifier_input(verifier) &&
           j->wants_binder == atls_verifier_wants_binder(verifier);
}

void judge_set(struct judge *j, struct atls_verifier *verifier, struct metrics_part *part,
               struct atls_policy *policy)
{
    struct atls_verifier *old_verifier;
    struct atls_policy *older_policy;

    pthread_mutex_lock(&j->lock);
    j->part = part;
    if (j->verifier == verifier && j->policy == policy) {
        pthread_mutex_unlock(&j->lock);
        return;
    }
    old_verifier = j->verifier;
    older_policy = j->policy_before;
    j->policy_before = j->policy;
    j->number_before = j->number;
    j->verifier = atls_verifier_ref(verifier);
    j->policy = atls_policy_ref(policy);
    j->number++;
    pthread_mutex_unlock(&j->lock);
    if (old_verifier != NULL)
        judge_changed(j);
    atls_verifier_unref(old_verifier);
    atls_policy_unref(older_policy);
}

void judge_changed(struct judge *j)
{
    atomic_fetch_add(&j->turn, 1);
}

uint64_t judge_turn(const struct judge *j)
{
    return atomic_load(&j->turn);
}

/* ---- as a verifier ---- */

/* What judge_verifier makes a verifier of: opening a backend has no argument but text. */
static _Thread_local struct judge *opening;

static enum atls_code open_verifier(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    if (opening == NULL)
        return set_error(err, ATLS_E_USAGE, "judge: opened by something else");
    *out_self = judge_ref(opening);
    return ATLS_OK;
}

static void close_judge(void *self)
{
    judge_unref(self);
}

/* Nothing was learnt of the peer. */
static bool is_own_fault(enum atls_code code)
{
    return code == ATLS_E_UNAVAILABLE || code == ATLS_E_TIMEOUT || code == ATLS_E_IO ||
           code == ATLS_E_CONFIG || code == ATLS_E_NOMEM || code == ATLS_E_INTERNAL;
}

static enum atls_code appraise(void *self, const struct atls_appraisal *appraisal,
                               struct atls_result **out, struct atls_err *err)
{
    struct judge *j = self;
    struct atls_verifier *verifier = NULL;
    struct metrics_part *part;
    enum atls_code code;
    int64_t from_us;

    pthread_mutex_lock(&j->lock);
    if (j->verifier != NULL)
        verifier = atls_verifier_ref(j->verifier);
    part = j->part;
    asked.judge = j;
    asked.number = j->number;
    pthread_mutex_unlock(&j->lock);
    if (verifier == NULL)
        return set_error(err, ATLS_E_CONFIG, "no verifier yet");
    from_us = now_us();
    code = atls_verifier_appraise(verifier, appraisal, out, err);
    metrics_worked(part, !is_own_fault(code), now_us() - from_us);
    /* A deadline of the verifier's is none of the peer's, and its files are not the peer's socket.
     */
    if (code == ATLS_E_TIMEOUT || code == ATLS_E_IO) {
        code = ATLS_E_UNAVAILABLE;
        if (err != NULL)
            err->code = code;
    }
    atls_verifier_unref(verifier);
    return code;
}

enum atls_code judge_verifier(struct judge *j, struct atls_verifier **out, struct atls_err *err)
{
    static const struct atls_verifier_ops evidence = {.scheme = "judge",
                                                      .input = ATLS_VERIFIER_TAKES_EVIDENCE,
                                                      .open = open_verifier,
                                                      .close = close_judge,
                                                      .appraise = appraise};
    static const struct atls_verifier_ops results = {.scheme = "judge",
                                                     .input = ATLS_VERIFIER_TAKES_RESULTS,
                                                     .open = open_verifier,
                                                     .close = close_judge,
                                                     .appraise = appraise};
    const struct atls_verifier_ops *const backends[] = {
        j->input == ATLS_VERIFIER_TAKES_RESULTS ? &results : &evidence, NULL};
    struct atls_verifier_options options;
    enum atls_code code;

    atls_verifier_options_init(&options);
    options.result_echoes_binder = j->wants_binder;
    opening = j;
    code = atls_verifier_open("judge:", backends, &options, out, err);
    opening = NULL;
    return code;
}

/* ---- as a policy ---- */

#define TRUST_CRYPTO_FAILED 99 /* draft-ietf-rats-ar4si section 2.3.3 */

/* Whether the result is about a machine that is known, as some Verifiers say in the result alone. A
 * dry run is about what a machine runs, not about which it is. */
static bool is_of_known_machine(const struct atls_result *result)
{
    if (atls_result_status(result) == ATLS_TIER_NONE)
        return false; /* no statement */
    for (size_t i = 0; i < atls_result_submods(result); i++) {
        const int identity = atls_result_submod_trust(result, i, ATLS_TRUST_INSTANCE_IDENTITY);

        if (atls_tier_of(identity) == ATLS_TIER_CONTRAINDICATED ||
            atls_result_submod_status(result, i) == ATLS_TIER_NONE)
            return false;
        for (int claim = 0; claim < ATLS_TRUST_CLAIMS; claim++)
            if (atls_result_submod_trust(result, i, (enum atls_trust_claim)claim) ==
                TRUST_CRYPTO_FAILED)
                return false;
    }
    return true;
}

/* What the policy would have refused, or could not decide, goes on. */
static void let_pass(const struct judge *j, const struct atls_result *result,
                     struct atls_decision *decision, const struct atls_err *err)
{
    struct text because = {0};
    struct log_line line;

    for (size_t i = 0; i < decision->reason_count; i++)
        text_printf(&because, "%s%s", i > 0 ? "; " : "", decision->reasons[i]);
    log_begin(&line, ATLS_LOG_WARNING, "would-refuse");
    log_field(&line, "route", j->route);
    log_field(&line, "verdict", atls_tier_name(atls_result_status(result)));
    log_field(&line, "message", err->code != ATLS_OK ? err->message : NULL);
    log_field(&line, "because", because.failed ? NULL : because.ptr);
    log_end(&line);
    text_clear(&because);
    metrics_reason(metrics_route(j->route), ATLS_REASON_POLICY);
    decision->accept = decision->names_insecure = true;
}

/* The policy of the pair whose verifier made the result; *out NULL: there is none yet. */
static enum atls_code take_policy(struct judge *j, struct atls_policy **out, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    pthread_mutex_lock(&j->lock);
    if (asked.judge != j || asked.number == j->number)
        *out = j->policy;
    else if (asked.number == j->number_before)
        *out = j->policy_before;
    else
        code = set_error(err, ATLS_E_UNAVAILABLE,
                         "what peers are judged by has changed twice meanwhile");
    if (*out != NULL)
        *out = atls_policy_ref(*out);
    pthread_mutex_unlock(&j->lock);
    asked.judge = NULL;
    return code;
}

static enum atls_code decide(void *self, struct atls_result *result, struct atls_decision *out,
                             struct atls_err *err)
{
    struct judge *j = self;
    struct atls_policy *policy = NULL;
    struct atls_err why = ATLS_ERR_INIT;
    enum atls_code code;

    if ((code = take_policy(j, &policy, err)) != ATLS_OK)
        return code;
    if (policy == NULL)
        return set_error(err, ATLS_E_CONFIG, "no policy yet");
    code = atls_policy_decide(policy, result, out, &why);
    atls_policy_unref(policy);
    if (report_only && (code != ATLS_OK || !out->accept) && is_of_known_machine(result)) {
        let_pass(j, result, out, &why);
        return ATLS_OK;
    }
    if (code != ATLS_OK && err != NULL)
        *err = why;
    return code;
}

enum atls_code judge_policy(struct judge *j, struct atls_policy **out, struct atls_err *err)
{
    static const struct atls_policy_ops ops = {close_judge, decide};
    enum atls_code code;

    if ((code = atls_policy_new(&ops, judge_ref(j), out, err)) != ATLS_OK)
        judge_unref(j);
    return code;
}
