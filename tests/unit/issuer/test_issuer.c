/* Results for others: what is issued, what is refused without a result, and what is neither's
 * fault.
 */
#include <string.h>
#include <unistd.h>

#include "arm_world.h"
#include "failing_alloc.h"
#include "soft_evidence.h"
#include "testlib.h"
#include "tpm_world.h"

#include <atls/ear.h>
#include <atls/issuer.h>
#include <atls/limits.h>
#include <atls/store.h>

#include "core/arena.h"
#include "core/err.h"
#include "verifier/ear/accept.h"
#include "verifier/result.h"
#include "wire/cmw_json.h"
#include "wire/kat.h"
#include "wire/parsec.h"

#define NOW    TPM_WORLD_NOW
#define ALL    0x00ffu /* PCRs of the evidence */
#define BUNDLE "application/cmw+cbor; cmwc_t=\"" ATLS_BUNDLE_TYPE "\""

static const uint8_t nonce[48] = "nonce of one session, as long as SHA-384 may be";

struct fixture {
    struct tpm_world w;
    struct atls_store *store;
    struct atls_issuer_options options;
    struct atls_issuer *issuer;
    struct atls_submission submission;
    char kid[ATLS_KID_TEXT];
};

static int64_t wall_s(void *arg)
{
    (void)arg;
    return NOW;
}

static void open_issuer(struct fixture *f)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_open(f->w.path, ATLS_STORE_WRITE, &f->store, &err), ATLS_OK, &err);
    test_assert_code(atls_store_new_signing_key(f->store, ATLS_KEY_P256, NOW - 1, f->kid, &err),
                     ATLS_OK, &err);
    f->options.store = f->store;
    test_assert_code(atls_issuer_new(&f->options, &f->issuer, &err), ATLS_OK, &err);
}

/* A store that knows the machine and its PCRs of the bitmap. */
static void open_fixture(struct fixture *f, uint32_t references)
{
    memset(f, 0, sizeof *f);
    tpm_world_open(&f->w, atls_bytes_of(nonce, 32));
    tpm_world_enrol(&f->w);
    if (references != 0)
        tpm_world_refer(&f->w, references, NULL, NULL);
    atls_issuer_options_init(&f->options);
    f->options.clock.wall_s = wall_s;
    f->submission.media_type = BUNDLE;
    f->submission.nonce = atls_bytes_of(nonce, 32);
}

static void close_fixture(struct fixture *f)
{
    atls_issuer_free(f->issuer);
    atls_store_close(f->store);
    tpm_world_close(&f->w);
}

static enum atls_code issue(struct fixture *f, struct atls_buf *out,
                            struct atls_issue_record *record, struct atls_err *err)
{
    if (f->submission.evidence.ptr == NULL) {
        f->w.evidence = test_tpm_evidence_encode(&f->w.e);
        f->submission.evidence = atls_buf_bytes(&f->w.evidence);
    }
    return atls_issuer_issue(f->issuer, &f->submission, out, record, err);
}

/* The token under the keys that the store publishes. */
static struct atls_ear open_token(const struct fixture *f, const struct atls_buf *token)
{
    struct atls_buf jwks = ATLS_BUF_INIT;
    struct atls_ear_check check;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear ear;

    atls_ear_check_init(&check);
    test_assert_code(atls_store_signing_keys_jwks(f->store, NOW, &jwks, &err), ATLS_OK, &err);
    test_assert_code(atls_ear_keys_parse(atls_buf_bytes(&jwks), &check.keys, &err), ATLS_OK, &err);
    check.time_s = NOW;
    check.max_age_s = 60;
    check.nonce = f->submission.nonce;
    test_assert_code(atls_ear_accept(atls_buf_bytes(token), &check, &ear, &err), ATLS_OK, &err);
    atls_ear_keys_unref(check.keys);
    atls_buf_clear(&jwks);
    return ear;
}

static void good_evidence_gets_an_affirming_result(void **state)
{
    struct fixture f;
    struct atls_issue_record record;
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear ear;

    (void)state;
    open_fixture(&f, ALL);
    f.options.ear.lifetime_s = 300;
    open_issuer(&f);
    test_assert_code(issue(&f, &token, &record, &err), ATLS_OK, &err);
    ear = open_token(&f, &token);
    assert_int_equal(ear.submod_count, 1);
    assert_int_equal(ear.submods[0].status, ATLS_TIER_AFFIRMING);
    test_assert_bytes(ear.submods[0].key, test_tpm_evidence_aik_spki(&f.w.e));
    assert_int_equal(ear.issued_at_s, NOW);
    assert_int_equal(ear.expiry_s, NOW + 300);
    assert_int_equal(record.status, ATLS_TIER_AFFIRMING);
    assert_true(record.genuine);
    assert_int_equal(record.reason, ATLS_REASON_NONE);
    assert_string_equal(record.submod, "TPM");
    assert_int_equal(strlen(record.instance), 66);
    assert_int_equal(strlen(record.key), 7 + 16);
    assert_string_equal(record.kid, f.kid);
    assert_string_equal(record.explanation, "");
    atls_ear_clear(&ear);
    atls_buf_clear(&token);
    close_fixture(&f);
}

static void forms_and_profiles(void **state)
{
    static const struct {
        enum atls_ear_form form;
        const char *profile;
        enum atls_ear_version version;
    } rows[] = {
        {ATLS_EAR_FORM_JWT, "tag:github.com,2023:veraison/ear", ATLS_EAR_2023},
        {ATLS_EAR_FORM_JWT, "tag:ietf.org,2026:rats/ear#04", ATLS_EAR_04},
        {ATLS_EAR_FORM_CWT, "tag:ietf.org,2026:rats/ear#04", ATLS_EAR_04},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        open_fixture(&f, ALL);
        f.options.ear.form = rows[i].form;
        f.options.ear.profile = rows[i].profile;
        open_issuer(&f);
        test_assert_code(issue(&f, &token, NULL, &err), ATLS_OK, &err);
        assert_int_equal(atls_ear_form_of(atls_buf_bytes(&token)), rows[i].form);
        ear = open_token(&f, &token);
        assert_int_equal(ear.version, rows[i].version);
        assert_int_equal(ear.submods[0].status, ATLS_TIER_AFFIRMING);
        atls_ear_clear(&ear);
        atls_buf_clear(&token);
        close_fixture(&f);
    }
}

static void other_nonce(struct fixture *f)
{
    f->submission.nonce = atls_bytes_of(nonce + 1, 32);
}

static void nonce_of_64(struct fixture *f)
{
    static const uint8_t long_nonce[64] = {1};

    f->submission.nonce = atls_bytes_of(long_nonce, 64);
}

static void other_boot(struct fixture *f)
{
    f->w.e.quote.reset_count++;
}

static void unsafe_clock(struct fixture *f)
{
    f->w.e.quote.safe = 0;
}

static void another_machine(struct fixture *f)
{
    test_tpm_key_clear(&f->w.e.ak);
    f->w.e.ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
}

/* Evidence that fails a check gets a result that says so, and names nothing that counts. */
static void failed_checks_are_contraindicated(void **state)
{
    static const struct {
        const char *name;
        void (*lie)(struct fixture *f);
        enum atls_reason reason;
    } rows[] = {
        {"nonce of another session", other_nonce, ATLS_REASON_NONCE_MISMATCH},
        {"nonce of 64 bytes, which no TPM answers", nonce_of_64, ATLS_REASON_NONCE_MISMATCH},
        {"halves of two boots", other_boot, ATLS_REASON_RESET_COUNT_MISMATCH},
        {"unsafe clock", unsafe_clock, ATLS_REASON_CLOCK_UNSAFE},
        {"a machine that is not enrolled", another_machine, ATLS_REASON_UNTRUSTED_AK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_issue_record record;
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        print_message("  %s\n", rows[i].name);
        open_fixture(&f, ALL);
        open_issuer(&f);
        rows[i].lie(&f);
        test_assert_code(issue(&f, &token, &record, &err), ATLS_OK, &err);
        ear = open_token(&f, &token);
        assert_int_equal(ear.submods[0].status, ATLS_TIER_CONTRAINDICATED);
        for (size_t k = 0; k < ATLS_TRUST_CLAIMS; k++)
            assert_int_equal(ear.submods[0].trust[k], 99);
        assert_int_equal(ear.submods[0].key.len, 0);
        assert_false(record.genuine);
        assert_int_equal(record.reason, rows[i].reason);
        assert_string_equal(record.instance, "");
        assert_string_equal(record.key, "");
        assert_string_not_equal(record.explanation, "");
        atls_ear_clear(&ear);
        atls_buf_clear(&token);
        close_fixture(&f);
    }
}

/* Genuine evidence of a machine that no reference value covers is what it is: not affirming. */
static void without_reference_values_it_is_a_warning(void **state)
{
    struct fixture f;
    struct atls_issue_record record;
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    open_fixture(&f, 0);
    open_issuer(&f);
    test_assert_code(issue(&f, &token, &record, &err), ATLS_OK, &err);
    assert_int_equal(record.status, ATLS_TIER_WARNING);
    assert_true(record.genuine);
    assert_int_equal(record.reason, ATLS_REASON_NO_REFERENCE_VALUES);
    atls_buf_clear(&token);
    close_fixture(&f);
}

static const uint8_t zeros[ATLS_CMW_DATA_MAX + 1];

static void unknown_type(struct fixture *f)
{
    f->submission.media_type = "application/vnd.example.unknown";
}

static void type_that_is_none(struct fixture *f)
{
    f->submission.media_type = "cmw";
}

static void other_collection(struct fixture *f)
{
    f->submission.media_type = "application/cmw+cbor; cmwc_t=\"tag:example.com,2026:x\"";
}

static void empty(struct fixture *f)
{
    f->submission.evidence = atls_bytes_of("", 0);
    f->submission.evidence.ptr = zeros;
}

static void too_large(struct fixture *f)
{
    f->submission.evidence = atls_bytes_of(zeros, sizeof zeros);
}

static void no_cmw(struct fixture *f)
{
    f->submission.evidence = atls_bytes_of("\xff\xff", 2);
}

static void other_record(struct fixture *f)
{
    f->submission.evidence = atls_bytes_of("\x82\x19\x01\x07\x41x", 6);
}

static void nonce_of_7(struct fixture *f)
{
    f->submission.nonce = atls_bytes_of(nonce, 7);
}

static void nonce_of_65(struct fixture *f)
{
    f->submission.nonce = atls_bytes_of(zeros, 65);
}

static void json_that_is_none(struct fixture *f)
{
    f->submission.media_type = "application/cmw+json";
    f->submission.evidence = atls_bytes_of("{\"kat\":", 7);
}

/* What has not even the form of a question gets no result. */
static void malformed_submissions_get_none(void **state)
{
    static const struct {
        const char *name;
        void (*change)(struct fixture *f);
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"unknown type", unknown_type, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"no Content-Type", type_that_is_none, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"collection of another type", other_collection, ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"empty", empty, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"too large", too_large, ATLS_E_LIMIT, ATLS_REASON_NONE},
        {"no CMW", no_cmw, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
        {"a record of something else", other_record, ATLS_E_UNSUPPORTED,
         ATLS_REASON_UNKNOWN_EVIDENCE_TYPE},
        {"nonce of 7 bytes", nonce_of_7, ATLS_E_USAGE, ATLS_REASON_NONE},
        {"nonce of 65 bytes", nonce_of_65, ATLS_E_USAGE, ATLS_REASON_NONE},
        {"JSON that ends too early", json_that_is_none, ATLS_E_DECODE, ATLS_REASON_MALFORMED},
    };
    struct fixture f;

    (void)state;
    open_fixture(&f, ALL);
    open_issuer(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_submission good = f.submission;
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        rows[i].change(&f);
        test_assert_code(issue(&f, &token, NULL, &err), rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        assert_null(token.ptr);
        f.submission = good;
        f.submission.evidence = atls_bytes_of(NULL, 0);
        atls_buf_clear(&f.w.evidence);
    }
    close_fixture(&f);
}

/* The same bundle in JSON, and under every type that a CMW goes by. */
static void every_media_type_is_taken(void **state)
{
    static const struct {
        const char *type;
        bool json;
    } rows[] = {
        {BUNDLE, false},
        {"application/cmw+cbor", false},
        {"Application/CMW+CBOR", false},
        {"application/cmw+json", true},
        {"application/cmw", false},
        {"application/cmw", true},
        {"application/vnd.veraison.cmw", true},
        {"application/vnd.veraison.cmw+cbor", false},
        {"application/vnd.veraison.cmw+json", true},
    };
    struct fixture f;

    (void)state;
    open_fixture(&f, ALL);
    open_issuer(&f);
    assert_string_equal(atls_issuer_media_types(f.issuer)[0], BUNDLE);
    f.w.evidence = test_tpm_evidence_encode(&f.w.e);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_json j = atls_json_init(1 << 20);
        struct atls_buf json = ATLS_BUF_INIT, token = ATLS_BUF_INIT;
        struct atls_issue_record record;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_cmw cmw;

        print_message("  %s\n", rows[i].type);
        f.submission.media_type = rows[i].type;
        f.submission.evidence = atls_buf_bytes(&f.w.evidence);
        test_assert_code(atls_cmw_decode(f.submission.evidence, &arena, &cmw, &err), ATLS_OK, &err);
        test_assert_code(atls_cmw_json_put(&j, NULL, &cmw, &err), ATLS_OK, &err);
        test_assert_code(atls_json_finish(&j, &json, &err), ATLS_OK, &err);
        if (rows[i].json)
            f.submission.evidence = atls_buf_bytes(&json);
        test_assert_code(issue(&f, &token, &record, &err), ATLS_OK, &err);
        assert_int_equal(record.status, ATLS_TIER_AFFIRMING);
        atls_buf_clear(&json);
        atls_buf_clear(&token);
        atls_arena_clear(&arena);
    }
    close_fixture(&f);
}

/* ---- policy ---- */

static enum atls_decision_kind { ACCEPT, REFUSE, REFUSE_SILENTLY, BROKEN, NO_MEMORY } deciding;

static void free_policy(void *self)
{
    (void)self;
}

static enum atls_code decide(void *self, struct atls_result *result, struct atls_decision *out,
                             struct atls_err *err)
{
    (void)self;
    (void)result;
    memset(out, 0, sizeof *out);
    if (deciding == BROKEN)
        return atls_fail_reason(err, ATLS_E_REFUSED, ATLS_REASON_POLICY_OUTPUT, "no object");
    if (deciding == NO_MEMORY)
        return atls_fail(err, ATLS_E_NOMEM, "none left");
    out->accept = deciding == ACCEPT;
    out->reason_count = deciding == REFUSE;
    strcpy(out->reasons[0], "not on a Sunday");
    return ATLS_OK;
}

static void a_policy_lowers_only(void **state)
{
    static const struct atls_policy_ops ops = {free_policy, decide};
    static const struct {
        enum atls_decision_kind deciding;
        uint32_t references;
        enum atls_code want;
        enum atls_tier status;
        enum atls_reason reason;
        const char *says;
    } rows[] = {
        {ACCEPT, ALL, ATLS_OK, ATLS_TIER_AFFIRMING, ATLS_REASON_NONE, ""},
        {ACCEPT, 0, ATLS_OK, ATLS_TIER_WARNING, ATLS_REASON_NO_REFERENCE_VALUES, ""},
        {REFUSE, ALL, ATLS_OK, ATLS_TIER_CONTRAINDICATED, ATLS_REASON_POLICY, "not on a Sunday"},
        {REFUSE_SILENTLY, ALL, ATLS_OK, ATLS_TIER_CONTRAINDICATED, ATLS_REASON_POLICY,
         "gave no reason"},
        {BROKEN, ALL, ATLS_OK, ATLS_TIER_CONTRAINDICATED, ATLS_REASON_POLICY_OUTPUT, "failed"},
        {NO_MEMORY, ALL, ATLS_E_NOMEM, ATLS_TIER_NONE, ATLS_REASON_NONE, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct atls_issue_record record;
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        deciding = rows[i].deciding;
        open_fixture(&f, rows[i].references);
        test_assert_code(atls_policy_new(&ops, NULL, &f.options.policy, &err), ATLS_OK, &err);
        open_issuer(&f);
        atls_policy_unref(f.options.policy);
        test_assert_code(issue(&f, &token, &record, &err), rows[i].want, &err);
        if (rows[i].want == ATLS_OK) {
            struct atls_ear ear = open_token(&f, &token);

            assert_int_equal(record.status, rows[i].status);
            assert_int_equal(ear.submods[0].status, rows[i].status);
            assert_int_equal(record.reason, rows[i].reason);
            assert_non_null(strstr(record.explanation, rows[i].says));
            atls_ear_clear(&ear);
        }
        atls_buf_clear(&token);
        close_fixture(&f);
    }
}

/* ---- configuration ---- */

static void what_could_never_issue_is_an_error_at_the_start(void **state)
{
    struct fixture f;
    struct atls_issuer *issuer = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char kid[ATLS_KID_TEXT];

    (void)state;
    memset(&f, 0, sizeof f);
    tpm_world_open(&f.w, atls_bytes_of(nonce, 32));
    test_assert_code(atls_store_open(f.w.path, ATLS_STORE_WRITE, &f.store, &err), ATLS_OK, &err);
    atls_issuer_options_init(&f.options);
    test_assert_code(atls_issuer_new(&f.options, &issuer, &err), ATLS_E_USAGE, &err);
    f.options.store = f.store;
    f.options.size--;
    test_assert_code(atls_issuer_new(&f.options, &issuer, &err), ATLS_E_USAGE, &err);
    f.options.size++;
    f.options.clock.wall_s = wall_s;
    test_assert_code(atls_issuer_new(&f.options, &issuer, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "trust anchor"));
    tpm_world_enrol(&f.w);
    test_assert_code(atls_issuer_new(&f.options, &issuer, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "signs results"));
    /* One that is to sign tomorrow does not sign today. */
    test_assert_code(atls_store_new_signing_key(f.store, ATLS_KEY_P256, NOW + 86400, kid, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_issuer_new(&f.options, &issuer, &err), ATLS_E_CONFIG, &err);
    f.options.rules = (const char *const[]){"snp.debug=maybe", NULL};
    test_assert_code(atls_issuer_new(&f.options, &issuer, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "snp.debug is \"maybe\""));
    f.options.ear.profile = "tag:example.com,2026:unknown";
    test_assert_code(atls_issuer_new(&f.options, &issuer, &err), ATLS_E_UNSUPPORTED, &err);
    atls_issuer_free(NULL);
    close_fixture(&f);
}

/* A key that is published ahead signs from its time on, and the one before it still verifies. */
static void keys_rotate(void **state)
{
    struct fixture f;
    struct atls_issue_record record;
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_ear ear;
    char next[ATLS_KID_TEXT];

    (void)state;
    open_fixture(&f, ALL);
    open_issuer(&f);
    test_assert_code(atls_store_new_signing_key(f.store, ATLS_KEY_P384, NOW + 10, next, &err),
                     ATLS_OK, &err);
    test_assert_code(issue(&f, &token, &record, &err), ATLS_OK, &err);
    assert_string_equal(record.kid, f.kid);
    ear = open_token(&f, &token);
    atls_ear_clear(&ear);
    atls_buf_clear(&token);
    f.submission.time_s = NOW + 10;
    test_assert_code(issue(&f, &token, &record, &err), ATLS_OK, &err);
    assert_string_equal(record.kid, next);
    ear = open_token(&f, &token);
    atls_ear_clear(&ear);
    atls_buf_clear(&token);
    close_fixture(&f);
}

/* Where libcrypto runs out of memory there is no result, above all no contraindication; and once
 * there is memory again, there is one. */
static void memory_that_runs_out_is_no_verdict(void **state)
{
    struct fixture f;
    struct atls_issue_record record;
    struct atls_err err = ATLS_ERR_INIT;
    bool failed = true;

    (void)state;
    open_fixture(&f, ALL);
    open_issuer(&f);
    f.w.evidence = test_tpm_evidence_encode(&f.w.e);
    f.submission.evidence = atls_buf_bytes(&f.w.evidence);
    for (size_t n = 0; failed; n++) {
        struct atls_buf token = ATLS_BUF_INIT;
        enum atls_code code;

        test_failing_alloc_arm(n);
        code = issue(&f, &token, &record, &err);
        failed = test_failing_alloc_disarm();
        if (code == ATLS_OK && record.status != ATLS_TIER_AFFIRMING)
            fail_msg("allocation %zu: %s", n, record.explanation);
        if (code != ATLS_OK)
            assert_true(failed && (code == ATLS_E_NOMEM || code == ATLS_E_CRYPTO));
        atls_buf_clear(&token);
    }
    close_fixture(&f);
}

/* Only what answers a nonce of the Verifier's is as new as the result. */
static void a_nonce_that_was_given_is_told(void **state)
{
    static const enum atls_ear_form forms[] = {ATLS_EAR_FORM_JWT, ATLS_EAR_FORM_CWT};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture f;
        struct atls_issue_record record;
        struct atls_buf token = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        open_fixture(&f, ALL);
        f.options.ear.form = forms[i / 2];
        f.submission.own_nonce = i % 2 == 1;
        open_issuer(&f);
        test_assert_code(issue(&f, &token, &record, &err), ATLS_OK, &err);
        ear = open_token(&f, &token);
        assert_int_equal(ear.submods[0].status, ATLS_TIER_AFFIRMING);
        assert_true(atls_ear_nonce_given(&ear) == !f.submission.own_nonce);
        atls_ear_clear(&ear);
        atls_buf_clear(&token);
        close_fixture(&f);
    }
}

/* ---- tokens that stand alone ---- */

static void enrol_soft(struct fixture *f, const struct atls_private_key *key)
{
    uint8_t ueid[ATLS_SOFT_UEID_LEN];
    const struct atls_store_attest_key row = {.instance = {ueid, sizeof ueid},
                                              .spki = atls_key_spki(atls_private_key_public(key)),
                                              .technology = "soft"};
    struct atls_store *store;
    struct atls_err err = ATLS_ERR_INIT;

    test_soft_ueid(key, ueid);
    test_assert_code(atls_store_open(f->w.path, ATLS_STORE_WRITE, &store, &err), ATLS_OK, &err);
    test_assert_code(atls_store_add_attest_key(store, &row, &err), ATLS_OK, &err);
    atls_store_close(store);
}

static const struct {
    const char *name;
    const char *media_type;
    size_t nonce_len;
    int flip; /* byte of the token's challenge, or -1 */
    bool genuine;
} alone[] = {
    {"a nonce of 64 bytes", ATLS_TYPE_SOFT, 64, -1, true},
    {"one of 48, with zeros behind it", ATLS_TYPE_SOFT, 48, -1, true},
    {"one of 8, with zeros behind it", ATLS_TYPE_SOFT, 8, -1, true},
    {"another spelling of the type", "Application/EAT+CWT;eat_profile=\"" ATLS_SOFT_PROFILE "\"",
     48, -1, true},
    {"another nonce", ATLS_TYPE_SOFT, 48, 47, false},
    {"no zeros behind it", ATLS_TYPE_SOFT, 48, 48, false},
    {"no zero at the end", ATLS_TYPE_SOFT, 8, 63, false},
    {"the last byte of 64", ATLS_TYPE_SOFT, 64, 63, false},
};

static void tokens_may_stand_alone(void **state)
{
    uint8_t challenge[64], asked[64];
    struct atls_private_key *key;
    struct fixture f;

    (void)state;
    memset(asked, 0x5a, sizeof asked);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    open_fixture(&f, ALL);
    enrol_soft(&f, key);
    f.options.allow_insecure_technology = true;
    open_issuer(&f);
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        struct atls_buf evidence, token = ATLS_BUF_INIT;
        struct atls_issue_record record;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_ear ear;

        print_message("  %s\n", alone[i].name);
        memset(challenge, 0, sizeof challenge);
        memcpy(challenge, asked, alone[i].nonce_len);
        if (alone[i].flip >= 0)
            challenge[alone[i].flip] ^= 1;
        evidence = test_soft_token(key, atls_bytes_of(challenge, sizeof challenge));
        f.submission.media_type = alone[i].media_type;
        f.submission.nonce = atls_bytes_of(asked, alone[i].nonce_len);
        f.submission.evidence = atls_buf_bytes(&evidence);
        test_assert_code(atls_issuer_issue(f.issuer, &f.submission, &token, &record, &err), ATLS_OK,
                         &err);
        ear = open_token(&f, &token);
        assert_int_equal(record.genuine, alone[i].genuine);
        assert_int_equal(ear.submods[0].status, ATLS_TIER_CONTRAINDICATED); /* insecure, too */
        assert_int_equal(ear.submods[0].trust[ATLS_TRUST_HARDWARE], alone[i].genuine ? 96 : 99);
        assert_int_equal(record.reason, alone[i].genuine ? ATLS_REASON_INSECURE_TECHNOLOGY
                                                         : ATLS_REASON_NONCE_MISMATCH);
        assert_int_equal(ear.submods[0].key.len, 0);
        assert_string_equal(record.key, "");
        atls_ear_clear(&ear);
        atls_buf_clear(&token);
        atls_buf_clear(&evidence);
    }
    atls_private_key_free(key);
    close_fixture(&f);
}

/* Not even where software evidence is taken: what it proves is then called insecure. */
static void a_software_key_does_not_speak_for_a_tpm(void **state)
{
    static const struct {
        const char *profile;
        bool genuine;
        enum atls_tier status;
    } rows[] = {
        {"soft", false, ATLS_TIER_CONTRAINDICATED},
        {"tpm", true, ATLS_TIER_WARNING}, /* no reference values */
    };
    struct atls_private_key *key, *aik;

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &aik, NULL), ATLS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf evidence, token = ATLS_BUF_INIT;
        struct atls_issue_record record;
        struct atls_err err = ATLS_ERR_INIT;
        struct fixture f;
        struct atls_ear ear;
        uint8_t kid[33];

        open_fixture(&f, 0);
        evidence = test_parsec_tpm_by(key, test_arm_spki(aik), f.submission.nonce, kid);
        tpm_world_enrol_as(&f.w, rows[i].profile, key, atls_bytes_of(kid, sizeof kid));
        f.options.allow_insecure_technology = true;
        open_issuer(&f);
        f.submission.media_type = ATLS_TYPE_PARSEC_TPM;
        f.submission.evidence = atls_buf_bytes(&evidence);
        test_assert_code(atls_issuer_issue(f.issuer, &f.submission, &token, &record, &err), ATLS_OK,
                         &err);
        ear = open_token(&f, &token);
        assert_int_equal(record.genuine, rows[i].genuine);
        assert_int_equal(ear.submods[0].status, rows[i].status);
        if (!rows[i].genuine) {
            assert_int_equal(record.reason, ATLS_REASON_UNTRUSTED_AK);
            assert_int_equal(ear.submods[0].key.len, 0);
            assert_non_null(strstr(record.explanation, "is enrolled for \"soft\", want \"tpm\""));
        }
        atls_ear_clear(&ear);
        atls_buf_clear(&token);
        atls_buf_clear(&evidence);
        close_fixture(&f);
    }
    atls_private_key_free(key);
    atls_private_key_free(aik);
}

/* What the policy of the service thinks of evidence does not depend on whether it names a key. */
static void a_policy_judges_results_without_key(void **state)
{
    uint8_t challenge[64] = {0};
    struct atls_buf evidence, token = ATLS_BUF_INIT;
    struct atls_issue_record record;
    struct atls_private_key *key;
    struct atls_err err = ATLS_ERR_INIT;
    struct fixture f;

    (void)state;
    memcpy(challenge, nonce, 32);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    open_fixture(&f, ALL);
    enrol_soft(&f, key);
    f.options.allow_insecure_technology = true;
    test_assert_code(atls_policy_default(&f.options.policy, &err), ATLS_OK, &err);
    open_issuer(&f);
    evidence = test_soft_token(key, atls_bytes_of(challenge, sizeof challenge));
    f.submission.media_type = ATLS_TYPE_SOFT;
    f.submission.evidence = atls_buf_bytes(&evidence);
    test_assert_code(atls_issuer_issue(f.issuer, &f.submission, &token, &record, &err), ATLS_OK,
                     &err);
    assert_true(record.genuine);
    assert_non_null(strstr(record.explanation, "; SOFT is contraindicated: "));
    atls_policy_unref(f.options.policy);
    atls_buf_clear(&token);
    atls_buf_clear(&evidence);
    atls_private_key_free(key);
    close_fixture(&f);
}

static bool has_media_type(const struct atls_issuer *issuer, const char *want)
{
    const char *const *type = atls_issuer_media_types(issuer);

    while (*type != NULL && strcmp(*type, want) != 0)
        type++;
    return *type != NULL;
}

/* Tokens that anyone can make are neither announced nor taken unless they are allowed by name. */
static void types_depend_on_what_is_allowed(void **state)
{
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct fixture f;

    (void)state;
    open_fixture(&f, ALL);
    open_issuer(&f);
    assert_true(has_media_type(f.issuer, BUNDLE));
    assert_true(has_media_type(f.issuer, "application/cmw+json"));
    assert_false(has_media_type(f.issuer, ATLS_TYPE_SOFT));
    f.submission.media_type = ATLS_TYPE_SOFT;
    f.submission.evidence = atls_bytes_of("x", 1);
    test_assert_code(atls_issuer_issue(f.issuer, &f.submission, &token, NULL, &err),
                     ATLS_E_UNSUPPORTED, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE);
    atls_issuer_free(f.issuer);
    f.options.allow_insecure_technology = true;
    test_assert_code(atls_issuer_new(&f.options, &f.issuer, &err), ATLS_OK, &err);
    assert_true(has_media_type(f.issuer, ATLS_TYPE_SOFT));
    /* as large as evidence may be, and a type in front of it */
    f.submission.evidence = atls_bytes_of(zeros, ATLS_CMW_DATA_MAX);
    test_assert_code(atls_issuer_issue(f.issuer, &f.submission, &token, NULL, &err), ATLS_E_LIMIT,
                     &err);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_evidence_gets_an_affirming_result),
        cmocka_unit_test(forms_and_profiles),
        cmocka_unit_test(failed_checks_are_contraindicated),
        cmocka_unit_test(without_reference_values_it_is_a_warning),
        cmocka_unit_test(malformed_submissions_get_none),
        cmocka_unit_test(every_media_type_is_taken),
        cmocka_unit_test(tokens_may_stand_alone),
        cmocka_unit_test(a_software_key_does_not_speak_for_a_tpm),
        cmocka_unit_test(a_policy_judges_results_without_key),
        cmocka_unit_test(types_depend_on_what_is_allowed),
        cmocka_unit_test(a_policy_lowers_only),
        cmocka_unit_test(a_nonce_that_was_given_is_told),
        cmocka_unit_test(what_could_never_issue_is_an_error_at_the_start),
        cmocka_unit_test(keys_rotate),
        cmocka_unit_test(memory_that_runs_out_is_no_verdict),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
