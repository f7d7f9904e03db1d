/* Credentials are opened here by the inverse, what a TPM does in TPM2_ActivateCredential. */
#include "testlib.h"

#include <string.h>

#include "pki.h"
#include "tpm_activate.h"
#include "tpm_forge.h"

#include "bind/credential.h"
#include "core/err.h"

static void derivations_agree_with_libcrypto(void **state)
{
    static const size_t lens[] = {1, 16, 31, 32, 33, 64};
    static const uint8_t huge[2048];
    static const uint8_t z[32] = {1, 2, 3}, u[34] = {4, 5, 6}, v[32] = {7, 8, 9};
    struct atls_tpm_kdf kdf = {
        .hash = ATLS_HASH_SHA256,
        .key = {z, sizeof z},
        .label = "IDENTITY",
        .u = {u, sizeof u},
        .v = {v, sizeof v},
    };
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t got[64], want[64], joined[sizeof u + sizeof v];

    (void)state;
    memcpy(joined, u, sizeof u);
    memcpy(joined + sizeof u, v, sizeof v);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        test_assert_code(atls_tpm_kdfa(&kdf, got, lens[i], &err), ATLS_OK, &err);
        test_tpm_kdfa(kdf.key, kdf.label, atls_bytes_of(joined, sizeof joined), want, lens[i]);
        assert_memory_equal(got, want, lens[i]);
        test_assert_code(atls_tpm_kdfe(&kdf, got, lens[i], &err), ATLS_OK, &err);
        test_tpm_kdfe(kdf.key, kdf.label, kdf.u, kdf.v, want, lens[i]);
        assert_memory_equal(got, want, lens[i]);
    }
    test_assert_code(atls_tpm_kdfa(&kdf, got, 0, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_tpm_kdfa(&kdf, got, 65, &err), ATLS_E_USAGE, &err);
    kdf.hash = ATLS_HASH_NONE;
    test_assert_code(atls_tpm_kdfe(&kdf, got, 16, &err), ATLS_E_USAGE, &err);
    kdf.hash = ATLS_HASH_SHA256;
    /* Contexts that no TPM has do not fit. */
    kdf.v = atls_bytes_of(huge, sizeof huge);
    test_assert_code(atls_tpm_kdfa(&kdf, got, 16, &err), ATLS_E_LIMIT, &err);
}

static bool open_with(const struct test_tpm_key *ek, struct atls_bytes name,
                      const struct atls_credential *c, uint8_t *out, size_t *out_len)
{
    return test_tpm_activate(ek, name, atls_buf_bytes(&c->id_object),
                             atls_buf_bytes(&c->encrypted_secret), out, out_len);
}

struct pair {
    struct test_tpm_key ek, ak;
    struct atls_buf ek_public;
    struct atls_tpmt_public area;
    struct atls_tpm_name name;
};

static struct pair pair_new(enum atls_key_type type)
{
    struct pair p;
    struct atls_buf ak;
    struct atls_tpmt_public area;
    struct atls_err err = ATLS_ERR_INIT;

    p.ek = test_tpm_ek_new(type);
    p.ak = test_tpm_key_new(ATLS_KEY_P256, TEST_TPM_AK_ATTRIBUTES);
    p.ek_public = test_tpm_public(&p.ek);
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&p.ek_public), &p.area, &err), ATLS_OK,
                     &err);
    ak = test_tpm_public(&p.ak);
    test_assert_code(atls_tpmt_public_decode(atls_buf_bytes(&ak), &area, &err), ATLS_OK, &err);
    test_assert_code(atls_tpm_name_of(&area, &p.name, &err), ATLS_OK, &err);
    atls_buf_clear(&ak);
    return p;
}

static void pair_clear(struct pair *p)
{
    test_tpm_key_clear(&p->ek);
    test_tpm_key_clear(&p->ak);
    atls_buf_clear(&p->ek_public);
}

static void what_was_protected_is_opened(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_RSA, ATLS_KEY_P256};
    static const size_t lens[] = {1, 9, 32};
    static const uint8_t secret[32] = "a secret of thirty-two bytes...";

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct pair p = pair_new(types[t]);

        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            struct atls_credential c;
            struct atls_err err = ATLS_ERR_INIT;
            uint8_t out[64];
            size_t len;

            test_assert_code(
                atls_credential_make(&p.area, &p.name, atls_bytes_of(secret, lens[i]), &c, &err),
                ATLS_OK, &err);
            assert_true(open_with(&p.ek, atls_tpm_name_bytes(&p.name), &c, out, &len));
            test_assert_bytes(atls_bytes_of(out, len), atls_bytes_of(secret, lens[i]));
            atls_credential_clear(&c);
        }
        pair_clear(&p);
    }
}

/* The same EK with another object, or a credential that somebody touched: the HMAC does not fit. */
static void what_was_changed_is_not_opened(void **state)
{
    struct pair p = pair_new(ATLS_KEY_P256);
    struct atls_tpm_name other = p.name;
    struct atls_credential c;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t out[64];
    size_t len;

    (void)state;
    test_assert_code(atls_credential_make(&p.area, &p.name, atls_bytes_of("secret", 6), &c, &err),
                     ATLS_OK, &err);
    other.data[33] ^= 1;
    assert_false(open_with(&p.ek, atls_tpm_name_bytes(&other), &c, out, &len));
    for (size_t at = 4; at < c.id_object.len; at++) {
        c.id_object.ptr[at] ^= 1;
        assert_false(open_with(&p.ek, atls_tpm_name_bytes(&p.name), &c, out, &len));
        c.id_object.ptr[at] ^= 1;
    }
    assert_true(open_with(&p.ek, atls_tpm_name_bytes(&p.name), &c, out, &len));
    atls_credential_clear(&c);
    pair_clear(&p);
}

static void no_two_credentials_are_alike(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_RSA, ATLS_KEY_P256};

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct pair p = pair_new(types[t]);
        struct atls_credential a, b;
        struct atls_bytes secret = atls_bytes_of("secret", 6);
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(atls_credential_make(&p.area, &p.name, secret, &a, &err), ATLS_OK, &err);
        test_assert_code(atls_credential_make(&p.area, &p.name, secret, &b, &err), ATLS_OK, &err);
        assert_memory_not_equal(a.id_object.ptr, b.id_object.ptr, a.id_object.len);
        assert_memory_not_equal(a.encrypted_secret.ptr, b.encrypted_secret.ptr,
                                a.encrypted_secret.len);
        atls_credential_clear(&a);
        atls_credential_clear(&b);
        pair_clear(&p);
    }
}

/* The lengths of a credential that a tool made for a recorded EK and AK. */
static void shape_of_a_recorded_credential(void **state)
{
    struct atls_buf ek = test_vector("tpm/keylime-quote/ek.pub");
    struct atls_buf recorded = test_vector("tpm/keylime-quote/mkcred.out");
    struct atls_buf secret = test_vector("tpm/keylime-quote/secret.data");
    struct atls_buf name_bytes = test_vector("tpm/keylime-quote/ak.name");
    struct atls_tpm_name name = {.len = name_bytes.len};
    struct atls_tpmt_public area;
    struct atls_credential c;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    memcpy(name.data, name_bytes.ptr, name.len);
    test_assert_code(atls_tpm2b_public_decode(atls_buf_bytes(&ek), &area, &err), ATLS_OK, &err);
    test_assert_code(atls_credential_make(&area, &name, atls_buf_bytes(&secret), &c, &err), ATLS_OK,
                     &err);
    assert_int_equal(c.id_object.len + c.encrypted_secret.len, recorded.len - 8);
    assert_memory_equal(c.id_object.ptr, recorded.ptr + 8, 4);
    assert_memory_equal(c.encrypted_secret.ptr, recorded.ptr + 8 + c.id_object.len, 2);
    atls_credential_clear(&c);
    atls_credential_clear(NULL);
    atls_buf_clear(&ek);
    atls_buf_clear(&recorded);
    atls_buf_clear(&secret);
    atls_buf_clear(&name_bytes);
}

static void credentials_that_are_not_made(void **state)
{
    static const uint8_t secret[33];
    struct pair p = pair_new(ATLS_KEY_P256);
    struct atls_tpmt_public area = p.area;
    struct atls_tpm_name empty = {0}, huge = {.len = ATLS_TPM_NAME_MAX + 1};
    struct atls_credential c;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t y[32];

    (void)state;
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 0), &c, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 33), &c, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_credential_make(&area, &empty, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_USAGE, &err);
    test_assert_code(atls_credential_make(&area, &huge, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_USAGE, &err);
    area.attributes |= ATLS_TPMA_SIGN;
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_EVIDENCE, &err);
    assert_int_equal(err.reason, ATLS_REASON_KEY_ATTRIBUTES);
    /* An invalid curve point would give the seed away. */
    area = p.area;
    memcpy(y, area.y.ptr, sizeof y);
    y[31] ^= 1;
    area.y = atls_bytes_of(y, sizeof y);
    test_assert_code(atls_credential_make(&area, &p.name, atls_bytes_of(secret, 32), &c, &err),
                     ATLS_E_DECODE, &err);
    pair_clear(&p);
}

static void certificates_of_endorsement_keys(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_RSA, ATLS_KEY_P256};
    struct test_identity ca = test_ca("TPM maker");

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct pair p = pair_new(types[t]);
        struct test_certificate spec = {
            .spki = atls_key_spki(atls_private_key_public(p.ek.private_key))};
        struct test_certificate other = {
            .spki = atls_key_spki(atls_private_key_public(p.ak.private_key))};
        struct test_identity right = test_issue(&ca, &spec), wrong = test_issue(&ca, &other);
        struct atls_err err = ATLS_ERR_INIT;

        test_assert_code(
            atls_credential_match_certificate(&p.area, atls_buf_bytes(&right.certificate), &err),
            ATLS_OK, &err);
        test_assert_code(
            atls_credential_match_certificate(&p.area, atls_buf_bytes(&wrong.certificate), &err),
            ATLS_E_CERTIFICATE, &err);
        assert_int_equal(err.reason, ATLS_REASON_NAME_MISMATCH);
        test_assert_code(atls_credential_match_certificate(&p.area, atls_bytes_of("x", 1), &err),
                         ATLS_E_DECODE, &err);
        p.area.type = ATLS_TPM_ALG_ECC;
        p.area.curve = 0x10;
        test_assert_code(
            atls_credential_match_certificate(&p.area, atls_buf_bytes(&right.certificate), &err),
            ATLS_E_UNSUPPORTED, &err);
        test_identity_clear(&right);
        test_identity_clear(&wrong);
        pair_clear(&p);
    }
    test_identity_clear(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivations_agree_with_libcrypto),
        cmocka_unit_test(what_was_protected_is_opened),
        cmocka_unit_test(what_was_changed_is_not_opened),
        cmocka_unit_test(no_two_credentials_are_alike),
        cmocka_unit_test(shape_of_a_recorded_credential),
        cmocka_unit_test(credentials_that_are_not_made),
        cmocka_unit_test(certificates_of_endorsement_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
