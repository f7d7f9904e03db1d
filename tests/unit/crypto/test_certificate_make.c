#include "testlib.h"

#include <string.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/writer.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "pki.h"

static const char *const names[] = {"host.example", "192.0.2.7", NULL};

static struct atls_certificate_spec spec_for(struct atls_private_key *key)
{
    return (struct atls_certificate_spec){
        .common_name = "host",
        .dns_names = names,
        .not_before_s = TEST_NOT_BEFORE_S,
        .not_after_s = TEST_NOT_AFTER_S, /* 2050: the first GeneralizedTime */
        .scheme = atls_private_key_scheme(key),
        .spki = atls_key_spki(atls_private_key_public(key)),
        .sign = atls_private_key_sign_function,
        .sign_arg = key,
    };
}

/* What we make must satisfy libcrypto's own verification as well as ours. */
static void certificates_of_every_scheme_verify(void **state)
{
    static const struct {
        enum atls_key_type type;
        enum atls_signature scheme;
    } rows[] = {
        {ATLS_KEY_P256, ATLS_ECDSA_P256_SHA256}, {ATLS_KEY_P384, ATLS_ECDSA_P384_SHA384},
        {ATLS_KEY_P521, ATLS_ECDSA_P521_SHA512}, {ATLS_KEY_ED25519, ATLS_ED25519},
        {ATLS_KEY_RSA, ATLS_RSA_PKCS1_SHA256},   {ATLS_KEY_RSA, ATLS_RSA_PKCS1_SHA384},
        {ATLS_KEY_RSA, ATLS_RSA_PKCS1_SHA512},   {ATLS_KEY_RSA, ATLS_RSA_PSS_SHA256},
        {ATLS_KEY_RSA, ATLS_RSA_PSS_SHA384},     {ATLS_KEY_RSA, ATLS_RSA_PSS_SHA512},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct atls_private_key *ca_key = NULL, *leaf_key = NULL;
        struct atls_buf ca = ATLS_BUF_INIT, leaf = ATLS_BUF_INIT, request = ATLS_BUF_INIT;
        struct atls_certificate_spec spec;
        struct atls_chain_result result;
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_chain_check check;
        const unsigned char *p;
        struct atls_bytes chain[1];
        X509_REQ *req;
        EVP_PKEY *pkey;

        assert_int_equal(atls_private_key_generate(rows[i].type, &ca_key, NULL), ATLS_OK);
        assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &leaf_key, NULL), ATLS_OK);
        spec = spec_for(ca_key);
        spec.scheme = rows[i].scheme;
        spec.is_ca = true;
        spec.common_name = "authority";
        spec.dns_names = NULL;
        test_assert_code(atls_certificate_make(&spec, &ca, &err), ATLS_OK, &err);
        spec.is_ca = false;
        spec.common_name = NULL;
        spec.dns_names = names;
        spec.spki = atls_key_spki(atls_private_key_public(leaf_key));
        spec.issuer_certificate = atls_buf_bytes(&ca);
        test_assert_code(atls_certificate_make(&spec, &leaf, &err), ATLS_OK, &err);

        check = (struct atls_chain_check){ATLS_CHAIN_TLS_SERVER, TEST_TIME_S, "host.example",
                                          test_anchors(atls_buf_bytes(&ca))};
        chain[0] = atls_buf_bytes(&leaf);
        test_assert_code(atls_chain_verify(chain, 1, &check, &result, &err), ATLS_OK, &err);
        test_assert_bytes(atls_key_spki(result.key), spec.spki);
        assert_int_equal(result.not_after_s, TEST_NOT_AFTER_S);
        atls_chain_result_clear(&result);
        check.name = "192.0.2.7";
        test_assert_code(atls_chain_verify(chain, 1, &check, &result, &err), ATLS_OK, &err);
        atls_chain_result_clear(&result);
        atls_anchors_unref(check.anchors);

        spec = spec_for(ca_key);
        spec.scheme = rows[i].scheme;
        test_assert_code(atls_certificate_request_make(&spec, &request, &err), ATLS_OK, &err);
        p = request.ptr;
        req = d2i_X509_REQ(NULL, &p, (long)request.len);
        assert_non_null(req);
        assert_ptr_equal(p, request.ptr + request.len);
        pkey = X509_REQ_get0_pubkey(req);
        assert_non_null(pkey);
        assert_int_equal(X509_REQ_verify(req, pkey), 1);
        X509_REQ_free(req);
        atls_private_key_free(ca_key);
        atls_private_key_free(leaf_key);
        atls_buf_clear(&ca);
        atls_buf_clear(&leaf);
        atls_buf_clear(&request);
    }
}

static void content_is_as_asked_for(void **state)
{
    struct atls_private_key *key = NULL;
    struct atls_certificate_spec spec;
    struct atls_buf der = ATLS_BUF_INIT, again = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    const unsigned char *p;
    char text[64];
    X509 *x;

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    spec = spec_for(key);
    test_assert_code(atls_certificate_make(&spec, &der, &err), ATLS_OK, &err);
    p = der.ptr;
    x = d2i_X509(NULL, &p, (long)der.len);
    assert_non_null(x);
    assert_int_equal(X509_get_version(x), X509_VERSION_3);
    assert_true(
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof text) > 0);
    assert_string_equal(text, "host");
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)), 0);
    assert_int_equal(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER | XKU_SSL_CLIENT);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(X509_check_host(x, "host.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(x, "192.0.2.7", 0), 1);
    assert_int_equal(ASN1_STRING_type((const ASN1_STRING *)X509_get0_notBefore(x)), V_ASN1_UTCTIME);
    assert_int_equal(ASN1_STRING_type((const ASN1_STRING *)X509_get0_notAfter(x)),
                     V_ASN1_GENERALIZEDTIME);
    assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(x)), 16);
    X509_free(x);
    /* serial numbers are random */
    test_assert_code(atls_certificate_make(&spec, &again, &err), ATLS_OK, &err);
    assert_true(again.len != der.len || memcmp(again.ptr, der.ptr, der.len) != 0);
    atls_buf_clear(&der);
    atls_buf_clear(&again);
    atls_private_key_free(key);
}

/* Extensions of the caller's, and a subject as another certificate has it. */
static void extra_extensions(void **state)
{
    static const uint8_t oid[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x23};
    const struct atls_certificate_extra extra[] = {
        {HEX("\x2a\x03"), HEX("\x05\x00"), true},
        {{oid, sizeof oid}, HEX("\x04\x01\x07"), false},
    };
    const struct atls_bytes known = HEX("\x2a\x03");
    struct atls_private_key *key = NULL;
    struct atls_certificate_spec spec;
    struct atls_buf der = ATLS_BUF_INIT, copy = ATLS_BUF_INIT;
    struct atls_certificate *c = NULL, *second = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes value;
    size_t count;

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    spec = spec_for(key);
    spec.extra = extra;
    spec.extra_count = 2;
    test_assert_code(atls_certificate_make(&spec, &der, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_parse(atls_buf_bytes(&der), &c, &err), ATLS_OK, &err);
    value = atls_certificate_extension(c, extra[1].oid, &count);
    assert_int_equal(count, 1);
    test_assert_bytes(value, extra[1].value);
    assert_false(atls_certificate_understood(c, NULL, 0));
    assert_false(atls_certificate_understood(c, &extra[1].oid, 1));
    assert_true(atls_certificate_understood(c, &known, 1));
    spec.subject = atls_certificate_subject(c);
    spec.common_name = NULL;
    spec.extra_count = 0;
    test_assert_code(atls_certificate_make(&spec, &copy, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_parse(atls_buf_bytes(&copy), &second, &err), ATLS_OK, &err);
    test_assert_bytes(atls_certificate_subject(second), atls_certificate_subject(c));
    assert_true(atls_certificate_is_self_issued(second));
    assert_true(atls_certificate_understood(second, NULL, 0));
    atls_certificate_unref(c);
    atls_certificate_unref(second);
    atls_buf_clear(&der);
    atls_buf_clear(&copy);
    atls_private_key_free(key);
}

/* An empty subject makes the names critical, however it was given. */
static void nameless(void **state)
{
    static const uint8_t empty[] = {0x30, 0x00};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct atls_private_key *key = NULL;
        struct atls_certificate_spec spec;
        struct atls_buf der = ATLS_BUF_INIT;
        const unsigned char *p;
        X509 *x;
        int at;

        assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
        spec = spec_for(key);
        if (i > 0)
            spec.common_name = NULL;
        if (i > 1)
            spec.subject = atls_bytes_of(empty, sizeof empty);
        assert_int_equal(atls_certificate_make(&spec, &der, NULL), ATLS_OK);
        p = der.ptr;
        x = d2i_X509(NULL, &p, (long)der.len);
        assert_non_null(x);
        at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
        assert_true(at >= 0);
        assert_int_equal(X509_EXTENSION_get_critical(X509_get_ext(x, at)) != 0, i > 0);
        X509_free(x);
        atls_buf_clear(&der);
        atls_private_key_free(key);
    }
}

static enum atls_code verify_self(const struct atls_buf *der, struct atls_err *err)
{
    struct atls_certificate *c = NULL;
    enum atls_code code = atls_certificate_parse(atls_buf_bytes(der), &c, err);

    if (code == ATLS_OK)
        code = atls_certificate_verify_self(c, err);
    atls_certificate_unref(c);
    return code;
}

static void self_signatures(void **state)
{
    static const enum atls_key_type types[] = {ATLS_KEY_P256, ATLS_KEY_P384, ATLS_KEY_P521,
                                               ATLS_KEY_ED25519, ATLS_KEY_RSA};
    struct test_certificate weak = {.common_name = "weak", .digest = "SHA1"};
    struct test_identity ca = test_ca("ca"), leaf = test_leaf(&ca, "leaf", ATLS_KEY_P256), sha1;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct test_certificate spec = {.common_name = "self", .key_type = types[i]};
        struct test_identity good = test_issue(NULL, &spec), bad;

        test_assert_code(verify_self(&good.certificate, &err), ATLS_OK, &err);
        spec.break_signature = true;
        bad = test_issue(NULL, &spec);
        test_assert_code(verify_self(&bad.certificate, &err), ATLS_E_CERTIFICATE, &err);
        assert_int_equal(err.reason, ATLS_REASON_CHAIN_SIGNATURE);
        test_identity_clear(&good);
        test_identity_clear(&bad);
    }
    test_assert_code(verify_self(&leaf.certificate, &err), ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CHAIN_ISSUER);
    sha1 = test_issue(NULL, &weak);
    test_assert_code(verify_self(&sha1.certificate, &err), ATLS_E_UNSUPPORTED, &err);
    assert_int_equal(err.reason, ATLS_REASON_UNSUPPORTED_ALGORITHM);
    test_identity_clear(&sha1);
    test_identity_clear(&ca);
    test_identity_clear(&leaf);
}

static void requests_without_names_have_no_attributes(void **state)
{
    struct atls_private_key *key = NULL;
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_certificate_spec spec;
    struct atls_err err = ATLS_ERR_INIT;
    const unsigned char *p;
    X509_REQ *req;

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    spec = spec_for(key);
    spec.dns_names = NULL;
    test_assert_code(atls_certificate_request_make(&spec, &der, &err), ATLS_OK, &err);
    p = der.ptr;
    req = d2i_X509_REQ(NULL, &p, (long)der.len);
    assert_non_null(req);
    assert_int_equal(X509_REQ_get_attr_count(req), 0);
    X509_REQ_free(req);
    atls_buf_clear(&der);
    atls_private_key_free(key);
}

static enum atls_code refuse_to_sign(void *arg, enum atls_signature scheme, struct atls_bytes tbs,
                                     struct atls_buf *out, struct atls_err *err)
{
    (void)arg, (void)scheme, (void)tbs, (void)out, (void)err;
    return ATLS_E_DEVICE;
}

static void what_cannot_be_made(void **state)
{
    const char *many[66] = {NULL};
    struct atls_private_key *key = NULL;
    struct atls_certificate_spec good, spec;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_bytes junk = HEX("junk");

    (void)state;
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &key, NULL), ATLS_OK);
    good = spec_for(key);
#define REFUSED(change, want)                                                                      \
    do {                                                                                           \
        spec = good;                                                                               \
        change;                                                                                    \
        assert_int_equal(atls_certificate_make(&spec, &out, NULL), want);                          \
        assert_null(out.ptr);                                                                      \
    } while (0)
    REFUSED(spec.sign = NULL, ATLS_E_USAGE);
    REFUSED(spec.sign = refuse_to_sign, ATLS_E_DEVICE);
    REFUSED(spec.scheme = ATLS_ED25519, ATLS_E_UNSUPPORTED); /* the key cannot */
    REFUSED(spec.scheme = (enum atls_signature)0x0201, ATLS_E_UNSUPPORTED);
    REFUSED(spec.spki = junk, ATLS_E_DECODE);
    REFUSED(spec.issuer_certificate = junk, ATLS_E_DECODE);
    REFUSED(spec.not_after_s = spec.not_before_s - 1, ATLS_E_USAGE);
    REFUSED(spec.not_after_s = INT64_C(253402300800), ATLS_E_USAGE); /* the year 10000 */
    REFUSED(spec.not_before_s = INT64_C(-631152001), ATLS_E_USAGE);  /* 1949 */
    REFUSED(spec.common_name = "0123456789012345678901234567890123456789012345678901234567890123x",
            ATLS_E_USAGE);
    for (size_t i = 0; i < 65; i++)
        many[i] = "host.example";
    REFUSED(spec.dns_names = many, ATLS_E_LIMIT);
    atls_private_key_free(key);
}

static void pem_bundles(void **state)
{
    struct test_identity ca = test_ca("root"), leaf = test_leaf(&ca, "host.example", ATLS_KEY_P256);
    struct atls_buf one = ATLS_BUF_INIT, two = ATLS_BUF_INIT, key = ATLS_BUF_INIT, text;
    struct atls_buf out[2] = {ATLS_BUF_INIT, ATLS_BUF_INIT};
    struct atls_writer w = atls_writer_init(65536);
    struct atls_anchors *anchors = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 77;

    (void)state;
    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&ca.certificate), &one, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&leaf.certificate), &two, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_private_key_to_pem(leaf.key, &key, &err), ATLS_OK, &err);
    atls_put_text(&w, "some words before\n");
    atls_put_bytes(&w, atls_buf_bytes(&one));
    atls_put_bytes(&w, atls_buf_bytes(&key)); /* other blocks are passed over */
    atls_put_bytes(&w, atls_buf_bytes(&two));
    assert_int_equal(atls_writer_finish(&w, &text, NULL), ATLS_OK);

    test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&text), out, 2, &count, &err),
                     ATLS_OK, &err);
    assert_int_equal(count, 2);
    test_assert_bytes(atls_buf_bytes(&out[0]), atls_buf_bytes(&ca.certificate));
    test_assert_bytes(atls_buf_bytes(&out[1]), atls_buf_bytes(&leaf.certificate));
    atls_buf_clear(&out[0]);
    atls_buf_clear(&out[1]);

    test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&text), out, 1, &count, &err),
                     ATLS_E_LIMIT, &err);
    test_assert_code(
        atls_certificates_from_pem(atls_bytes_of(text.ptr, text.len - 40), out, 2, &count, &err),
        ATLS_E_DECODE, &err);
    test_assert_code(atls_certificates_from_pem(atls_buf_bytes(&key), out, 2, &count, &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_certificates_from_pem(atls_bytes_of("", 0), out, 2, &count, &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_certificates_from_pem(atls_bytes_of(NULL, 0), out, 2, &count, &err),
                     ATLS_E_DECODE, &err);
    assert_null(out[0].ptr);

    assert_int_equal(atls_anchors_new(&anchors, NULL), ATLS_OK);
    test_assert_code(atls_anchors_add_pem(anchors, atls_buf_bytes(&text), &count, &err), ATLS_OK,
                     &err);
    assert_int_equal(count, 2);
    assert_int_equal(atls_anchors_count(anchors), 2);
    test_assert_code(atls_anchors_add_pem(anchors, atls_buf_bytes(&key), NULL, &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_anchors_add_der(anchors, atls_buf_bytes(&text), &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_anchors_add_crls(anchors, atls_buf_bytes(&text), &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_anchors_add_crls(anchors, atls_buf_bytes(&ca.certificate), &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_anchors_add_crls(anchors, atls_bytes_of("", 0), &err), ATLS_E_DECODE,
                     &err);
    test_assert_code(atls_anchors_add_system(anchors, &err), ATLS_OK, &err);
    assert_int_equal(atls_anchors_count(anchors), 3);
    assert_ptr_equal(atls_anchors_ref(anchors), anchors);
    atls_anchors_unref(anchors);
    atls_anchors_unref(anchors);
    atls_anchors_unref(atls_anchors_ref(NULL));
    test_assert_code(atls_pem_encode("X", atls_bytes_of("", 0), &one, &err), ATLS_E_USAGE, &err);

    atls_buf_clear(&one);
    atls_buf_clear(&two);
    atls_buf_clear(&key);
    atls_buf_clear(&text);
    test_identity_clear(&ca);
    test_identity_clear(&leaf);
}

static void key_of_a_pem_certificate(void **state)
{
    struct test_identity ca = test_ca("root");
    struct atls_buf pem = ATLS_BUF_INIT;
    struct atls_key *key = NULL;

    (void)state;
    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_buf_bytes(&ca.certificate), &pem, NULL),
                     ATLS_OK);
    assert_int_equal(atls_key_from_pem(atls_buf_bytes(&pem), &key, NULL), ATLS_OK);
    test_assert_bytes(atls_key_spki(key), atls_key_spki(atls_private_key_public(ca.key)));
    atls_key_unref(key);
    atls_buf_clear(&pem);
    test_identity_clear(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_of_every_scheme_verify),
        cmocka_unit_test(content_is_as_asked_for),
        cmocka_unit_test(extra_extensions),
        cmocka_unit_test(nameless),
        cmocka_unit_test(self_signatures),
        cmocka_unit_test(requests_without_names_have_no_attributes),
        cmocka_unit_test(what_cannot_be_made),
        cmocka_unit_test(pem_bundles),
        cmocka_unit_test(key_of_a_pem_certificate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
