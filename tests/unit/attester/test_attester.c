#include "testlib.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/attester.h>
#include <atls/limits.h>

#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"

/* A backend of a third party: says what it is told to say. */
static struct {
    enum atls_code open;
    size_t evidence_len; /* 0: fails */
    struct atls_private_key *key;
    char rest[64];
    struct atls_attester_options options;
    int open_count, close_count;
} fake;

static enum atls_code fake_open(const char *rest, const struct atls_attester_options *options,
                                void **out_self, struct atls_err *err)
{
    (void)err;
    snprintf(fake.rest, sizeof fake.rest, "%s", rest);
    fake.options = *options;
    if (fake.open == ATLS_OK) {
        fake.open_count++;
        *out_self = &fake;
    }
    return fake.open;
}

static void fake_close(void *self)
{
    assert_ptr_equal(self, &fake);
    fake.close_count++;
}

static struct atls_bytes fake_spki(void *self)
{
    (void)self;
    return atls_key_spki(atls_private_key_public(fake.key));
}

static enum atls_signature fake_scheme(void *self)
{
    (void)self;
    return atls_private_key_scheme(fake.key);
}

static enum atls_code fake_sign(void *self, enum atls_signature scheme, struct atls_bytes tbs,
                                struct atls_buf *out, struct atls_err *err)
{
    (void)self;
    return atls_private_key_sign(fake.key, scheme, tbs, out, err);
}

static enum atls_code fake_evidence(void *self, const struct atls_challenge *challenge,
                                    struct atls_buf *out_cmw, struct atls_err *err)
{
    (void)self, (void)challenge, (void)err;
    if (fake.evidence_len == 0)
        return ATLS_E_DEVICE;
    out_cmw->ptr = calloc(1, fake.evidence_len);
    out_cmw->len = fake.evidence_len;
    return ATLS_OK;
}

static const struct atls_attester_ops fake_ops = {
    .scheme = "fake",
    .evidence_type = "none",
    .open = fake_open,
    .close = fake_close,
    .aik_spki = fake_spki,
    .aik_scheme = fake_scheme,
    .aik_sign = fake_sign,
    .evidence = fake_evidence,
};
static const struct atls_attester_ops *const backends[] = {&fake_ops, &atls_soft_attester, NULL};

static int set_up(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    return atls_private_key_generate(ATLS_KEY_P256, &fake.key, NULL) != ATLS_OK;
}

static int tear_down(void **state)
{
    (void)state;
    atls_private_key_free(fake.key);
    return 0;
}

static struct atls_attester *open_fake(const struct atls_attester_options *options)
{
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_attester_open("fake:a:b?c", backends, options, &a, &err), ATLS_OK, &err);
    return a;
}

struct made {
    size_t count;
    enum atls_code code;
    int64_t duration_us;
};

static void note_made(void *arg, enum atls_code code, int64_t duration_us)
{
    struct made *made = arg;

    made->count++;
    made->code = code;
    made->duration_us = duration_us;
}

/* Of either way to ask; who asks for what cannot be made at all is not the device's business. */
static void evidence_is_counted_by_whoever_wants_to(void **state)
{
    static const uint8_t binder[32] = {1};
    const struct atls_challenge challenge = {.binder = {binder, 32}, .profiles = ATLS_PROFILE_KAT};
    struct made made = {0, ATLS_OK, -1};
    struct atls_attester_options options;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_attester_call *call;
    struct atls_attester *a;

    (void)state;
    atls_attester_options_init(&options);
    options.made = note_made;
    options.made_arg = &made;
    a = open_fake(&options);
    test_assert_code(atls_attester_evidence(a, atls_bytes_of(binder, 31), &cmw, &err), ATLS_E_USAGE,
                     &err);
    assert_int_equal(made.count, 0);
    fake.evidence_len = 10;
    test_assert_code(atls_attester_evidence_for(a, &challenge, &cmw, &err), ATLS_OK, &err);
    atls_buf_clear(&cmw);
    assert_int_equal(made.count, 1);
    assert_int_equal(made.code, ATLS_OK);
    assert_true(made.duration_us >= 0);
    test_assert_code(atls_attester_evidence_start(a, &challenge, NULL, NULL, &call, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_attester_evidence_finish(call, &cmw, &err), ATLS_OK, &err);
    atls_buf_clear(&cmw);
    assert_int_equal(made.count, 2);
    assert_true(made.duration_us >= 0 && made.duration_us < INT64_C(3600) * 1000000);
    fake.evidence_len = 0;
    assert_int_equal(atls_attester_evidence(a, atls_bytes_of(binder, 32), &cmw, &err),
                     ATLS_E_DEVICE);
    assert_int_equal(made.count, 3);
    assert_int_equal(made.code, ATLS_E_DEVICE);
    atls_attester_unref(a);
}

static void scheme_picks_the_backend(void **state)
{
    struct atls_attester *a = open_fake(NULL);

    (void)state;
    assert_string_equal(fake.rest, "a:b?c");
    assert_string_equal(atls_attester_scheme(a), "fake");
    assert_string_equal(atls_attester_evidence_type(a), "none");
    assert_false(atls_attester_insecure(a));
    test_assert_bytes(atls_attester_aik_spki(a), fake_spki(NULL));
    assert_int_equal(atls_attester_aik_scheme(a), ATLS_ECDSA_P256_SHA256);
    atls_attester_unref(a);
    assert_int_equal(fake.close_count, 1);
}

static void unfit_uris_are_refused(void **state)
{
    static const struct {
        const char *name, *uri, *message;
    } rows[] = {
        {"no scheme", "fake", "\"fake\" is no URI"},
        {"empty", "", "\"\" is no URI"},
        {"empty scheme", ":x", "no backend for scheme \"\""},
        {"unknown scheme", "tsm:", "no backend for scheme \"tsm\""},
        {"scheme that starts like a known one", "fakes:", "no backend for scheme \"fakes\""},
        {"beginning of a known one", "fak:", "no backend for scheme \"fak\""},
        {"insecure, not asked for", "soft:", "\"soft\" is insecure"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(atls_attester_open(rows[i].uri, backends, NULL, &a, &err), ATLS_E_CONFIG,
                         &err);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_null(a);
    }
    assert_int_equal(fake.open_count, 0);
}

static void insecure_backend_opens_when_asked_for(void **state)
{
    struct atls_attester_options options;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_attester_options_init(&options);
    options.insecure = true;
    test_assert_code(atls_attester_open("soft:", backends, &options, &a, &err), ATLS_OK, &err);
    assert_true(atls_attester_insecure(a));
    assert_string_equal(atls_attester_evidence_type(a), "soft");
    atls_attester_unref(a);
}

static void options_must_be_initialised(void **state)
{
    static const size_t sizes[] = {0, 1, sizeof(struct atls_attester_options) + 1};
    struct atls_attester_options options;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        atls_attester_options_init(&options);
        options.size = sizes[i];
        test_assert_code(atls_attester_open("fake:", backends, &options, &a, &err), ATLS_E_USAGE,
                         &err);
    }
}

static void backend_failure_is_passed_up(void **state)
{
    struct atls_attester *a = NULL;

    (void)state;
    fake.open = ATLS_E_DEVICE;
    assert_int_equal(atls_attester_open("fake:", backends, NULL, &a, NULL), ATLS_E_DEVICE);
    assert_null(a);
    assert_int_equal(fake.close_count, 0);
}

static void certificate_is_self_signed_by_the_key(void **state)
{
    static const char *const names[] = {"a.example", NULL};
    struct atls_attester_options options;
    struct atls_chain_result result;
    struct atls_chain_check check = {ATLS_CHAIN_TLS_SERVER, 0, "a.example", NULL};
    struct atls_anchors *anchors = NULL;
    struct atls_attester *a;
    struct atls_err err = ATLS_ERR_INIT;
    const struct atls_bytes *chain;
    struct atls_bytes spki;
    size_t count = 0;

    (void)state;
    atls_attester_options_init(&options);
    options.common_name = "device 7";
    options.dns_names = names;
    a = open_fake(&options);
    chain = atls_attester_chain(a, &count);
    assert_int_equal(count, 1);
    test_assert_code(atls_certificate_spki(chain[0], &spki, &err), ATLS_OK, &err);
    test_assert_bytes(spki, fake_spki(NULL));

    test_assert_code(atls_anchors_new(&anchors, &err), ATLS_OK, &err);
    test_assert_code(atls_anchors_add_der(anchors, chain[0], &err), ATLS_OK, &err);
    check.anchors = anchors;
    check.time_s = INT64_C(4102444800); /* the year 2100: it does not expire */
    test_assert_code(atls_chain_verify(chain, 1, &check, &result, &err), ATLS_OK, &err);
    atls_chain_result_clear(&result);
    atls_anchors_unref(anchors);
    atls_attester_unref(a);
}

/* PEM file of count self-signed certificates, the first by key. */
static const char *chain_file(struct atls_private_key *key, size_t count, const char *garbage)
{
    static char path[] = "/tmp/atls-attester-XXXXXX";
    FILE *f;

    strcpy(path + sizeof path - 7, "XXXXXX");
    f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    fputs(garbage, f);
    for (size_t i = 0; i < count; i++) {
        struct atls_private_key *other = NULL;
        struct atls_buf der = ATLS_BUF_INIT, pem = ATLS_BUF_INIT;
        struct atls_certificate_spec spec = {.common_name = "x", .not_after_s = 4102444800};

        test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &other, NULL), ATLS_OK, NULL);
        spec.sign_arg = i == 0 ? key : other;
        spec.sign = atls_private_key_sign_function;
        spec.scheme = atls_private_key_scheme(spec.sign_arg);
        spec.spki = atls_key_spki(atls_private_key_public(spec.sign_arg));
        test_assert_code(atls_certificate_make(&spec, &der, NULL), ATLS_OK, NULL);
        test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&der), &pem, NULL), ATLS_OK,
                         NULL);
        assert_int_equal(fwrite(pem.ptr, 1, pem.len, f), pem.len);
        atls_buf_clear(&der);
        atls_buf_clear(&pem);
        atls_private_key_free(other);
    }
    fclose(f);
    return path;
}

static void certificate_file_is_used(void **state)
{
    static const size_t counts[] = {1, 2, ATLS_CHAIN_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct atls_attester_options options;
        struct atls_attester *a;
        size_t count = 0;

        atls_attester_options_init(&options);
        options.certificate = chain_file(fake.key, counts[i], "");
        a = open_fake(&options);
        assert_int_equal(atls_attester_chain(a, &count)[0].ptr[0], 0x30);
        assert_int_equal(count, counts[i]);
        atls_attester_unref(a);
        unlink(options.certificate);
    }
}

static void unfit_certificate_files_are_refused(void **state)
{
    struct atls_private_key *other = NULL;

    (void)state;
    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &other, NULL), ATLS_OK, NULL);
    const struct {
        const char *name;
        struct atls_private_key *key;
        size_t count;
        const char *garbage;
        enum atls_code want; /* ATLS_OK: any but that */
    } rows[] = {
        {"certificate of another key", other, 1, "", ATLS_E_CONFIG},
        {"more certificates than a chain may have", fake.key, ATLS_CHAIN_MAX + 1, "",
         ATLS_E_CONFIG},
        {"many more", fake.key, ATLS_CHAIN_MAX + 3, "", ATLS_OK},
        {"empty", NULL, 0, "", ATLS_OK},
        {"no PEM", NULL, 0, "no certificate", ATLS_OK},
        {"PEM of garbage", NULL, 0,
         "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ATLS_OK},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester_options options;
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code;

        print_message("  %s\n", rows[i].name);
        atls_attester_options_init(&options);
        options.certificate = chain_file(rows[i].key, rows[i].count, rows[i].garbage);
        code = atls_attester_open("fake:", backends, &options, &a, &err);
        unlink(options.certificate);
        if (rows[i].want != ATLS_OK)
            test_assert_code(code, rows[i].want, &err);
        assert_int_not_equal(code, ATLS_OK);
        assert_non_null(strstr(err.message, options.certificate));
        assert_null(a);
        assert_int_equal(fake.open_count, fake.close_count);
    }
    atls_private_key_free(other);
}

static void missing_certificate_file_is_refused(void **state)
{
    struct atls_attester_options options;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_attester_options_init(&options);
    options.certificate = "/nonexistent/chain.pem";
    test_assert_code(atls_attester_open("fake:", backends, &options, &a, &err), ATLS_E_IO, &err);
    assert_non_null(strstr(err.message, "/nonexistent/chain.pem"));
    assert_int_equal(fake.close_count, 1);
}

static void signs_with_its_own_scheme_only(void **state)
{
    static const uint8_t text[] = "to be signed";
    const struct atls_bytes tbs = {text, sizeof text};
    struct atls_attester *a = open_fake(NULL);
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P256_SHA256, tbs, &signature, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_key_verify(atls_private_key_public(fake.key), ATLS_ECDSA_P256_SHA256,
                                     &tbs, 1, atls_buf_bytes(&signature), &err),
                     ATLS_OK, &err);
    atls_buf_clear(&signature);
    test_assert_code(atls_attester_sign(a, ATLS_ECDSA_P384_SHA384, tbs, &signature, &err),
                     ATLS_E_USAGE, &err);
    assert_null(signature.ptr);
    atls_attester_unref(a);
}

static void evidence_checks_its_binder_and_its_size(void **state)
{
    static const uint8_t binder[64];
    static const struct {
        const char *name;
        size_t binder_len, evidence_len;
        enum atls_code want;
    } rows[] = {
        {"32 bytes", 32, 1, ATLS_OK},
        {"48 bytes", 48, 1, ATLS_OK},
        {"largest evidence", 32, ATLS_CMW_DATA_MAX, ATLS_OK},
        {"one byte more", 32, ATLS_CMW_DATA_MAX + 1, ATLS_E_LIMIT},
        {"no binder", 0, 1, ATLS_E_USAGE},
        {"short binder", 31, 1, ATLS_E_USAGE},
        {"binder between the sizes", 33, 1, ATLS_E_USAGE},
        {"binder of SHA-512 size", 64, 1, ATLS_E_USAGE},
        {"backend fails", 32, 0, ATLS_E_DEVICE},
    };
    struct atls_attester *a = open_fake(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf out = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        fake.evidence_len = rows[i].evidence_len;
        test_assert_code(
            atls_attester_evidence(a, atls_bytes_of(binder, rows[i].binder_len), &out, &err),
            rows[i].want, &err);
        assert_int_equal(out.len, rows[i].want == ATLS_OK ? rows[i].evidence_len : 0);
        atls_buf_clear(&out);
    }
    atls_attester_unref(a);
}

static void *come_and_go(void *a)
{
    for (int i = 0; i < 1000; i++)
        atls_attester_unref(atls_attester_ref(a));
    return NULL;
}

static void last_reference_closes(void **state)
{
    struct atls_attester *a = open_fake(NULL);
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, a), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_ptr_equal(atls_attester_ref(a), a);
    atls_attester_unref(a);
    assert_int_equal(fake.close_count, 0);
    atls_attester_unref(a);
    assert_int_equal(fake.close_count, 1);
    atls_attester_unref(NULL);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(evidence_is_counted_by_whoever_wants_to),
        ROW(scheme_picks_the_backend),
        ROW(unfit_uris_are_refused),
        ROW(insecure_backend_opens_when_asked_for),
        ROW(options_must_be_initialised),
        ROW(backend_failure_is_passed_up),
        ROW(certificate_is_self_signed_by_the_key),
        ROW(certificate_file_is_used),
        ROW(unfit_certificate_files_are_refused),
        ROW(missing_certificate_file_is_refused),
        ROW(signs_with_its_own_scheme_only),
        ROW(evidence_checks_its_binder_and_its_size),
        ROW(last_reference_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
