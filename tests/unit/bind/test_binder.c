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

/* th = Hash("CH..SH"), key "SPKI": made by hand with another implementation of HKDF. */
static void intra_binders(void **state)
{
    static const struct {
        enum atls_hash hash;
        const char *binder;
    } rows[] = {
        {ATLS_HASH_SHA256, "36869ce39b67a067510e2648b1d69012bb97ef02197729b55d7b40b5619e1c1a"},
        {ATLS_HASH_SHA384, "9a83b5a8fdae749f1e4e22b5e24db9979f7441adb9f79835495f87b19c5cf3fa"
                           "3bfd65adf1e1993b21ddf03021a9257a"},
    };
    const struct atls_bytes messages = HEX("CH..SH"), key = HEX("SPKI");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t th[ATLS_HASH_MAX];
        struct atls_binder_handshake h = {.hash = rows[i].hash,
                                          .transcript_hash =
                                              atls_bytes_of(th, atls_hash_len(rows[i].hash)),
                                          .spki = key};
        struct atls_buf want = test_unhex(rows[i].binder);
        struct atls_binder got;

        assert_int_equal(atls_hash_one(rows[i].hash, messages, th, NULL), ATLS_OK);
        assert_int_equal(atls_binder_intra(&h, &got, NULL), ATLS_OK);
        test_assert_bytes(atls_binder_bytes(&got), atls_buf_bytes(&want));
        th[0] ^= 1;
        assert_int_equal(atls_binder_intra(&h, &got, NULL), ATLS_OK);
        assert_memory_not_equal(got.data, want.ptr, want.len);
        th[0] ^= 1;
        h.spki = spki;
        assert_int_equal(atls_binder_intra(&h, &got, NULL), ATLS_OK);
        assert_memory_not_equal(got.data, want.ptr, want.len);
        atls_buf_clear(&want);
    }
}

/* Computed with Python's hmac from the formula in the header. */
static void intra_secret_binders(void **state)
{
    static const struct {
        enum atls_hash hash;
        const char *binder;
    } rows[] = {
        {ATLS_HASH_SHA256, "ee9fd495826a8bd6512109e33b59ff4002ba2bb6e6022bdfeae18d37b887fad7"},
        {ATLS_HASH_SHA384, "a270807efb8487b51d7faf45b1150715be76964e284803b4cfc5d1706e2261dafda2f74"
                           "b0b5d5a00bb20bdc1c0b998c4"},
    };
    const struct atls_bytes messages = HEX("CH..SH"), key = HEX("SPKI");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t len = atls_hash_len(rows[i].hash);
        uint8_t th[ATLS_HASH_MAX], secret[ATLS_HASH_MAX];
        const struct atls_binder_handshake h = {
            .hash = rows[i].hash, .transcript_hash = atls_bytes_of(th, len), .spki = key};
        struct atls_buf want = test_unhex(rows[i].binder);
        struct atls_binder got;

        memset(secret, 0x5a, sizeof secret);
        assert_int_equal(atls_hash_one(rows[i].hash, messages, th, NULL), ATLS_OK);
        assert_int_equal(atls_binder_intra_secret(&h, atls_bytes_of(secret, len), &got, NULL),
                         ATLS_OK);
        test_assert_bytes(atls_binder_bytes(&got), atls_buf_bytes(&want));
        secret[len - 1] ^= 1;
        assert_int_equal(atls_binder_intra_secret(&h, atls_bytes_of(secret, len), &got, NULL),
                         ATLS_OK);
        assert_memory_not_equal(got.data, want.ptr, want.len);
        atls_buf_clear(&want);
    }
}

static void pre_binders(void **state)
{
    static const char with[] = "0bd490f4dc5d9bb0002576257b9a03d763506e5fdf163587e8a30863c3bdbd06",
                      without[] =
                          "e9a5a4517ada214aecc694c7159bc91f0bd12e0cea08fbb855f2c8b66569aa43";
    const struct atls_bytes key = HEX("SPKI"), none = {NULL, 0};
    struct atls_buf want = test_unhex(with), want_bare = test_unhex(without);
    struct atls_binder got;
    uint8_t nonce[32];

    (void)state;
    memset(nonce, 0x5a, sizeof nonce);
    assert_int_equal(atls_binder_pre(atls_bytes_of(nonce, 32), key, &got, NULL), ATLS_OK);
    test_assert_bytes(atls_binder_bytes(&got), atls_buf_bytes(&want));
    assert_int_equal(atls_binder_pre(none, key, &got, NULL), ATLS_OK);
    test_assert_bytes(atls_binder_bytes(&got), atls_buf_bytes(&want_bare));
    atls_buf_clear(&want);
    atls_buf_clear(&want_bare);
}

static void inputs_of_other_flavours_that_are_missing(void **state)
{
    static const uint8_t zeros[64];
    const struct atls_bytes none = {NULL, 0};
    const struct {
        enum atls_hash hash;
        size_t transcript_len, secret_len;
        struct atls_bytes key;
    } rows[] = {
        {ATLS_HASH_SHA512, 64, 64, spki}, {ATLS_HASH_NONE, 0, 0, spki},
        {ATLS_HASH_SHA256, 31, 32, spki}, {ATLS_HASH_SHA256, 48, 32, spki},
        {ATLS_HASH_SHA384, 32, 48, spki}, {ATLS_HASH_SHA256, 0, 32, spki},
        {ATLS_HASH_SHA256, 32, 32, none},
    };
    static const size_t wrong_lengths[] = {0, 31, 33, 48};
    struct atls_binder binder = {.len = 7};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct atls_binder_handshake h = {
            rows[i].hash, atls_bytes_of(zeros, rows[i].transcript_len), rows[i].key};

        assert_int_equal(atls_binder_intra(&h, &binder, NULL), ATLS_E_USAGE);
        assert_int_equal(
            atls_binder_intra_secret(&h, atls_bytes_of(zeros, rows[i].secret_len), &binder, NULL),
            ATLS_E_USAGE);
    }
    for (size_t i = 0; i < sizeof wrong_lengths / sizeof wrong_lengths[0]; i++) {
        const struct atls_binder_handshake h = {ATLS_HASH_SHA256, atls_bytes_of(zeros, 32), spki};
        const struct atls_bytes wrong = atls_bytes_of(zeros, wrong_lengths[i]);

        assert_int_equal(atls_binder_intra_secret(&h, wrong, &binder, NULL), ATLS_E_USAGE);
        if (wrong.len != 0)
            assert_int_equal(atls_binder_pre(wrong, spki, &binder, NULL), ATLS_E_USAGE);
    }
    assert_int_equal(atls_binder_pre(none, none, &binder, NULL), ATLS_E_USAGE);
    assert_int_equal(binder.len, 7);
}

/* The same 32 bytes as exported value, transcript hash, secret and nonce, and one key. */
static void flavours_never_agree(void **state)
{
    struct atls_binder binders[8];
    size_t count = 0;
    uint8_t same[ATLS_BINDER_MAX];

    (void)state;
    memset(same, 0xa5, sizeof same);
    for (int large = 0; large < 2; large++) {
        const enum atls_hash hash = large ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256;
        const struct atls_bytes value = atls_bytes_of(same, atls_hash_len(hash));
        const struct atls_binder_handshake h = {hash, value, spki};

        assert_int_equal(atls_binder_make(hash, spki, same, &binders[count++], NULL), ATLS_OK);
        assert_int_equal(atls_binder_intra(&h, &binders[count++], NULL), ATLS_OK);
        assert_int_equal(atls_binder_intra_secret(&h, value, &binders[count++], NULL), ATLS_OK);
    }
    assert_int_equal(atls_binder_pre(atls_bytes_of(same, 32), spki, &binders[count++], NULL),
                     ATLS_OK);
    assert_int_equal(atls_binder_pre(atls_bytes_of(NULL, 0), spki, &binders[count++], NULL),
                     ATLS_OK);
    assert_int_equal(count, sizeof binders / sizeof binders[0]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(binders[i].data, binders[j].data, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_binders),
        cmocka_unit_test(every_input_changes_the_binder),
        cmocka_unit_test(inputs_that_are_missing),
        cmocka_unit_test(what_a_tpm_signs),
        cmocka_unit_test(the_bare_challenge),
        cmocka_unit_test(intra_binders),
        cmocka_unit_test(intra_secret_binders),
        cmocka_unit_test(pre_binders),
        cmocka_unit_test(inputs_of_other_flavours_that_are_missing),
        cmocka_unit_test(flavours_never_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
