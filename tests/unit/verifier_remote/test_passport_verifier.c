/* Every row of "What the Relying Party checks" (docs/passport.md), alone. */
#include "testlib.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atls/remote.h>

#include "http_server.h"
#include "signed_result.h"
#include "tpm_forge.h"
#include "verifier/ear/keys.h"
#include "verifier/remote/http.h"
#include "wire/cmw.h"
#include "wire/ear.h"

#define NOW         INT64_C(1700000000)
#define DAY         INT64_C(86400)
#define DEADLINE_MS 60000

static const struct atls_verifier_ops *const backends[] = {&atls_passport_verifier, NULL};

/* A Verifier, another one, the AIK of this connection and that of another machine. */
static struct {
    struct test_signer a, b, other;
    struct atls_private_key *aik, *other_aik;
    char folder[64], keys[96];
} world;

static const uint8_t binder[32] = "the binder of this connection...";

static struct atls_bytes spki(const struct atls_private_key *key)
{
    return atls_key_spki(atls_private_key_public(key));
}

/* The file names the keys a and b. */
static void write_keys(void)
{
    const struct test_signer *const both[] = {&world.a, &world.b};

    test_signers_write(world.keys, both, 2);
}

static int open_world(void **state)
{
    (void)state;
    test_signer_init(&world.a, "a");
    test_signer_init(&world.b, "b");
    test_signer_init(&world.other, "a"); /* the same name, another key */
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &world.aik, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P384, &world.other_aik, NULL), ATLS_OK);
    strcpy(world.folder, "/tmp/atls-passport-XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    snprintf(world.keys, sizeof world.keys, "%s/keys.jwks", world.folder);
    write_keys();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    test_signer_clear(&world.a);
    test_signer_clear(&world.b);
    test_signer_clear(&world.other);
    atls_private_key_free(world.aik);
    atls_private_key_free(world.other_aik);
    unlink(world.keys);
    rmdir(world.folder);
    return 0;
}

static struct atls_verifier *open_uri(const char *where,
                                      const struct atls_verifier_options *options)
{
    struct atls_verifier *v = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[256];

    snprintf(uri, sizeof uri, "passport:%s", where);
    test_assert_code(atls_verifier_open(uri, backends, options, &v, &err), ATLS_OK, &err);
    assert_int_equal(atls_verifier_input(v), ATLS_VERIFIER_TAKES_RESULTS);
    return v;
}

static enum atls_code judge(struct atls_verifier *v, struct atls_bytes cmw,
                            struct atls_result **out, struct atls_err *err)
{
    const struct atls_appraisal a = {.evidence = cmw,
                                     .binder = atls_bytes_of(binder, sizeof binder),
                                     .aik_spki = spki(world.aik),
                                     .time_s = NOW};

    atls_err_clear(err);
    return atls_verifier_appraise(v, &a, out, err);
}

/* ---- one check after the other ---- */

/* What a row changes of a good result: token, wrapping, or verifier. */
struct attempt {
    struct test_result result;
    const char *type; /* NULL: that of the form */
    uint32_t ind;
    bool corrupt; /* the last byte of the token's signature */
    struct atls_verifier_options options;
};

static void good(struct attempt *a)
{
    (void)a;
}

static void cwt(struct attempt *a)
{
    a->result.form = ATLS_EAR_FORM_CWT;
    a->type = TEST_EAT_CWT;
}

static void second_key(struct attempt *a)
{
    a->result.signer = &world.b;
}

static void old_profile(struct attempt *a)
{
    a->result.profile = ATLS_EAR_PROFILE_2023;
    a->result.lifetime_s = 0;
}

static void no_indicator(struct attempt *a)
{
    a->ind = 0;
}

static void foreign_type(struct attempt *a)
{
    a->type = "application/psa-attestation-token";
}

static void called_evidence(struct attempt *a)
{
    a->ind = ATLS_CMW_EVIDENCE;
}

static void called_cwt(struct attempt *a)
{
    a->type = TEST_EAT_CWT;
}

static void foreign_key(struct attempt *a)
{
    a->result.signer = &world.other;
}

static void bad_signature(struct attempt *a)
{
    a->corrupt = true;
}

static void foreign_profile_in_type(struct attempt *a)
{
    a->type = "application/eat+jwt; eat_profile=\"" ATLS_EAR_PROFILE_2023 "\"";
}

static void right_profile_in_type(struct attempt *a)
{
    a->type = "application/eat+jwt; eat_profile=\"" ATLS_EAR_PROFILE_04 "\"";
}

static void a_minute_ahead(struct attempt *a)
{
    a->result.issued_s = NOW + 60;
}

static void not_yet(struct attempt *a)
{
    a->result.issued_s = NOW + 61;
}

static void just_valid(struct attempt *a)
{
    a->result.issued_s = NOW - 600;
    a->result.lifetime_s = 600 - 59;
}

static void expired(struct attempt *a)
{
    a->result.issued_s = NOW - 600;
    a->result.lifetime_s = 600 - 60;
}

static void a_day_old(struct attempt *a)
{
    a->result.issued_s = NOW - DAY;
    a->result.lifetime_s = 2 * DAY;
}

static void older_than_a_day(struct attempt *a)
{
    a->result.issued_s = NOW - DAY - 1;
    a->result.lifetime_s = 2 * DAY;
}

static void older_than_a_day_without_expiry(struct attempt *a)
{
    old_profile(a);
    a->result.issued_s = NOW - DAY - 1;
}

static void older_than_a_day_where_two_are_fine(struct attempt *a)
{
    older_than_a_day(a);
    a->options.result_max_age_s = 2 * DAY;
}

static void older_than_a_minute_where_one_is_fine(struct attempt *a)
{
    a->result.issued_s = NOW - 61;
    a->options.result_max_age_s = 60;
}

static void about_another_key(struct attempt *a)
{
    a->result.key = spki(world.other_aik);
}

static void a_warning(struct attempt *a)
{
    a->result.status = ATLS_TIER_WARNING;
}

static void contraindicated(struct attempt *a)
{
    a->result.status = ATLS_TIER_CONTRAINDICATED;
}

static void echo_wanted(struct attempt *a)
{
    a->options.result_echoes_binder = true;
}

static void echo_wanted_and_there(struct attempt *a)
{
    a->options.result_echoes_binder = true;
    a->result.nonce = atls_bytes_of(binder, sizeof binder);
}

static void each_check_alone(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct attempt *a);
        enum atls_code want;
        enum atls_reason reason;
        enum atls_tier status; /* on ATLS_OK */
    } rows[] = {
        {"good", good, ATLS_OK, ATLS_REASON_NONE, ATLS_TIER_AFFIRMING},
        {"good, as CWT", cwt, ATLS_OK, ATLS_REASON_NONE, ATLS_TIER_AFFIRMING},
        {"good, of the second key", second_key, ATLS_OK, ATLS_REASON_NONE, ATLS_TIER_AFFIRMING},
        {"good, of the profile of 2023", old_profile, ATLS_OK, ATLS_REASON_NONE,
         ATLS_TIER_AFFIRMING},
        {"1: no indicator", no_indicator, ATLS_OK, ATLS_REASON_NONE, ATLS_TIER_AFFIRMING},
        {"1: another type", foreign_type, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
         ATLS_TIER_NONE},
        {"1: indicator of evidence", called_evidence, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
         ATLS_TIER_NONE},
        {"1: the type of the other form", called_cwt, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
         ATLS_TIER_NONE},
        {"2: another key under a known name", foreign_key, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
         ATLS_TIER_NONE},
        {"2: signature changed", bad_signature, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE,
         ATLS_TIER_NONE},
        {"3: the type names its profile", right_profile_in_type, ATLS_OK, ATLS_REASON_NONE,
         ATLS_TIER_AFFIRMING},
        {"3: the type names another profile", foreign_profile_in_type, ATLS_E_DECODE,
         ATLS_REASON_MALFORMED, ATLS_TIER_NONE},
        {"4: issued a minute ahead", a_minute_ahead, ATLS_OK, ATLS_REASON_NONE,
         ATLS_TIER_AFFIRMING},
        {"4: issued later", not_yet, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID,
         ATLS_TIER_NONE},
        {"4: valid for the last second", just_valid, ATLS_OK, ATLS_REASON_NONE,
         ATLS_TIER_AFFIRMING},
        {"4: expired", expired, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED,
         ATLS_TIER_NONE},
        {"4: a day old", a_day_old, ATLS_OK, ATLS_REASON_NONE, ATLS_TIER_AFFIRMING},
        {"4: older than a day", older_than_a_day, ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED, ATLS_TIER_NONE},
        {"4: older than a day, without expiry", older_than_a_day_without_expiry, ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED, ATLS_TIER_NONE},
        {"4: within a limit of two days", older_than_a_day_where_two_are_fine, ATLS_OK,
         ATLS_REASON_NONE, ATLS_TIER_AFFIRMING},
        {"4: beyond a limit of a minute", older_than_a_minute_where_one_is_fine, ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED, ATLS_TIER_NONE},
        {"5: about another key", about_another_key, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH, ATLS_TIER_NONE},
        {"5: of a submodule with a warning", a_warning, ATLS_OK, ATLS_REASON_NONE,
         ATLS_TIER_WARNING},
        {"5: of a contraindicated submodule", contraindicated, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH, ATLS_TIER_NONE},
        {"6: no echo where one is due", echo_wanted, ATLS_E_EVIDENCE, ATLS_REASON_BINDER_MISMATCH,
         ATLS_TIER_NONE},
        {"6: the echo", echo_wanted_and_there, ATLS_OK, ATLS_REASON_NONE, ATLS_TIER_AFFIRMING},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct attempt a = {.result = {.signer = &world.a,
                                       .key = spki(world.aik),
                                       .issued_s = NOW - 10,
                                       .lifetime_s = 3600},
                            .ind = ATLS_CMW_ATTESTATION_RESULTS};
        struct atls_result *r = NULL;
        struct atls_buf token, cmw;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_verifier *v;

        atls_verifier_options_init(&a.options);
        rows[i].change(&a);
        token = test_token(&a.result);
        if (a.corrupt) /* the last but one: the last holds bits that stand for nothing */
            token.ptr[token.len - 2] = token.ptr[token.len - 2] == 'A' ? 'B' : 'A';
        cmw = test_carried(a.type != NULL ? a.type : TEST_EAT_JWT, atls_buf_bytes(&token), a.ind);
        v = open_uri(world.keys, &a.options);
        if (judge(v, atls_buf_bytes(&cmw), &r, &err) != rows[i].want ||
            err.reason != rows[i].reason)
            fail_msg("%s: %s (%s): %s", rows[i].name, atls_code_name(err.code),
                     atls_reason_name(err.reason), err.message);
        if (rows[i].want == ATLS_OK) {
            assert_int_equal(atls_result_status(r), rows[i].status);
            test_assert_bytes(atls_result_key(r), spki(world.aik));
            assert_int_equal(atls_result_issued_at(r), a.result.issued_s);
            assert_string_equal(atls_result_evidence_type(r), "tpm");
        } else {
            assert_null(r);
        }
        atls_result_unref(r);
        atls_verifier_unref(v);
        atls_buf_clear(&cmw);
        atls_buf_clear(&token);
    }
}

/* ---- several submodules ---- */

/* submods: two conversions, this connection's AIK and another machine's. */
static enum atls_code judge_submods(const char *submods, struct atls_result **out,
                                    struct atls_err *err)
{
    struct atls_verifier *v = open_uri(world.keys, NULL);
    struct atls_buf mine = test_key_text(spki(world.aik)),
                    theirs = test_key_text(spki(world.other_aik)), token, cmw;
    char format[2048], json[4096];
    enum atls_code code;

    snprintf(format, sizeof format,
             "{\"eat_profile\":\"" ATLS_EAR_PROFILE_2023 "\",\"iat\":%lld,"
             "\"ear.verifier-id\":{\"build\":\"1\",\"developer\":\"example\"},\"submods\":{%s}}",
             (long long)NOW, submods);
    for (size_t used = 0, at = 0;; at++) {
        const char *text = format[at] == '@'   ? (const char *)mine.ptr
                           : format[at] == '#' ? (const char *)theirs.ptr
                                               : NULL;

        if (text != NULL)
            used += (size_t)snprintf(json + used, sizeof json - used, "%s", text);
        else
            json[used++] = format[at];
        assert_true(used < sizeof json);
        if (format[at] == '\0')
            break;
    }
    token = test_sign_json(&world.a, json);
    cmw = test_carried(TEST_EAT_JWT, atls_buf_bytes(&token), 0);
    code = judge(v, atls_buf_bytes(&cmw), out, err);
    atls_buf_clear(&cmw);
    atls_buf_clear(&token);
    atls_buf_clear(&mine);
    atls_buf_clear(&theirs);
    atls_verifier_unref(v);
    return code;
}

#define KEY(text) "\"ear.veraison.key-attestation\":{\"akpub\":\"" text "\"}"
#define POLICY    "\"ear.appraisal-policy-id\":\"policy:p\""

static void the_key_is_one_and_of_an_acceptable_submodule(void **state)
{
    static const struct {
        const char *name, *submods;
        enum atls_code want;
        enum atls_tier status;
    } rows[] = {
        {"the key stands in one of two",
         "\"TPM\":{\"ear.status\":\"affirming\"," POLICY
         "," KEY("@") "},\"CPU\":{\"ear.status\":\"affirming\"," POLICY "}",
         ATLS_OK, ATLS_TIER_AFFIRMING},
        {"both name it",
         "\"TPM\":{\"ear.status\":\"affirming\"," POLICY
         "," KEY("@") "},\"CPU\":{\"ear.status\":\"affirming\"," POLICY "," KEY("@") "}",
         ATLS_OK, ATLS_TIER_AFFIRMING},
        {"an unacceptable one names another: the whole is no better",
         "\"TPM\":{\"ear.status\":\"affirming\"," POLICY
         "," KEY("@") "},\"CPU\":{\"ear.status\":\"contraindicated\"," POLICY "," KEY("#") "}",
         ATLS_OK, ATLS_TIER_CONTRAINDICATED},
        {"only an unacceptable one names it",
         "\"TPM\":{\"ear.status\":\"affirming\"," POLICY
         "},\"CPU\":{\"ear.status\":\"contraindicated\"," POLICY "," KEY("@") "}",
         ATLS_E_EVIDENCE, ATLS_TIER_NONE},
        {"only one that nothing is said of names it",
         "\"TPM\":{\"ear.status\":\"affirming\"," POLICY
         "},\"CPU\":{\"ear.status\":\"none\"," POLICY "," KEY("@") "}",
         ATLS_E_EVIDENCE, ATLS_TIER_NONE},
        {"an acceptable one names another, an unacceptable one this",
         "\"TPM\":{\"ear.status\":\"affirming\"," POLICY
         "," KEY("#") "},\"CPU\":{\"ear.status\":\"contraindicated\"," POLICY "," KEY("@") "}",
         ATLS_E_EVIDENCE, ATLS_TIER_NONE},
        {"two keys",
         "\"TPM\":{\"ear.status\":\"affirming\"," POLICY
         "," KEY("@") "},\"CPU\":{\"ear.status\":\"warning\"," POLICY "," KEY("#") "}",
         ATLS_E_EVIDENCE, ATLS_TIER_NONE},
        {"no key", "\"TPM\":{\"ear.status\":\"affirming\"," POLICY "}", ATLS_E_EVIDENCE,
         ATLS_TIER_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        if (judge_submods(rows[i].submods, &r, &err) != rows[i].want)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(err.code), err.message);
        if (rows[i].want == ATLS_OK)
            assert_int_equal(atls_result_status(r), rows[i].status);
        else
            assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
        atls_result_unref(r);
    }
}

/* ---- tokens of others ---- */

/* A published token, with its own key: genuine, and yet about no machine of ours. */
static void a_published_token_is_verified(void **state)
{
    static const struct {
        const char *token;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        /* It attests no key; so it is genuine, or the answer would be another. */
        {"ear/arc-testJWT.jwt", ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
        /* Times as floats. */
        {"ear/c-ear.jwt", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"ear/jwt-neg-hs256.jwt", ATLS_E_UNSUPPORTED, ATLS_REASON_NONE},
    };
    struct atls_verifier_options options;
    struct atls_verifier *v;
    char path[512];

    (void)state;
    atls_verifier_options_init(&options);
    options.result_max_age_s = 10 * 365 * DAY;
    snprintf(path, sizeof path, "%s/ear/c-ear-pkey.pem", ATLS_TEST_VECTORS);
    v = open_uri(path, &options);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf token = test_vector(rows[i].token), cmw;
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        while (token.len > 0 && token.ptr[token.len - 1] == '\n')
            token.len--;
        cmw = test_carried(TEST_EAT_JWT, atls_buf_bytes(&token), 0);
        if (judge(v, atls_buf_bytes(&cmw), &r, &err) != rows[i].want)
            fail_msg("%s: %s (%s): %s", rows[i].token, atls_code_name(err.code),
                     atls_reason_name(err.reason), err.message);
        if (rows[i].reason != ATLS_REASON_NONE)
            assert_int_equal(err.reason, rows[i].reason);
        atls_buf_clear(&cmw);
        atls_buf_clear(&token);
    }
    atls_verifier_unref(v);
}

/* ---- each verifier takes its own kind ---- */

static void evidence_is_no_passport(void **state)
{
    struct atls_verifier *v = open_uri(world.keys, NULL);
    struct test_tpm_evidence e;
    struct atls_buf evidence;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_tpm_evidence_init(&e, atls_bytes_of(binder, sizeof binder));
    evidence = test_tpm_evidence_encode(&e);
    assert_int_equal(judge(v, atls_buf_bytes(&evidence), &r, &err), ATLS_E_UNSUPPORTED);
    assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
    atls_buf_clear(&evidence);
    test_tpm_evidence_clear(&e);
    atls_verifier_unref(v);
}

static void a_passport_is_no_evidence(void **state)
{
    static const struct atls_verifier_ops *const veraison[] = {&atls_veraison_verifier, NULL};
    const struct test_result good_one = {
        .signer = &world.a, .key = spki(world.aik), .issued_s = NOW};
    struct atls_buf cmw = test_carried_result(&good_one);
    struct atls_verifier_options options;
    struct atls_verifier *v = NULL;
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_verifier_options_init(&options);
    options.result_keys = world.keys;
    test_assert_code(
        atls_verifier_open("veraison:http://127.0.0.1:1", veraison, &options, &v, &err), ATLS_OK,
        &err);
    assert_int_equal(judge(v, atls_buf_bytes(&cmw), &r, &err), ATLS_E_UNSUPPORTED);
    assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
    atls_verifier_unref(v);
    atls_buf_clear(&cmw);
}

/* ---- keys that change ---- */

/* Whether a result of this signer is accepted now. */
static enum atls_code accepts(struct atls_verifier *v, const struct test_signer *signer)
{
    const struct test_result made = {.signer = signer, .key = spki(world.aik), .issued_s = NOW};
    struct atls_buf cmw = test_carried_result(&made);
    struct atls_result *r = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = judge(v, atls_buf_bytes(&cmw), &r, &err);

    atls_result_unref(r);
    atls_buf_clear(&cmw);
    return code;
}

/* Tries until the answer is this one. */
static void comes_to(struct atls_verifier *v, const struct test_signer *signer, enum atls_code want)
{
    int64_t end_ms = atls_http_now_ms() + DEADLINE_MS;

    while (accepts(v, signer) != want)
        if (atls_http_now_ms() > end_ms)
            fail_msg("key \"%s\": still %s", signer->kid, atls_code_name(accepts(v, signer)));
}

static void a_key_file_is_followed(void **state)
{
    const struct test_signer *const first[] = {&world.a}, *const second[] = {&world.b};
    struct atls_verifier *v;

    (void)state;
    test_signers_write(world.keys, first, 1);
    v = open_uri(world.keys, NULL);
    assert_int_equal(accepts(v, &world.a), ATLS_OK);
    assert_int_equal(accepts(v, &world.b), ATLS_E_VERIFY);

    /* The new key counts with the first token that it signed, and the old one no longer. */
    test_signers_write(world.keys, second, 1);
    assert_int_equal(accepts(v, &world.b), ATLS_OK);
    assert_int_equal(accepts(v, &world.a), ATLS_E_VERIFY);

    /* What no token of the new key calls for is noticed all the same. */
    test_signers_write(world.keys, first, 1);
    comes_to(v, &world.b, ATLS_E_VERIFY);
    assert_int_equal(accepts(v, &world.a), ATLS_OK);

    /* Without the file nobody is trusted, and nobody is to blame for it. */
    assert_int_equal(atls_verifier_ping(v, NULL), ATLS_OK);
    assert_int_equal(unlink(world.keys), 0);
    comes_to(v, &world.a, ATLS_E_CONFIG);
    assert_int_equal(atls_verifier_ping(v, NULL), ATLS_E_CONFIG);
    test_signers_write(world.keys, first, 1);
    comes_to(v, &world.a, ATLS_OK);
    assert_int_equal(atls_verifier_ping(v, NULL), ATLS_OK);
    write_keys();
    atls_verifier_unref(v);
}

/* A service that names its keys. */
struct service {
    struct test_http_server *server;
    const struct test_signer *signer; /* NULL: names none */
    int status;
    pthread_mutex_t lock;
};

static void discover(void *arg, const struct test_http_request *request,
                     struct test_http_response *response)
{
    struct service *s = arg;
    struct atls_buf jwk = ATLS_BUF_INIT;
    char text[1024];

    (void)request;
    pthread_mutex_lock(&s->lock);
    if (s->signer != NULL)
        assert_int_equal(atls_ear_jwk_encode(atls_private_key_public(s->signer->key),
                                             s->signer->kid, &jwk, NULL),
                         ATLS_OK);
    snprintf(
        text, sizeof text,
        "{\"api-endpoints\":{\"newChallengeResponseSession\":\"/new\"},\"media-types\":[]%s%s}",
        s->signer != NULL ? ",\"ear-verification-key\":" : "",
        s->signer != NULL ? (const char *)jwk.ptr : "");
    test_http_reply_text(response, s->status,
                         "Content-Type: application/vnd.veraison.discovery+json\r\n"
                         "Cache-Control: max-age=86400\r\n",
                         text);
    pthread_mutex_unlock(&s->lock);
    atls_buf_clear(&jwk);
}

static void set_signer(struct service *s, const struct test_signer *signer)
{
    pthread_mutex_lock(&s->lock);
    s->signer = signer;
    pthread_mutex_unlock(&s->lock);
}

/* Opens a verifier that discovers at s; the file of the CA's certificate is the caller's. */
static struct atls_verifier *open_service(struct service *s, char ca_file[static 128])
{
    struct test_identity ca = test_ca("passport"),
                         leaf = test_leaf(&ca, "localhost", ATLS_KEY_P256);
    struct atls_verifier_options options;
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_verifier *v;
    FILE *file;

    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&ca.certificate), &pem, NULL),
                     ATLS_OK);
    snprintf(ca_file, 128, "%s/ca.pem", world.folder);
    file = fopen(ca_file, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(pem.ptr, 1, pem.len, file), pem.len);
    assert_int_equal(fclose(file), 0);
    atls_buf_clear(&pem);
    assert_int_equal(pthread_mutex_init(&s->lock, NULL), 0);
    s->server = test_http_start(discover, s, &leaf);
    atls_verifier_options_init(&options);
    options.ca_file = ca_file;
    v = open_uri(test_http_url(s->server), &options);
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
    return v;
}

static void close_service(struct service *s, struct atls_verifier *v, const char *ca_file)
{
    atls_verifier_unref(v);
    test_http_stop(s->server);
    pthread_mutex_destroy(&s->lock);
    unlink(ca_file);
}

/* An answer that counts for a day is asked for again when a key is unknown; but a peer with bad
 * tokens does not have it asked for each of them. */
static void an_unknown_key_has_discovery_asked_again(void **state)
{
    struct service s = {.signer = &world.a, .status = 200};
    struct atls_verifier *v;
    char ca_file[128];
    size_t asked;

    (void)state;
    v = open_service(&s, ca_file);
    assert_int_equal(accepts(v, &world.a), ATLS_OK);
    assert_int_equal(accepts(v, &world.a), ATLS_OK);
    assert_int_equal(test_http_requests(s.server), 1);

    set_signer(&s, &world.b);
    comes_to(v, &world.b, ATLS_OK);
    assert_int_equal(accepts(v, &world.a), ATLS_E_VERIFY);

    asked = test_http_requests(s.server);
    for (int i = 0; i < 50; i++)
        assert_int_equal(accepts(v, &world.other), ATLS_E_VERIFY);
    assert_in_range(test_http_requests(s.server), asked, asked + 1);
    close_service(&s, v, ca_file);
}

/* What is wrong with the service is not the peer's fault. */
static void a_service_without_keys_is_not_the_peers_fault(void **state)
{
    static const struct {
        const char *name;
        bool names_key;
        int status;
    } rows[] = {
        {"it names no key", false, 200}, {"it fails", true, 503}, {"it knows nothing", true, 404}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct service s = {.signer = rows[i].names_key ? &world.a : NULL,
                            .status = rows[i].status};
        struct atls_verifier *v;
        char ca_file[128];
        enum atls_code code;

        v = open_service(&s, ca_file);
        if ((code = accepts(v, &world.a)) != ATLS_E_UNAVAILABLE)
            fail_msg("%s: %s", rows[i].name, atls_code_name(code));
        if ((code = atls_verifier_ping(v, NULL)) != ATLS_E_UNAVAILABLE)
            fail_msg("%s: ping: %s", rows[i].name, atls_code_name(code));
        close_service(&s, v, ca_file);
    }
}

/* ---- opening ---- */

static void refuses_to_open(void **state)
{
    static const struct {
        const char *name, *uri, *result_keys;
        int64_t max_age_s;
    } rows[] = {
        {"nowhere", "passport:", NULL, 0},
        {"a file that is not there", "passport:/nonexistent", NULL, 0},
        {"a folder", "passport:/tmp", NULL, 0},
        {"keys over http", "passport:http://127.0.0.1:1", NULL, 0},
        {"no URL", "passport:https://", NULL, 0},
        {"a service and a file", "passport:https://127.0.0.1:1", "/nonexistent", 0},
        {"a negative age", "passport:https://127.0.0.1:1", NULL, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_verifier_options options;
        struct atls_verifier *v = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        atls_verifier_options_init(&options);
        options.result_keys = rows[i].result_keys;
        options.result_max_age_s = rows[i].max_age_s;
        if (atls_verifier_open(rows[i].uri, backends, &options, &v, &err) != ATLS_E_CONFIG)
            fail_msg("%s: %s: %s", rows[i].name, atls_code_name(err.code), err.message);
        assert_null(v);
    }
}

static void result_keys_name_the_file_as_well(void **state)
{
    struct atls_verifier_options options;
    struct atls_verifier *v;

    (void)state;
    atls_verifier_options_init(&options);
    options.result_keys = world.keys;
    v = open_uri("", &options);
    assert_int_equal(accepts(v, &world.a), ATLS_OK);
    atls_verifier_unref(v);
}

/* 7: for the session, and for the policy, to refuse. */
static void an_insecure_technology_is_marked(void **state)
{
    static const struct {
        const char *technology, *submod;
        bool insecure;
    } rows[] = {{"tpm", "TPM", false}, {"soft", "SOFT", true}};
    struct atls_verifier *v = open_uri(world.keys, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct test_result made = {.signer = &world.a,
                                         .key = spki(world.aik),
                                         .issued_s = NOW,
                                         .technology = rows[i].technology,
                                         .submod = rows[i].submod};
        struct atls_buf cmw = test_carried_result(&made);
        struct atls_result *r = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(judge(v, atls_buf_bytes(&cmw), &r, &err), ATLS_OK, &err);
        assert_int_equal(atls_result_insecure(r), rows[i].insecure);
        assert_string_equal(atls_result_evidence_type(r), rows[i].technology);
        atls_result_unref(r);
        atls_buf_clear(&cmw);
    }
    atls_verifier_unref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_alone),
        cmocka_unit_test(the_key_is_one_and_of_an_acceptable_submodule),
        cmocka_unit_test(a_published_token_is_verified),
        cmocka_unit_test(evidence_is_no_passport),
        cmocka_unit_test(a_passport_is_no_evidence),
        cmocka_unit_test(a_key_file_is_followed),
        cmocka_unit_test(an_unknown_key_has_discovery_asked_again),
        cmocka_unit_test(a_service_without_keys_is_not_the_peers_fault),
        cmocka_unit_test(refuses_to_open),
        cmocka_unit_test(result_keys_name_the_file_as_well),
        cmocka_unit_test(an_insecure_technology_is_marked),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
