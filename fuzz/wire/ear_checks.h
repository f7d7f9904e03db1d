/* What the decoders of attestation results promise, whatever the notation. */
#ifndef ATLS_FUZZ_EAR_CHECKS_H
#define ATLS_FUZZ_EAR_CHECKS_H

#include <stdlib.h>
#include <string.h>

#include "wire/ear.h"

static inline void ear_check_value(const struct atls_ear_value *v, unsigned int depth)
{
    if (depth > ATLS_EAR_VALUE_DEPTH_MAX || (v->bytes.ptr == NULL && v->bytes.len != 0))
        abort();
    for (size_t i = 0; i < v->count; i++) {
        const struct atls_ear_value *item = &v->items[i];

        if ((item->key != NULL) != (v->kind == ATLS_EAR_VALUE_OBJECT))
            abort();
        if (item->key != NULL && strlen(item->key) < 8 && atls_ear_value_get(v, item->key) != item)
            abort(); /* members are unique */
        ear_check_value(item, depth + 1);
    }
}

static inline void ear_check_submod(const struct atls_ear_appraisal *a)
{
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        if (a->trust[i] != 0 && !a->has_vector)
            abort();
        if (!atls_tier_allows(atls_tier_of(a->trust[i]), a->status))
            abort();
    }
    if ((a->key.ptr != NULL && a->key.len == 0) || a->name.ptr[a->name.len] != 0 ||
        a->policy_count > ATLS_EAR_POLICIES_MAX)
        abort();
    ear_check_value(&a->attester_claims, 0);
    ear_check_value(&a->verifier_claims, 0);
}

/* Clears what was decoded. */
static inline void ear_check(enum atls_code code, struct atls_ear *ear, const struct atls_err *err)
{
    if (code != ATLS_OK) {
        if (err->code != code || err->message[0] == '\0')
            abort();
        return;
    }
    if (ear->submod_count == 0 || ear->submod_count > ATLS_EAR_SUBMODS_MAX ||
        ear->issued_at_s < 0 || ear->build.len == 0 || ear->developer.len == 0 ||
        atls_ear_version_of(ear->profile) != ear->version ||
        (ear->has_expiry && ear->expiry_s < ear->issued_at_s))
        abort();
    for (size_t i = 0; i < ear->nonce_count; i++)
        if (ear->nonces[i].len < 8 || ear->nonces[i].len > 64)
            abort();
    for (size_t i = 0; i < ear->submod_count; i++)
        ear_check_submod(&ear->submods[i]);
    atls_ear_clear(ear);
}

#endif
