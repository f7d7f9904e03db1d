/* The Relying Party's policy: decides on a result (RFC 9334 section 8.5).
 *
 * A policy is a jq program over the EAR as JSON (docs/policy.md). Its one output is an object
 *     {"decision": "accept" | "refuse", "reasons": ["..."], "insecure": ["soft"]}
 * in which "insecure" is optional and names the insecure technologies it accepts. Anything else
 * refuses. Without a policy file the built-in one applies: every submodule affirming.
 *
 * Reference counted, immutable once loaded; decisions may be taken on several threads at once. */
#ifndef ATLS_POLICY_H
#define ATLS_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include <atls/bytes.h>
#include <atls/result.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATLS_DECISION_REASONS_MAX 16

/* Zero-initialised it accepts nobody. */
struct atls_decision {
    bool accept;
    bool names_insecure; /* set by a backend: its output names the technology of an insecure result
                          */
    size_t reason_count;
    char reasons[ATLS_DECISION_REASONS_MAX][160]; /* escaped, cut, NUL terminated */
};

struct atls_policy;

/* A backend, so that libatls needs no jq: decide must write *out on ATLS_OK only. */
struct atls_policy_ops {
    void (*free)(void *self);
    enum atls_code (*decide)(void *self, struct atls_result *result, struct atls_decision *out,
                             struct atls_err *err);
};
ATLS_API ATLS_MUST_CHECK enum atls_code atls_policy_new(const struct atls_policy_ops *ops,
                                                        void *self, struct atls_policy **out,
                                                        struct atls_err *err);
/* Every submodule affirming, nothing insecure. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_policy_default(struct atls_policy **out,
                                                            struct atls_err *err);
ATLS_API struct atls_policy *atls_policy_ref(struct atls_policy *p);
ATLS_API void atls_policy_unref(struct atls_policy *p);

/* Decides. ATLS_OK: look at out->accept. An error is a refusal as well: *out stays zero. An
 * insecure result is refused unless the backend's decision named its technology. Errors:
 * ATLS_E_REFUSED with reason policy-output (the program failed or its output has another form),
 * ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_policy_decide(struct atls_policy *p,
                                                           struct atls_result *result,
                                                           struct atls_decision *out,
                                                           struct atls_err *err);

/* ---- library libatls-verifier: jq ---- */

/* Loads and compiles a jq program from a file (at most ATLS_POLICY_MAX bytes); modules, input and
 * environment are out of its reach. Errors: ATLS_E_IO, ATLS_E_CONFIG with jq's message. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_policy_load(const char *path, struct atls_policy **out,
                                                         struct atls_err *err);
/* The same from text. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_policy_compile(const char *name,
                                                            struct atls_bytes text,
                                                            struct atls_policy **out,
                                                            struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
