/* Expectations that are missing: no place may take "nothing" for "anything". */
#include <stdio.h>
#include <string.h>

#include <atls/local.h>
#include <atls/store.h>

#include "bind/binder.h"
#include "flavours.h"
#include "scene.h"

static struct atls_err nothing_err;

/* ---- configurations ---- */

typedef void change_options(struct atls_config_options *o);

static void no_verifier(struct atls_config_options *o)
{
    o->verifier = NULL;
}

static void no_policy(struct atls_config_options *o)
{
    o->policy = NULL;
}

static void no_identity(struct atls_config_options *o)
{
    o->identity = ATLS_IDENTITY_NONE;
}

static void no_anchors(struct atls_config_options *o)
{
    o->identity = ATLS_IDENTITY_PKIX;
}

static void empty_anchors(struct atls_config_options *o)
{
    o->identity = ATLS_IDENTITY_PKIX;
    o->anchors = atls_bytes_of("\n", 1);
}

static void nothing_required(struct atls_config_options *o)
{
    o->require_peer = false;
}

static void no_technologies(struct atls_config_options *o)
{
    static const char *const none[] = {NULL};

    o->evidence_types = none;
}

static void no_profiles(struct atls_config_options *o)
{
    static const char *const none[] = {NULL};

    o->profiles = none;
}

static void unknown_profile(struct atls_config_options *o)
{
    static const char *const odd[] = {"", NULL};

    o->profiles = odd;
}

static void unknown_flavour(struct atls_config_options *o)
{
    o->flavour = (enum atls_flavour)3;
}

static void freshness_unsaid(struct atls_config_options *o)
{
    o->flavour = ATLS_FLAVOUR_PRE;
    o->freshness = ATLS_FRESHNESS_UNSAID;
}

static void freshness_elsewhere(struct atls_config_options *o)
{
    o->flavour = ATLS_FLAVOUR_INTRA;
    o->freshness = ATLS_FRESHNESS_NONCE;
}

static void secret_elsewhere(struct atls_config_options *o)
{
    o->flavour = ATLS_FLAVOUR_POST;
    o->freshness = ATLS_FRESHNESS_UNSAID;
    o->secret_binder = true;
}

static const struct {
    const char *what;
    change_options *change;
} configurations[] = {
    {"configuration without a verifier", no_verifier},
    {"configuration without a policy", no_policy},
    {"configuration without an identity", no_identity},
    {"identity pkix without anchors", no_anchors},
    {"identity pkix, anchors that hold no certificate", empty_anchors},
    {"configuration that requires nothing", nothing_required},
    {"no technology accepted", no_technologies},
    {"no profile accepted", no_profiles},
    {"a profile without a name", unknown_profile},
    {"a flavour that there is not", unknown_flavour},
    {"pre, freshness not said", freshness_unsaid},
    {"freshness asked of intra", freshness_elsewhere},
    {"secret binder asked of post", secret_elsewhere},
};

/* The same in every flavour. */
static enum atls_code configure(struct lab *lab, change_options *change)
{
    enum atls_code code = ATLS_OK;
    char first[sizeof nothing_err.message] = "";

    for (size_t i = 0; i < COLUMNS; i++) {
        struct atls_config_options options;
        struct atls_config *config = NULL;

        atls_config_options_init(&options);
        options.require_peer = true;
        options.verifier = lab->verifier;
        options.policy = lab->policy;
        options.identity = ATLS_IDENTITY_ATTESTED;
        options.flavour = columns[i].flavour;
        options.freshness = columns[i].freshness;
        options.secret_binder = columns[i].secret_binder;
        test_assert_code(atls_config_new(&options, &config, &nothing_err), ATLS_OK, &nothing_err);
        atls_config_unref(config);
        config = NULL;
        change(&options);
        if (change == freshness_unsaid) /* and not two faults at once */
            options.secret_binder = false;
        code = atls_config_new(&options, &config, &nothing_err);
        assert_null(config);
        if (i == 0)
            memcpy(first, nothing_err.message, sizeof first);
        assert_string_equal(first, nothing_err.message);
    }
    return code;
}

/* ---- appraisals ---- */

static const uint8_t answered[48] = {0xb1, 0x4d, 0xe2};

static const struct {
    const char *what;
    size_t evidence_over, expected; /* bytes of the binder */
    bool no_pointer, no_key;
} appraisals[] = {
    {"appraisal without a binder", 32, 0, true, false},
    {"appraisal with a binder of no bytes", 32, 0, false, false},
    {"appraisal with a binder of 31 bytes, the first of those answered", 32, 31, false, false},
    {"appraisal with a binder of 33 bytes, one more than was answered", 32, 33, false, false},
    {"appraisal with a binder of 32 bytes, the first of 48 answered", 48, 32, false, false},
    {"appraisal with a binder of 48 bytes, 16 zeros more than were answered", 32, 48, false, false},
    {"appraisal without the key of the peer", 32, 32, false, true},
};

static enum atls_code appraise(struct lab *lab, size_t row)
{
    uint8_t expected[48] = {0};
    struct atls_buf evidence =
        machine_evidence(&lab->m1, atls_bytes_of(answered, appraisals[row].evidence_over));
    struct atls_appraisal a = {.evidence = atls_buf_bytes(&evidence)};
    struct atls_result *result = NULL;
    enum atls_code code;

    memcpy(expected, answered, appraisals[row].evidence_over);
    a.binder = atls_bytes_of(answered, appraisals[row].evidence_over);
    a.aik_spki = machine_aik(&lab->m1);
    test_assert_code(atls_verifier_appraise(lab->verifier, &a, &result, &nothing_err), ATLS_OK,
                     &nothing_err);
    atls_result_unref(result);
    result = NULL;
    a.binder =
        atls_bytes_of(appraisals[row].no_pointer ? NULL : expected, appraisals[row].expected);
    if (appraisals[row].no_key)
        a.aik_spki = atls_bytes_of(NULL, 0);
    code = atls_verifier_appraise(lab->verifier, &a, &result, &nothing_err);
    assert_null(result);
    atls_buf_clear(&evidence);
    return code;
}

/* ---- a verifier that knows nobody, policies that say nothing ---- */

static enum atls_code empty_store(struct lab *lab)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
    struct atls_verifier_options options;
    struct atls_verifier *verifier = NULL;
    struct atls_store *store = NULL;
    char path[128], uri[144];
    enum atls_code code;

    snprintf(path, sizeof path, "%s/empty.db", lab->folder);
    test_assert_code(atls_store_open(path, ATLS_STORE_CREATE, &store, &nothing_err), ATLS_OK,
                     &nothing_err);
    atls_store_close(store);
    atls_verifier_options_init(&options);
    snprintf(uri, sizeof uri, "local:%s", path);
    code = atls_verifier_open(uri, backends, &options, &verifier, &nothing_err);
    assert_null(verifier);
    remove(path);
    return code;
}

static enum atls_code decide(struct lab *lab, const char *program)
{
    struct atls_buf evidence = machine_evidence(&lab->m1, atls_bytes_of(answered, 32));
    const struct atls_appraisal a = {.evidence = atls_buf_bytes(&evidence),
                                     .binder = atls_bytes_of(answered, 32),
                                     .aik_spki = machine_aik(&lab->m1)};
    struct atls_decision decision = {.accept = false};
    struct atls_result *result = NULL;
    struct atls_policy *policy = NULL;
    enum atls_code code;

    test_assert_code(atls_verifier_appraise(lab->verifier, &a, &result, &nothing_err), ATLS_OK,
                     &nothing_err);
    test_assert_code(atls_policy_compile("attack", atls_bytes_of(program, strlen(program)), &policy,
                                         &nothing_err),
                     ATLS_OK, &nothing_err);
    code = atls_policy_decide(policy, result, &decision, &nothing_err);
    assert_false(decision.accept);
    atls_policy_unref(policy);
    atls_result_unref(result);
    atls_buf_clear(&evidence);
    return code;
}

static const struct {
    const char *what, *program;
} policies[] = {
    {"policy that says nothing", "empty"},
    {"policy that answers null", "null"},
    {"policy whose decision is missing", "{}"},
    {"policy that fails after it accepted", "{decision: \"accept\"}, error"},
};

/* ---- binders ---- */

static enum atls_code no_key_to_bind(void)
{
    const uint8_t value[32] = {1};
    struct atls_binder_handshake handshake = {.hash = ATLS_HASH_SHA256,
                                              .transcript_hash = atls_bytes_of(value, 32)};
    const struct atls_bytes none = {NULL, 0};
    struct atls_binder out = {.len = 0};
    enum atls_code code = atls_binder_make(ATLS_HASH_SHA256, none, value, &out, &nothing_err);

    assert_int_equal(atls_binder_intra(&handshake, &out, &nothing_err), code);
    assert_int_equal(
        atls_binder_intra_secret(&handshake, atls_bytes_of(value, 32), &out, &nothing_err), code);
    assert_int_equal(atls_binder_pre(atls_bytes_of(value, 32), none, &out, &nothing_err), code);
    assert_int_equal(out.len, 0);
    return code;
}

static enum atls_code short_values(void)
{
    const uint8_t value[32] = {1};
    const struct atls_bytes spki = {value, 32};
    struct atls_binder_handshake handshake = {
        .hash = ATLS_HASH_SHA256, .transcript_hash = {value, 0}, .spki = spki};
    struct atls_binder out = {.len = 0};
    enum atls_code code = atls_binder_intra(&handshake, &out, &nothing_err);

    handshake.transcript_hash = atls_bytes_of(value, 32);
    assert_int_equal(
        atls_binder_intra_secret(&handshake, atls_bytes_of(NULL, 0), &out, &nothing_err), code);
    assert_int_equal(
        atls_binder_intra_secret(&handshake, atls_bytes_of(value, 31), &out, &nothing_err), code);
    assert_int_equal(atls_binder_pre(atls_bytes_of(value, 31), spki, &out, &nothing_err), code);
    assert_int_equal(out.len, 0);
    return code;
}

/* ---- the table ---- */

static void put_row(struct table *t, const char *what, enum atls_code code, bool message)
{
    if (code == ATLS_OK)
        fail_msg("%s: accepted", what);
    fprintf(t->out, "| %s | %s", what, atls_code_name(code));
    if (nothing_err.reason != ATLS_REASON_NONE)
        fprintf(t->out, " (`%s`)", atls_reason_name(nothing_err.reason));
    if (message)
        fprintf(t->out, ": %s", nothing_err.message);
    fputs(" |\n", t->out);
}

void nothing_put(struct table *t, struct lab *lab)
{
    static const char *const head[] = {"What is missing", "refused with", NULL};

    table_head(t, head);
    for (size_t i = 0; i < sizeof configurations / sizeof configurations[0]; i++)
        put_row(t, configurations[i].what, configure(lab, configurations[i].change), true);
    for (size_t i = 0; i < sizeof appraisals / sizeof appraisals[0]; i++)
        put_row(t, appraisals[i].what, appraise(lab, i), false);
    put_row(t, "verifier over a store without keys and anchors", empty_store(lab), false);
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        put_row(t, policies[i].what, decide(lab, policies[i].program), false);
    put_row(t, "binder for no key, by any formula", no_key_to_bind(), false);
    put_row(t, "binder over a transcript hash, secret or nonce that is too short or absent",
            short_values(), false);
}
