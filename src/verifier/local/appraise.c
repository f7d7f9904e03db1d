#include "verifier/local/appraise.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "verifier/local/corroborate.h"
#include "verifier/local/endorse.h"
#include "verifier/local/endorsed.h"
#include "verifier/local/match.h"

/* Values of the trust vector (draft-ietf-rats-ar4si section 2.3.4) that this verifier gives. */
enum trust_value {
    TRUST_NO_STATEMENT = 0,
    TRUST_APPROVED = 2,      /* instance known; hardware genuine; code approved, boot and after */
    TRUST_APPROVED_BOOT = 3, /* executables: approved during boot */
    TRUST_UNRECOGNISED = 33, /* executables: code that no reference value covers */
    TRUST_HARDWARE_UNTRUSTED = 96,
    TRUST_INSTANCE_UNKNOWN = 97, /* ought to be known and is not */
};

/* PCR of the Linux kernel's integrity measurements: what runs after boot. */
#define PCR_IMA 10

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

static bool is_tpm(const struct atls_claims *claims)
{
    return strcmp(claims->technology, "tpm") == 0;
}

/* "PCR 7", "measurement \"kernel\"". */
static const char *key_label(const struct atls_claims *claims, const struct atls_mkey *key,
                             char *out, size_t size)
{
    char text[48];

    switch (key->kind) {
    case ATLS_MKEY_UINT:
        snprintf(out, size, "%s %" PRIu64, is_tpm(claims) ? "PCR" : "measurement", key->number);
        break;
    case ATLS_MKEY_TEXT:
        snprintf(out, size, "measurement \"%s\"", atls_escape(key->bytes, text, sizeof text));
        break;
    case ATLS_MKEY_OID:
    case ATLS_MKEY_UUID:
        snprintf(out, size, "measurement %s", atls_hex(key->bytes, text, sizeof text));
        break;
    case ATLS_MKEY_NONE:
    default:
        snprintf(out, size, "measurement");
        break;
    }
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
static void explain_finding(const struct atls_corroboration *c, size_t index,
                            struct atls_outcome *outcome)
{
    const struct atls_finding *f = &c->findings[index];
    const struct atls_measurement *actual = &c->claims->measurements[index];
    const struct atls_digest *shown =
        digest_to_show(&actual->mval, f->expected == NULL ? NULL : &f->expected->mval);
    char key[72], found[20], wanted[20], bank[20] = "";

    key_label(c->claims, &actual->mkey, key, sizeof key);
    if (shown != NULL)
        snprintf(bank, sizeof bank, " (%s)",
                 shown->hash == ATLS_HASH_NONE ? "unknown hash" : atls_hash_name(shown->hash));
    value_label(&actual->mval, shown, found, sizeof found);
    if (f->compared == 0) {
        atls_outcome_problem(outcome, ATLS_REASON_MEASUREMENT,
                             "%s%s is %s, its class has no reference value for it", key, bank,
                             found);
        return;
    }
    atls_outcome_problem(outcome, ATLS_REASON_MEASUREMENT,
                         "%s%s is %s, no reference value of \"%.40s\" matches, want %s%s", key,
                         bank, found, f->reference->manifest,
                         value_label(&f->expected->mval, shown, wanted, sizeof wanted),
                         f->compared > 1 ? " or another" : "");
}

static void explain_absent(const struct atls_corroboration *c, size_t index,
                           struct atls_outcome *outcome)
{
    char key[72];

    atls_outcome_problem(outcome, ATLS_REASON_MEASUREMENT,
                         "%s is not in the evidence, \"%.40s\" has a reference value for it",
                         key_label(c->claims, &c->absent[index]->mkey, key, sizeof key),
                         c->absent_reference[index]->manifest);
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

/* The integrity measurements of the kernel cover what ran after boot, other PCRs what ran during
 * it; the caller has found every measurement covered. */
static int approved_executables(const struct atls_corroboration *c)
{
    return is_tpm(c->claims) && atls_corroboration_measures(c, PCR_IMA) ? TRUST_APPROVED
                                                                        : TRUST_APPROVED_BOOT;
}

static int judge_executables(const struct atls_corroboration *c, size_t count,
                             struct atls_outcome *outcome)
{
    size_t before = outcome->problem_count;

    if (c->applicable == 0) {
        explain_no_references(c->claims, count, outcome);
        return TRUST_NO_STATEMENT;
    }
    for (size_t i = 0; i < c->claims->measurement_count; i++)
        if (!c->findings[i].covered)
            explain_finding(c, i, outcome);
    for (size_t i = 0; i < c->absent_count; i++)
        explain_absent(c, i, outcome);
    if (c->claims->measurement_count == 0 && outcome->problem_count == before)
        atls_outcome_problem(outcome, ATLS_REASON_MEASUREMENT, "the evidence measures nothing");
    return outcome->problem_count == before ? approved_executables(c) : TRUST_UNRECOGNISED;
}

/* Instance and hardware, from how the attestation key came to be trusted. */
static void judge_key(const struct atls_claims *claims, struct atls_outcome *outcome)
{
    switch (claims->key_trust) {
    case ATLS_KEY_TRUST_ENROLLED:
        outcome->trust[ATLS_TRUST_INSTANCE_IDENTITY] = TRUST_APPROVED;
        break;
    case ATLS_KEY_TRUST_CERTIFIED:
        outcome->trust[ATLS_TRUST_HARDWARE] = TRUST_APPROVED;
        break;
    case ATLS_KEY_TRUST_NONE:
    default:
        if (claims->insecure)
            break; /* said below, by the hardware */
        outcome->trust[ATLS_TRUST_INSTANCE_IDENTITY] = TRUST_INSTANCE_UNKNOWN;
        atls_outcome_problem(outcome, ATLS_REASON_UNTRUSTED_AK,
                             "nothing vouches for the attestation "
                             "key");
        break;
    }
    if (!claims->insecure)
        return;
    outcome->trust[ATLS_TRUST_HARDWARE] = TRUST_HARDWARE_UNTRUSTED;
    atls_outcome_problem(outcome, ATLS_REASON_INSECURE_TECHNOLOGY,
                         "insecure-technology: anyone can make evidence of type \"%s\"",
                         claims->technology);
}

/* Appraisal policy and checks of each technology; the checks are those of atls_evidence_verify that
 * no option switches off. */
static void name_method(const struct atls_claims *claims, struct atls_outcome *outcome)
{
    static const char *const tpm_checks[] = {
        "signature",     "nonce",      "key-binding",     "key-attributes", "name",
        "pcr-selection", "pcr-digest", "attestation-key", "measurements",   NULL,
    };
    static const char *const other_checks[] = {"signature", "nonce", "key-binding", "measurements",
                                               NULL};

    outcome->policy_id = is_tpm(claims) ? "policy:libatls/tpm/2" : "policy:libatls/other/2";
    outcome->checks = is_tpm(claims) ? tpm_checks : other_checks;
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
    int executables;

    name_method(c->claims, outcome);
    judge_key(c->claims, outcome);
    executables = judge_executables(c, reference_count, outcome);
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
