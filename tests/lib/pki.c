#include "pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "testlib.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("test certificate: %s", #condition);                                          \
    } while (0)

void test_identity_clear(struct test_identity *identity)
{
    atls_private_key_free(identity->key);
    atls_buf_clear(&identity->certificate);
    identity->key = NULL;
}

static EVP_PKEY *signing_key(const struct atls_private_key *key)
{
    struct atls_buf text = ATLS_BUF_INIT;
    EVP_PKEY *pkey;
    BIO *bio;

    REQUIRE(atls_private_key_to_pem(key, &text, NULL) == ATLS_OK);
    bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    REQUIRE(bio != NULL);
    pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    atls_buf_clear(&text);
    REQUIRE(pkey != NULL);
    return pkey;
}

static EVP_PKEY *public_key(struct atls_bytes spki)
{
    const unsigned char *p = spki.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)spki.len);

    REQUIRE(pkey != NULL);
    return pkey;
}

static X509 *parse(struct atls_bytes der)
{
    const unsigned char *p = der.ptr;
    X509 *x = d2i_X509(NULL, &p, (long)der.len);

    REQUIRE(x != NULL);
    return x;
}

static void add_extension(X509 *x, X509 *issuer, const char *name, const char *value)
{
    X509_EXTENSION *e;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&ctx);
    e = X509V3_EXT_nconf(NULL, &ctx, name, value);
    if (e == NULL)
        fail_msg("test certificate: extension %s=%s", name, value);
    REQUIRE(X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void add_names(X509 *x, const char *const *names)
{
    char value[1024] = "";
    size_t used = 0;

    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(names[i]);
        int n = snprintf(value + used, sizeof value - used, "%s%s:%s", i == 0 ? "" : ",",
                         ip != NULL ? "IP" : "DNS", names[i]);

        ASN1_OCTET_STRING_free(ip);
        REQUIRE(n > 0 && (size_t)n < sizeof value - used);
        used += (size_t)n;
    }
    if (used != 0)
        add_extension(x, x, "subjectAltName", value);
}

static void add_extensions(X509 *x, X509 *issuer, const struct test_certificate *spec)
{
    static const struct test_extension authority[] = {
        {"basicConstraints", "critical,CA:TRUE"},
        {"keyUsage", "critical,keyCertSign,cRLSign"},
        {"subjectKeyIdentifier", "hash"},
        {NULL, NULL},
    };
    static const struct test_extension end_entity[] = {
        {"basicConstraints", "critical,CA:FALSE"},
        {"keyUsage", "critical,digitalSignature"},
        {"extendedKeyUsage", "serverAuth,clientAuth"},
        {"subjectKeyIdentifier", "hash"},
        {NULL, NULL},
    };
    const struct test_extension *e = spec->extensions != NULL ? spec->extensions
                                     : spec->is_ca            ? authority
                                                              : end_entity;

    for (; e->name != NULL; e++)
        add_extension(x, issuer, e->name, e->value);
    add_names(x, spec->dns_names);
}

static void set_serial(X509 *x)
{
    BIGNUM *n = BN_new();

    REQUIRE(n != NULL && BN_rand(n, 126, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
    REQUIRE(BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL);
    BN_free(n);
}

static struct atls_buf encode(X509 *x, bool break_signature)
{
    struct atls_buf out = ATLS_BUF_INIT;
    unsigned char *p;
    int len = i2d_X509(x, NULL);

    REQUIRE(len > 0);
    out.ptr = malloc((size_t)len);
    REQUIRE(out.ptr != NULL);
    p = out.ptr;
    out.len = (size_t)i2d_X509(x, &p);
    if (break_signature)
        out.ptr[out.len - 1] ^= 1;
    return out;
}

static const EVP_MD *digest_for(EVP_PKEY *pkey, const char *name)
{
    if (name != NULL)
        return EVP_get_digestbyname(name);
    return EVP_PKEY_is_a(pkey, "ED25519") ? NULL : EVP_sha256();
}

struct test_identity test_issue(const struct test_identity *ca, const struct test_certificate *spec)
{
    struct test_identity out = {NULL, ATLS_BUF_INIT};
    const struct atls_private_key *own = spec->key;
    struct atls_bytes spki = spec->spki;
    EVP_PKEY *subject_key, *issuer_key;
    X509 *x = X509_new(), *issuer = NULL;

    if (own == NULL && spki.len == 0) {
        enum atls_key_type type = spec->key_type == ATLS_KEY_NONE ? ATLS_KEY_P256 : spec->key_type;

        REQUIRE(atls_private_key_generate(type, &out.key, NULL) == ATLS_OK);
        own = out.key;
    }
    if (spki.len == 0)
        spki = atls_key_spki(atls_private_key_public(own));
    subject_key = public_key(spki);
    issuer_key = signing_key(ca != NULL ? ca->key : own);
    if (ca != NULL)
        issuer = parse(atls_buf_bytes(&ca->certificate));

    REQUIRE(x != NULL && X509_set_version(x, X509_VERSION_3) == 1);
    set_serial(x);
    if (spec->common_name != NULL)
        REQUIRE(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                           (const unsigned char *)spec->common_name, -1, -1,
                                           0) == 1);
    REQUIRE(X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x)) == 1);
    REQUIRE(ASN1_TIME_set(X509_getm_notBefore(x),
                          (time_t)(spec->not_before_s != 0 ? spec->not_before_s
                                                           : TEST_NOT_BEFORE_S)) != NULL);
    REQUIRE(ASN1_TIME_set(
                X509_getm_notAfter(x),
                (time_t)(spec->not_after_s != 0 ? spec->not_after_s : TEST_NOT_AFTER_S)) != NULL);
    REQUIRE(X509_set_pubkey(x, subject_key) == 1);
    add_extensions(x, issuer != NULL ? issuer : x, spec);
    REQUIRE(X509_sign(x, issuer_key, digest_for(issuer_key, spec->digest)) > 0);
    out.certificate = encode(x, spec->break_signature);
    X509_free(x);
    X509_free(issuer);
    EVP_PKEY_free(subject_key);
    EVP_PKEY_free(issuer_key);
    return out;
}

struct test_identity test_ca(const char *common_name)
{
    return test_issue(NULL, &(struct test_certificate){.common_name = common_name, .is_ca = true});
}

struct test_identity test_leaf(const struct test_identity *ca, const char *dns_name,
                               enum atls_key_type type)
{
    const char *names[] = {dns_name, NULL};

    return test_issue(ca, &(struct test_certificate){
                              .common_name = dns_name, .dns_names = names, .key_type = type});
}

static struct atls_buf make_crl(const struct test_identity *ca, const struct test_identity *revoked,
                                int64_t this_update_s, int64_t next_update_s,
                                const struct test_extension *extensions)
{
    ASN1_TIME *this_update = ASN1_TIME_set(NULL, (time_t)this_update_s);
    ASN1_TIME *next_update = ASN1_TIME_set(NULL, (time_t)next_update_s);
    X509 *issuer = parse(atls_buf_bytes(&ca->certificate));
    EVP_PKEY *key = signing_key(ca->key);
    struct atls_buf out = ATLS_BUF_INIT;
    X509_CRL *crl = X509_CRL_new();
    unsigned char *p;
    int len;

    REQUIRE(crl != NULL && this_update != NULL && next_update != NULL);
    REQUIRE(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1);
    REQUIRE(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)) == 1);
    REQUIRE(X509_CRL_set1_lastUpdate(crl, this_update) == 1);
    REQUIRE(next_update_s == 0 || X509_CRL_set1_nextUpdate(crl, next_update) == 1);
    if (revoked != NULL) {
        X509 *x = parse(atls_buf_bytes(&revoked->certificate));
        X509_REVOKED *entry = X509_REVOKED_new();

        REQUIRE(entry != NULL);
        REQUIRE(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(x)) == 1);
        REQUIRE(X509_REVOKED_set_revocationDate(entry, this_update) == 1);
        REQUIRE(X509_CRL_add0_revoked(crl, entry) == 1);
        X509_free(x);
    }
    for (; extensions != NULL && extensions->name != NULL; extensions++) {
        X509_EXTENSION *e;
        X509V3_CTX context;

        X509V3_set_ctx(&context, issuer, NULL, NULL, crl, 0);
        e = X509V3_EXT_nconf(NULL, &context, extensions->name, extensions->value);
        REQUIRE(e != NULL && X509_CRL_add_ext(crl, e, -1) == 1);
        X509_EXTENSION_free(e);
    }
    REQUIRE(X509_CRL_sign(crl, key, digest_for(key, NULL)) > 0);
    len = i2d_X509_CRL(crl, NULL);
    REQUIRE(len > 0);
    out.ptr = malloc((size_t)len);
    REQUIRE(out.ptr != NULL);
    p = out.ptr;
    out.len = (size_t)i2d_X509_CRL(crl, &p);
    X509_CRL_free(crl);
    X509_free(issuer);
    EVP_PKEY_free(key);
    ASN1_TIME_free(this_update);
    ASN1_TIME_free(next_update);
    return out;
}

struct atls_buf test_crl(const struct test_identity *ca, const struct test_identity *revoked,
                         int64_t this_update_s, int64_t next_update_s)
{
    return make_crl(ca, revoked, this_update_s, next_update_s, NULL);
}

struct atls_buf test_crl_extended(const struct test_identity *ca, int64_t this_update_s,
                                  int64_t next_update_s, const struct test_extension *extensions)
{
    return make_crl(ca, NULL, this_update_s, next_update_s, extensions);
}

struct atls_anchors *test_anchors(struct atls_bytes certificate)
{
    struct atls_anchors *anchors = NULL;

    REQUIRE(atls_anchors_new(&anchors, NULL) == ATLS_OK);
    REQUIRE(atls_anchors_add_der(anchors, certificate, NULL) == ATLS_OK);
    return anchors;
}
