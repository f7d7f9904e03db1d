/* Attacks on passports (docs/passport.md), row by row, over live TLS connections: each attempt
 * beside an honest one that differs in its one flaw. */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atls/passport.h>
#include <atls/remote.h>

#include "bind/binder.h"
#include "core/writer.h"
#include "flavour/post/carrier.h"
#include "flavour/post/hello.h"
#include "signed_result.h"
#include "wire/cmw.h"
#include "wire/ear.h"

static struct {
    struct lab lab;
    struct test_signer verifier, stranger; /* the stranger's key has the same name */
    char keys[96];
    int64_t now_s;
} world;

static int open_world(void **state)
{
    const struct test_signer *const signers[] = {&world.verifier};

    (void)state;
    lab_open(&world.lab);
    test_signer_init(&world.verifier, "v");
    test_signer_init(&world.stranger, "v");
    snprintf(world.keys, sizeof world.keys, "%s/keys.jwks", world.lab.folder);
    test_signers_write(world.keys, signers, 1);
    world.now_s = (int64_t)time(NULL);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    test_signer_clear(&world.verifier);
    test_signer_clear(&world.stranger);
    unlink(world.keys);
    lab_close(&world.lab);
    return 0;
}

/* ---- a Relying Party that takes results ---- */

enum want { WANT_STOCK, WANT_FRESH, WANT_EVIDENCE };

struct victim {
    struct line line;
    struct atls_config *config;
    struct atls_buf request;
    uint32_t id;
};

static struct atls_verifier *passport_verifier(enum want want)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_passport_verifier, NULL};
    struct atls_verifier_options options;
    struct atls_verifier *v = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];

    atls_verifier_options_init(&options);
    options.result_echoes_binder = want == WANT_FRESH;
    snprintf(uri, sizeof uri, "passport:%s", world.keys);
    test_assert_code(atls_verifier_open(uri, backends, &options, &v, &err), ATLS_OK, &err);
    return v;
}

static struct atls_config *configure(enum want want, enum atls_identity identity)
{
    struct lab with = world.lab;
    struct atls_config *config;

    if (want == WANT_EVIDENCE)
        return relying_party(&with, identity, NULL);
    with.verifier = passport_verifier(want);
    config = relying_party(&with, identity, NULL);
    atls_verifier_unref(with.verifier);
    return config;
}

/* What the attacker says that he will show. */
enum offer { OFFER_RESULT, OFFER_EVIDENCE };

static void say_hello(struct line *line, enum offer offer)
{
    struct atls_writer w = atls_writer_init(4096), names = atls_writer_init(64),
                       profile = atls_writer_init(64);
    struct atls_hello hello = {.flags = ATLS_HELLO_ATTESTS, .frame_max = ATLS_FRAME_BODY_MAX};

    atls_name_put(&names, offer == OFFER_RESULT ? "ear+jwt" : "tpm");
    atls_name_put(&profile, "kat-bundle");
    hello.names[offer == OFFER_RESULT ? ATLS_NAMES_RESULTS_OFFERED : ATLS_NAMES_EVIDENCE_OFFERED] =
        atls_writer_bytes(&names);
    hello.names[ATLS_NAMES_PROFILES] = atls_writer_bytes(&profile);
    atls_hello_put(&w, &hello);
    assert_int_equal(w.failed, ATLS_OK);
    hand_send(line, atls_writer_bytes(&w));
    atls_writer_clear(&names);
    atls_writer_clear(&profile);
    atls_writer_clear(&w);
}

static void victim_open(struct victim *v, enum want want, enum offer offer)
{
    v->config = configure(want, ATLS_IDENTITY_ATTESTED);
    line_open(&v->line, &world.lab, ATLS_ROLE_CLIENT, v->config, NULL);
    v->request = hand_take_message(&v->line, ATLS_FRAME_REQUEST, &v->id);
    say_hello(&v->line, offer);
}

static void victim_close(struct victim *v)
{
    line_close(&v->line);
    atls_config_unref(v->config);
    atls_buf_clear(&v->request);
}

/* Gives the victim an authenticator with this certificate, key and cmw_data. */
static void answer(struct victim *v, const struct machine *certificate, const struct machine *key,
                   struct atls_bytes cmw)
{
    const struct attempt a = {
        .connection = &v->line.secret,
        .sender = ATLS_ROLE_SERVER,
        .request = atls_buf_bytes(&v->request),
        .certificate = atls_buf_bytes(&certificate->certificate.certificate),
        .key = key->aik.private_key,
        .cmw = cmw,
    };
    struct atls_buf authenticator = attempt_make(&a);

    hand_authenticator(&v->line, v->id, atls_buf_bytes(&authenticator));
    atls_buf_clear(&authenticator);
}

static struct atls_buf binder_at(const struct victim *v, const struct machine *m)
{
    return binder_of(&v->line.secret, ATLS_BINDER_LABEL, v->line.secret.hash,
                     atls_buf_bytes(&v->request), machine_aik(m));
}

/* A good result about m. */
static struct test_result about(const struct machine *m)
{
    return (struct test_result){.signer = &world.verifier,
                                .key = machine_aik(m),
                                .issued_s = world.now_s - 10,
                                .lifetime_s = 3600};
}

static void assert_binding(const struct victim *v, const char *binding)
{
    struct atls_peer peer;

    atls_session_peer(v->line.session, &peer);
    assert_string_equal(peer.binding, binding);
}

/* One result on one connection, shown by m1 with its own key. */
static void show(struct victim *v, enum want want, const struct test_result *result)
{
    struct atls_buf cmw = test_carried_result(result);

    victim_open(v, want, OFFER_RESULT);
    answer(v, &world.lab.m1, &world.lab.m1, atls_buf_bytes(&cmw));
    atls_buf_clear(&cmw);
}

/* ---- the control of everything below ---- */

static void an_honest_passport_is_accepted(void **state)
{
    struct victim v;
    struct test_result result = about(&world.lab.m1);

    (void)state;
    show(&v, WANT_STOCK, &result);
    assert_accepted("honest", &v.line);
    assert_binding(&v, "key");
    victim_close(&v);
}

/* ---- a result of somebody else ---- */

/* The thief has a machine of his own, genuine even, and the result of another. */
static void a_stolen_result_stops_at_the_key(void **state)
{
    struct test_result result = about(&world.lab.m1);
    struct atls_buf cmw = test_carried_result(&result);
    struct victim v;

    (void)state;
    victim_open(&v, WANT_STOCK, OFFER_RESULT);
    answer(&v, &world.lab.m2, &world.lab.m2, atls_buf_bytes(&cmw));
    assert_refused("result of m1, key of m2", &v.line, ATLS_E_EVIDENCE,
                   ATLS_REASON_KEY_BINDING_MISMATCH);
    victim_close(&v);

    /* With the certificate of m1 he would have to sign as m1. */
    victim_open(&v, WANT_STOCK, OFFER_RESULT);
    answer(&v, &world.lab.m1, &world.lab.m2, atls_buf_bytes(&cmw));
    assert_refused("result and certificate of m1, key of m2", &v.line, ATLS_E_VERIFY,
                   ATLS_REASON_SIGNATURE);
    victim_close(&v);

    victim_open(&v, WANT_STOCK, OFFER_RESULT);
    answer(&v, &world.lab.m1, &world.lab.m1, atls_buf_bytes(&cmw));
    assert_accepted("result, certificate and key of m1", &v.line);
    victim_close(&v);
    atls_buf_clear(&cmw);
}

/* What m1 showed to one Relying Party, one to another. */
static void a_relayed_passport_stops_at_finished(void **state)
{
    struct test_result result = about(&world.lab.m1);
    struct atls_buf cmw = test_carried_result(&result), authenticator;
    struct victim first, second;
    struct attempt a;

    (void)state;
    victim_open(&first, WANT_STOCK, OFFER_RESULT);
    victim_open(&second, WANT_STOCK, OFFER_RESULT);
    a = (struct attempt){
        .connection = &first.line.secret,
        .sender = ATLS_ROLE_SERVER,
        .request = atls_buf_bytes(&second.request), /* the attacker passed it on */
        .certificate = atls_buf_bytes(&world.lab.m1.certificate.certificate),
        .key = world.lab.m1.aik.private_key,
        .cmw = atls_buf_bytes(&cmw),
    };
    authenticator = attempt_make(&a);
    hand_authenticator(&second.line, second.id, atls_buf_bytes(&authenticator));
    assert_refused("relayed", &second.line, ATLS_E_VERIFY, ATLS_REASON_FINISHED_MISMATCH);
    atls_buf_clear(&authenticator);
    atls_buf_clear(&cmw);
    victim_close(&first);
    victim_close(&second);
}

/* ---- what a result says ---- */

static void by_a_stranger(struct test_result *r)
{
    r->signer = &world.stranger;
}

static void expired(struct test_result *r)
{
    r->issued_s = world.now_s - 7200;
}

static void alive(struct test_result *r)
{
    r->issued_s = world.now_s - 7200;
    r->lifetime_s = 7200 + 600;
}

static void too_old(struct test_result *r)
{
    r->issued_s = world.now_s - 86400 - 60;
    r->lifetime_s = 30 * 86400;
}

static void of_tomorrow(struct test_result *r)
{
    r->issued_s = world.now_s + 86400;
}

static void contraindicated(struct test_result *r)
{
    r->status = ATLS_TIER_CONTRAINDICATED;
}

static void with_a_warning(struct test_result *r)
{
    r->status = ATLS_TIER_WARNING;
}

static void of_software(struct test_result *r)
{
    r->technology = "soft";
    r->submod = "SOFT";
}

static void what_a_result_says_counts(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct test_result *r);
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"signed by another verifier", by_a_stranger, ATLS_E_VERIFY, ATLS_REASON_SIGNATURE},
        {"shown again after it expired", expired, ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
        {"as old, but valid for longer", alive, ATLS_OK, ATLS_REASON_NONE},
        {"older than a day, and valid for a month", too_old, ATLS_E_CERTIFICATE,
         ATLS_REASON_CERTIFICATE_EXPIRED},
        {"issued tomorrow", of_tomorrow, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        {"about a contraindicated machine", contraindicated, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"about a machine with a warning", with_a_warning, ATLS_E_REFUSED, ATLS_REASON_POLICY},
        {"about software that anyone runs", of_software, ATLS_E_EVIDENCE,
         ATLS_REASON_INSECURE_TECHNOLOGY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_result result = about(&world.lab.m1);
        struct victim v;

        rows[i].change(&result);
        show(&v, WANT_STOCK, &result);
        if (rows[i].want == ATLS_OK)
            assert_accepted(rows[i].name, &v.line);
        else
            assert_refused(rows[i].name, &v.line, rows[i].want, rows[i].reason);
        victim_close(&v);
    }
}

/* A Verifier appraised several parts of the attacker's machine: the good one names its own key, and
 * the one that the attacker controls names the key that he signs with. */
static void a_key_in_an_unacceptable_submodule_does_not_count(void **state)
{
    static const struct {
        const char *name, *status;
        bool key_in_first; /* of the key that signs */
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"key in the affirming one, the other affirming", "affirming", true, ATLS_OK,
         ATLS_REASON_NONE},
        {"key in the affirming one, the other contraindicated", "contraindicated", true,
         ATLS_E_REFUSED, ATLS_REASON_POLICY},
        {"key in a contraindicated one", "contraindicated", false, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
        {"key in one that nothing is said of", "none", false, ATLS_E_EVIDENCE,
         ATLS_REASON_KEY_BINDING_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf key = test_key_text(machine_aik(&world.lab.m1)), token, cmw;
        char claim[512], json[2048];
        struct victim v;

        snprintf(claim, sizeof claim, ",\"ear.veraison.key-attestation\":{\"akpub\":\"%s\"}",
                 (const char *)key.ptr);
        snprintf(
            json, sizeof json,
            "{\"eat_profile\":\"" ATLS_EAR_PROFILE_2023 "\",\"iat\":%lld,"
            "\"ear.verifier-id\":{\"build\":\"1\",\"developer\":\"example\"},\"submods\":{"
            "\"TPM\":{\"ear.status\":\"affirming\",\"ear.appraisal-policy-id\":\"policy:p\"%s},"
            "\"SNP\":{\"ear.status\":\"%s\",\"ear.appraisal-policy-id\":\"policy:p\"%s}}}",
            (long long)world.now_s, rows[i].key_in_first ? claim : "", rows[i].status,
            rows[i].key_in_first ? "" : claim);
        token = test_sign_json(&world.verifier, json);
        cmw = test_carried(TEST_EAT_JWT, atls_buf_bytes(&token), ATLS_CMW_ATTESTATION_RESULTS);
        victim_open(&v, WANT_STOCK, OFFER_RESULT);
        answer(&v, &world.lab.m1, &world.lab.m1, atls_buf_bytes(&cmw));
        if (rows[i].want == ATLS_OK)
            assert_accepted(rows[i].name, &v.line);
        else
            assert_refused(rows[i].name, &v.line, rows[i].want, rows[i].reason);
        victim_close(&v);
        atls_buf_clear(&cmw);
        atls_buf_clear(&token);
        atls_buf_clear(&key);
    }
}

/* Evidence of a good day, kept; its nonce given to the Verifier on a bad one: the result is new,
 * and what it is about is not. Only a nonce that is this connection's binder cannot be of before.
 */
static void old_evidence_makes_no_new_passport(void **state)
{
    static const struct {
        const char *name;
        bool given, is_binder;
        enum want want;
        enum atls_code code;
    } rows[] = {
        {"nonce of the Verifier", false, false, WANT_STOCK, ATLS_OK},
        {"nonce of the attacker", true, false, WANT_STOCK, ATLS_E_EVIDENCE},
        {"binder of this connection", true, true, WANT_STOCK, ATLS_OK},
        {"the same where that is wanted", true, true, WANT_FRESH, ATLS_OK},
    };
    static const uint8_t old[48] = "a challenge of long ago";

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf key = test_key_text(machine_aik(&world.lab.m1)), token, cmw, binder, nonce;
        char json[2048];
        struct victim v;

        victim_open(&v, rows[i].want, OFFER_RESULT);
        binder = binder_at(&v, &world.lab.m1);
        nonce = test_key_text(rows[i].is_binder ? atls_buf_bytes(&binder)
                                                : atls_bytes_of(old, sizeof old));
        snprintf(json, sizeof json,
                 "{\"eat_profile\":\"" ATLS_EAR_PROFILE_2023 "\",\"iat\":%lld,\"eat_nonce\":\"%s\","
                 "\"ear.verifier-id\":{\"build\":\"1\",\"developer\":\"libatls\"},\"submods\":{"
                 "\"TPM\":{\"ear.status\":\"affirming\",\"ear.appraisal-policy-id\":\"policy:p\","
                 "\"ear.veraison.policy-claims\":{\"nonce-given\":%s},"
                 "\"ear.veraison.key-attestation\":{\"akpub\":\"%s\"}}}}",
                 (long long)world.now_s, (const char *)nonce.ptr, rows[i].given ? "true" : "false",
                 (const char *)key.ptr);
        token = test_sign_json(&world.verifier, json);
        cmw = test_carried(TEST_EAT_JWT, atls_buf_bytes(&token), ATLS_CMW_ATTESTATION_RESULTS);
        answer(&v, &world.lab.m1, &world.lab.m1, atls_buf_bytes(&cmw));
        if (rows[i].code == ATLS_OK)
            assert_accepted(rows[i].name, &v.line);
        else
            assert_refused(rows[i].name, &v.line, rows[i].code, ATLS_REASON_NONCE_MISMATCH);
        victim_close(&v);
        atls_buf_clear(&cmw);
        atls_buf_clear(&token);
        atls_buf_clear(&nonce);
        atls_buf_clear(&binder);
        atls_buf_clear(&key);
    }
}

/* ---- one thing for another ---- */

/* HELLO says what is to come, and each verifier takes its own kind whatever HELLO said. */
static void evidence_and_results_do_not_stand_in_for_each_other(void **state)
{
    static const struct {
        const char *name;
        enum want want;
        enum offer offer;
        bool shows_result;
        enum atls_code code;
        enum atls_reason reason;
    } rows[] = {
        {"evidence to who takes evidence", WANT_EVIDENCE, OFFER_EVIDENCE, false, ATLS_OK,
         ATLS_REASON_NONE},
        {"a result to who takes results", WANT_STOCK, OFFER_RESULT, true, ATLS_OK,
         ATLS_REASON_NONE},
        {"a result offered to who takes evidence", WANT_EVIDENCE, OFFER_RESULT, true,
         ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
        {"evidence offered, a result shown", WANT_EVIDENCE, OFFER_EVIDENCE, true,
         ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"evidence offered to who takes results", WANT_STOCK, OFFER_EVIDENCE, false,
         ATLS_E_PROTOCOL, ATLS_REASON_NO_COMMON_PARAMETERS},
        {"a result offered, evidence shown", WANT_STOCK, OFFER_RESULT, false, ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_result result = about(&world.lab.m1);
        struct atls_buf binder, cmw;
        struct victim v;

        victim_open(&v, rows[i].want, rows[i].offer);
        binder = binder_at(&v, &world.lab.m1);
        cmw = rows[i].shows_result ? test_carried_result(&result)
                                   : machine_evidence(&world.lab.m1, atls_buf_bytes(&binder));
        if (v.line.code == ATLS_OK)
            answer(&v, &world.lab.m1, &world.lab.m1, atls_buf_bytes(&cmw));
        if (rows[i].code == ATLS_OK)
            assert_accepted(rows[i].name, &v.line);
        else
            assert_refused(rows[i].name, &v.line, rows[i].code, rows[i].reason);
        victim_close(&v);
        atls_buf_clear(&cmw);
        atls_buf_clear(&binder);
    }
}

/* ---- freshness ---- */

static void a_fresh_result_is_one_for_this_connection(void **state)
{
    struct test_result result = about(&world.lab.m1);
    struct victim v, other;
    struct atls_buf binder, cmw;

    (void)state;
    show(&v, WANT_FRESH, &result);
    assert_refused("out of the stock", &v.line, ATLS_E_EVIDENCE, ATLS_REASON_BINDER_MISMATCH);
    victim_close(&v);

    victim_open(&other, WANT_FRESH, OFFER_RESULT);
    binder = binder_at(&other, &world.lab.m1);
    result.nonce = atls_buf_bytes(&binder);
    show(&v, WANT_FRESH, &result);
    assert_refused("made for another connection", &v.line, ATLS_E_EVIDENCE,
                   ATLS_REASON_BINDER_MISMATCH);
    victim_close(&v);

    cmw = test_carried_result(&result);
    answer(&other, &world.lab.m1, &world.lab.m1, atls_buf_bytes(&cmw));
    assert_accepted("made for this one", &other.line);
    assert_binding(&other, "connection");
    victim_close(&other);
    atls_buf_clear(&cmw);
    atls_buf_clear(&binder);
}

/* ---- the machine's side ---- */

static void close_nothing(void *self)
{
    (void)self;
}

static enum atls_code one_result(void *self, struct atls_bytes binder, struct atls_buf *out_cmw,
                                 struct atls_err *err)
{
    struct test_result result = about(self);

    (void)err;
    result.nonce = binder;
    *out_cmw = test_carried_result(&result);
    return ATLS_OK;
}

/* A peer that says it takes evidence only does not get any from who shows results only. */
static void evidence_is_not_talked_out_of_a_machine(void **state)
{
    static const struct atls_passport_ops ops = {close_nothing, one_result};
    struct atls_attester *attester = machine_attester(&world.lab.m1);
    struct atls_passport *passport = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_passport_new(&ops, &world.lab.m1, &passport, &err), ATLS_OK, &err);
    for (int only = 0; only < 2; only++) {
        struct atls_config_options options;
        struct atls_config *config = NULL;
        struct line line;
        struct atls_buf body = ATLS_BUF_INIT;
        struct victim asking;

        atls_config_options_init(&options);
        options.attester = attester;
        options.passport = passport;
        options.passport_only = only != 0;
        test_assert_code(atls_config_new(&options, &config, &err), ATLS_OK, &err);
        line_open(&line, &world.lab, ATLS_ROLE_SERVER, config, NULL);
        hand_hello(&line, ATLS_HELLO_REQUIRES); /* evidence, and no word of results */
        if (only == 0) {
            victim_open(&asking, WANT_EVIDENCE, OFFER_EVIDENCE);
            hand_request(&line, 1, atls_buf_bytes(&asking.request));
            victim_close(&asking);
            assert_int_equal(line.code, ATLS_OK);
        } else {
            assert_refused("evidence alone is taken", &line, ATLS_E_PROTOCOL,
                           ATLS_REASON_NO_COMMON_PARAMETERS);
        }
        assert_int_equal(hand_take(&line, ATLS_FRAME_AUTHENTICATOR, &body), only == 0);
        atls_buf_clear(&body);
        line_close(&line);
        atls_config_unref(config);
    }
    atls_passport_unref(passport);
    atls_attester_unref(attester);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_passport_is_accepted),
        cmocka_unit_test(a_stolen_result_stops_at_the_key),
        cmocka_unit_test(a_relayed_passport_stops_at_finished),
        cmocka_unit_test(what_a_result_says_counts),
        cmocka_unit_test(a_key_in_an_unacceptable_submodule_does_not_count),
        cmocka_unit_test(old_evidence_makes_no_new_passport),
        cmocka_unit_test(evidence_and_results_do_not_stand_in_for_each_other),
        cmocka_unit_test(a_fresh_result_is_one_for_this_connection),
        cmocka_unit_test(evidence_is_not_talked_out_of_a_machine),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
