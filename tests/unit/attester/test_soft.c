#include "testlib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/attester.h>

#include "core/arena.h"
#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "evidence/evidence.h"
#include "wire/kat.h"
#include "wire/soft.h"

#define HEX32 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define HEX48 HEX32 "0123456789abcdef0123456789abcdef"
#define HEX64 HEX32 HEX32

static const struct atls_attester_ops *const backends[] = {&atls_soft_attester, NULL};
static char folder[] = "/tmp/atls-soft-XXXXXX";

static enum atls_code open_soft(const char *uri, struct atls_attester **out, struct atls_err *err)
{
    struct atls_attester_options options;

    atls_attester_options_init(&options);
    options.insecure = true;
    return atls_attester_open(uri, backends, &options, out, err);
}

/* Writes a fresh private key of type; returns the path in static storage. */
static const char *key_file(const char *name, enum atls_key_type type, struct atls_buf *out_spki)
{
    static char path[128];
    struct atls_private_key *key = NULL;
    struct atls_buf pem = ATLS_BUF_INIT;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    test_assert_code(atls_private_key_generate(type, &key, NULL), ATLS_OK, NULL);
    test_assert_code(atls_private_key_to_pem(key, &pem, NULL), ATLS_OK, NULL);
    test_assert_code(atls_buf_copy(out_spki, atls_key_spki(atls_private_key_public(key)), NULL),
                     ATLS_OK, NULL);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(pem.ptr, 1, pem.len, f), pem.len);
    fclose(f);
    atls_buf_clear(&pem);
    atls_private_key_free(key);
    return path;
}

/* Everything that a verifier would look at, checked against what the attester was given. */
static void check_evidence(struct atls_attester *a, struct atls_bytes binder,
                           struct atls_bytes platform_spki, struct atls_soft_token *out_token,
                           struct atls_buf *out_evidence, struct atls_arena *arena)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_writer tbs = atls_writer_init(65536), spki = atls_writer_init(1024);
    struct atls_cose_sign1 sign1;
    struct atls_bundle bundle;
    struct atls_key *key = NULL;
    struct atls_cmw cmw;
    struct atls_kat kat;
    uint8_t digest[ATLS_HASH_MAX];

    test_assert_code(atls_attester_evidence(a, binder, out_evidence, &err), ATLS_OK, &err);
    test_assert_code(atls_cmw_decode(atls_buf_bytes(out_evidence), arena, &cmw, &err), ATLS_OK,
                     &err);
    test_assert_code(atls_bundle_open(&cmw, &bundle, &err), ATLS_OK, &err);
    assert_true(atls_cmw_type_is(&bundle.kat.type, ATLS_TYPE_KAT));
    assert_true(atls_cmw_type_is(&bundle.pat.type, ATLS_TYPE_SOFT));
    assert_null(bundle.endorsements);

    test_assert_code(atls_kat_decode(bundle.kat.value, &kat, &err), ATLS_OK, &err);
    test_assert_bytes(kat.nonce, binder);
    test_assert_code(atls_cose_put_spki(&spki, &kat.key, &err), ATLS_OK, &err);
    test_assert_bytes(atls_writer_bytes(&spki), atls_attester_aik_spki(a));
    atls_writer_clear(&spki);

    test_assert_code(atls_cose_sign1_decode(bundle.pat.value, ATLS_COSE_TAG_REQUIRED, &sign1, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_soft_token_decode(sign1.payload, out_token, &err), ATLS_OK, &err);
    test_assert_bytes(sign1.kid, out_token->ueid);
    test_assert_code(atls_hash_one(ATLS_HASH_SHA512, bundle.kat.value, digest, &err), ATLS_OK,
                     &err);
    test_assert_bytes(out_token->challenge, atls_bytes_of(digest, 64));

    if (platform_spki.len == 0)
        return;
    test_assert_code(atls_hash_one(ATLS_HASH_SHA256, platform_spki, digest, &err), ATLS_OK, &err);
    assert_int_equal(out_token->ueid.ptr[0], 0x01);
    test_assert_bytes(atls_bytes_of(out_token->ueid.ptr + 1, 32), atls_bytes_of(digest, 32));
    test_assert_code(atls_key_from_spki(platform_spki, &key, &err), ATLS_OK, &err);
    atls_cose_put_to_be_signed(&tbs, sign1.protected_header, atls_bytes_of(NULL, 0), sign1.payload);
    test_assert_code(
        atls_key_verify_raw(key, atls_signature_by_cose(sign1.alg, atls_key_type(key))->scheme,
                            atls_writer_bytes(&tbs), sign1.signature, &err),
        ATLS_OK, &err);
    atls_writer_clear(&tbs);
    atls_key_unref(key);
}

static void evidence_binds_the_key_to_the_binder(void **state)
{
    static const uint8_t binder[48] = {1, 2, 3};
    static const size_t lengths[] = {32, 48};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_buf evidence = ATLS_BUF_INIT;
        struct atls_soft_token token;
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(open_soft("soft:", &a, &err), ATLS_OK, &err);
        check_evidence(a, atls_bytes_of(binder, lengths[i]), atls_bytes_of(NULL, 0), &token,
                       &evidence, &arena);
        assert_int_equal(token.measurement_count, 0);
        atls_buf_clear(&evidence);
        atls_arena_clear(&arena);
        atls_attester_unref(a);
    }
}

static void platform_key_signs_whatever_its_type(void **state)
{
    static const struct {
        const char *name;
        enum atls_key_type type;
    } rows[] = {
        {"P-256", ATLS_KEY_P256},
        {"P-384", ATLS_KEY_P384},
        {"Ed25519", ATLS_KEY_ED25519},
    };
    static const uint8_t binder[32] = {9};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_arena arena = atls_arena_init(1 << 20);
        struct atls_buf evidence = ATLS_BUF_INIT, spki = ATLS_BUF_INIT;
        struct atls_soft_token token;
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;
        static char uri[2048];

        print_message("  %s\n", rows[i].name);
        snprintf(uri, sizeof uri,
                 "soft:%s?measure.app=sha256:%s&measure.a=sha384:%s&measure.b=sha512:%s",
                 key_file("platform.pem", rows[i].type, &spki), HEX32, HEX48, HEX64);
        test_assert_code(open_soft(uri, &a, &err), ATLS_OK, &err);
        check_evidence(a, atls_bytes_of(binder, sizeof binder), atls_buf_bytes(&spki), &token,
                       &evidence, &arena);
        assert_int_equal(token.measurement_count, 3);
        /* deterministic order: shorter names first */
        assert_true(atls_bytes_equal_text(token.measurements[0].name, "a"));
        assert_int_equal(token.measurements[0].named_information, 7);
        assert_int_equal(token.measurements[0].digest.len, 48);
        assert_true(atls_bytes_equal_text(token.measurements[1].name, "b"));
        assert_int_equal(token.measurements[1].named_information, 8);
        assert_true(atls_bytes_equal_text(token.measurements[2].name, "app"));
        assert_int_equal(token.measurements[2].digest.ptr[1], 0x11);
        assert_int_equal(token.measurements[2].digest.ptr[31], 0xff);
        atls_buf_clear(&evidence);
        atls_buf_clear(&spki);
        atls_arena_clear(&arena);
        atls_attester_unref(a);
    }
}

static void identity_key_comes_from_its_file(void **state)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[512];

    (void)state;
    snprintf(uri, sizeof uri, "soft:?aik=%s", key_file("aik.pem", ATLS_KEY_P384, &spki));
    test_assert_code(open_soft(uri, &a, &err), ATLS_OK, &err);
    test_assert_bytes(atls_attester_aik_spki(a), atls_buf_bytes(&spki));
    assert_int_equal(atls_attester_aik_scheme(a), ATLS_ECDSA_P384_SHA384);
    atls_attester_unref(a);
    atls_buf_clear(&spki);
}

static void each_start_makes_fresh_keys(void **state)
{
    struct atls_attester *a = NULL, *b = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(open_soft("soft:", &a, &err), ATLS_OK, &err);
    test_assert_code(open_soft("soft:", &b, &err), ATLS_OK, &err);
    assert_false(atls_bytes_equal(atls_attester_aik_spki(a), atls_attester_aik_spki(b)));
    atls_attester_unref(a);
    atls_attester_unref(b);
}

/* The form is what was asked for, also of a key that is slow. */
static void makes_every_profile(void **state)
{
    static const struct {
        const char *uri;
        unsigned int made;
    } rows[] = {
        {"soft:", ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE},
        {"soft:?delay=1", ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE},
        {"soft:?batch=off&delay=00001", ATLS_PROFILE_KAT | ATLS_PROFILE_BARE},
    };
    static const uint8_t binder[32] = {7};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(open_soft(rows[i].uri, &a, &err), ATLS_OK, &err);
        assert_int_equal(atls_attester_profiles(a), rows[i].made);
        for (unsigned int profile = 1; profile <= ATLS_PROFILE_PARSEC; profile <<= 1) {
            const struct atls_challenge challenge = {.binder = {binder, sizeof binder},
                                                     .profiles = profile};
            const struct atls_evidence_format *format;
            const struct atls_technology *technology;
            struct atls_buf evidence = ATLS_BUF_INIT;
            enum atls_code code = atls_attester_evidence_for(a, &challenge, &evidence, NULL);

            assert_int_equal(code, (rows[i].made & profile) != 0 ? ATLS_OK : ATLS_E_USAGE);
            if (code != ATLS_OK)
                continue;
            assert_int_equal(
                atls_evidence_identify(atls_buf_bytes(&evidence), &technology, &format, NULL),
                ATLS_OK);
            assert_int_equal(format->profile, profile);
            atls_buf_clear(&evidence);
        }
        atls_attester_unref(a);
    }
}

static void bad_configuration_is_refused(void **state)
{
    static const struct {
        const char *name, *uri, *message;
        enum atls_code want;
    } rows[] = {
        {"unknown option", "soft:?key=1", "unknown option \"key\"", ATLS_E_CONFIG},
        {"no such key file", "soft:/nonexistent.pem", "cannot open /nonexistent.pem", ATLS_E_IO},
        {"key file is a folder", "soft:/tmp", "cannot read /tmp", ATLS_E_IO},
        {"key file holds no key", "soft:/proc/self/comm", "/proc/self/comm: ", ATLS_E_DECODE},
        {"endless key file", "soft:/dev/zero", "larger than 65536 bytes", ATLS_E_LIMIT},
        {"measurement without a name", "soft:?measure.=sha256:" HEX32, "is not measure.NAME",
         ATLS_E_CONFIG},
        {"weak hash", "soft:?measure.a=sha1:00112233445566778899aabbccddeeff00112233",
         "is not measure.NAME", ATLS_E_CONFIG},
        {"digest too short", "soft:?measure.a=sha256:00", "is not measure.NAME", ATLS_E_CONFIG},
        {"digest too long", "soft:?measure.a=sha256:" HEX32 "00", "is not measure.NAME",
         ATLS_E_CONFIG},
        {"digest of another hash", "soft:?measure.a=sha384:" HEX32, "is not measure.NAME",
         ATLS_E_CONFIG},
        {"not hex",
         "soft:?measure.a=sha256:0g112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
         "is not measure.NAME", ATLS_E_CONFIG},
        {"name given twice", "soft:?measure.a=sha256:" HEX32 "&measure.a=sha256:" HEX32,
         "measurements: ", ATLS_E_CONFIG},
        {"delay without a number", "soft:?delay=", "delay=, want milliseconds", ATLS_E_CONFIG},
        {"delay that is none", "soft:?delay=1s", "delay=1s, want milliseconds", ATLS_E_CONFIG},
        {"negative delay", "soft:?delay=-1", "want milliseconds", ATLS_E_CONFIG},
        {"delay too long", "soft:?delay=100000", "at most 99999", ATLS_E_CONFIG},
        {"delay twice", "soft:?delay=1&delay=1", "given twice", ATLS_E_CONFIG},
        {"name is no UTF-8", "soft:?measure.\xff=sha256:" HEX32, "measurements: ", ATLS_E_CONFIG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_attester *a = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        print_message("  %s\n", rows[i].name);
        test_assert_code(open_soft(rows[i].uri, &a, &err), rows[i].want, &err);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("message is \"%s\"", err.message);
        assert_null(a);
    }
}

static void too_many_measurements_are_refused(void **state)
{
    static char uri[8192] = "soft:?";
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    size_t len = strlen(uri);

    (void)state;
    for (int i = 0; i < ATLS_SOFT_MEASUREMENTS_MAX; i++)
        len += (size_t)snprintf(uri + len, sizeof uri - len, "%smeasure.%d=sha256:" HEX32,
                                i == 0 ? "" : "&", i);
    test_assert_code(open_soft(uri, &a, &err), ATLS_OK, &err);
    atls_attester_unref(a);
    a = NULL;
    snprintf(uri + len, sizeof uri - len, "&measure.x=sha256:" HEX32);
    test_assert_code(open_soft(uri, &a, &err), ATLS_E_CONFIG, &err);
    assert_non_null(strstr(err.message, "more than 32 measurements"));
}

static void warn(void *arg, enum atls_log_level level, const char *module, const char *message)
{
    assert_int_equal(level, ATLS_LOG_WARNING);
    assert_string_equal(module, "attester");
    assert_non_null(strstr(message, "insecure"));
    ++*(int *)arg;
}

static void opening_warns(void **state)
{
    struct atls_attester_options options;
    struct atls_attester *a = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    int warned = 0;

    (void)state;
    atls_attester_options_init(&options);
    options.insecure = true;
    options.log = (struct atls_log){&warned, ATLS_LOG_DEBUG, warn};
    test_assert_code(atls_attester_open("soft:", backends, &options, &a, &err), ATLS_OK, &err);
    assert_int_equal(warned, 1);
    atls_attester_unref(a);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"platform.pem", "aik.pem"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_binds_the_key_to_the_binder),
        cmocka_unit_test(platform_key_signs_whatever_its_type),
        cmocka_unit_test(identity_key_comes_from_its_file),
        cmocka_unit_test(each_start_makes_fresh_keys),
        cmocka_unit_test(makes_every_profile),
        cmocka_unit_test(bad_configuration_is_refused),
        cmocka_unit_test(too_many_measurements_are_refused),
        cmocka_unit_test(opening_warns),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
