/* Every allocation of libcrypto fails in turn: an error, or the right answer, and nothing leaks. */
#include "testlib.h"

#include <string.h>

#include "crypto/crypto.h"
#include "failing_alloc.h"
#include "pki.h"

static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_ED25519, ATLS_KEY_RSA};
#define TYPE_COUNT (sizeof types / sizeof types[0])

static struct atls_private_key *keys[TYPE_COUNT];
static struct atls_buf signatures[TYPE_COUNT], private_pem, certificate_pem, crl;
static struct test_identity ca, leaf;
static struct atls_anchors *anchors;
static const struct atls_bytes message = HEX("message"), other = HEX("messagf");

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (atls_private_key_generate(types[i], &keys[i], NULL) != ATLS_OK ||
            atls_private_key_sign(keys[i], atls_private_key_scheme(keys[i]), message,
                                  &signatures[i], NULL) != ATLS_OK)
            return -1;
    ca = test_ca("root");
    leaf = test_leaf(&ca, "host.example", ATLS_KEY_P256);
    anchors = test_anchors(atls_buf_bytes(&ca.certificate));
    crl = test_crl(&ca, NULL, TEST_TIME_S - 1, TEST_TIME_S + 1);
    if (atls_anchors_add_crls(anchors, atls_buf_bytes(&crl), NULL) != ATLS_OK ||
        atls_private_key_to_pem(keys[0], &private_pem, NULL) != ATLS_OK ||
        atls_pem_encode("CERTIFICATE", atls_buf_bytes(&leaf.certificate), &certificate_pem, NULL) !=
            ATLS_OK)
        return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        atls_private_key_free(keys[i]);
        atls_buf_clear(&signatures[i]);
    }
    test_identity_clear(&ca);
    test_identity_clear(&leaf);
    atls_buf_clear(&private_pem);
    atls_buf_clear(&certificate_pem);
    atls_buf_clear(&crl);
    atls_anchors_unref(anchors);
    return 0;
}

static enum atls_code hash(size_t i, struct atls_err *err)
{
    uint8_t out[ATLS_HASH_MAX];

    (void)i;
    return atls_hash_one(ATLS_HASH_SHA256, message, out, err);
}

static enum atls_code digest(size_t i, struct atls_err *err)
{
    struct atls_digest *d = NULL;
    uint8_t out[ATLS_HASH_MAX];
    enum atls_code code;

    (void)i;
    if ((code = atls_digest_new(ATLS_HASH_SHA384, &d, err)) == ATLS_OK &&
        (code = atls_digest_add(d, message, err)) == ATLS_OK)
        code = atls_digest_peek(d, out, err);
    atls_digest_free(d);
    return code;
}

static enum atls_code exporter(size_t i, struct atls_err *err)
{
    uint8_t out[100];

    (void)i;
    return atls_tls13_exporter(ATLS_HASH_SHA256, message, "tls13 ", "label", message, out,
                               sizeof out, err);
}

static enum atls_code parse_key(size_t i, struct atls_err *err)
{
    struct atls_key *key = NULL;
    enum atls_code code =
        atls_key_from_spki(atls_key_spki(atls_private_key_public(keys[i])), &key, err);

    assert_true((code == ATLS_OK) == (key != NULL));
    atls_key_unref(key);
    return code;
}

static enum atls_code verify(size_t i, struct atls_err *err)
{
    return atls_key_verify(atls_private_key_public(keys[i]), atls_private_key_scheme(keys[i]),
                           &message, 1, atls_buf_bytes(&signatures[i]), err);
}

/* OK here stands for the refusal that must come. */
static enum atls_code refuse(size_t i, struct atls_err *err)
{
    enum atls_code code =
        atls_key_verify(atls_private_key_public(keys[i]), atls_private_key_scheme(keys[i]), &other,
                        1, atls_buf_bytes(&signatures[i]), err);

    assert_int_not_equal(code, ATLS_OK);
    return code == ATLS_E_VERIFY ? ATLS_OK : code;
}

static enum atls_code sign(size_t i, struct atls_err *err)
{
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code =
        atls_private_key_sign_raw(keys[i], atls_private_key_scheme(keys[i]), message, &out, err);

    atls_buf_clear(&out);
    return code;
}

static enum atls_code generate(size_t i, struct atls_err *err)
{
    struct atls_private_key *key = NULL;
    enum atls_code code = atls_private_key_generate(types[i], &key, err);

    atls_private_key_free(key);
    return code;
}

static enum atls_code read_pem(size_t i, struct atls_err *err)
{
    struct atls_private_key *key = NULL;
    enum atls_code code = atls_private_key_from_pem(atls_buf_bytes(&private_pem), &key, err);

    (void)i;
    atls_private_key_free(key);
    return code;
}

static enum atls_code write_pem(size_t i, struct atls_err *err)
{
    struct atls_buf one = ATLS_BUF_INIT, two = ATLS_BUF_INIT;
    enum atls_code code;

    if ((code = atls_private_key_to_pem(keys[i], &one, err)) == ATLS_OK)
        code = atls_key_to_pem(atls_private_key_public(keys[i]), &two, err);
    atls_buf_clear(&one);
    atls_buf_clear(&two);
    return code;
}

static enum atls_code read_certificates(size_t i, struct atls_err *err)
{
    struct atls_buf out[1] = {ATLS_BUF_INIT};
    struct atls_key *key = NULL;
    size_t count = 0;
    enum atls_code code;

    (void)i;
    code = atls_certificates_from_pem(atls_buf_bytes(&certificate_pem), out, 1, &count, err);
    assert_true((code == ATLS_OK) == (count == 1));
    atls_buf_clear(&out[0]);
    if (code == ATLS_OK)
        code = atls_key_from_pem(atls_buf_bytes(&certificate_pem), &key, err);
    atls_key_unref(key);
    return code;
}

static enum atls_code make_anchors(size_t i, struct atls_err *err)
{
    struct atls_anchors *a = NULL;
    enum atls_code code;

    (void)i;
    if ((code = atls_anchors_new(&a, err)) == ATLS_OK &&
        (code = atls_anchors_add_pem(a, atls_buf_bytes(&certificate_pem), NULL, err)) == ATLS_OK)
        code = atls_anchors_add_crls(a, atls_buf_bytes(&crl), err);
    atls_anchors_unref(a);
    return code;
}

static enum atls_code verify_chain(size_t i, struct atls_err *err)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    const struct atls_chain_check check = {ATLS_CHAIN_TLS_SERVER, TEST_TIME_S,
                                           i == 1 ? "192.0.2.1" : "host.example", anchors};
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    enum atls_code code = atls_chain_verify(chain, 1, &check, &result, err);

    assert_true((code == ATLS_OK) == (result.key != NULL));
    atls_chain_result_clear(&result);
    if (i != 1)
        return code;
    assert_int_not_equal(code, ATLS_OK); /* the leaf does not carry that address */
    return err->reason == ATLS_REASON_CERTIFICATE_NAME ? ATLS_OK : code;
}

static enum atls_code cached(size_t i, struct atls_err *err)
{
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    const struct atls_chain_check check = {ATLS_CHAIN_TLS_CLIENT, TEST_TIME_S, NULL, anchors};
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    struct atls_chain_cache *c = NULL;
    struct atls_key *key = NULL;
    enum atls_code code;

    if ((code = atls_chain_cache_new(2, &c, err)) == ATLS_OK &&
        (code = atls_chain_cache_verify(c, chain, 1, &check, &result, err)) == ATLS_OK)
        code = atls_chain_cache_key(c, atls_key_spki(atls_private_key_public(keys[i])), &key, err);
    atls_key_unref(key);
    atls_chain_result_clear(&result);
    atls_chain_cache_free(c);
    return code;
}

static enum atls_code make_certificate(size_t i, struct atls_err *err)
{
    static const char *const names[] = {"host.example", "192.0.2.7", NULL};
    const struct atls_certificate_spec spec = {
        .dns_names = names,
        .not_before_s = TEST_NOT_BEFORE_S,
        .not_after_s = TEST_NOT_AFTER_S,
        .scheme = ATLS_ECDSA_P256_SHA256,
        .spki = atls_key_spki(atls_private_key_public(keys[i])),
        .sign = atls_private_key_sign_function,
        .sign_arg = ca.key,
        .issuer_certificate = atls_buf_bytes(&ca.certificate),
    };
    struct atls_buf out = ATLS_BUF_INIT;
    enum atls_code code = atls_certificate_make(&spec, &out, err);

    atls_buf_clear(&out);
    return code;
}

static void every_allocation_fails_once(void **state)
{
    static const struct {
        const char *name;
        enum atls_code (*run)(size_t i, struct atls_err *err);
        size_t count; /* of values of i that differ */
    } rows[] = {
        {"hash", hash, 1},
        {"digest", digest, 1},
        {"exporter", exporter, 1},
        {"parse a key", parse_key, TYPE_COUNT},
        {"verify", verify, TYPE_COUNT},
        {"refuse", refuse, TYPE_COUNT},
        {"sign", sign, TYPE_COUNT},
        {"generate", generate, 2}, /* not RSA: it takes long */
        {"read a private key", read_pem, 1},
        {"write keys", write_pem, TYPE_COUNT},
        {"read certificates", read_certificates, 1},
        {"make anchors", make_anchors, 1},
        {"verify a chain", verify_chain, 2},
        {"cache", cached, TYPE_COUNT},
        {"make a certificate", make_certificate, TYPE_COUNT},
    };

    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (size_t i = 0; i < rows[r].count; i++) {
            struct atls_err err = ATLS_ERR_INIT;
            size_t n = 0, failed = 0;
            enum atls_code code;
            bool happened;

            do {
                atls_err_clear(&err);
                test_failing_alloc_arm(n++);
                code = rows[r].run(i, &err);
                happened = test_failing_alloc_disarm();
                if (code != ATLS_OK) {
                    failed++;
                    assert_int_equal(err.code, code);
                }
            } while (happened && n < 20000);
            if (code != ATLS_OK || failed == 0)
                fail_msg("%s, key %zu: %s after %zu allocations, %zu failures: %s", rows[r].name, i,
                         atls_code_name(code), n, failed, err.message);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, setup, teardown),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
