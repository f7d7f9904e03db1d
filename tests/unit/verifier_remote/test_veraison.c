#include "fake_veraison.h"
#include "soft_evidence.h"
#include "testlib.h"
#include "tpm_forge.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atls/remote.h>

#include "core/reader.h"
#include "core/writer.h"
#include "verifier/result.h"
#include "wire/kat.h"

#define PARSEC  "[\"application/vnd.parallaxsecond.key-attestation.tpm\"]"
#define NEW     TEST_VERAISON_NEW
#define SESSION TEST_VERAISON_SESSION

static const struct atls_verifier_ops *const backends[] = {&atls_veraison_verifier, NULL};
static const uint8_t binder[48] = "binder of one connection, as long as SHA-384 is";

/* A TPM, its evidence, a service over https whose keys are found by discovery, or over http with
 * its keys in a file. */
struct world {
    struct test_identity ca, leaf;
    struct test_veraison v;
    struct test_tpm_evidence e;
    struct atls_buf evidence;
    struct atls_verifier *verifier;
    size_t binder_len;
    char dir[64], ca_file[96], keys_file[96], uri[128];
};

static void write_text(const char *path, const void *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void open_verifier(struct world *w, bool over_https)
{
    struct atls_verifier_options options;
    struct atls_err err = ATLS_ERR_INIT;

    atls_verifier_options_init(&options);
    options.ca_file = over_https ? w->ca_file : NULL;
    options.result_keys = over_https ? NULL : w->keys_file;
    options.timeout_ms = 20000;
    test_assert_code(atls_verifier_open(w->uri, backends, &options, &w->verifier, &err), ATLS_OK,
                     &err);
}

static void setup_with(struct world *w, size_t binder_len, bool over_https)
{
    struct atls_buf pem = ATLS_BUF_INIT;

    memset(w, 0, sizeof *w);
    w->binder_len = binder_len;
    w->ca = test_ca("CA");
    w->leaf = test_leaf(&w->ca, "localhost", ATLS_KEY_P256);
    test_tpm_evidence_init(&w->e, atls_bytes_of(binder, binder_len));
    w->evidence = test_tpm_evidence_encode(&w->e);
    test_veraison_init(&w->v, over_https ? &w->leaf : NULL);
    w->v.akpub = test_tpm_evidence_aik_spki(&w->e);
    snprintf(w->dir, sizeof w->dir, "/tmp/atls-veraison-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->ca_file, sizeof w->ca_file, "%s/ca.pem", w->dir);
    snprintf(w->keys_file, sizeof w->keys_file, "%s/keys.jwk", w->dir);
    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&w->ca.certificate), &pem, NULL),
                     ATLS_OK);
    write_text(w->ca_file, pem.ptr);
    write_text(w->keys_file, w->v.jwk.ptr);
    atls_buf_clear(&pem);
    snprintf(w->uri, sizeof w->uri, "veraison:%s", test_http_url(w->v.server));
    open_verifier(w, over_https);
}

static void setup(struct world *w)
{
    setup_with(w, 32, false);
}

static void teardown(struct world *w)
{
    atls_verifier_unref(w->verifier);
    test_veraison_clear(&w->v);
    test_tpm_evidence_clear(&w->e);
    atls_buf_clear(&w->evidence);
    test_identity_clear(&w->leaf);
    test_identity_clear(&w->ca);
    assert_int_equal(unlink(w->ca_file), 0);
    assert_int_equal(unlink(w->keys_file), 0);
    assert_int_equal(rmdir(w->dir), 0);
}

static enum atls_code appraise(struct world *w, struct atls_result **out, struct atls_err *err)
{
    const struct atls_appraisal appraisal = {.evidence = atls_buf_bytes(&w->evidence),
                                             .binder = atls_bytes_of(binder, w->binder_len),
                                             .aik_spki = test_tpm_evidence_aik_spki(&w->e)};
    enum atls_code code;

    *out = NULL;
    atls_err_clear(err);
    test_http_sync(w->v.server);
    code = atls_verifier_appraise(w->verifier, &appraisal, out, err);
    test_http_sync(w->v.server);
    if (code != ATLS_OK) {
        assert_null(*out);
        assert_int_equal(err->code, code);
    }
    return code;
}

static void affirming_results(void **state)
{
    static const struct {
        size_t binder_len;
        bool over_https;
        const char *types;
    } rows[] = {
        {32, false, NULL}, {32, true, NULL},   {48, false, NULL},
        {48, true, NULL},  {32, true, PARSEC}, {48, false, PARSEC},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct world w;
        uint8_t ueid[33];

        setup_with(&w, rows[i].binder_len, rows[i].over_https);
        w.v.media_types = rows[i].types;
        test_assert_code(appraise(&w, &r, &err), ATLS_OK, &err);
        assert_int_equal(atls_result_status(r), ATLS_TIER_AFFIRMING);
        assert_string_equal(atls_result_evidence_type(r), "tpm");
        assert_false(atls_result_insecure(r));
        assert_string_equal(atls_result_submod_name(r, 0), "PARSEC_TPM");
        assert_int_equal(atls_result_submod_trust(r, 0, ATLS_TRUST_EXECUTABLES), 2);
        test_assert_bytes(atls_result_key(r), test_tpm_evidence_aik_spki(&w.e));
        test_tpm_ueid(&w.e.ak, ueid);
        test_assert_bytes(atls_result_instance(r), atls_bytes_of(ueid, sizeof ueid));
        test_assert_bytes(atls_result_nonce(r), atls_bytes_of(binder, rows[i].binder_len));
        assert_non_null(atls_result_json(r));
        atls_result_unref(r);
        teardown(&w);
    }
}

/* One connection serves many appraisals. */
static void connections_are_kept(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *r;
    struct world w;

    (void)state;
    setup_with(&w, 32, true);
    for (int i = 0; i < 5; i++) {
        test_assert_code(appraise(&w, &r, &err), ATLS_OK, &err);
        atls_result_unref(r);
    }
    assert_int_equal(test_http_connections(w.v.server), 1);
    assert_int_equal(w.v.discoveries, 1);
    assert_int_equal(w.v.goodbyes, 5);
    teardown(&w);
}

/* ---- what the service finds ---- */

#define NINES                                                                                      \
    "{\"instance-identity\":99,\"configuration\":99,\"executables\":99,\"file-system\":99,"        \
    "\"hardware\":99,\"runtime-opaque\":99,\"storage-opaque\":99,\"sourced-data\":99}"

static const struct {
    const char *name, *status, *vector, *problem;
    bool has_key;
    enum atls_code code;
    enum atls_reason reason;
    enum atls_tier tier;
    const char *says;
} verdicts[] = {
    {"warning", "warning", "{\"executables\":33}", NULL, true, ATLS_OK, ATLS_REASON_NONE,
     ATLS_TIER_WARNING, ""},
    {"contraindicated, about the key", "contraindicated", "{\"executables\":96}", "bad PCR 4", true,
     ATLS_OK, ATLS_REASON_NONE, ATLS_TIER_CONTRAINDICATED, "bad PCR 4"},
    {"no statement, no key", "none", "{\"executables\":0}", NULL, false, ATLS_OK, ATLS_REASON_NONE,
     ATLS_TIER_NONE, ""},
    {"not genuine", "contraindicated", NINES, "could not establish identity from evidence", false,
     ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE, ATLS_TIER_NONE,
     "could not establish identity from evidence"},
    {"not genuine, in control characters", "contraindicated", NINES, "a\033[31m", false,
     ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE, ATLS_TIER_NONE, "a\\x1b[31m"},
    {"not genuine, no reason", "contraindicated", NINES, NULL, false, ATLS_E_EVIDENCE,
     ATLS_REASON_SIGNATURE, ATLS_TIER_NONE, "no reason given"},
    {"unknown instance", "contraindicated", "{\"instance-identity\":97}", "no trust anchor", false,
     ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_AK, ATLS_TIER_NONE, "no trust anchor"},
    {"affirming about no key", "affirming", NULL, NULL, false, ATLS_E_EVIDENCE,
     ATLS_REASON_KEY_BINDING_MISMATCH, ATLS_TIER_NONE, "attests no key"},
    {"the service could not tell", "none", "{\"instance-identity\":-1}", "store is gone", false,
     ATLS_E_UNAVAILABLE, ATLS_REASON_NONE, ATLS_TIER_NONE, "store is gone"},
    {"evidence that it did not expect", "none", "{\"instance-identity\":1}", NULL, false,
     ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE, ATLS_TIER_NONE, ""},
};

/* A service of this project names the check that failed; a slug that nobody knows names none. */
static void verdicts_of_our_own_service(void **state)
{
    static const struct {
        const char *slug;
        enum atls_reason reason;
    } rows[] = {
        {"untrusted-ak", ATLS_REASON_UNTRUSTED_AK},
        {"nonce-mismatch", ATLS_REASON_NONCE_MISMATCH},
        {"no-such-check", ATLS_REASON_SIGNATURE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct world w;

        print_message("%s\n", rows[i].slug);
        setup(&w);
        w.v.status = "contraindicated";
        w.v.vector = NINES;
        w.v.problem = "the key is not enrolled";
        w.v.own_reason = rows[i].slug;
        w.v.akpub = atls_bytes_of(NULL, 0);
        test_assert_code(appraise(&w, &r, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, rows[i].reason);
        assert_non_null(strstr(err.message, "not genuine: the key is not enrolled"));
        teardown(&w);
    }
}

static void verdicts_of_the_service(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct world w;

        print_message("%s\n", verdicts[i].name);
        setup(&w);
        w.v.status = verdicts[i].status;
        w.v.vector = verdicts[i].vector;
        w.v.problem = verdicts[i].problem;
        if (!verdicts[i].has_key)
            w.v.akpub = atls_bytes_of(NULL, 0);
        test_assert_code(appraise(&w, &r, &err), verdicts[i].code, &err);
        assert_int_equal(err.reason, verdicts[i].reason);
        if (verdicts[i].code == ATLS_OK) {
            assert_int_equal(atls_result_status(r), verdicts[i].tier);
            assert_non_null(strstr(atls_result_explanation(r), verdicts[i].says));
            atls_result_unref(r);
        } else {
            assert_non_null(strstr(err.message, verdicts[i].says));
        }
        teardown(&w);
    }
}

/* A device beside the machine that attests no key of its own. */
static void one_submodule_attests_the_key(void **state)
{
    static const struct {
        const char *name, *other;
        enum atls_tier status;
    } rows[] = {
        {"both affirming",
         "{\"ear.status\":\"affirming\",\"ear.trustworthiness-vector\":{\"hardware\":2}}",
         ATLS_TIER_AFFIRMING},
        {"the other contraindicated",
         "{\"ear.status\":\"contraindicated\",\"ear.trustworthiness-vector\":{\"hardware\":96}}",
         ATLS_TIER_CONTRAINDICATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct world w;

        print_message("%s\n", rows[i].name);
        setup(&w);
        w.v.other = rows[i].other;
        test_assert_code(appraise(&w, &r, &err), ATLS_OK, &err);
        assert_int_equal(atls_result_submods(r), 2);
        assert_int_equal(atls_result_status(r), rows[i].status);
        atls_result_unref(r);
        teardown(&w);
    }
}

/* A policy may look at what is acceptable alone: the key of a part that is not does not stand for
 * one that attests none. */
static void the_key_of_a_bad_part_vouches_for_no_other(void **state)
{
    static const char *const others[] = {
        "{\"ear.status\":\"affirming\",\"ear.trustworthiness-vector\":{\"hardware\":2}}",
        "{\"ear.status\":\"warning\",\"ear.trustworthiness-vector\":{\"hardware\":33}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct world w;

        setup(&w);
        w.v.status = "contraindicated";
        w.v.vector = "{\"executables\":96}";
        w.v.other = others[i];
        test_assert_code(appraise(&w, &r, &err), ATLS_E_EVIDENCE, &err);
        assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
        assert_non_null(strstr(err.message, "OTHER"));
        teardown(&w);
    }
}

static void a_result_about_another_key(void **state)
{
    struct test_tpm_evidence other;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *r;
    struct world w;

    (void)state;
    setup(&w);
    test_tpm_evidence_init(&other, atls_bytes_of(binder, 32));
    w.v.akpub = test_tpm_evidence_aik_spki(&other);
    test_assert_code(appraise(&w, &r, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
    test_tpm_evidence_clear(&other);
    teardown(&w);
}

/* ---- a result that does not count: nothing is known of the peer then ---- */

enum flaw {
    FLAW_OTHER_KEY,
    FLAW_OTHER_NONCE,
    FLAW_TOO_OLD,
    FLAW_FROM_THE_FUTURE,
    FLAW_GARBAGE,
    FLAW_NO_SIGNATURE,
    FLAW_SECRET_KEY,
    FLAW_COUNT,
};

static void results_that_do_not_count(void **state)
{
    static const struct {
        const char *name;
        enum atls_reason reason;
    } rows[FLAW_COUNT] = {
        [FLAW_OTHER_KEY] = {"signed by another key", ATLS_REASON_SIGNATURE},
        [FLAW_OTHER_NONCE] = {"for another nonce", ATLS_REASON_NONCE_MISMATCH},
        [FLAW_TOO_OLD] = {"issued 301 s ago", ATLS_REASON_CERTIFICATE_EXPIRED},
        [FLAW_FROM_THE_FUTURE] = {"issued in an hour", ATLS_REASON_CERTIFICATE_NOT_YET_VALID},
        [FLAW_GARBAGE] = {"no token", ATLS_REASON_MALFORMED},
        [FLAW_NO_SIGNATURE] = {"alg none", ATLS_REASON_NONE},
        [FLAW_SECRET_KEY] = {"alg HS256", ATLS_REASON_NONE},
    };
    static const uint8_t nonce[32] = "nonce of another session";

    (void)state;
    for (int flaw = 0; flaw < FLAW_COUNT; flaw++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct world w;

        print_message("%s\n", rows[flaw].name);
        setup(&w);
        if (flaw == FLAW_OTHER_KEY)
            test_veraison_rotate(&w.v);
        if (flaw == FLAW_OTHER_NONCE)
            w.v.nonce = atls_bytes_of(nonce, sizeof nonce);
        if (flaw == FLAW_TOO_OLD)
            w.v.issued_at_s = (int64_t)time(NULL) - 301;
        if (flaw == FLAW_FROM_THE_FUTURE)
            w.v.issued_at_s = (int64_t)time(NULL) + 3600;
        if (flaw == FLAW_GARBAGE)
            w.v.token = "x";
        if (flaw == FLAW_NO_SIGNATURE)
            w.v.token = "eyJhbGciOiJub25lIn0.e30.";
        if (flaw == FLAW_SECRET_KEY)
            w.v.token = "eyJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        test_assert_code(appraise(&w, &r, &err), ATLS_E_UNAVAILABLE, &err);
        if (rows[flaw].reason != ATLS_REASON_NONE)
            assert_int_equal(err.reason, rows[flaw].reason);
        assert_non_null(strstr(err.message, test_http_url(w.v.server)));
        teardown(&w);
    }
}

/* Nothing that a service does wrong makes the peer an untrusted one. */
static void faults_of_the_service(void **state)
{
    static const struct {
        const char *name;
        struct test_override override;
        enum atls_code code;
    } rows[] = {
        {"discovery is html",
         {.method = "GET",
          .target = "/.well-known",
          .status = 200,
          .headers = "Content-Type: text/html\r\n",
          .body = "<html>"},
         ATLS_E_UNAVAILABLE},
        {"discovery answers 404",
         {.method = "GET", .target = "/.well-known", .status = 404},
         ATLS_E_UNAVAILABLE},
        {"no session: 403", {.method = "POST", .target = NEW, .status = 403}, ATLS_E_UNAVAILABLE},
        {"evidence answered by 400",
         {.method = "POST", .target = SESSION, .status = 400},
         ATLS_E_UNAVAILABLE},
        {"evidence answered by 500",
         {.method = "POST", .target = SESSION, .status = 500},
         ATLS_E_UNAVAILABLE},
        {"evidence of a type that it does not take",
         {.method = "POST", .target = SESSION, .status = 415},
         ATLS_E_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct world w;

        print_message("%s\n", rows[i].name);
        setup(&w);
        w.v.overrides[0] = rows[i].override;
        test_assert_code(appraise(&w, &r, &err), rows[i].code, &err);
        assert_non_null(strstr(err.message, test_http_url(w.v.server)));
        teardown(&w);
    }
}

/* It is asked each time, and needs no evidence to say how it is. */
static void a_service_is_asked_how_it_is(void **state)
{
    static const char discovery[] = "/.well-known";
    static const struct {
        const char *name;
        bool over_https, no_key;
        const char *service_state;
        struct test_override override;
        enum atls_code code;
    } rows[] = {
        {"good", true, false, NULL, {.method = NULL}, ATLS_OK},
        {"good, over http", false, false, NULL, {.method = NULL}, ATLS_OK},
        {"ready", true, false, "READY", {.method = NULL}, ATLS_OK},
        {"not ready", true, false, "DOWN", {.method = NULL}, ATLS_E_UNAVAILABLE},
        {"names no key", true, true, NULL, {.method = NULL}, ATLS_E_UNAVAILABLE},
        {"needs to name none", false, true, NULL, {.method = NULL}, ATLS_OK},
        {"503",
         true,
         false,
         NULL,
         {.method = "GET", .target = discovery, .status = 503},
         ATLS_E_UNAVAILABLE},
        {"html",
         true,
         false,
         NULL,
         {.method = "GET",
          .target = discovery,
          .status = 200,
          .headers = "Content-Type: text/html\r\n",
          .body = "<html>"},
         ATLS_E_UNAVAILABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        uint64_t generation;
        struct world w;

        print_message("%s\n", rows[i].name);
        setup_with(&w, 32, rows[i].over_https);
        w.v.no_key = rows[i].no_key;
        w.v.state = rows[i].service_state;
        w.v.max_age_s = 3600;
        w.v.overrides[0] = rows[i].override;
        for (size_t n = 1; n <= 2; n++) {
            test_http_sync(w.v.server);
            test_assert_code(atls_verifier_ping(w.verifier, &err), rows[i].code, &err);
            test_http_sync(w.v.server);
            assert_true(rows[i].code == ATLS_OK ||
                        strstr(err.message, test_http_url(w.v.server)) != NULL);
            assert_int_equal(test_http_requests(w.v.server), n);
        }
        test_assert_code(atls_verifier_generation(w.verifier, &generation, &err),
                         ATLS_E_UNSUPPORTED, &err);
        teardown(&w);
    }
}

static void a_service_that_is_not_trusted(void **state)
{
    struct atls_verifier_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct test_identity stranger = test_ca("another CA");
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_result *r;
    struct world w;

    (void)state;
    setup_with(&w, 32, true);
    atls_verifier_unref(w.verifier);
    assert_int_equal(
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&stranger.certificate), &pem, NULL), ATLS_OK);
    write_text(w.ca_file, pem.ptr);
    atls_verifier_options_init(&options);
    options.ca_file = w.ca_file;
    test_assert_code(atls_verifier_open(w.uri, backends, &options, &w.verifier, &err), ATLS_OK,
                     &err);
    test_assert_code(appraise(&w, &r, &err), ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNTRUSTED_ROOT);
    test_assert_code(atls_verifier_ping(w.verifier, &err), ATLS_E_UNAVAILABLE, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNTRUSTED_ROOT);
    assert_int_equal(test_http_requests(w.v.server), 0);
    atls_buf_clear(&pem);
    test_identity_clear(&stranger);
    teardown(&w);
}

static void silence_ends_in_time(void **state)
{
    struct atls_verifier_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *r;
    struct world w;

    (void)state;
    setup(&w);
    atls_verifier_unref(w.verifier);
    atls_verifier_options_init(&options);
    options.result_keys = w.keys_file;
    options.timeout_ms = 300;
    test_assert_code(atls_verifier_open(w.uri, backends, &options, &w.verifier, &err), ATLS_OK,
                     &err);
    w.v.overrides[0] =
        (struct test_override){.method = "POST", .target = SESSION, .never_end = true};
    test_assert_code(appraise(&w, &r, &err), ATLS_E_TIMEOUT, &err);
    assert_int_equal(err.reason, ATLS_REASON_DEADLINE);
    teardown(&w);
}

/* ---- our own checks: the service affirms whatever it is sent ---- */

enum lie { LIE_NONCE, LIE_KEY, LIE_SIGNATURE, LIE_PCR, LIE_MAGIC, LIE_CMW, LIE_COUNT };

static void own_checks_come_first(void **state)
{
    static const struct {
        const char *name;
        enum atls_code code;
        enum atls_reason reason;
    } rows[LIE_COUNT] = {
        [LIE_NONCE] = {"over another challenge", ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH},
        [LIE_KEY] = {"about another key", ATLS_E_EVIDENCE, ATLS_REASON_KEY_BINDING_MISMATCH},
        [LIE_SIGNATURE] = {"with a broken signature", ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE},
        [LIE_PCR] = {"with other PCR values", ATLS_E_EVIDENCE, ATLS_REASON_PCR_DIGEST_MISMATCH},
        [LIE_MAGIC] = {"not made by a TPM", ATLS_E_EVIDENCE, ATLS_REASON_NOT_TPM_GENERATED},
        [LIE_CMW] = {"no evidence at all", ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };

    (void)state;
    for (int lie = 0; lie < LIE_COUNT; lie++) {
        struct test_tpm_evidence other;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_buf changed = ATLS_BUF_INIT, quote = ATLS_BUF_INIT;
        struct atls_result *r;
        struct world w;

        print_message("%s\n", rows[lie].name);
        setup(&w);
        test_tpm_evidence_init(&other, atls_bytes_of(binder, 32));
        if (lie == LIE_NONCE)
            w.e.quote.extra_data = atls_bytes_of(binder + 1, 32);
        if (lie == LIE_MAGIC)
            w.e.quote.magic++;
        if (lie == LIE_PCR)
            test_tpm_evidence_set(&w.e, 0, 4, atls_bytes_of(binder, 32));
        if (lie == LIE_SIGNATURE) {
            quote = test_tpm_sign(&other.ak, atls_bytes_of("x", 1));
            w.e.quote_signature = atls_buf_bytes(&quote);
        }
        changed =
            lie == LIE_KEY ? test_tpm_evidence_encode(&other) : test_tpm_evidence_encode(&w.e);
        if (lie == LIE_PCR) {
            /* Values that the quote does not cover: encode with the digest of the true ones. */
            atls_buf_clear(&changed);
            w.e.quote.pcr_digest = atls_bytes_of(binder, 32);
            changed = test_tpm_evidence_encode(&w.e);
        }
        if (lie == LIE_CMW)
            changed.len = 1;
        atls_buf_clear(&w.evidence);
        w.evidence = changed;
        test_assert_code(appraise(&w, &r, &err), rows[lie].code, &err);
        assert_int_equal(err.reason, rows[lie].reason);
        assert_int_equal(test_http_requests(w.v.server), 0);
        w.e.quote_signature = atls_bytes_of(NULL, 0);
        atls_buf_clear(&quote);
        test_tpm_evidence_clear(&other);
        teardown(&w);
    }
}

/* ---- keys ---- */

/* A new key counts at once when there is a file; the set of a service is asked for again. */
static void keys_rotate(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;
    struct atls_result *r;
    char next[128];
    struct world w;
    time_t end;

    (void)state;
    setup(&w);
    test_assert_code(appraise(&w, &r, &err), ATLS_OK, &err);
    atls_result_unref(r);
    test_veraison_rotate(&w.v);
    test_assert_code(appraise(&w, &r, &err), ATLS_E_UNAVAILABLE, &err);
    snprintf(next, sizeof next, "%s.next", w.keys_file);
    write_text(next, w.v.jwk.ptr);
    assert_int_equal(rename(next, w.keys_file), 0);
    end = time(NULL) + 20;
    do
        code = appraise(&w, &r, &err);
    while (code != ATLS_OK && time(NULL) < end);
    test_assert_code(code, ATLS_OK, &err);
    atls_result_unref(r);
    teardown(&w);
}

/* Discovery's answer is a second old at most: the new key is found with the next one. */
static void keys_rotate_by_discovery(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;
    struct atls_result *r;
    struct world w;
    time_t end;

    (void)state;
    setup_with(&w, 32, true);
    w.v.max_age_s = 1;
    w.v.kid = "one";
    test_veraison_rotate(&w.v);
    test_assert_code(appraise(&w, &r, &err), ATLS_OK, &err);
    atls_result_unref(r);
    w.v.kid = "two";
    test_veraison_rotate(&w.v);
    end = time(NULL) + 20;
    do
        code = appraise(&w, &r, &err);
    while (code != ATLS_OK && time(NULL) < end);
    test_assert_code(code, ATLS_OK, &err);
    atls_result_unref(r);
    teardown(&w);
}

/* ---- opening ---- */

static void configurations_are_checked_at_once(void **state)
{
    static const struct {
        const char *name, *uri;
        bool with_keys;
        int64_t max_age_s;
        const char *ca_file;
        const char *rules[2];
    } rows[] = {
        {"http without keys", "veraison:http://127.0.0.1:1", false, 0, NULL, {NULL}},
        {"no URL", "veraison:", true, 0, NULL, {NULL}},
        {"user name", "veraison:https://user@h", true, 0, NULL, {NULL}},
        {"query", "veraison:https://h?x", true, 0, NULL, {NULL}},
        {"fragment", "veraison:https://h#x", true, 0, NULL, {NULL}},
        {"CA file that is not there", "veraison:https://h", true, 0, "/nonexistent.pem", {NULL}},
        {"negative age", "veraison:https://h", true, -1, NULL, {NULL}},
        {"rule that is none", "veraison:https://h", true, 0, NULL, {"a.b=c", NULL}},
    };
    struct world w;

    (void)state;
    setup(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_verifier_options options;
        struct atls_verifier *verifier = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("%s\n", rows[i].name);
        atls_verifier_options_init(&options);
        options.result_keys = rows[i].with_keys ? w.keys_file : NULL;
        options.ca_file = rows[i].ca_file;
        options.result_max_age_s = rows[i].max_age_s;
        options.rules = rows[i].rules;
        test_assert_code(atls_verifier_open(rows[i].uri, backends, &options, &verifier, &err),
                         ATLS_E_CONFIG, &err);
        assert_null(verifier);
    }
    teardown(&w);
}

/* Nobody is asked when a verifier is opened. */
static void opening_asks_nobody(void **state)
{
    struct world w;

    (void)state;
    setup(&w);
    assert_int_equal(test_http_connections(w.v.server), 0);
    teardown(&w);
}

/* ---- threads ---- */

static void *appraise_often(void *arg)
{
    struct world *w = arg;
    const struct atls_appraisal appraisal = {.evidence = atls_buf_bytes(&w->evidence),
                                             .binder = atls_bytes_of(binder, w->binder_len),
                                             .aik_spki = test_tpm_evidence_aik_spki(&w->e)};
    size_t good = 0;

    for (int i = 0; i < 10; i++) {
        struct atls_result *r = NULL;

        good += atls_verifier_appraise(w->verifier, &appraisal, &r, NULL) == ATLS_OK;
        atls_result_unref(r);
    }
    return good == 10 ? w : NULL;
}

static void threads_share_a_verifier(void **state)
{
    pthread_t threads[6];
    struct world w;

    (void)state;
    setup_with(&w, 48, true);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, appraise_often, &w), 0);
    for (size_t i = 0; i < 6; i++) {
        void *good = NULL;

        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_non_null(good);
    }
    test_http_sync(w.v.server);
    assert_int_equal(w.v.discoveries, 1);
    teardown(&w);
}

/* ---- services that take the platform token alone ---- */

#define SOFT "[\"application/eat+cwt; eat_profile=\\\"" ATLS_SOFT_PROFILE "\\\"\"]"

struct token_world {
    struct world w;
    struct atls_private_key *signer, *aik;
    struct atls_buf kat;
    uint8_t challenge[64];
};

/* A machine whose evidence is a token over a key attestation token; flip changes its challenge. */
static void setup_token(struct token_world *t, bool flip)
{
    struct atls_verifier_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf pat;

    setup(&t->w);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &t->signer, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &t->aik, NULL), ATLS_OK);
    t->kat = test_kat(atls_bytes_of(binder, 32), atls_key_spki(atls_private_key_public(t->aik)));
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&t->kat), t->challenge, NULL),
                     ATLS_OK);
    t->challenge[63] ^= flip ? 1 : 0;
    pat = test_soft_token(t->signer, atls_bytes_of(t->challenge, 64));
    atls_buf_clear(&t->w.evidence);
    t->w.evidence =
        test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&t->kat), ATLS_TYPE_SOFT, atls_buf_bytes(&pat));
    atls_buf_clear(&pat);
    atls_verifier_unref(t->w.verifier);
    atls_verifier_options_init(&options);
    options.result_keys = t->w.keys_file;
    options.timeout_ms = 20000;
    options.allow_insecure_technology = true;
    test_assert_code(atls_verifier_open(t->w.uri, backends, &options, &t->w.verifier, &err),
                     ATLS_OK, &err);
    t->w.v.media_types = SOFT;
    t->w.v.akpub = atls_bytes_of(NULL, 0);
}

static void teardown_token(struct token_world *t)
{
    atls_private_key_free(t->signer);
    atls_private_key_free(t->aik);
    atls_buf_clear(&t->kat);
    teardown(&t->w);
}

static enum atls_code appraise_token(struct token_world *t, const struct atls_private_key *aik,
                                     struct atls_result **out, struct atls_err *err)
{
    const struct atls_appraisal appraisal = {.evidence = atls_buf_bytes(&t->w.evidence),
                                             .binder = atls_bytes_of(binder, 32),
                                             .aik_spki =
                                                 atls_key_spki(atls_private_key_public(aik))};
    enum atls_code code;

    *out = NULL;
    atls_err_clear(err);
    test_http_sync(t->w.v.server);
    code = atls_verifier_appraise(t->w.verifier, &appraisal, out, err);
    test_http_sync(t->w.v.server);
    return code;
}

/* The service sees token and challenge; key, binder and challenge are tied to each other here. */
static void platform_tokens_are_tied_to_the_key_here(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *r;
    struct token_world t;

    (void)state;
    setup_token(&t, false);
    test_assert_code(appraise_token(&t, t.aik, &r, &err), ATLS_OK, &err);
    test_assert_bytes(atls_bytes_of(t.w.v.sent_nonce, t.w.v.sent_nonce_len),
                      atls_bytes_of(t.challenge, 64));
    assert_non_null(strstr(t.w.v.sent_type, ATLS_SOFT_PROFILE));
    assert_int_equal(atls_result_status(r), ATLS_TIER_AFFIRMING);
    assert_string_equal(atls_result_evidence_type(r), "soft");
    test_assert_bytes(atls_result_key(r), atls_key_spki(atls_private_key_public(t.aik)));
    test_assert_bytes(atls_result_nonce(r), atls_bytes_of(binder, 32));
    atls_result_unref(r);
    assert_int_equal(t.w.v.submissions, 1);

    /* the key of another */
    test_assert_code(appraise_token(&t, t.signer, &r, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
    assert_int_equal(t.w.v.submissions, 1); /* nobody was asked */

    /* a result that attests another key all the same */
    t.w.v.akpub = atls_key_spki(atls_private_key_public(t.signer));
    test_assert_code(appraise_token(&t, t.aik, &r, &err), ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
    teardown_token(&t);
}

static void a_token_for_another_key_attestation_token(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *r;
    struct token_world t;

    (void)state;
    setup_token(&t, true);
    assert_int_not_equal(appraise_token(&t, t.aik, &r, &err), ATLS_OK);
    assert_int_equal(t.w.v.submissions, 0);
    teardown_token(&t);
}

static const struct {
    const char *name, *status, *vector, *problem;
    enum atls_code code;
    enum atls_reason reason;
    enum atls_tier tier;
} of_tokens[] = {
    {"a warning is for the policy", "warning", "{\"executables\": 33}", NULL, ATLS_OK,
     ATLS_REASON_NONE, ATLS_TIER_WARNING},
    {"no statement is for the policy", "none", "{\"executables\": 0}", NULL, ATLS_OK,
     ATLS_REASON_NONE, ATLS_TIER_NONE},
    {"not genuine", "contraindicated", "{\"instance-identity\": 99}", "bad signature",
     ATLS_E_EVIDENCE, ATLS_REASON_SIGNATURE, ATLS_TIER_NONE},
    {"the service failed", "none", "{\"instance-identity\": -1}", NULL, ATLS_E_UNAVAILABLE,
     ATLS_REASON_NONE, ATLS_TIER_NONE},
    {"evidence that it did not expect", "none", "{\"instance-identity\": 1}", NULL,
     ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE, ATLS_TIER_NONE},
};

static void verdicts_about_platform_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof of_tokens / sizeof of_tokens[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_result *r;
        struct token_world t;

        print_message("%s\n", of_tokens[i].name);
        setup_token(&t, false);
        t.w.v.status = of_tokens[i].status;
        t.w.v.vector = of_tokens[i].vector;
        t.w.v.problem = of_tokens[i].problem;
        test_assert_code(appraise_token(&t, t.aik, &r, &err), of_tokens[i].code, &err);
        assert_int_equal(err.reason, of_tokens[i].reason);
        if (of_tokens[i].code == ATLS_OK)
            assert_int_equal(atls_result_status(r), of_tokens[i].tier);
        atls_result_unref(r);
        teardown_token(&t);
    }
}

/* A result about another challenge is none. */
static void the_challenge_is_what_comes_back(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_result *r;
    struct token_world t;

    (void)state;
    setup_token(&t, false);
    t.w.v.nonce = atls_bytes_of(t.challenge, 32);
    test_assert_code(appraise_token(&t, t.aik, &r, &err), ATLS_E_UNAVAILABLE, &err);
    teardown_token(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affirming_results),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(verdicts_of_the_service),
        cmocka_unit_test(verdicts_of_our_own_service),
        cmocka_unit_test(one_submodule_attests_the_key),
        cmocka_unit_test(the_key_of_a_bad_part_vouches_for_no_other),
        cmocka_unit_test(a_result_about_another_key),
        cmocka_unit_test(platform_tokens_are_tied_to_the_key_here),
        cmocka_unit_test(a_token_for_another_key_attestation_token),
        cmocka_unit_test(verdicts_about_platform_tokens),
        cmocka_unit_test(the_challenge_is_what_comes_back),
        cmocka_unit_test(results_that_do_not_count),
        cmocka_unit_test(faults_of_the_service),
        cmocka_unit_test(a_service_is_asked_how_it_is),
        cmocka_unit_test(a_service_that_is_not_trusted),
        cmocka_unit_test(silence_ends_in_time),
        cmocka_unit_test(own_checks_come_first),
        cmocka_unit_test(keys_rotate),
        cmocka_unit_test(keys_rotate_by_discovery),
        cmocka_unit_test(configurations_are_checked_at_once),
        cmocka_unit_test(opening_asks_nobody),
        cmocka_unit_test(threads_share_a_verifier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
