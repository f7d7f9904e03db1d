/* Results of other Verifiers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "verifier/result_parts.h"

/* Technologies by the labels that services give their submodules (docs/ear.md). */
static const struct {
    const char *label; /* a "*" at its end stands for anything */
    const char *technology;
    bool insecure;
} labels[] = {
    {"TPM", "tpm", false},    {"PARSEC_TPM", "tpm", false}, {"TPM_ENACTTRUST", "tpm", false},
    {"SEVSNP", "snp", false}, {"SNP", "snp", false},        {"TDX", "tdx", false},
    {"SGX", "sgx", false},    {"PSA_IOT", "psa", false},    {"PSA", "psa", false},
    {"CCA", "cca", false},    {"CCA_*", "cca", false},      {"PARSEC_CCA", "cca", false},
    {"SOFT", "soft", true},
};
#define LABELS (sizeof labels / sizeof labels[0])

static bool label_matches(const char *label, struct atls_bytes name)
{
    size_t len = strlen(label);

    if (label[len - 1] != '*')
        return atls_bytes_equal_text(name, label);
    return name.len >= len && memcmp(name.ptr, label, len - 1) == 0;
}

/* The technology of a text, as static storage; NULL when it is none of these. */
static const char *technology_of_text(struct atls_bytes text, bool *out_insecure)
{
    for (size_t i = 0; i < LABELS; i++) {
        if (!atls_bytes_equal_text(text, labels[i].technology))
            continue;
        *out_insecure |= labels[i].insecure;
        return labels[i].technology;
    }
    return NULL;
}

static const char *technology_of_label(struct atls_bytes name, bool *out_insecure)
{
    for (size_t i = 0; i < LABELS; i++) {
        if (!label_matches(labels[i].label, name))
            continue;
        *out_insecure |= labels[i].insecure;
        return labels[i].technology;
    }
    return NULL;
}

/* Only what our own verifier wrote has our meaning: elsewhere a claim of that name may be a copy of
 * what the evidence says. */
static bool is_ours(const struct atls_ear *ear)
{
    return atls_bytes_equal_text(ear->developer, ATLS_RESULT_DEVELOPER);
}

static const struct atls_ear_value *own_claim(const struct atls_ear *ear,
                                              const struct atls_ear_value *claims, const char *key,
                                              enum atls_ear_value_kind kind)
{
    const struct atls_ear_value *v = is_ours(ear) ? atls_ear_value_get(claims, key) : NULL;

    return v != NULL && v->kind == kind ? v : NULL;
}

bool atls_ear_nonce_given(const struct atls_ear *ear)
{
    for (size_t i = 0; i < ear->submod_count; i++) {
        const struct atls_ear_value *v =
            own_claim(ear, &ear->submods[i].verifier_claims, "nonce-given", ATLS_EAR_VALUE_BOOL);

        if (v != NULL && v->u.boolean)
            return true;
    }
    return false;
}

/* One technology, or "" when submodules are of several or none is known. An insecure one among them
 * makes the whole insecure. */
static void find_technology(struct atls_result *r, const struct atls_result_source *source)
{
    const char *found = NULL;
    bool alike = true;

    r->claims.insecure = source->insecure;
    for (size_t i = 0; i < r->ear.submod_count; i++) {
        const struct atls_ear_appraisal *a = &r->ear.submods[i];
        const struct atls_ear_value *name =
            own_claim(&r->ear, &a->attester_claims, "technology", ATLS_EAR_VALUE_TEXT);
        const struct atls_ear_value *insecure =
            own_claim(&r->ear, &a->verifier_claims, "insecure", ATLS_EAR_VALUE_BOOL);
        const char *technology = name != NULL ? technology_of_text(name->bytes, &r->claims.insecure)
                                              : technology_of_label(a->name, &r->claims.insecure);

        if (insecure != NULL)
            r->claims.insecure |= insecure->u.boolean;
        alike = alike && (found == NULL || (technology != NULL && strcmp(found, technology) == 0));
        if (found == NULL)
            found = technology;
    }
    if (source->technology != NULL)
        r->claims.technology = source->technology;
    else if (found != NULL && alike)
        r->claims.technology = found;
}

static bool is_acceptable(const struct atls_ear_appraisal *a)
{
    return a->status == ATLS_TIER_AFFIRMING || a->status == ATLS_TIER_WARNING;
}

/* The one key that acceptable submodules and our own checks agree on. */
static enum atls_code find_key(struct atls_result *r, struct atls_bytes checked,
                               struct atls_err *err)
{
    struct atls_bytes *key = &r->claims.key_spki;

    if (checked.len != 0 && !atls_arena_copy(&r->claims.arena, checked, key))
        return atls_fail(err, ATLS_E_NOMEM, "result: out of memory");
    for (size_t i = 0; i < r->ear.submod_count; i++) {
        const struct atls_ear_appraisal *a = &r->ear.submods[i];
        char shown[64];

        if (a->key.ptr == NULL || !is_acceptable(a))
            continue;
        if (key->len == 0)
            *key = a->key;
        else if (!atls_bytes_equal(*key, a->key))
            return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH,
                                    "result: submodule \"%s\" attests another key than the rest",
                                    atls_escape(a->name, shown, sizeof shown));
    }
    return ATLS_OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* UEID in lower-case hexadecimal, as JSON has it; anything else names nobody. */
static bool copy_hex(struct atls_arena *arena, struct atls_bytes text, struct atls_bytes *out)
{
    uint8_t *bytes;

    if (text.len % 2 != 0 || text.len == 0)
        return true;
    if ((bytes = atls_arena_alloc(arena, text.len / 2, 1)) == NULL)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);

        if (high < 0 || low < 0)
            return true;
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    *out = atls_bytes_of(bytes, text.len / 2);
    return true;
}

static enum atls_code find_instance(struct atls_result *r, struct atls_bytes checked,
                                    struct atls_err *err)
{
    struct atls_arena *arena = &r->claims.arena;
    bool fine = checked.len == 0 || atls_arena_copy(arena, checked, &r->claims.instance);

    for (size_t i = 0; fine && i < r->ear.submod_count && r->claims.instance.len == 0; i++) {
        const struct atls_ear_appraisal *a = &r->ear.submods[i];
        const struct atls_ear_value *text =
            own_claim(&r->ear, &a->attester_claims, "instance", ATLS_EAR_VALUE_TEXT);
        const struct atls_ear_value *bytes =
            own_claim(&r->ear, &a->attester_claims, "instance", ATLS_EAR_VALUE_BYTES);

        if (!is_acceptable(a))
            continue;
        if (bytes != NULL)
            r->claims.instance = bytes->bytes;
        else if (text != NULL)
            fine = copy_hex(arena, text->bytes, &r->claims.instance);
    }
    return fine ? ATLS_OK : atls_fail(err, ATLS_E_NOMEM, "result: out of memory");
}

/* How bad a tier is: that a Verifier says nothing of a submodule is worse than affirming. */
static unsigned int badness(enum atls_tier tier)
{
    switch (tier) {
    case ATLS_TIER_AFFIRMING:
        return 0;
    case ATLS_TIER_NONE:
        return 1;
    case ATLS_TIER_WARNING:
        return 2;
    case ATLS_TIER_CONTRAINDICATED:
    default:
        return 3;
    }
}

/* The worst submodule, or the overall status if that is worse; "none" there makes no statement. */
static enum atls_tier overall(const struct atls_ear *ear)
{
    enum atls_tier worst = ATLS_TIER_AFFIRMING;

    for (size_t i = 0; i < ear->submod_count; i++)
        if (badness(ear->submods[i].status) > badness(worst))
            worst = ear->submods[i].status;
    if (ear->has_status && ear->status != ATLS_TIER_NONE && badness(ear->status) > badness(worst))
        worst = ear->status;
    return worst;
}

struct atls_bytes atls_received_problem(const struct atls_ear_appraisal *a)
{
    const struct atls_ear_value *v = atls_ear_value_get(&a->verifier_claims, "problem");

    if (v == NULL && (v = atls_ear_value_get(&a->verifier_claims, "problems")) != NULL)
        v = v->kind == ATLS_EAR_VALUE_ARRAY && v->count != 0 ? &v->items[0] : NULL;
    return v != NULL && v->kind == ATLS_EAR_VALUE_TEXT ? v->bytes : atls_bytes_of(NULL, 0);
}

/* Appends to a text of fixed size, cut. */
static void append(char out[static ATLS_EXPLANATION_LEN], const char *text)
{
    size_t used = strlen(out);

    snprintf(out + used, ATLS_EXPLANATION_LEN - used, "%s", text);
}

/* The claims that are no better than a warning, by name and value. */
static void append_vector(char out[static ATLS_EXPLANATION_LEN], const struct atls_ear_appraisal *a)
{
    const char *before = " (";
    char text[64];

    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        if (atls_tier_of(a->trust[i]) < ATLS_TIER_WARNING)
            continue;
        snprintf(text, sizeof text, "%s%s %d", before,
                 atls_trust_claim_name((enum atls_trust_claim)i), a->trust[i]);
        append(out, text);
        before = ", ";
    }
    if (before[0] == ',')
        append(out, ")");
}

static void append_submod(char out[static ATLS_EXPLANATION_LEN], const struct atls_ear_appraisal *a)
{
    struct atls_bytes problem = atls_received_problem(a);
    char name[64], text[ATLS_PROBLEM_LEN];

    append(out, out[0] == '\0' ? "" : "; ");
    append(out, atls_escape(a->name, name, sizeof name));
    append(out, " is ");
    append(out, atls_tier_name(a->status));
    append_vector(out, a);
    if (problem.len == 0)
        return;
    append(out, ": ");
    append(out, atls_escape(problem, text, sizeof text));
}

enum atls_reason atls_received_reason(const struct atls_ear *ear)
{
    for (size_t i = 0; i < ear->submod_count; i++) {
        const struct atls_ear_value *v =
            own_claim(ear, &ear->submods[i].verifier_claims, "reason", ATLS_EAR_VALUE_TEXT);

#define ATLS_MATCH(name, slug)                                                                     \
    if (v != NULL && ATLS_REASON_##name != ATLS_REASON_NONE &&                                     \
        atls_bytes_equal_text(v->bytes, slug))                                                     \
        return ATLS_REASON_##name;
        ATLS_REASONS(ATLS_MATCH)
#undef ATLS_MATCH
    }
    return ATLS_REASON_POLICY;
}

static void explain(struct atls_result *r)
{
    if (r->status == ATLS_TIER_AFFIRMING)
        return;
    r->reason = atls_received_reason(&r->ear);
    for (size_t i = 0; i < r->ear.submod_count; i++)
        if (r->ear.submods[i].status != ATLS_TIER_AFFIRMING)
            append_submod(r->explanation, &r->ear.submods[i]);
    if (r->explanation[0] == '\0') {
        append(r->explanation, "the whole is ");
        append(r->explanation, atls_tier_name(r->status));
    }
}

static void name_verifier(struct atls_result *r)
{
    char developer[64], build[96];

    (void)atls_escape(r->ear.developer, developer, sizeof developer);
    (void)atls_escape(r->ear.build, build, sizeof build);
    /* Builds that name their developer are not introduced twice. */
    if (strncmp(build, developer, strlen(developer)) == 0)
        snprintf(r->verifier, sizeof r->verifier, "%s", build);
    else
        snprintf(r->verifier, sizeof r->verifier, "%s %s", developer, build);
}

static enum atls_code fill(struct atls_result *r, const struct atls_result_source *source,
                           struct atls_err *err)
{
    enum atls_code code;

    r->claims.arena = atls_arena_init(ATLS_EAR_MAX);
    if ((code = find_key(r, source->key, err)) != ATLS_OK ||
        (code = find_instance(r, source->instance, err)) != ATLS_OK)
        return code;
    find_technology(r, source);
    r->status = overall(&r->ear);
    explain(r);
    name_verifier(r);
    return ATLS_OK;
}

enum atls_code atls_result_from_ear(const struct atls_result_source *source,
                                    struct atls_result **out, struct atls_err *err)
{
    struct atls_ear *ear = source->ear;
    struct atls_result *r = NULL;
    enum atls_code code;

    if (ear->nonce_count > 1)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "result: %zu nonces, want at most one", ear->nonce_count);
    if ((code = atls_result_make(ear->nonces[0], ear->issued_at_s, &r, err)) != ATLS_OK)
        return code;
    r->received = true;
    r->ear = *ear;
    r->expires_at = ear->has_expiry ? ear->expiry_s : 0;
    if ((code = fill(r, source, err)) != ATLS_OK) {
        memset(&r->ear, 0, sizeof r->ear); /* still the caller's */
        atls_result_unref(r);
        return code;
    }
    memset(ear, 0, sizeof *ear);
    *out = r;
    return ATLS_OK;
}

enum atls_code atls_ear_put_json(const struct atls_ear *ear, struct atls_buf *out,
                                 struct atls_err *err)
{
    struct atls_result_form form = {NULL, ear->version, 0, true};
    struct atls_bytes nonce = ear->nonce_count == 1 ? ear->nonces[0] : atls_bytes_of(NULL, 0);
    struct atls_result *r = NULL;
    enum atls_code code;
    char profile[128];

    snprintf(profile, sizeof profile, "%.*s", (int)ear->profile.len,
             (const char *)ear->profile.ptr);
    form.profile = profile;
    if ((code = atls_result_make(nonce, ear->issued_at_s, &r, err)) != ATLS_OK)
        return code;
    r->received = true;
    r->ear = *ear;
    r->expires_at = ear->has_expiry ? ear->expiry_s : 0;
    r->status = ear->status;
    code = atls_result_put_json(r, &form, out, err);
    memset(&r->ear, 0, sizeof r->ear); /* still the caller's */
    atls_result_unref(r);
    return code;
}
