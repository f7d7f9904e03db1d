/* Order, sizes and hash of a transcript; that it is the one of TLS is shown against OpenSSL in
 * tests/unit/openssl/test_transcript.c. */
#include "testlib.h"

#include <string.h>

#include "flavour/intra/transcript.h"
#include "handshake.h"

#define SHA256_SUITE 0x1301
#define SHA384_SUITE 0x1302

/* One letter a message: C and S are hellos, R a HelloRetryRequest, E EncryptedExtensions. */
static struct atls_buf message_of(char letter, uint16_t suite)
{
    switch (letter) {
    case 'C':
        return test_client_hello(1);
    case 'c': /* the second one */
        return test_client_hello(2);
    case 'S':
        return test_server_hello(3, suite);
    case 'R':
        return test_retry_request(suite);
    default:
        return test_message(8, 2);
    }
}

static enum atls_code add(struct atls_transcript *t, char letter, uint16_t suite,
                          struct atls_err *err)
{
    struct atls_buf m = message_of(letter, suite);
    enum atls_code code =
        atls_transcript_add(t, atls_buf_bytes(&m), letter == 'C' || letter == 'c', err);

    atls_buf_clear(&m);
    return code;
}

static struct atls_transcript *fresh(void)
{
    struct atls_transcript *t;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_transcript_new(&t, &err), ATLS_OK, &err);
    return t;
}

static void orders(void **state)
{
    static const struct {
        const char *letters; /* the last one has this outcome */
        enum atls_code want;
    } rows[] = {
        {"CS", ATLS_OK},           {"CRcS", ATLS_OK},         {"CSE", ATLS_OK},
        {"CRcSE", ATLS_OK},        {"S", ATLS_E_PROTOCOL},    {"E", ATLS_E_PROTOCOL},
        {"R", ATLS_E_PROTOCOL},    {"CC", ATLS_E_PROTOCOL},   {"CE", ATLS_E_PROTOCOL},
        {"CRS", ATLS_E_PROTOCOL},  {"CRR", ATLS_E_PROTOCOL},  {"CRE", ATLS_E_PROTOCOL},
        {"CRcR", ATLS_E_PROTOCOL}, {"CRcc", ATLS_E_PROTOCOL}, {"CSS", ATLS_E_PROTOCOL},
        {"CSC", ATLS_E_PROTOCOL},  {"CSR", ATLS_E_PROTOCOL},  {"CSEC", ATLS_E_PROTOCOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_transcript *t = fresh();
        struct atls_err err = ATLS_ERR_INIT;
        const size_t count = strlen(rows[i].letters);

        for (size_t j = 0; j < count; j++) {
            const enum atls_code code = add(t, rows[i].letters[j], SHA256_SUITE, &err);

            if (code != (j + 1 == count ? rows[i].want : ATLS_OK))
                fail_msg("%s, message %zu: %s", rows[i].letters, j, err.message);
        }
        if (rows[i].want != ATLS_OK)
            assert_int_equal(err.reason, ATLS_REASON_TRANSCRIPT);
        else
            assert_int_equal(atls_transcript_hash(t), ATLS_HASH_SHA256);
        atls_transcript_free(t);
    }
}

/* Each hello from the other side than the one that sends it. */
static void sides(void **state)
{
    struct atls_buf client = test_client_hello(1), server = test_server_hello(3, SHA256_SUITE);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_transcript *t = fresh();

    (void)state;
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&client), false, &err), ATLS_E_PROTOCOL,
                     &err);
    assert_int_equal(err.reason, ATLS_REASON_TRANSCRIPT);
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&client), true, &err), ATLS_OK, &err);
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&server), true, &err), ATLS_E_PROTOCOL,
                     &err);
    assert_int_equal(err.reason, ATLS_REASON_TRANSCRIPT);
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&server), false, &err), ATLS_OK, &err);
    atls_transcript_free(t);
    atls_buf_clear(&client);
    atls_buf_clear(&server);
}

/* What the hash of ClientHello .. ServerHello is, computed here. */
static void hash_of(const char *letters, enum atls_hash hash, uint16_t suite,
                    uint8_t out[ATLS_HASH_MAX])
{
    struct atls_bytes parts[5];
    struct atls_buf messages[4];
    uint8_t synthetic[4 + ATLS_HASH_MAX] = {254, 0, 0, (uint8_t)atls_hash_len(hash)};
    const size_t count = strlen(letters);

    for (size_t i = 0; i < count; i++) {
        messages[i] = message_of(letters[i], suite);
        parts[i] = atls_buf_bytes(&messages[i]);
    }
    if (letters[1] == 'R') {
        assert_int_equal(atls_hash_one(hash, parts[0], synthetic + 4, NULL), ATLS_OK);
        parts[0] = atls_bytes_of(synthetic, 4 + atls_hash_len(hash));
    }
    assert_int_equal(atls_hash_parts(hash, parts, count, out, NULL), ATLS_OK);
    for (size_t i = 0; i < count; i++)
        atls_buf_clear(&messages[i]);
}

static void hashes(void **state)
{
    static const struct {
        const char *letters;
        uint16_t suite;
        enum atls_hash hash;
    } rows[] = {
        {"CS", 0x1301, ATLS_HASH_SHA256},   {"CS", 0x1302, ATLS_HASH_SHA384},
        {"CS", 0x1303, ATLS_HASH_SHA256},   {"CS", 0x1304, ATLS_HASH_SHA256},
        {"CS", 0x1305, ATLS_HASH_SHA256},   {"CRcS", 0x1301, ATLS_HASH_SHA256},
        {"CRcS", 0x1302, ATLS_HASH_SHA384},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_transcript *t = fresh();
        uint8_t want[ATLS_HASH_MAX], got[ATLS_HASH_MAX];
        struct atls_err err = ATLS_ERR_INIT;

        for (const char *l = rows[i].letters; *l != '\0'; l++) {
            assert_int_equal(atls_transcript_hash(t), ATLS_HASH_NONE);
            assert_int_equal(atls_transcript_hellos(t).len, 0);
            test_assert_code(atls_transcript_peek(t, got, &err), ATLS_E_USAGE, &err);
            test_assert_code(add(t, *l, rows[i].suite, &err), ATLS_OK, &err);
        }
        hash_of(rows[i].letters, rows[i].hash, rows[i].suite, want);
        assert_int_equal(atls_transcript_hash(t), rows[i].hash);
        test_assert_bytes(atls_transcript_hellos(t),
                          atls_bytes_of(want, atls_hash_len(rows[i].hash)));
        assert_int_equal(atls_transcript_retried(t), rows[i].letters[1] == 'R');
        /* what follows is left out unless it was asked for */
        test_assert_code(add(t, 'E', rows[i].suite, &err), ATLS_OK, &err);
        test_assert_code(atls_transcript_peek(t, got, &err), ATLS_OK, &err);
        assert_memory_equal(got, want, atls_hash_len(rows[i].hash));
        atls_transcript_free(t);
    }
}

static void it_goes_on_when_asked(void **state)
{
    struct atls_transcript *t = fresh();
    uint8_t want[ATLS_HASH_MAX], got[ATLS_HASH_MAX];
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    atls_transcript_go_on(t);
    for (const char *l = "CSEE"; *l != '\0'; l++)
        test_assert_code(add(t, *l, SHA384_SUITE, &err), ATLS_OK, &err);
    hash_of("CSEE", ATLS_HASH_SHA384, SHA384_SUITE, want);
    test_assert_code(atls_transcript_peek(t, got, &err), ATLS_OK, &err);
    assert_memory_equal(got, want, 48);
    hash_of("CS", ATLS_HASH_SHA384, SHA384_SUITE, want);
    test_assert_bytes(atls_transcript_hellos(t), atls_bytes_of(want, 48));
    atls_transcript_free(t);
}

static void suites(void **state)
{
    static const uint16_t wrong[] = {0x0000, 0x1300, 0x1306, 0xc02b, 0x00c6};
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct atls_transcript *t = fresh();

        test_assert_code(add(t, 'C', 0, &err), ATLS_OK, &err);
        test_assert_code(add(t, 'S', wrong[i], &err), ATLS_E_TLS, &err);
        assert_int_equal(err.reason, ATLS_REASON_TLS_VERSION);
        atls_transcript_free(t);
    }
}

static void another_hash_after_a_retry(void **state)
{
    struct atls_transcript *t = fresh();
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(add(t, 'C', 0, &err), ATLS_OK, &err);
    test_assert_code(add(t, 'R', SHA256_SUITE, &err), ATLS_OK, &err);
    test_assert_code(add(t, 'c', 0, &err), ATLS_OK, &err);
    test_assert_code(add(t, 'S', SHA384_SUITE, &err), ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.reason, ATLS_REASON_TRANSCRIPT);
    atls_transcript_free(t);
}

static void hellos_that_are_too_large(void **state)
{
    struct atls_buf largest = test_message(1, ATLS_HELLO_MAX - 4);
    struct atls_buf larger = test_message(1, ATLS_HELLO_MAX - 3);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_transcript *t = fresh();

    (void)state;
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&larger), true, &err), ATLS_E_LIMIT,
                     &err);
    assert_int_equal(err.reason, ATLS_REASON_TRANSCRIPT);
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&largest), true, &err), ATLS_OK, &err);
    atls_transcript_free(t);
    atls_buf_clear(&largest);
    atls_buf_clear(&larger);
}

/* Every truncation, and a byte too many; of ServerHello also inside, with a length that fits. */
static void messages_that_are_cut(void **state)
{
    struct atls_buf client = test_client_hello(1), server = test_server_hello(3, SHA256_SUITE);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_transcript *t = fresh();
    uint8_t more[128];

    (void)state;
    for (size_t len = 0; len < client.len; len++)
        test_assert_code(atls_transcript_add(t, atls_bytes_of(client.ptr, len), true, &err),
                         ATLS_E_PROTOCOL, &err);
    assert_true(client.len < sizeof more);
    memset(more, 0, sizeof more);
    memcpy(more, client.ptr, client.len);
    test_assert_code(atls_transcript_add(t, atls_bytes_of(more, client.len + 1), true, &err),
                     ATLS_E_PROTOCOL, &err);
    assert_int_equal(err.reason, ATLS_REASON_TRANSCRIPT);
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&client), true, &err), ATLS_OK, &err);
    for (size_t len = 4; len < 4 + 2 + 32 + 1 + 2; len++) {
        server.ptr[3] = (uint8_t)(len - 4);
        test_assert_code(atls_transcript_add(t, atls_bytes_of(server.ptr, len), false, &err),
                         ATLS_E_PROTOCOL, &err);
        assert_int_equal(err.reason, ATLS_REASON_TRANSCRIPT);
    }
    server.ptr[3] = (uint8_t)(server.len - 4);
    server.ptr[4 + 2 + 32] = 33; /* a session id that is too long */
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&server), false, &err), ATLS_E_PROTOCOL,
                     &err);
    server.ptr[4 + 2 + 32] = 0;
    test_assert_code(atls_transcript_add(t, atls_buf_bytes(&server), false, &err), ATLS_OK, &err);
    atls_transcript_free(t);
    atls_buf_clear(&client);
    atls_buf_clear(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders),
        cmocka_unit_test(sides),
        cmocka_unit_test(hashes),
        cmocka_unit_test(it_goes_on_when_asked),
        cmocka_unit_test(suites),
        cmocka_unit_test(another_hash_after_a_retry),
        cmocka_unit_test(hellos_that_are_too_large),
        cmocka_unit_test(messages_that_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
