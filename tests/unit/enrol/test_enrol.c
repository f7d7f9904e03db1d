#include <atls/enrol.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testlib.h"

#include "pki.h"
#include "tpm_forge.h"

#define CLASS "31fb5abf-023e-4992-aa4e-95f9c1503bfa"
/* Where the secret stands in what the verifier keeps: behind version and expiry. */
#define SECRET_AT  9
#define SECRET_LEN 32

/* A TPM, its maker, and a store that knows the maker. */
struct scene {
    struct test_tpm_key ek, ak;
    struct test_identity maker, ek_certificate;
    struct atls_buf ek_public, ak_public;
    char directory[32], path[64];
    struct atls_store *store;
    struct atls_enrol_options options;
    struct atls_enrol_request request;
};

static const struct test_extension ek_extensions[] = {
    {"keyUsage", "critical,keyEncipherment,keyAgreement"},
    {"extendedKeyUsage", "2.23.133.8.1"},
    {NULL, NULL},
};

static struct test_identity certify_ek(const struct test_identity *maker,
                                       const struct test_tpm_key *ek)
{
    return test_issue(maker, &(struct test_certificate){.common_name = "EK",
                                                        .key = ek->private_key,
                                                        .extensions = ek_extensions});
}

static void scene_open(struct scene *s, enum atls_key_type type)
{
    struct atls_err err = ATLS_ERR_INIT;

    *s = (struct scene){.directory = "/tmp/atls-enrol.XXXXXX"};
    s->ek = test_tpm_ek_new(type);
    s->ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    s->maker = test_ca("TPM maker");
    s->ek_certificate = certify_ek(&s->maker, &s->ek);
    s->ek_public = test_tpm_public(&s->ek);
    s->ak_public = test_tpm_public(&s->ak);
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->path, sizeof s->path, "%s/store.db", s->directory);
    test_assert_code(atls_store_open(s->path, ATLS_STORE_CREATE, &s->store, &err), ATLS_OK, &err);
    test_assert_code(atls_store_import_anchors(s->store, ATLS_ANCHOR_EK,
                                               atls_buf_bytes(&s->maker.certificate), NULL, NULL,
                                               &err),
                     ATLS_OK, &err);
    atls_enrol_options_init(&s->options);
    s->options.time_s = TEST_TIME_S;
    s->request =
        (struct atls_enrol_request){atls_buf_bytes(&s->ek_certificate.certificate),
                                    atls_buf_bytes(&s->ek_public), atls_buf_bytes(&s->ak_public)};
}

static void scene_close(struct scene *s)
{
    char path[80];

    atls_store_close(s->store);
    unlink(s->path);
    snprintf(path, sizeof path, "%s-wal", s->path);
    unlink(path);
    snprintf(path, sizeof path, "%s-shm", s->path);
    unlink(path);
    rmdir(s->directory);
    atls_buf_clear(&s->ak_public);
    atls_buf_clear(&s->ek_public);
    test_identity_clear(&s->ek_certificate);
    test_identity_clear(&s->maker);
    test_tpm_key_clear(&s->ak);
    test_tpm_key_clear(&s->ek);
}

static enum atls_code challenge(struct scene *s, struct atls_enrol_challenge *out,
                                struct atls_err *err)
{
    *out = (struct atls_enrol_challenge){.ek_trusted = false};
    return atls_enrol_challenge(s->store, &s->request, &s->options, out, err);
}

/* What the TPM would answer: tests/unit/bind opens credentials for real. */
static struct atls_bytes secret_of(const struct atls_enrol_challenge *c)
{
    assert_true(c->keep.len > SECRET_AT + SECRET_LEN);
    return atls_bytes_of(c->keep.ptr + SECRET_AT, SECRET_LEN);
}

static struct atls_enrol_answer answer_with(const uint8_t secret[SECRET_LEN])
{
    return (struct atls_enrol_answer){.secret = atls_bytes_of(secret, SECRET_LEN),
                                      .class_uuid = CLASS,
                                      .vendor = "maker",
                                      .model = "machine",
                                      .time_s = TEST_TIME_S + 1};
}

static enum atls_code count_keys(void *arg, const struct atls_store_entry *entry,
                                 struct atls_err *err)
{
    (void)err;
    if (strcmp(entry->kind, "attest-key") == 0)
        ++*(size_t *)arg;
    return ATLS_OK;
}

static size_t keys(struct scene *s)
{
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 0;

    test_assert_code(atls_store_list(s->store, count_keys, &count, &err), ATLS_OK, &err);
    return count;
}

static void enrols_the_key_that_was_challenged(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_RSA};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_enrol_challenge c;
        struct atls_enrol_answer answer;
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t secret[SECRET_LEN];
        struct scene s;

        scene_open(&s, types[i]);
        /* Twice: the same machine may come again. */
        for (size_t round = 0; round < 2; round++) {
            test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
            assert_true(c.ek_trusted);
            assert_int_equal(c.expires_s, TEST_TIME_S + 300);
            assert_true(c.credential_blob.len > 0 && c.encrypted_secret.len > 0);
            assert_int_equal(strlen(c.instance), 66);
            memcpy(secret, secret_of(&c).ptr, SECRET_LEN);
            answer = answer_with(secret);
            test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_OK, &err);
            assert_null(c.keep.ptr);
            assert_int_equal(c.keep.len, 0);
            assert_int_equal(keys(&s), 1);
            atls_enrol_challenge_clear(&c);
        }
        scene_close(&s);
    }
}

static void secrets_differ(void **state)
{
    struct atls_enrol_challenge one, two;
    struct atls_err err = ATLS_ERR_INIT;
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    test_assert_code(challenge(&s, &one, &err), ATLS_OK, &err);
    test_assert_code(challenge(&s, &two, &err), ATLS_OK, &err);
    assert_memory_not_equal(secret_of(&one).ptr, secret_of(&two).ptr, SECRET_LEN);
    atls_enrol_challenge_clear(&one);
    atls_enrol_challenge_clear(&two);
    atls_enrol_challenge_clear(NULL);
    scene_close(&s);
}

/* ---- requests that must be refused: each plants one fault ---- */

static void no_certificate(struct scene *s)
{
    s->request.ek_certificate = atls_bytes_of(NULL, 0);
}

static void certificate_of_another_key(struct scene *s)
{
    struct test_tpm_key other = test_tpm_ek_new(ATLS_KEY_P256);

    test_identity_clear(&s->ek_certificate);
    s->ek_certificate = certify_ek(&s->maker, &other);
    s->request.ek_certificate = atls_buf_bytes(&s->ek_certificate.certificate);
    test_tpm_key_clear(&other);
}

static void another_maker(struct scene *s)
{
    struct test_identity other = test_ca("another maker");

    test_identity_clear(&s->ek_certificate);
    s->ek_certificate = certify_ek(&other, &s->ek);
    s->request.ek_certificate = atls_buf_bytes(&s->ek_certificate.certificate);
    test_identity_clear(&other);
}

static void no_anchor(struct scene *s)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_remove(s->store, "anchor:1", &err), ATLS_OK, &err);
}

static void certificate_expired(struct scene *s)
{
    s->options.time_s = TEST_NOT_AFTER_S + 1;
}

static void signing_certificate(struct scene *s)
{
    static const struct test_extension extensions[] = {{"keyUsage", "critical,digitalSignature"},
                                                       {NULL, NULL}};

    test_identity_clear(&s->ek_certificate);
    s->ek_certificate = test_issue(&s->maker, &(struct test_certificate){.common_name = "AK",
                                                                         .key = s->ek.private_key,
                                                                         .extensions = extensions});
    s->request.ek_certificate = atls_buf_bytes(&s->ek_certificate.certificate);
}

static void certificate_cut(struct scene *s)
{
    s->request.ek_certificate.len--;
}

static void certificate_huge(struct scene *s)
{
    static const uint8_t huge[16 * 1024 + 1];

    s->request.ek_certificate = atls_bytes_of(huge, sizeof huge);
}

static void set_ak(struct scene *s, uint32_t attributes)
{
    s->ak.attributes = attributes;
    atls_buf_clear(&s->ak_public);
    s->ak_public = test_tpm_public(&s->ak);
    s->request.ak_public = atls_buf_bytes(&s->ak_public);
}

static void ak_that_signs_anything(struct scene *s)
{
    set_ak(s, TEST_TPM_AIK_ATTRIBUTES);
}

static void ak_that_can_leave(struct scene *s)
{
    set_ak(s, TEST_TPM_AK_ATTRIBUTES & ~(uint32_t)ATLS_TPMA_FIXED_TPM);
}

static void ek_that_signs(struct scene *s)
{
    s->ek.attributes = TEST_TPM_AK_ATTRIBUTES;
    atls_buf_clear(&s->ek_public);
    s->ek_public = test_tpm_public(&s->ek);
    s->request.ek_public = atls_buf_bytes(&s->ek_public);
}

static void ek_cut(struct scene *s)
{
    s->request.ek_public.len--;
}

static void ak_cut(struct scene *s)
{
    s->request.ak_public.len--;
}

static void ak_absent(struct scene *s)
{
    s->request.ak_public = atls_bytes_of(NULL, 0);
}

static const struct {
    const char *name;
    void (*plant)(struct scene *s);
    enum atls_code code;
    enum atls_reason reason;
    bool also_untrusted; /* refused even when no certificate is asked for */
} faults[] = {
    {"TPM without a certificate", no_certificate, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_ROOT,
     false},
    {"certificate of another maker", another_maker, ATLS_E_CERTIFICATE, ATLS_REASON_UNTRUSTED_ROOT,
     false},
    {"no EK anchor in the store", no_anchor, ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_ROOT, false},
    {"certificate has expired", certificate_expired, ATLS_E_CERTIFICATE,
     ATLS_REASON_CERTIFICATE_EXPIRED, false},
    {"certificate is no EK's", signing_certificate, ATLS_E_CERTIFICATE, ATLS_REASON_KEY_USAGE,
     false},
    {"certificate of another EK", certificate_of_another_key, ATLS_E_CERTIFICATE,
     ATLS_REASON_NAME_MISMATCH, true},
    {"certificate lacks a byte", certificate_cut, ATLS_E_DECODE, ATLS_REASON_MALFORMED, true},
    {"certificate is huge", certificate_huge, ATLS_E_LIMIT, ATLS_REASON_NONE, true},
    {"AK is not restricted", ak_that_signs_anything, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES,
     true},
    {"AK is not fixed to the TPM", ak_that_can_leave, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES,
     true},
    {"EK is a signing key", ek_that_signs, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES, true},
    {"EK lacks a byte", ek_cut, ATLS_E_DECODE, ATLS_REASON_MALFORMED, true},
    {"AK lacks a byte", ak_cut, ATLS_E_DECODE, ATLS_REASON_MALFORMED, true},
    {"AK is absent", ak_absent, ATLS_E_DECODE, ATLS_REASON_MALFORMED, true},
};

static void refuses_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct atls_enrol_challenge c;
        struct atls_err err = ATLS_ERR_INIT;
        struct scene s;
        enum atls_code code;

        scene_open(&s, ATLS_KEY_P256);
        faults[i].plant(&s);
        code = challenge(&s, &c, &err);
        if (code != faults[i].code || err.reason != faults[i].reason)
            print_error("%s: %s [%s]\n", faults[i].name, err.message, atls_reason_name(err.reason));
        test_assert_code(code, faults[i].code, &err);
        assert_int_equal(err.reason, faults[i].reason);
        assert_null(c.keep.ptr);

        s.options.allow_untrusted_ek = true;
        code = challenge(&s, &c, &err);
        test_assert_code(code, faults[i].also_untrusted ? faults[i].code : ATLS_OK, &err);
        assert_false(c.ek_trusted);
        atls_enrol_challenge_clear(&c);
        scene_close(&s);
    }
}

static void refuses_misuse(void **state)
{
    struct atls_enrol_challenge c;
    struct atls_enrol_answer answer = {.class_uuid = CLASS};
    struct atls_err err = ATLS_ERR_INIT;
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    test_assert_code(atls_enrol_challenge(NULL, &s.request, &s.options, &c, &err), ATLS_E_USAGE,
                     &err);
    test_assert_code(atls_enrol_challenge(s.store, NULL, &s.options, &c, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_enrol_accept(s.store, NULL, &answer, &err), ATLS_E_USAGE, &err);
    s.options.size = 1;
    test_assert_code(challenge(&s, &c, &err), ATLS_E_USAGE, &err);
    atls_enrol_options_init(&s.options);
    s.options.lifetime_s = 0;
    test_assert_code(challenge(&s, &c, &err), ATLS_E_USAGE, &err);
    /* Without options: the clock of the machine, at which the certificate is valid. */
    test_assert_code(atls_enrol_challenge(s.store, &s.request, NULL, &c, &err), ATLS_OK, &err);
    assert_true(c.expires_s > TEST_TIME_S);
    atls_enrol_challenge_clear(&c);
    scene_close(&s);
}

/* ---- answers that must be refused ---- */

static void refuses_every_other_secret_and_forgets(void **state)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    for (size_t i = 0; i <= SECRET_LEN + 1; i++) {
        struct atls_enrol_challenge c;
        uint8_t secret[SECRET_LEN];
        struct atls_enrol_answer answer;

        test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
        memcpy(secret, secret_of(&c).ptr, SECRET_LEN);
        answer = answer_with(secret);
        if (i < SECRET_LEN)
            secret[i] ^= 1;
        else
            answer.secret.len = i == SECRET_LEN ? SECRET_LEN - 1 : 0;
        test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_VERIFY, &err);
        assert_int_equal(err.reason, ATLS_REASON_NONCE_MISMATCH);
        assert_null(c.keep.ptr);
        /* The right answer comes too late now. */
        if (i < SECRET_LEN)
            secret[i] ^= 1;
        answer = answer_with(secret);
        test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_DECODE, &err);
        atls_enrol_challenge_clear(&c);
    }
    assert_int_equal(keys(&s), 0);
    scene_close(&s);
}

static void refuses_late_answers(void **state)
{
    static const struct {
        int64_t after_s;
        enum atls_code code;
    } rows[] = {{0, ATLS_OK}, {299, ATLS_OK}, {300, ATLS_E_TIMEOUT}, {301, ATLS_E_TIMEOUT}};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_enrol_challenge c;
        struct atls_enrol_answer answer;
        uint8_t secret[SECRET_LEN];
        struct scene s;

        scene_open(&s, ATLS_KEY_P256);
        test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
        memcpy(secret, secret_of(&c).ptr, SECRET_LEN);
        answer = answer_with(secret);
        answer.time_s = TEST_TIME_S + rows[i].after_s;
        test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), rows[i].code, &err);
        assert_int_equal(keys(&s), rows[i].code == ATLS_OK);
        atls_enrol_challenge_clear(&c);
        scene_close(&s);
    }
}

static void refuses_a_kept_challenge_that_was_touched(void **state)
{
    struct atls_enrol_challenge c;
    struct atls_err err = ATLS_ERR_INIT;
    struct scene s;
    size_t len;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    len = c.keep.len;
    for (size_t cut = 0; cut <= len; cut++) {
        struct atls_buf keep = {malloc(len + 1), cut < len ? cut : len + 1};
        struct atls_enrol_answer answer;
        uint8_t secret[SECRET_LEN];

        memcpy(keep.ptr, c.keep.ptr, len);
        keep.ptr[len] = 0;
        memcpy(secret, secret_of(&c).ptr, SECRET_LEN);
        answer = answer_with(secret);
        test_assert_code(atls_enrol_accept(s.store, &keep, &answer, &err), ATLS_E_DECODE, &err);
        assert_null(keep.ptr);
    }
    c.keep.ptr[0] ^= 1; /* another version */
    {
        uint8_t secret[SECRET_LEN];
        struct atls_enrol_answer answer;

        memcpy(secret, secret_of(&c).ptr, SECRET_LEN);
        answer = answer_with(secret);
        test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_DECODE, &err);
    }
    assert_int_equal(keys(&s), 0);
    atls_enrol_challenge_clear(&c);
    scene_close(&s);
}

static void refuses_a_known_instance_with_another_ek(void **state)
{
    struct atls_enrol_challenge c;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_enrol_answer answer;
    struct test_tpm_key other = test_tpm_ek_new(ATLS_KEY_P256);
    struct atls_buf other_public = test_tpm_public(&other), pending;
    uint8_t secret[SECRET_LEN];
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    /* A challenge for the other EK that is still out when the first is accepted. */
    s.options.allow_untrusted_ek = true;
    s.request.ek_public = atls_buf_bytes(&other_public);
    s.request.ek_certificate = atls_bytes_of(NULL, 0);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    pending = c.keep;
    c.keep = (struct atls_buf)ATLS_BUF_INIT;
    atls_enrol_challenge_clear(&c);

    s.request.ek_public = atls_buf_bytes(&s.ek_public);
    s.request.ek_certificate = atls_buf_bytes(&s.ek_certificate.certificate);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    memcpy(secret, secret_of(&c).ptr, SECRET_LEN);
    answer = answer_with(secret);
    test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_OK, &err);
    atls_enrol_challenge_clear(&c);

    memcpy(secret, pending.ptr + SECRET_AT, SECRET_LEN);
    answer = answer_with(secret);
    test_assert_code(atls_enrol_accept(s.store, &pending, &answer, &err), ATLS_E_REFUSED, &err);
    assert_int_equal(err.reason, ATLS_REASON_IDENTITY_MISMATCH);
    s.request.ek_public = atls_buf_bytes(&other_public);
    s.request.ek_certificate = atls_bytes_of(NULL, 0);
    test_assert_code(challenge(&s, &c, &err), ATLS_E_REFUSED, &err);
    assert_int_equal(err.reason, ATLS_REASON_IDENTITY_MISMATCH);
    assert_int_equal(keys(&s), 1);
    atls_buf_clear(&other_public);
    test_tpm_key_clear(&other);
    scene_close(&s);
}

static void refuses_a_class_that_is_none(void **state)
{
    struct atls_enrol_challenge c;
    struct atls_enrol_answer answer;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t secret[SECRET_LEN];
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    memcpy(secret, secret_of(&c).ptr, SECRET_LEN);
    answer = answer_with(secret);
    answer.class_uuid = "rack 7";
    test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_CONFIG, &err);
    assert_int_equal(keys(&s), 0);
    atls_enrol_challenge_clear(&c);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enrols_the_key_that_was_challenged),
        cmocka_unit_test(secrets_differ),
        cmocka_unit_test(refuses_requests),
        cmocka_unit_test(refuses_misuse),
        cmocka_unit_test(refuses_every_other_secret_and_forgets),
        cmocka_unit_test(refuses_late_answers),
        cmocka_unit_test(refuses_a_kept_challenge_that_was_touched),
        cmocka_unit_test(refuses_a_known_instance_with_another_ek),
        cmocka_unit_test(refuses_a_class_that_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
