#include "testlib.h"

#include <string.h>

#include <jansson.h>

#include "bind/binder.h"
#include "crypto/crypto.h"
#include "forge.h"

static const struct atls_bytes spki = HEX("a public key");

static struct atls_buf hex_of(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));

    assert_non_null(text);
    return test_unhex(text);
}

/* tests/vectors/exported-authenticator: exported value and binder of five connections. */
static void recorded_binders(void **state)
{
    struct atls_buf text = test_vector("exported-authenticator/derived-rfc9261.json");
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    const json_t *vectors = json_object_get(root, "vectors");
    struct atls_buf key =
        hex_of(json_object_get(root, "parameters"), "subject_public_key_info_der");
    size_t checked = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(vectors); i++) {
        const json_t *v = json_array_get(vectors, i);
        struct atls_buf secret, context, exported, want, other;
        struct test_connection c = {.hash = ATLS_HASH_SHA256};
        struct atls_binder binder;
        uint8_t out[32];

        if (json_object_get(v, "attestation_binder") == NULL)
            continue;
        if (strcmp(json_string_value(json_object_get(v, "hash")), "sha384") == 0)
            c.hash = ATLS_HASH_SHA384;
        c.prefix = json_string_value(json_object_get(v, "hkdf_label_prefix"));
        secret = hex_of(v, "exporter_secret");
        context = hex_of(v, "certificate_request_context");
        exported = hex_of(v, "attestation_exported_value");
        want = hex_of(v, "attestation_binder");
        other = hex_of(v, "alt_binder");
        memcpy(c.secret, secret.ptr, secret.len);
        assert_int_equal(atls_binder_export(test_exporter, &c, atls_buf_bytes(&context), out, NULL),
                         ATLS_OK);
        test_assert_bytes(atls_bytes_of(out, 32), atls_buf_bytes(&exported));
        assert_int_equal(atls_binder_make(c.hash, atls_buf_bytes(&key), out, &binder, NULL),
                         ATLS_OK);
        test_assert_bytes(atls_binder_bytes(&binder), atls_buf_bytes(&want));
        assert_int_equal(other.len, binder.len); /* the other label gives another binder */
        assert_memory_not_equal(other.ptr, binder.data, binder.len);
        atls_buf_clear(&secret);
        atls_buf_clear(&context);
        atls_buf_clear(&exported);
        atls_buf_clear(&want);
        atls_buf_clear(&other);
        checked++;
    }
    assert_int_equal(checked, 5);
    atls_buf_clear(&key);
    atls_buf_clear(&text);
    json_decref(root);
}

static void every_input_changes_the_binder(void **state)
{
    struct test_connection a = test_connection(ATLS_HASH_SHA256, 1);
    struct test_connection b = test_connection(ATLS_HASH_SHA256, 2);
    const struct atls_bytes context = HEX("context"), other_context = HEX("contexu");
    const struct atls_bytes other_spki = HEX("another key");
    struct atls_binder first, second;
    uint8_t one[32], other[32];

    (void)state;
    assert_int_equal(atls_binder_export(test_exporter, &a, context, one, NULL), ATLS_OK);
    assert_int_equal(atls_binder_make(ATLS_HASH_SHA256, spki, one, &first, NULL), ATLS_OK);
    assert_int_equal(first.len, 32);
    assert_int_equal(atls_binder_export(test_exporter, &b, context, other, NULL), ATLS_OK);
    assert_int_equal(atls_binder_make(ATLS_HASH_SHA256, spki, other, &second, NULL), ATLS_OK);
    assert_memory_not_equal(first.data, second.data, 32);
    assert_int_equal(atls_binder_export(test_exporter, &a, other_context, other, NULL), ATLS_OK);
    assert_int_equal(atls_binder_make(ATLS_HASH_SHA256, spki, other, &second, NULL), ATLS_OK);
    assert_memory_not_equal(first.data, second.data, 32);
    assert_int_equal(atls_binder_make(ATLS_HASH_SHA256, other_spki, one, &second, NULL), ATLS_OK);
    assert_memory_not_equal(first.data, second.data, 32);
    assert_int_equal(atls_binder_make(ATLS_HASH_SHA384, spki, one, &second, NULL), ATLS_OK);
    assert_int_equal(second.len, 48);
}

static void inputs_that_are_missing(void **state)
{
    static const uint8_t long_context[256];
    struct test_connection c = test_connection(ATLS_HASH_SHA256, 1);
    const struct atls_bytes none = {NULL, 0};
    struct atls_binder binder = {.len = 7};
    uint8_t out[64] = {0};

    (void)state;
    assert_int_equal(atls_binder_export(NULL, &c, spki, out, NULL), ATLS_E_USAGE);
    assert_int_equal(
        atls_binder_export(test_exporter, &c, atls_bytes_of(long_context, 256), out, NULL),
        ATLS_E_USAGE);
    assert_int_equal(atls_binder_make(ATLS_HASH_SHA512, spki, out, &binder, NULL), ATLS_E_USAGE);
    assert_int_equal(atls_binder_make(ATLS_HASH_NONE, spki, out, &binder, NULL), ATLS_E_USAGE);
    assert_int_equal(atls_binder_make(ATLS_HASH_SHA256, none, out, &binder, NULL), ATLS_E_USAGE);
    assert_int_equal(binder.len, 7);
}

static void what_a_tpm_signs(void **state)
{
    static const size_t wrong[] = {0, 1, 31, 33, 47, 49, 64};
    uint8_t binder[64], out[32], digest[ATLS_HASH_MAX];
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof binder; i++)
        binder[i] = (uint8_t)i;
    assert_int_equal(atls_binder_qualifying_data(atls_bytes_of(binder, 32), out, NULL), ATLS_OK);
    assert_memory_equal(out, binder, 32);
    assert_int_equal(atls_binder_qualifying_data(atls_bytes_of(binder, 48), out, NULL), ATLS_OK);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(binder, 48), digest, NULL),
                     ATLS_OK);
    assert_memory_equal(out, digest, 32);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(atls_binder_qualifying_data(atls_bytes_of(binder, wrong[i]), out, &err),
                         ATLS_E_USAGE);
        assert_int_equal(err.reason, ATLS_REASON_BINDER_MISSING);
    }
}

static void the_bare_challenge(void **state)
{
    static const uint8_t zeros[16];
    uint8_t binder[48], out[64], digest[ATLS_HASH_MAX];
    const struct atls_bytes none = {NULL, 0};

    (void)state;
    memset(binder, 0xcd, sizeof binder);
    assert_int_equal(
        atls_binder_bare_challenge(ATLS_HASH_SHA256, atls_bytes_of(binder, 32), spki, out, NULL),
        ATLS_OK);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, spki, digest, NULL), ATLS_OK);
    assert_memory_equal(out, binder, 32);
    assert_memory_equal(out + 32, digest, 32);
    assert_int_equal(
        atls_binder_bare_challenge(ATLS_HASH_SHA384, atls_bytes_of(binder, 48), spki, out, NULL),
        ATLS_OK);
    assert_memory_equal(out, binder, 48);
    assert_memory_equal(out + 48, zeros, 16);
    assert_int_equal(
        atls_binder_bare_challenge(ATLS_HASH_SHA256, atls_bytes_of(binder, 48), spki, out, NULL),
        ATLS_E_USAGE);
    assert_int_equal(
        atls_binder_bare_challenge(ATLS_HASH_SHA384, atls_bytes_of(binder, 32), spki, out, NULL),
        ATLS_E_USAGE);
    assert_int_equal(atls_binder_bare_challenge(ATLS_HASH_SHA256, none, spki, out, NULL),
                     ATLS_E_USAGE);
    assert_int_equal(
        atls_binder_bare_challenge(ATLS_HASH_SHA256, atls_bytes_of(binder, 32), none, out, NULL),
        ATLS_E_USAGE);
    assert_int_equal(
        atls_binder_bare_challenge(ATLS_HASH_SHA1, atls_bytes_of(binder, 32), spki, out, NULL),
        ATLS_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_binders),        cmocka_unit_test(every_input_changes_the_binder),
        cmocka_unit_test(inputs_that_are_missing), cmocka_unit_test(what_a_tpm_signs),
        cmocka_unit_test(the_bare_challenge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
