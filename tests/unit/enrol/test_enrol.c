#include <atls/enrol.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testlib.h"

#include "pki.h"
#include "tpm_activate.h"
#include "tpm_forge.h"

#define CLASS      "31fb5abf-023e-4992-aa4e-95f9c1503bfa"
#define SECRET_LEN 32
/* Where what the verifier keeps has the flag that lets an untrusted EK pass, and the expiry. */
#define FLAG_AT   33
#define EXPIRY_AT 34

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

/* What a TPM of this EK, with this AK loaded, makes of the challenge. */
static bool open_by(const struct test_tpm_key *ek, const struct test_tpm_key *ak,
                    const struct atls_enrol_challenge *c, uint8_t secret[SECRET_LEN])
{
    struct atls_buf name = test_tpm_name(ak);
    uint8_t plain[64];
    size_t len = 0;
    bool opened = test_tpm_activate(ek, atls_buf_bytes(&name), atls_buf_bytes(&c->credential_blob),
                                    atls_buf_bytes(&c->encrypted_secret), plain, &len);

    if (opened) {
        assert_int_equal(len, SECRET_LEN);
        memcpy(secret, plain, SECRET_LEN);
    }
    atls_buf_clear(&name);
    return opened;
}

/* The answer of the TPM that was asked. */
static void answer_of(const struct scene *s, const struct atls_enrol_challenge *c,
                      uint8_t secret[SECRET_LEN])
{
    assert_true(open_by(&s->ek, &s->ak, c, secret));
}

/* No message says what the secret is. */
static void assert_untold(const struct atls_err *err, const uint8_t secret[SECRET_LEN])
{
    char hex[9];

    for (size_t i = 0; i + 4 <= SECRET_LEN; i++) {
        snprintf(hex, sizeof hex, "%02x%02x%02x%02x", secret[i], secret[i + 1], secret[i + 2],
                 secret[i + 3]);
        assert_null(strstr(err->message, hex));
    }
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
            answer_of(&s, &c, secret);
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
    uint8_t first[SECRET_LEN], second[SECRET_LEN];
    struct atls_enrol_challenge one, two;
    struct atls_enrol_answer answer;
    struct atls_err err = ATLS_ERR_INIT;
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    test_assert_code(challenge(&s, &one, &err), ATLS_OK, &err);
    test_assert_code(challenge(&s, &two, &err), ATLS_OK, &err);
    answer_of(&s, &one, first);
    answer_of(&s, &two, second);
    assert_memory_not_equal(first, second, SECRET_LEN);
    /* An answer is one to its own challenge. */
    answer = answer_with(first);
    test_assert_code(atls_enrol_accept(s.store, &two.keep, &answer, &err), ATLS_E_VERIFY, &err);
    assert_int_equal(err.reason, ATLS_REASON_NONCE_MISMATCH);
    /* The verifier could not answer it either: what it keeps does not hold the secret. */
    for (size_t i = 0; i + 4 <= one.keep.len; i++)
        for (size_t k = 0; k + 4 <= SECRET_LEN; k++)
            assert_true(memcmp(one.keep.ptr + i, first + k, 4) != 0);
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

static void certificate_of_tomorrow(struct scene *s)
{
    s->options.time_s = TEST_NOT_BEFORE_S - 1;
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

static void set_ek(struct scene *s, uint32_t attributes)
{
    s->ek.attributes = attributes;
    atls_buf_clear(&s->ek_public);
    s->ek_public = test_tpm_public(&s->ek);
    s->request.ek_public = atls_buf_bytes(&s->ek_public);
}

static void ek_that_signs(struct scene *s)
{
    set_ek(s, TEST_TPM_AK_ATTRIBUTES);
}

static void ek_that_can_leave(struct scene *s)
{
    set_ek(s, TEST_TPM_EK_ATTRIBUTES & ~(uint32_t)ATLS_TPMA_FIXED_TPM);
}

static void ek_that_decrypts_anything(struct scene *s)
{
    set_ek(s, TEST_TPM_EK_ATTRIBUTES & ~(uint32_t)ATLS_TPMA_RESTRICTED);
}

static void ek_without_policy(struct scene *s)
{
    s->ek.auth_policy = atls_bytes_of(NULL, 0);
    set_ek(s, TEST_TPM_EK_ATTRIBUTES);
}

static void ek_absent(struct scene *s)
{
    s->request.ek_public = atls_bytes_of(NULL, 0);
}

static void ak_in_place_of_the_ek(struct scene *s)
{
    s->request.ek_public = s->request.ak_public;
}

static void ak_that_decrypts(struct scene *s)
{
    set_ak(s, TEST_TPM_AK_ATTRIBUTES | ATLS_TPMA_DECRYPT);
}

static void ak_with_a_byte_behind(struct scene *s)
{
    static uint8_t longer[1024];

    memcpy(longer, s->ak_public.ptr, s->ak_public.len);
    s->request.ak_public = atls_bytes_of(longer, s->ak_public.len + 1);
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
    {"certificate is not valid yet", certificate_of_tomorrow, ATLS_E_CERTIFICATE,
     ATLS_REASON_CERTIFICATE_NOT_YET_VALID, false},
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
    {"AK decrypts", ak_that_decrypts, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES, true},
    {"EK is not fixed to the TPM", ek_that_can_leave, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES,
     true},
    {"EK is not restricted", ek_that_decrypts_anything, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES,
     true},
    {"EK has no policy", ek_without_policy, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES, true},
    {"EK is the AK", ak_in_place_of_the_ek, ATLS_E_EVIDENCE, ATLS_REASON_KEY_ATTRIBUTES, true},
    {"EK is absent", ek_absent, ATLS_E_DECODE, ATLS_REASON_MALFORMED, true},
    {"AK has a byte behind it", ak_with_a_byte_behind, ATLS_E_DECODE, ATLS_REASON_MALFORMED, true},
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
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    test_assert_code(atls_enrol_accept(NULL, &c.keep, &answer, &err), ATLS_E_USAGE, &err);
    assert_null(c.keep.ptr); /* no second try after a mistake either */
    atls_enrol_challenge_clear(&c);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    test_assert_code(atls_enrol_accept(s.store, &c.keep, NULL, &err), ATLS_E_USAGE, &err);
    assert_null(c.keep.ptr);
    atls_enrol_challenge_clear(&c);
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
    for (size_t i = 0; i <= SECRET_LEN + 2; i++) {
        struct atls_enrol_challenge c;
        uint8_t secret[SECRET_LEN + 1] = {0};
        struct atls_enrol_answer answer;

        test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
        answer_of(&s, &c, secret);
        answer = answer_with(secret);
        if (i < SECRET_LEN)
            secret[i] ^= 1;
        else /* one byte less, none, and the same with a zero behind it */
            answer.secret.len = i == SECRET_LEN       ? SECRET_LEN - 1
                                : i == SECRET_LEN + 1 ? 0
                                                      : SECRET_LEN + 1;
        test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_VERIFY, &err);
        assert_int_equal(err.reason, ATLS_REASON_NONCE_MISMATCH);
        assert_untold(&err, secret);
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
        answer_of(&s, &c, secret);
        answer = answer_with(secret);
        answer.time_s = TEST_TIME_S + rows[i].after_s;
        test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), rows[i].code, &err);
        assert_int_equal(keys(&s), rows[i].code == ATLS_OK);
        assert_untold(&err, secret);
        atls_enrol_challenge_clear(&c);
        scene_close(&s);
    }
}

static void refuses_a_kept_challenge_that_was_touched(void **state)
{
    struct atls_enrol_challenge c;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t secret[SECRET_LEN];
    struct scene s;
    size_t len;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    len = c.keep.len;
    for (size_t cut = 0; cut <= len; cut++) {
        struct atls_buf keep = {malloc(len + 1), cut < len ? cut : len + 1};
        struct atls_enrol_answer answer;

        memcpy(keep.ptr, c.keep.ptr, len);
        keep.ptr[len] = 0;
        answer_of(&s, &c, secret);
        answer = answer_with(secret);
        test_assert_code(atls_enrol_accept(s.store, &keep, &answer, &err), ATLS_E_DECODE, &err);
        assert_null(keep.ptr);
    }
    answer_of(&s, &c, secret);
    /* Each bit is under the answer's MAC, or makes what is kept malformed. */
    for (size_t at = 0; at < len; at++) {
        struct atls_buf keep;
        struct atls_enrol_answer answer = answer_with(secret);
        enum atls_code code;

        test_assert_code(atls_buf_copy(&keep, atls_buf_bytes(&c.keep), &err), ATLS_OK, &err);
        keep.ptr[at] ^= (uint8_t)(1u << at % 8);
        code = atls_enrol_accept(s.store, &keep, &answer, &err);
        assert_true(code == ATLS_E_DECODE || code == ATLS_E_VERIFY);
        assert_untold(&err, secret);
        assert_null(keep.ptr);
    }
    assert_int_equal(keys(&s), 0);
    atls_enrol_challenge_clear(&c);
    scene_close(&s);
}

/* What somebody who can write the kept challenge, and knows the answer to it, would change. */
static void refuses_a_kept_challenge_about_something_else(void **state)
{
    static const struct {
        const char *name;
        size_t at;
        uint8_t value;
    } rows[] = {{"an untrusted EK passes", FLAG_AT, 1}, {"expires later", EXPIRY_AT, 1}};
    struct test_tpm_key other = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    struct atls_buf other_public = test_tpm_public(&other);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_enrol_answer answer;
    struct atls_enrol_challenge c;
    uint8_t secret[SECRET_LEN], *ak;
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    for (size_t i = 0; i <= sizeof rows / sizeof rows[0]; i++) {
        bool is_ak = i == sizeof rows / sizeof rows[0];

        print_message("  %s\n", is_ak ? "another AK" : rows[i].name);
        test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
        answer_of(&s, &c, secret);
        answer = answer_with(secret);
        if (is_ak) { /* public areas of one type are of one length */
            assert_int_equal(other_public.len, s.ak_public.len);
            ak = c.keep.ptr + EXPIRY_AT + 8 + 2 + s.ek_public.len + 2;
            assert_memory_equal(ak, s.ak_public.ptr, s.ak_public.len);
            memcpy(ak, other_public.ptr, other_public.len);
        } else {
            assert_int_equal(c.keep.ptr[rows[i].at], 0);
            c.keep.ptr[rows[i].at] = rows[i].value;
        }
        test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_VERIFY, &err);
        assert_int_equal(err.reason, ATLS_REASON_NONCE_MISMATCH);
        atls_enrol_challenge_clear(&c);
    }
    assert_int_equal(keys(&s), 0);
    atls_buf_clear(&other_public);
    test_tpm_key_clear(&other);
    scene_close(&s);
}

/* A challenge is opened by the TPM of its EK, with its AK loaded, and by nobody else. */
static void other_keys_cannot_answer(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_RSA};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct test_tpm_key ek = test_tpm_ek_new(types[i]),
                            ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_enrol_challenge c;
        uint8_t secret[SECRET_LEN];
        struct scene s;

        scene_open(&s, types[i]);
        test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
        assert_false(open_by(&s.ek, &ak, &c, secret));
        assert_false(open_by(&ek, &s.ak, &c, secret));
        assert_true(open_by(&s.ek, &s.ak, &c, secret));
        atls_enrol_challenge_clear(&c);
        test_tpm_key_clear(&ek);
        test_tpm_key_clear(&ak);
        scene_close(&s);
    }
}

/* The store that enrols is the one that has to trust the EK, at the time when it does. */
static void judges_the_ek_once_more(void **state)
{
    static const struct {
        const char *name;
        bool other_store, allow_untrusted, remove_anchor;
        int64_t asked_s, answered_s;
        enum atls_code want;
        enum atls_reason reason;
    } rows[] = {
        {"a store that knows no maker", true, false, false, TEST_TIME_S, TEST_TIME_S,
         ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_ROOT},
        {"a store that knows no maker, and need not", true, true, false, TEST_TIME_S, TEST_TIME_S,
         ATLS_OK, ATLS_REASON_NONE},
        {"maker is no longer trusted", false, false, true, TEST_TIME_S, TEST_TIME_S,
         ATLS_E_EVIDENCE, ATLS_REASON_UNTRUSTED_ROOT},
        {"certificate has expired meanwhile", false, false, false, TEST_NOT_AFTER_S - 1,
         TEST_NOT_AFTER_S + 1, ATLS_E_CERTIFICATE, ATLS_REASON_CERTIFICATE_EXPIRED},
        {"certificate has expired meanwhile, and need not be there", false, true, false,
         TEST_NOT_AFTER_S - 1, TEST_NOT_AFTER_S + 1, ATLS_OK, ATLS_REASON_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_enrol_challenge c;
        struct atls_enrol_answer answer;
        uint8_t secret[SECRET_LEN];
        struct scene s, other;

        print_message("  %s\n", rows[i].name);
        scene_open(&s, ATLS_KEY_P256);
        scene_open(&other, ATLS_KEY_P256);
        no_anchor(&other);
        s.options.time_s = rows[i].asked_s;
        s.options.allow_untrusted_ek = rows[i].allow_untrusted;
        test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
        assert_true(c.ek_trusted);
        if (rows[i].remove_anchor)
            no_anchor(&s);
        answer_of(&s, &c, secret);
        answer = answer_with(secret);
        answer.time_s = rows[i].answered_s;
        test_assert_code(
            atls_enrol_accept(rows[i].other_store ? other.store : s.store, &c.keep, &answer, &err),
            rows[i].want, &err);
        assert_int_equal(err.reason, rows[i].reason);
        assert_untold(&err, secret);
        assert_int_equal(keys(rows[i].other_store ? &other : &s), rows[i].want == ATLS_OK);
        atls_enrol_challenge_clear(&c);
        scene_close(&other);
        scene_close(&s);
    }
}

static void refuses_a_known_instance_with_another_ek(void **state)
{
    struct atls_enrol_challenge c;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_enrol_answer answer;
    struct test_tpm_key other = test_tpm_ek_new(ATLS_KEY_P256);
    struct atls_buf other_public = test_tpm_public(&other), pending;
    uint8_t secret[SECRET_LEN], pending_secret[SECRET_LEN];
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    /* A challenge for the other EK that is still out when the first is accepted. */
    s.options.allow_untrusted_ek = true;
    s.request.ek_public = atls_buf_bytes(&other_public);
    s.request.ek_certificate = atls_bytes_of(NULL, 0);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    assert_true(open_by(&other, &s.ak, &c, pending_secret));
    pending = c.keep;
    c.keep = (struct atls_buf)ATLS_BUF_INIT;
    atls_enrol_challenge_clear(&c);

    s.request.ek_public = atls_buf_bytes(&s.ek_public);
    s.request.ek_certificate = atls_buf_bytes(&s.ek_certificate.certificate);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    answer_of(&s, &c, secret);
    answer = answer_with(secret);
    test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_OK, &err);
    atls_enrol_challenge_clear(&c);

    answer = answer_with(pending_secret);
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
    answer_of(&s, &c, secret);
    answer = answer_with(secret);
    answer.class_uuid = "rack 7";
    test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_CONFIG, &err);
    assert_int_equal(keys(&s), 0);
    atls_enrol_challenge_clear(&c);
    scene_close(&s);
}

static void import_crl(struct scene *s, const struct test_identity *revoked, int64_t this_update_s)
{
    struct atls_buf crl = test_crl(&s->maker, revoked, this_update_s, this_update_s + 1000);
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_store_import_crls(s->store, atls_buf_bytes(&crl), NULL, &err), ATLS_OK,
                     &err);
    atls_buf_clear(&crl);
}

/* An EK whose maker took its word back; nor is that a matter of options. */
static void revoked_certificates_of_the_ek(void **state)
{
    struct atls_enrol_challenge c;
    uint8_t secret[SECRET_LEN];
    struct atls_enrol_answer answer = {.secret = {secret, sizeof secret}, .time_s = TEST_TIME_S};
    struct atls_err err = ATLS_ERR_INIT;
    struct scene s;

    (void)state;
    scene_open(&s, ATLS_KEY_P256);
    import_crl(&s, NULL, TEST_TIME_S - 10);
    test_assert_code(challenge(&s, &c, &err), ATLS_OK, &err);
    assert_true(c.ek_trusted);
    answer_of(&s, &c, secret);
    /* revoked while the device thinks */
    import_crl(&s, &s.ek_certificate, TEST_TIME_S - 5);
    test_assert_code(atls_enrol_accept(s.store, &c.keep, &answer, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
    atls_enrol_challenge_clear(&c);
    for (int allowed = 0; allowed <= 1; allowed++) {
        s.options.allow_untrusted_ek = allowed == 1;
        test_assert_code(challenge(&s, &c, &err), ATLS_E_CERTIFICATE, &err);
        assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_REVOKED);
        assert_null(c.keep.ptr);
    }
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
        cmocka_unit_test(refuses_a_kept_challenge_about_something_else),
        cmocka_unit_test(other_keys_cannot_answer),
        cmocka_unit_test(judges_the_ek_once_more),
        cmocka_unit_test(refuses_a_known_instance_with_another_ek),
        cmocka_unit_test(refuses_a_class_that_is_none),
        cmocka_unit_test(revoked_certificates_of_the_ek),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
