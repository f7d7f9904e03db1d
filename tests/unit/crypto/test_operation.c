/* What a key keeps between its operations: nothing of what was signed, or how. */
#include "testlib.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "crypto/crypto.h"

static const enum atls_signature rsa_schemes[] = {ATLS_RSA_PKCS1_SHA256, ATLS_RSA_PSS_SHA384,
                                                  ATLS_RSA_PKCS1_SHA512, ATLS_RSA_PSS_SHA256};
#define SCHEMES (sizeof rsa_schemes / sizeof rsa_schemes[0])

static struct atls_private_key *make(enum atls_key_type type)
{
    struct atls_private_key *key = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_private_key_generate(type, &key, &err), ATLS_OK, &err);
    if (key == NULL)
        abort();
    return key;
}

static enum atls_code verify(const struct atls_private_key *key, enum atls_signature scheme,
                             struct atls_bytes message, struct atls_bytes signature,
                             struct atls_err *err)
{
    return atls_key_verify(atls_private_key_public(key), scheme, &message, 1, signature, err);
}

static void schemes_of_a_key_do_not_mix(void **state)
{
    struct atls_buf signatures[SCHEMES] = {ATLS_BUF_INIT};
    struct atls_private_key *key = make(ATLS_KEY_RSA);
    const struct atls_bytes message = HEX("message");
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < SCHEMES; i++)
        test_assert_code(atls_private_key_sign(key, rsa_schemes[i], message, &signatures[i], &err),
                         ATLS_OK, &err);
    for (size_t i = 0; i < SCHEMES * SCHEMES; i++) {
        const size_t scheme = i % SCHEMES, of = i / SCHEMES;

        if (scheme == of) {
            test_assert_code(
                verify(key, rsa_schemes[scheme], message, atls_buf_bytes(&signatures[of]), &err),
                ATLS_OK, &err);
        } else {
            test_assert_code(
                verify(key, rsa_schemes[scheme], message, atls_buf_bytes(&signatures[of]), &err),
                ATLS_E_VERIFY, &err);
            assert_int_equal(err.reason, ATLS_REASON_SIGNATURE);
        }
    }
    for (size_t i = 0; i < SCHEMES; i++)
        atls_buf_clear(&signatures[i]);
    atls_private_key_free(key);
}

/* Each time the same key, and only the signature differs. */
static void a_good_signature_does_not_help_the_next(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384, ATLS_KEY_P521,
                                               ATLS_KEY_RSA};
    const struct atls_bytes message = HEX("message"), other = HEX("another message");

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct atls_private_key *key = make(types[i]);
        const enum atls_signature scheme = atls_private_key_scheme(key);
        struct atls_buf good = ATLS_BUF_INIT, of_other = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_private_key_sign(key, scheme, message, &good, &err), ATLS_OK, &err);
        test_assert_code(atls_private_key_sign(key, scheme, other, &of_other, &err), ATLS_OK, &err);
        for (int turn = 0; turn < 2; turn++) {
            test_assert_code(verify(key, scheme, message, atls_buf_bytes(&good), &err), ATLS_OK,
                             &err);
            test_assert_code(verify(key, scheme, message, atls_buf_bytes(&of_other), &err),
                             ATLS_E_VERIFY, &err);
            test_assert_code(verify(key, scheme, other, atls_buf_bytes(&of_other), &err), ATLS_OK,
                             &err);
        }
        atls_buf_clear(&good);
        atls_buf_clear(&of_other);
        atls_private_key_free(key);
    }
}

static void keys_do_not_mix(void **state)
{
    struct atls_private_key *mine = make(ATLS_KEY_P256), *other = make(ATLS_KEY_P256);
    const struct atls_bytes message = HEX("message");
    struct atls_buf signature = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_private_key_sign(mine, ATLS_ECDSA_P256_SHA256, message, &signature, &err),
                     ATLS_OK, &err);
    for (int turn = 0; turn < 2; turn++) {
        test_assert_code(
            verify(mine, ATLS_ECDSA_P256_SHA256, message, atls_buf_bytes(&signature), &err),
            ATLS_OK, &err);
        test_assert_code(
            verify(other, ATLS_ECDSA_P256_SHA256, message, atls_buf_bytes(&signature), &err),
            ATLS_E_VERIFY, &err);
    }
    atls_buf_clear(&signature);
    atls_private_key_free(mine);
    atls_private_key_free(other);
}

struct sharing {
    const struct atls_private_key *key;
    uint8_t number;
    atomic_bool *go;
    bool ok;
};

/* The first use is the one that all run into at once. */
static void *sign_and_verify(void *arg)
{
    struct sharing *s = arg;
    const enum atls_signature scheme = atls_private_key_scheme(s->key);

    s->ok = true;
    while (!atomic_load(s->go))
        ;
    for (int i = 0; i < 20; i++) {
        const uint8_t text[2] = {s->number, (uint8_t)i};
        const struct atls_bytes message = atls_bytes_of(text, sizeof text);
        struct atls_buf signature = ATLS_BUF_INIT;

        s->ok = s->ok &&
                atls_private_key_sign(s->key, scheme, message, &signature, NULL) == ATLS_OK &&
                verify(s->key, scheme, message, atls_buf_bytes(&signature), NULL) == ATLS_OK;
        atls_buf_clear(&signature);
    }
    return NULL;
}

static void threads_may_share_a_key(void **state)
{
    enum { THREADS = 4 };
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_RSA};

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        struct atls_private_key *key = make(types[t]);
        struct sharing sharing[THREADS];
        pthread_t threads[THREADS];
        atomic_bool go;

        atomic_init(&go, false);
        for (size_t i = 0; i < THREADS; i++) {
            sharing[i] = (struct sharing){key, (uint8_t)i, &go, false};
            assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify, &sharing[i]), 0);
        }
        atomic_store(&go, true);
        for (size_t i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_true(sharing[i].ok);
        }
        atls_private_key_free(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemes_of_a_key_do_not_mix),
        cmocka_unit_test(a_good_signature_does_not_help_the_next),
        cmocka_unit_test(keys_do_not_mix),
        cmocka_unit_test(threads_may_share_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
