#include "testlib.h"

#include <string.h>

#include "crypto/crypto.h"

/* FIPS 180-4 examples over "abc" (also RFC 6234). */
static void digests_of_abc(void **state)
{
    static const struct {
        enum atls_hash hash;
        const char *want;
    } rows[] = {
        {ATLS_HASH_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {ATLS_HASH_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {ATLS_HASH_SHA384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                           "8086072ba1e7cc2358baeca134c825a7"},
        {ATLS_HASH_SHA512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                           "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    };
    const struct atls_bytes parts[] = {HEX("a"), HEX(""), HEX("bc")};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf want = test_unhex(rows[i].want);
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t out[ATLS_HASH_MAX];

        assert_int_equal(atls_hash_len(rows[i].hash), want.len);
        test_assert_code(atls_hash_parts(rows[i].hash, parts, 3, out, &err), ATLS_OK, &err);
        test_assert_bytes(atls_bytes_of(out, want.len), atls_buf_bytes(&want));
        test_assert_code(atls_hash_one(rows[i].hash, atls_bytes_of("abc", 3), out, &err), ATLS_OK,
                         &err);
        test_assert_bytes(atls_bytes_of(out, want.len), atls_buf_bytes(&want));
        atls_buf_clear(&want);
    }
}

static void unknown_hash_is_refused_everywhere(void **state)
{
    static const enum atls_hash rows[] = {ATLS_HASH_NONE, (enum atls_hash)5, (enum atls_hash)999};
    const struct atls_bytes data = HEX("x");
    uint8_t out[ATLS_HASH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(atls_hash_len(rows[i]), 0);
        assert_int_equal(atls_hash_one(rows[i], data, out, NULL), ATLS_E_USAGE);
        assert_int_equal(atls_hmac(rows[i], data, data, out, NULL), ATLS_E_USAGE);
        assert_int_equal(atls_hkdf_expand_label(rows[i], data, "tls13 ", "x", data, out, 16, NULL),
                         ATLS_E_USAGE);
        assert_int_equal(atls_tls13_exporter(rows[i], data, "tls13 ", "x", data, out, 16, NULL),
                         ATLS_E_USAGE);
    }
}

static void a_digest_shows_intermediate_values(void **state)
{
    uint8_t want[ATLS_HASH_MAX], got[ATLS_HASH_MAX];
    struct atls_digest *d = NULL;

    (void)state;
    assert_int_equal(atls_digest_new(ATLS_HASH_NONE, &d, NULL), ATLS_E_USAGE);
    assert_null(d);
    assert_int_equal(atls_digest_new(ATLS_HASH_SHA384, &d, NULL), ATLS_OK);
    for (size_t len = 0; len <= 3; len++) {
        assert_int_equal(atls_hash_one(ATLS_HASH_SHA384, atls_bytes_of("abc", len), want, NULL),
                         ATLS_OK);
        assert_int_equal(atls_digest_peek(d, got, NULL), ATLS_OK);
        assert_memory_equal(got, want, 48);
        if (len < 3)
            assert_int_equal(atls_digest_add(d, atls_bytes_of(&"abc"[len], 1), NULL), ATLS_OK);
    }
    atls_digest_free(d);
    atls_digest_free(NULL);
}

/* RFC 4231 section 4.3 (test case 2). */
static void hmac_of_rfc_4231(void **state)
{
    static const struct {
        enum atls_hash hash;
        const char *want;
    } rows[] = {
        {ATLS_HASH_SHA256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {ATLS_HASH_SHA384, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
                           "8e2240ca5e69e2c78b3239ecfab21649"},
        {ATLS_HASH_SHA512, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                           "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf want = test_unhex(rows[i].want);
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t out[ATLS_HASH_MAX];

        test_assert_code(atls_hmac(rows[i].hash, atls_bytes_of("Jefe", 4),
                                   atls_bytes_of("what do ya want for nothing?", 28), out, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_bytes_of(out, want.len), atls_buf_bytes(&want));
        atls_buf_clear(&want);
    }
}

/* HMAC of an empty key is that of a block of zeros, not of whatever key came before. */
static void hmac_with_an_empty_key(void **state)
{
    static const uint8_t zeros[64];
    uint8_t a[ATLS_HASH_MAX], b[ATLS_HASH_MAX], c[ATLS_HASH_MAX];
    const struct atls_bytes data = HEX("data"), key = HEX("key"), none = {NULL, 0};

    (void)state;
    assert_int_equal(atls_hmac(ATLS_HASH_SHA256, key, data, c, NULL), ATLS_OK);
    assert_int_equal(atls_hmac(ATLS_HASH_SHA256, none, data, a, NULL), ATLS_OK);
    assert_int_equal(atls_hmac(ATLS_HASH_SHA256, atls_bytes_of(zeros, sizeof zeros), data, b, NULL),
                     ATLS_OK);
    assert_memory_equal(a, b, 32);
    assert_memory_not_equal(a, c, 32);
}

/* RFC 8448 section 3: "tls13 derived" from the early secret, and the server's handshake key. */
static void expand_label_of_rfc_8448(void **state)
{
    static const struct {
        const char *secret, *label, *context, *want;
    } rows[] = {
        {"33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a", "derived",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"},
        {"b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38", "key", "",
         "3fce516009c21727d0f2e4e86ee403bc"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_buf secret = test_unhex(rows[i].secret), context = test_unhex(rows[i].context);
        struct atls_buf want = test_unhex(rows[i].want);
        struct atls_err err = ATLS_ERR_INIT;
        uint8_t out[64];

        test_assert_code(atls_hkdf_expand_label(ATLS_HASH_SHA256, atls_buf_bytes(&secret), "tls13 ",
                                                rows[i].label, atls_buf_bytes(&context), out,
                                                want.len, &err),
                         ATLS_OK, &err);
        test_assert_bytes(atls_bytes_of(out, want.len), atls_buf_bytes(&want));
        atls_buf_clear(&secret);
        atls_buf_clear(&context);
        atls_buf_clear(&want);
    }
}

static void expand_label_limits(void **state)
{
    static uint8_t out[255 * 32 + 1];
    static const uint8_t context[256];
    const struct atls_bytes secret = HEX("secret"), none = {NULL, 0};
    char label[300];

    (void)state;
    memset(label, 'a', sizeof label);
    label[249] = '\0'; /* with the prefix 255 bytes: the most that fit */
    assert_int_equal(atls_hkdf_expand_label(ATLS_HASH_SHA256, secret, "tls13 ", label,
                                            atls_bytes_of(context, 255), out, 255 * 32, NULL),
                     ATLS_OK);
    assert_int_equal(atls_hkdf_expand_label(ATLS_HASH_SHA256, secret, "tls13 ", label, none, out,
                                            255 * 32 + 1, NULL),
                     ATLS_E_USAGE);
    assert_int_equal(atls_hkdf_expand_label(ATLS_HASH_SHA256, secret, "tls13 ", "x",
                                            atls_bytes_of(context, 256), out, 32, NULL),
                     ATLS_E_LIMIT);
    label[249] = 'a';
    label[250] = '\0';
    assert_int_equal(
        atls_hkdf_expand_label(ATLS_HASH_SHA256, secret, "tls13 ", label, none, out, 32, NULL),
        ATLS_E_LIMIT);
}

static void random_numbers_differ(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};

    (void)state;
    assert_int_equal(atls_random(a, sizeof a, NULL), ATLS_OK);
    assert_int_equal(atls_random(b, sizeof b, NULL), ATLS_OK);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_of_abc),
        cmocka_unit_test(unknown_hash_is_refused_everywhere),
        cmocka_unit_test(a_digest_shows_intermediate_values),
        cmocka_unit_test(hmac_of_rfc_4231),
        cmocka_unit_test(hmac_with_an_empty_key),
        cmocka_unit_test(expand_label_of_rfc_8448),
        cmocka_unit_test(expand_label_limits),
        cmocka_unit_test(random_numbers_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
