#include "verifier/local/appraise.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "verifier/local/compose.h"
#include "verifier/local/corroborate.h"
#include "verifier/local/endorse.h"
#include "verifier/local/endorsed.h"
#include "verifier/local/match.h"

/* Values of the trust vector (draft-ietf-rats-ar4si section 2.3.4) that this verifier gives. */
enum trust_value {
    TRUST_NO_STATEMENT = 0,
    TRUST_APPROVED = 2,      /* instance known; hardware genuine; code approved, boot and after */
    TRUST_APPROVED_BOOT = 3, /* executables: approved during boot */
    TRUST_VULNERABLE = 32,   /* hardware: genuine, with weaknesses that are known */
    TRUST_UNRECOGNISED = 33, /* executables: code that no reference value covers */
    TRUST_HARDWARE_UNTRUSTED = 96,
    TRUST_INSTANCE_UNKNOWN = 97, /* ought to be known and is not */
};

struct key_name {
    uint64_t number;
    const char *name;
};

/* How evidence of one technology is judged, or one part of what it speaks of. */
struct method {
    const char *technology; /* NULL: any other */
    const char *submod;     /* NULL: any */
    const char *policy_id;
    /* Those that no option switches off; "key-binding" comes first where evidence may answer a
     * nonce and name no key. */
    const char *const *checks;
    enum atls_reason reason;          /* of a measurement that is not as its class wants it */
    const struct key_name *key_names; /* of mkeys that are numbers; ends with a NULL; or NULL */
    const char *key_word;             /* for the others */
    uint64_t runtime_key;             /* mkey of what ran after boot, where that is a number */
    const char *runtime_prefix;       /* or begins so; NULL: nothing of the kind is measured */
    bool is_inner;      /* a part that runs on another, whose submodule speaks of the hardware */
    bool keys_are_made; /* a key on file is the hardware's, as its maker put it there */
};

static const char *const tpm_checks[] = {
    "signature",     "nonce",      "key-binding",     "key-attributes", "name",
    "pcr-selection", "pcr-digest", "attestation-key", "measurements",   NULL,
};
static const char *const snp_checks[] = {"key-binding", "nonce", "signature", "chain",        "tcb",
                                         "product",     "vmpl",  "policy",    "measurements", NULL};
static const char *const tdx_checks[] = {
    "key-binding", "nonce",      "signature",  "chain",      "collateral",   "tcb",
    "qe-identity", "tdx-module", "attributes", "service-td", "measurements", NULL,
};
static const char *const sgx_checks[] = {
    "key-binding", "signature",  "chain",        "collateral", "tcb",
    "qe-identity", "attributes", "measurements", NULL,
};
static const char *const platform_checks[] = {"key-binding", "signature",    "realm-binding",
                                              "lifecycle",   "measurements", NULL};
static const char *const realm_checks[] = {"key-binding",   "nonce",        "signature",
                                           "realm-binding", "measurements", NULL};
static const char *const psa_checks[] = {"key-binding", "nonce",        "signature", "client-id",
                                         "lifecycle",   "measurements", NULL};
static const char *const other_checks[] = {"signature", "nonce", "key-binding", "measurements",
                                           NULL};

/* The SEV-SNP profile of CoRIM. */
static const struct key_name snp_names[] = {
    {0, "report version"},
    {1, "guest SVN"},
    {2, "guest policy"},
    {3, "family id"},
    {4, "image id"},
    {5, "VMPL"},
    {6, "current TCB"},
    {7, "platform info"},
    {640, "report data"},
    {641, "measurement"},
    {642, "host data"},
    {643, "id key digest"},
    {644, "author key digest"},
    {645, "report id"},
    {646, "report id of the migration agent"},
    {647, "reported TCB"},
    {648, "CPUID family"},
    {649, "CPUID model"},
    {650, "CPUID stepping"},
    {3328, "chip id"},
    {3329, "committed TCB"},
    {3330, "current firmware"},
    {3936, "committed firmware"},
    {3968, "launch TCB"},
    {0, NULL},
};

static const struct method methods[] = {
    {.technology = "tpm",
     .policy_id = "policy:libatls/tpm/2",
     .checks = tpm_checks,
     .reason = ATLS_REASON_MEASUREMENT,
     .key_word = "PCR",
     .runtime_key = 10, /* the kernel's integrity measurements */
     .runtime_prefix = ""},
    {.technology = "snp",
     .policy_id = "policy:libatls/snp/1",
     .checks = snp_checks,
     .reason = ATLS_REASON_MEASUREMENT,
     .key_names = snp_names,
     .keys_are_made = true},
    {.technology = "tdx",
     .policy_id = "policy:libatls/tdx/1",
     .checks = tdx_checks,
     .reason = ATLS_REASON_MEASUREMENT,
     .runtime_prefix = "rtmr3",
     .keys_are_made = true},
    {.technology = "sgx",
     .policy_id = "policy:libatls/sgx/1",
     .checks = sgx_checks,
     .reason = ATLS_REASON_MEASUREMENT,
     .keys_are_made = true},
    {.technology = "cca",
     .submod = "CCA_REALM",
     .policy_id = "policy:libatls/cca-realm/1",
     .checks = realm_checks,
     .reason = ATLS_REASON_REALM_MEASUREMENT,
     .runtime_prefix = "cca.rem",
     .is_inner = true},
    {.technology = "cca",
     .policy_id = "policy:libatls/cca-platform/1",
     .checks = platform_checks,
     .reason = ATLS_REASON_PLATFORM_MEASUREMENT,
     .keys_are_made = true},
    {.technology = "psa",
     .policy_id = "policy:libatls/psa/1",
     .checks = psa_checks,
     .reason = ATLS_REASON_MEASUREMENT,
     .keys_are_made = true},
    {.policy_id = "policy:libatls/other/2",
     .checks = other_checks,
     .reason = ATLS_REASON_MEASUREMENT},
};

static const struct method *method_of(const struct atls_claims *claims)
{
    const struct method *m = methods;

    while (m->technology != NULL && (strcmp(m->technology, claims->technology) != 0 ||
                                     (m->submod != NULL && strcmp(m->submod, claims->submod) != 0)))
        m++;
    return m;
}

static void note_manifest(void *arg, const char *manifest)
{
    struct atls_outcome *outcome = arg;
    size_t known =
        outcome->manifest_count < ATLS_MANIFESTS_MAX ? outcome->manifest_count : ATLS_MANIFESTS_MAX;

    for (size_t i = 0; i < known; i++)
        if (strncmp(outcome->manifests[i], manifest, ATLS_MANIFEST_ID_LEN - 1) == 0)
            return;
    if (known < ATLS_MANIFESTS_MAX)
        memcpy(outcome->manifests[known], manifest, strnlen(manifest, ATLS_MANIFEST_ID_LEN - 1));
    outcome->manifest_count++;
}

static const char *number_label(const struct method *method, uint64_t number, char *out,
                                size_t size)
{
    for (const struct key_name *n = method->key_names; n != NULL && n->name != NULL; n++)
        if (n->number == number)
            return n->name;
    snprintf(out, size, "%s %" PRIu64, method->key_word != NULL ? method->key_word : "measurement",
             number);
    return out;
}

/* "PCR 7", "host data", "measurement \"kernel\"", "psa.software-component \"BL\"". */
static const char *measurement_label(const struct method *method,
                                     const struct atls_measurement *measurement, char *out,
                                     size_t size)
{
    const struct atls_mkey *key = &measurement->mkey;
    const struct atls_mval *mval = &measurement->mval;
    char text[48], name[32];

    if (key->kind == ATLS_MKEY_UINT)
        return number_label(method, key->number, out, size);
    if (key->kind == ATLS_MKEY_TEXT && (mval->present & ATLS_MVAL_NAME) != 0)
        snprintf(out, size, "%s \"%s\"", atls_escape(key->bytes, text, sizeof text),
                 atls_escape(mval->name, name, sizeof name));
    else if (key->kind == ATLS_MKEY_TEXT)
        snprintf(out, size, "measurement \"%s\"", atls_escape(key->bytes, text, sizeof text));
    else if (key->kind == ATLS_MKEY_NONE)
        snprintf(out, size, "measurement");
    else
        snprintf(out, size, "measurement %s", atls_hex(key->bytes, text, sizeof text));
    return out;
}

/* The digest of actual that a person should look at: the first that differs from the expected one
 * of its algorithm, else the first. NULL when there are no digests. */
static const struct atls_digest *digest_to_show(const struct atls_mval *actual,
                                                const struct atls_mval *expected)
{
    for (size_t i = 0; expected != NULL && i < actual->digest_count; i++) {
        const struct atls_digest *e = atls_digest_alike(expected, &actual->digests[i]);

        if (e != NULL && !atls_bytes_equal(e->value, actual->digests[i].value))
            return &actual->digests[i];
    }
    return actual->digest_count > 0 ? &actual->digests[0] : NULL;
}

/* A value in a few letters; shown: the digest to look at, of another list perhaps. */
static const char *value_label(const struct atls_mval *mval, const struct atls_digest *shown,
                               char *out, size_t size)
{
    const struct atls_digest *digest = shown == NULL ? NULL : atls_digest_alike(mval, shown);

    if (digest != NULL)
        return atls_hex(digest->value, out, size);
    if (mval->present & ATLS_MVAL_RAW)
        return atls_hex(mval->raw, out, size);
    if (mval->present & (ATLS_MVAL_SVN | ATLS_MVAL_MIN_SVN))
        snprintf(out, size, "svn %" PRIu64, mval->svn);
    else
        snprintf(out, size, "of another kind");
    return out;
}

/* class_id of UUID tag 37 as people write it; anything else in hexadecimal. */
static const char *class_label(struct atls_bytes class_id, char *out, size_t size)
{
    const uint8_t *u = class_id.ptr == NULL ? NULL : class_id.ptr + 3;

    if (class_id.len != 19 || memcmp(class_id.ptr, "\xd8\x25\x50", 3) != 0)
        return atls_hex(class_id, out, size);
    snprintf(out, size, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
             u[14], u[15]);
    return out;
}

/* Why one measurement is not covered. Hexadecimal is cut: whole values stand in the claims. */
static void explain_finding(const struct method *method, const struct atls_corroboration *c,
                            size_t index, struct atls_outcome *outcome)
{
    const struct atls_finding *f = &c->findings[index];
    const struct atls_measurement *actual = &c->claims->measurements[index];
    const struct atls_digest *shown =
        digest_to_show(&actual->mval, f->expected == NULL ? NULL : &f->expected->mval);
    char text[96], found[20], wanted[20], bank[20] = "";
    const char *key = measurement_label(method, actual, text, sizeof text);

    if (shown != NULL)
        snprintf(bank, sizeof bank, " (%s)",
                 shown->hash == ATLS_HASH_NONE ? "unknown hash" : atls_hash_name(shown->hash));
    value_label(&actual->mval, shown, found, sizeof found);
    if (f->compared == 0) {
        atls_outcome_problem(outcome, method->reason,
                             "%s%s is %s, its class has no reference value for it", key, bank,
                             found);
        return;
    }
    atls_outcome_problem(outcome, method->reason,
                         "%s%s is %s, no reference value of \"%.40s\" matches, want %s%s", key,
                         bank, found, f->reference->manifest,
                         value_label(&f->expected->mval, shown, wanted, sizeof wanted),
                         f->compared > 1 ? " or another" : "");
}

static void explain_absent(const struct method *method, const struct atls_corroboration *c,
                           size_t index, struct atls_outcome *outcome)
{
    char text[96];

    atls_outcome_problem(outcome, method->reason,
                         "%s is not in the evidence, \"%.40s\" has a reference value for it",
                         measurement_label(method, c->absent[index], text, sizeof text),
                         c->absent_reference[index]->manifest);
}

static void explain_composite(const struct method *method,
                              const struct atls_pcr_composite *composite,
                              struct atls_outcome *outcome)
{
    char found[20];

    atls_outcome_problem(outcome, method->reason,
                         "digest of PCRs (%s) is %s, no reference values of its class hash to it",
                         atls_hash_name(composite->hash),
                         atls_hex(composite->digest, found, sizeof found));
}

static void explain_no_references(const struct atls_claims *claims, size_t count,
                                  struct atls_outcome *outcome)
{
    char class[48];

    if (claims->environment.class_id.len == 0)
        atls_outcome_problem(outcome, ATLS_REASON_NO_REFERENCE_VALUES,
                             "no-reference-values: the attestation key belongs to no class");
    else
        atls_outcome_problem(
            outcome, ATLS_REASON_NO_REFERENCE_VALUES, "no-reference-values: class %s has %s",
            class_label(claims->environment.class_id, class, sizeof class),
            count == 0 ? "none in the store" : "some, but for another vendor, model or instance");
}

/* A register that something was extended into. */
static bool is_used(const struct atls_mval *mval)
{
    for (size_t i = 0; i < mval->digest_count; i++)
        if (!atls_bytes_are_zero(mval->digests[i].value))
            return true;
    return false;
}

static bool is_runtime(const struct method *method, const struct atls_mkey *key)
{
    const size_t len = method->runtime_prefix == NULL ? 0 : strlen(method->runtime_prefix);

    if (key->kind == ATLS_MKEY_UINT)
        return method->runtime_prefix != NULL && len == 0 && key->number == method->runtime_key;
    return key->kind == ATLS_MKEY_TEXT && len != 0 && key->bytes.len >= len &&
           memcmp(key->bytes.ptr, method->runtime_prefix, len) == 0;
}

/* Some measurements cover what ran after boot, the others what ran during it; the caller has found
 * none that is not as it should be. */
static int approved_executables(const struct method *method, const struct atls_corroboration *c)
{
    for (size_t i = 0; i < c->claims->measurement_count; i++)
        if (c->findings[i].covered && is_runtime(method, &c->claims->measurements[i].mkey) &&
            is_used(&c->claims->measurements[i].mval))
            return TRUST_APPROVED;
    return TRUST_APPROVED_BOOT;
}

static int judge_executables(const struct method *method, const struct atls_corroboration *c,
                             size_t count, struct atls_outcome *outcome)
{
    size_t before = outcome->problem_count;

    if (c->applicable == 0) {
        explain_no_references(c->claims, count, outcome);
        return TRUST_NO_STATEMENT;
    }
    if (c->claims->composite != NULL) {
        explain_composite(method, c->claims->composite, outcome);
        return TRUST_UNRECOGNISED;
    }
    for (size_t i = 0; i < c->claims->measurement_count; i++)
        if (!atls_corroboration_approves(c, i))
            explain_finding(method, c, i, outcome);
    for (size_t i = 0; i < c->absent_count; i++)
        explain_absent(method, c, i, outcome);
    if (c->claims->measurement_count == 0 && outcome->problem_count == before)
        atls_outcome_problem(outcome, method->reason, "the evidence measures nothing");
    return outcome->problem_count == before ? approved_executables(method, c) : TRUST_UNRECOGNISED;
}

static void judge_unknown_key(const struct method *method, struct atls_outcome *outcome)
{
    const bool is_ak = method->technology == NULL || !method->keys_are_made;

    outcome->trust[ATLS_TRUST_INSTANCE_IDENTITY] = TRUST_INSTANCE_UNKNOWN;
    atls_outcome_problem(outcome, is_ak ? ATLS_REASON_UNTRUSTED_AK : ATLS_REASON_UNTRUSTED_KEY,
                         "nothing vouches for the attestation key");
}

/* Instance and hardware, from how the attestation key came to be trusted. */
static void judge_key(const struct method *method, const struct atls_claims *claims,
                      struct atls_outcome *outcome)
{
    /* Of an inner part the platform says it. */
    switch (method->is_inner ? ATLS_KEY_TRUST_NONE : claims->key_trust) {
    case ATLS_KEY_TRUST_ENROLLED:
        outcome->trust[ATLS_TRUST_INSTANCE_IDENTITY] = TRUST_APPROVED;
        if (method->keys_are_made)
            outcome->trust[ATLS_TRUST_HARDWARE] = TRUST_APPROVED;
        break;
    case ATLS_KEY_TRUST_CERTIFIED:
        outcome->trust[ATLS_TRUST_HARDWARE] = TRUST_APPROVED;
        break;
    case ATLS_KEY_TRUST_NONE:
    default:
        /* Of an insecure technology the hardware says it below. */
        if (!claims->insecure && !method->is_inner)
            judge_unknown_key(method, outcome);
        break;
    }
    if (!claims->insecure)
        return;
    outcome->trust[ATLS_TRUST_HARDWARE] = TRUST_HARDWARE_UNTRUSTED;
    atls_outcome_problem(outcome, ATLS_REASON_INSECURE_TECHNOLOGY,
                         "insecure-technology: anyone can make evidence of type \"%s\"",
                         claims->technology);
}

static const struct atls_detail *find_text(const struct atls_claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->detail_count; i++)
        if (claims->details[i].type == ATLS_DETAIL_TEXT &&
            strcmp(claims->details[i].name, name) == 0)
            return &claims->details[i];
    return NULL;
}

static void judge_hardware(const struct atls_claims *claims, struct atls_outcome *outcome)
{
    const struct atls_detail *status = find_text(claims, "tcb-status");
    char text[48] = "";

    if (!claims->hardware_advisory)
        return;
    outcome->trust[ATLS_TRUST_HARDWARE] = TRUST_VULNERABLE;
    if (status != NULL)
        (void)atls_escape(status->bytes, text, sizeof text);
    atls_outcome_problem(outcome, ATLS_REASON_TCB_OUT_OF_DATE,
                         "the maker of the hardware knows weaknesses of it%s%s%s, and a rule lets "
                         "them pass",
                         status != NULL ? " (" : "", text, status != NULL ? ")" : "");
}

static void name_method(const struct method *method, const struct atls_claims *claims,
                        struct atls_outcome *outcome)
{
    outcome->policy_id = method->policy_id;
    outcome->checks = method->checks;
    if (claims->key_spki.len == 0 && strcmp(method->checks[0], "key-binding") == 0)
        outcome->checks++;
}

/* Evidence, reference values, endorsements (draft-ietf-rats-corim, phases 2 to 4). */
static enum atls_code fill_set(const struct atls_corroboration_input *in,
                               const struct atls_known_values *known, struct atls_corroboration *c,
                               struct atls_accepted_claims *acs, struct atls_err *err)
{
    enum atls_code code = atls_accepted_claims_init(acs, in->claims, err);

    if (code == ATLS_OK)
        code = atls_corroborate(in, acs, c, err);
    return code != ATLS_OK ? code
                           : atls_endorse(acs, known->endorsements, known->endorsement_count, err);
}

static void judge(const struct atls_corroboration *c, size_t reference_count,
                  struct atls_outcome *outcome)
{
    const struct method *method = method_of(c->claims);
    int executables;

    name_method(method, c->claims, outcome);
    judge_key(method, c->claims, outcome);
    judge_hardware(c->claims, outcome);
    executables = judge_executables(method, c, reference_count, outcome);
    outcome->trust[ATLS_TRUST_EXECUTABLES] = (int8_t)executables;
    /* Evidence whose code nobody judged is never affirming, whatever is known of its key. */
    outcome->status =
        atls_tier_of(executables) == ATLS_TIER_AFFIRMING ? ATLS_TIER_AFFIRMING : ATLS_TIER_WARNING;
}

enum atls_code atls_appraise(struct atls_claims *claims, const struct atls_known_values *known,
                             struct atls_outcome *out, struct atls_err *err)
{
    struct atls_corroboration_input in = {
        .claims = claims,
        .references = known->references,
        .count = known->reference_count,
        .noted = note_manifest,
    };
    struct atls_accepted_claims acs;
    struct atls_corroboration c;
    struct atls_outcome outcome;
    enum atls_code code;

    code = atls_compose(claims, known->references, known->reference_count, err);
    if (code != ATLS_OK)
        return code;
    memset(&outcome, 0, sizeof outcome);
    in.arg = &outcome;
    memset(&c, 0, sizeof c);
    /* Without endorsements nobody asks who vouches for what. */
    if (known->endorsement_count == 0) {
        code = atls_corroborate(&in, NULL, &c, err);
    } else {
        code = fill_set(&in, known, &c, &acs, err);
        if (code == ATLS_OK)
            code = atls_endorsed_keep(&acs, &claims->arena, &outcome, err);
        atls_accepted_claims_clear(&acs);
    }
    if (code == ATLS_OK) {
        judge(&c, known->reference_count, &outcome);
        *out = outcome;
    }
    atls_corroboration_clear(&c);
    return code;
}
