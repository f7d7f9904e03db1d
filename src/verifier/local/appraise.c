#include "verifier/local/appraise.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
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

/* Mkeys of small numbers (PCR indices) are found through a table. */
#define SMALL_KEYS 32
/* Absent measurements that are told apart; of more, nobody reads. */
#define ABSENT_MAX 8

/* What the references say of one measurement of the evidence. */
struct finding {
    bool covered;
    size_t compared;                         /* references that it could be compared with */
    const struct atls_reference *reference;  /* the first of them */
    const struct atls_measurement *expected; /* and its value */
    size_t next;                             /* 1 + next finding with the same small key; 0: none */
};

struct matching {
    const struct atls_claims *claims;
    struct finding *findings; /* one a measurement */
    size_t small[SMALL_KEYS]; /* 1 + first measurement with that number as mkey; 0: none */
    size_t applicable;        /* references whose environment is that of the claims */
    size_t absent_count;      /* up to ABSENT_MAX */
    const struct atls_measurement *absent[ABSENT_MAX];
    const struct atls_reference *absent_reference[ABSENT_MAX];
};

static void note_absent(struct matching *m, const struct atls_reference *reference,
                        const struct atls_measurement *expected)
{
    for (size_t i = 0; i < m->absent_count; i++)
        if (atls_mkey_equal(&m->absent[i]->mkey, &expected->mkey))
            return;
    if (m->absent_count == ABSENT_MAX)
        return;
    m->absent[m->absent_count] = expected;
    m->absent_reference[m->absent_count++] = reference;
}

static void note_manifest(struct atls_outcome *outcome, const char *manifest)
{
    size_t known =
        outcome->manifest_count < ATLS_MANIFESTS_MAX ? outcome->manifest_count : ATLS_MANIFESTS_MAX;

    for (size_t i = 0; i < known; i++)
        if (strncmp(outcome->manifests[i], manifest, ATLS_MANIFEST_ID_LEN - 1) == 0)
            return;
    if (known < ATLS_MANIFESTS_MAX)
        snprintf(outcome->manifests[known], ATLS_MANIFEST_ID_LEN, "%s", manifest);
    outcome->manifest_count++;
}

/* Digests of other algorithms than the evidence has say nothing about it, neither good nor bad. */
static bool is_comparable(const struct atls_mval *expected, const struct atls_mval *actual)
{
    if ((expected->present & actual->present & ATLS_MVAL_DIGESTS) == 0)
        return true;
    for (size_t i = 0; i < expected->digest_count; i++)
        if (atls_digest_alike(actual, &expected->digests[i]) != NULL)
            return true;
    return false;
}

static void compare(struct matching *m, size_t index, const struct atls_reference *reference,
                    const struct atls_measurement *expected, struct atls_outcome *outcome)
{
    struct finding *f = &m->findings[index];
    const struct atls_mval *actual = &m->claims->measurements[index].mval;

    if (f->covered || !is_comparable(&expected->mval, actual))
        return;
    if (f->compared++ == 0) {
        f->reference = reference;
        f->expected = expected;
    }
    if (atls_mval_holds(&expected->mval, actual)) {
        f->covered = true;
        note_manifest(outcome, reference->manifest);
    }
}

/* Compares one reference value with every measurement of its mkey. */
static void use_value(struct matching *m, const struct atls_reference *reference,
                      const struct atls_measurement *expected, struct atls_outcome *outcome)
{
    bool present = false;

    if (expected->mkey.kind == ATLS_MKEY_UINT && expected->mkey.number < SMALL_KEYS) {
        for (size_t i = m->small[expected->mkey.number]; i != 0; i = m->findings[i - 1].next) {
            compare(m, i - 1, reference, expected, outcome);
            present = true;
        }
    } else {
        for (size_t i = 0; i < m->claims->measurement_count; i++) {
            if (!atls_mkey_equal(&m->claims->measurements[i].mkey, &expected->mkey))
                continue;
            compare(m, i, reference, expected, outcome);
            present = true;
        }
    }
    if (!present)
        note_absent(m, reference, expected);
}

static void index_small_keys(struct matching *m)
{
    for (size_t i = m->claims->measurement_count; i-- > 0;) {
        const struct atls_mkey *key = &m->claims->measurements[i].mkey;

        if (key->kind != ATLS_MKEY_UINT || key->number >= SMALL_KEYS)
            continue;
        m->findings[i].next = m->small[key->number];
        m->small[key->number] = i + 1;
    }
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
static void explain_finding(const struct matching *m, size_t index, struct atls_outcome *outcome)
{
    const struct finding *f = &m->findings[index];
    const struct atls_measurement *actual = &m->claims->measurements[index];
    const struct atls_digest *shown =
        digest_to_show(&actual->mval, f->expected == NULL ? NULL : &f->expected->mval);
    char key[72], found[20], wanted[20], bank[20] = "";

    key_label(m->claims, &actual->mkey, key, sizeof key);
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

static void explain_absent(const struct matching *m, size_t index, struct atls_outcome *outcome)
{
    char key[72];

    atls_outcome_problem(outcome, ATLS_REASON_MEASUREMENT,
                         "%s is not in the evidence, \"%.40s\" has a reference value for it",
                         key_label(m->claims, &m->absent[index]->mkey, key, sizeof key),
                         m->absent_reference[index]->manifest);
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
static int approved_executables(const struct matching *m)
{
    return is_tpm(m->claims) && m->small[PCR_IMA] != 0 ? TRUST_APPROVED : TRUST_APPROVED_BOOT;
}

static int judge_executables(const struct matching *m, size_t count, struct atls_outcome *outcome)
{
    size_t before = outcome->problem_count;

    if (m->applicable == 0) {
        explain_no_references(m->claims, count, outcome);
        return TRUST_NO_STATEMENT;
    }
    for (size_t i = 0; i < m->claims->measurement_count; i++)
        if (!m->findings[i].covered)
            explain_finding(m, i, outcome);
    for (size_t i = 0; i < m->absent_count; i++)
        explain_absent(m, i, outcome);
    if (m->claims->measurement_count == 0 && outcome->problem_count == before)
        atls_outcome_problem(outcome, ATLS_REASON_MEASUREMENT, "the evidence measures nothing");
    return outcome->problem_count == before ? approved_executables(m) : TRUST_UNRECOGNISED;
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

    outcome->policy_id = is_tpm(claims) ? "policy:libatls/tpm/1" : "policy:libatls/other/1";
    outcome->checks = is_tpm(claims) ? tpm_checks : other_checks;
}

enum atls_code atls_appraise(const struct atls_claims *claims,
                             const struct atls_reference *references, size_t count,
                             struct atls_outcome *out, struct atls_err *err)
{
    struct atls_outcome outcome;
    struct matching m;
    int executables;

    memset(&outcome, 0, sizeof outcome);
    memset(&m, 0, sizeof m);
    m.claims = claims;
    m.findings = calloc(claims->measurement_count + 1, sizeof *m.findings);
    if (m.findings == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "appraisal: out of memory");
    index_small_keys(&m);
    for (size_t i = 0; i < count; i++) {
        if (!atls_environment_matches(&references[i].environment, &claims->environment))
            continue;
        m.applicable++;
        for (size_t k = 0; k < references[i].count; k++)
            use_value(&m, &references[i], &references[i].measurements[k], &outcome);
    }
    name_method(claims, &outcome);
    judge_key(claims, &outcome);
    executables = judge_executables(&m, count, &outcome);
    outcome.trust[ATLS_TRUST_EXECUTABLES] = (int8_t)executables;
    /* Evidence whose code nobody judged is never affirming, whatever is known of its key. */
    outcome.status =
        atls_tier_of(executables) == ATLS_TIER_AFFIRMING ? ATLS_TIER_AFFIRMING : ATLS_TIER_WARNING;
    free(m.findings);
    *out = outcome;
    return ATLS_OK;
}
