/* The attester's key as the TLS key of an unmodified OpenSSL. */
#include "tls/openssl/key.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "testlib.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "failing_alloc.h"
#include "fake_attester.h"
#include "pki.h"
#include "tls/openssl/error.h"
#include "tls/openssl/provider.h"

static const char text[] = "what an attester signs";
#define TEXT_LEN (sizeof text - 1)

/* RSA keys are slow to make: two serve in turn, so that neighbours differ. */
static struct atls_private_key *rsa_keys[2];

static struct atls_private_key *next_rsa_key(void)
{
    static unsigned int turn;
    struct atls_private_key **key = &rsa_keys[turn++ % 2];
    struct atls_err err = ATLS_ERR_INIT;

    if (*key == NULL)
        test_assert_code(atls_private_key_generate(ATLS_KEY_RSA, key, &err), ATLS_OK, &err);
    return atls_private_key_ref(*key);
}

static void forget_rsa_keys(void)
{
    for (size_t i = 0; i < 2; i++) {
        atls_private_key_free(rsa_keys[i]);
        rsa_keys[i] = NULL;
    }
}

static struct atls_attester *open_fake(struct fake_attester *fake, enum atls_key_type type)
{
    memset(fake, 0, sizeof *fake);
    fake->key_type = type;
    if (type == ATLS_KEY_RSA)
        fake->key = next_rsa_key();
    return fake_attester_open(fake);
}

static EVP_PKEY *key_of(struct atls_attester *attester)
{
    struct atls_err err = ATLS_ERR_INIT;
    EVP_PKEY *key = NULL;

    test_assert_code(atls_openssl_key_new(attester, &key, &err), ATLS_OK, &err);
    return key;
}

static EVP_PKEY *public_of(struct atls_attester *attester)
{
    struct atls_bytes spki = atls_attester_aik_spki(attester);
    const unsigned char *der = spki.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)spki.len);

    assert_non_null(key);
    return key;
}

static X509 *leaf_of(struct atls_attester *attester)
{
    size_t count;
    const struct atls_bytes *chain = atls_attester_chain(attester, &count);
    const unsigned char *der = chain[0].ptr;
    X509 *x = d2i_X509(NULL, &der, (long)chain[0].len);

    assert_non_null(x);
    return x;
}

/* The same key in memory, private half and all. */
static EVP_PKEY *plain_key(const struct atls_private_key *key)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    EVP_PKEY *out;
    BIO *bio;

    test_assert_code(atls_private_key_to_pem(key, &pem, NULL), ATLS_OK, NULL);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    out = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_non_null(out);
    BIO_free(bio);
    atls_buf_clear(&pem);
    return out;
}

/* True when the error queue, which is emptied, holds the message. */
static bool queue_has(const char *message)
{
    const char *data;
    bool found = false;
    int flags;

    while (ERR_get_error_all(NULL, NULL, NULL, &data, &flags) != 0)
        found = found || ((flags & ERR_TXT_STRING) != 0 && strstr(data, message) != NULL);
    return found;
}

/* ---- handshakes ---- */

struct ends {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
    int client_result, server_result; /* of the last step; 1: done */
};

static void trust(SSL_CTX *ctx, struct atls_attester *attester)
{
    X509 *x = leaf_of(attester);

    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_free(x);
}

static void use_plain(SSL_CTX *ctx, enum atls_key_type type)
{
    struct test_identity identity = test_issue(NULL, &(struct test_certificate){.key_type = type});
    const unsigned char *der = identity.certificate.ptr;
    X509 *x = d2i_X509(NULL, &der, (long)identity.certificate.len);
    EVP_PKEY *key = plain_key(identity.key);

    assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    EVP_PKEY_free(key);
    X509_free(x);
    test_identity_clear(&identity);
}

static void use_attester(SSL_CTX *ctx, struct atls_attester *attester)
{
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_openssl_use_attester(ctx, attester, &err), ATLS_OK, &err);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
}

/* Either attester may be NULL: a server has a plain key then, a client none. */
static void ends_init(struct ends *e, struct atls_attester *server, struct atls_attester *client)
{
    memset(e, 0, sizeof *e);
    e->client_ctx = SSL_CTX_new(TLS_client_method());
    e->server_ctx = SSL_CTX_new(TLS_server_method());
    if (server != NULL) {
        use_attester(e->server_ctx, server);
        trust(e->client_ctx, server);
    } else {
        use_plain(e->server_ctx, ATLS_KEY_P256);
    }
    if (client != NULL) {
        use_attester(e->client_ctx, client);
        trust(e->server_ctx, client);
    }
}

static void ends_clear(struct ends *e)
{
    SSL_free(e->client);
    SSL_free(e->server);
    SSL_CTX_free(e->client_ctx);
    SSL_CTX_free(e->server_ctx);
}

/* Over memory, step by step in this thread; stops at the first that fails. */
static void handshake_of(struct ends *e)
{
    BIO *client = NULL, *server = NULL;

    e->client = SSL_new(e->client_ctx);
    e->server = SSL_new(e->server_ctx);
    if (e->client == NULL || e->server == NULL || BIO_new_bio_pair(&client, 0, &server, 0) != 1)
        abort();
    SSL_set_bio(e->client, client, client);
    SSL_set_bio(e->server, server, server);
    SSL_set_connect_state(e->client);
    SSL_set_accept_state(e->server);
    for (int i = 0; i < 16 && (e->client_result != 1 || e->server_result != 1); i++) {
        ERR_clear_error();
        e->client_result = SSL_do_handshake(e->client);
        if (e->client_result != 1 &&
            SSL_get_error(e->client, e->client_result) != SSL_ERROR_WANT_READ)
            return;
        ERR_clear_error();
        e->server_result = SSL_do_handshake(e->server);
        if (e->server_result != 1 &&
            SSL_get_error(e->server, e->server_result) != SSL_ERROR_WANT_READ)
            return;
    }
}

static void assert_shaken(const struct ends *e)
{
    assert_int_equal(e->client_result, 1);
    assert_int_equal(e->server_result, 1);
    assert_int_equal(SSL_version(e->client), TLS1_3_VERSION);
}

/* RSA signs with SHA-256 unless the attester says another. */
static enum atls_signature scheme_384(void *self)
{
    (void)self;
    return ATLS_RSA_PSS_SHA384;
}

static enum atls_signature scheme_512(void *self)
{
    (void)self;
    return ATLS_RSA_PSS_SHA512;
}

static const struct row {
    const char *name;
    enum atls_key_type type;
    enum atls_signature (*scheme)(void *self); /* in place of the key's own */
    int signature_nid, digest_nid;             /* as libssl names what the peer signed with */
} rows[] = {
    {"P-256", ATLS_KEY_P256, NULL, EVP_PKEY_EC, NID_sha256},
    {"P-384", ATLS_KEY_P384, NULL, EVP_PKEY_EC, NID_sha384},
    {"P-521", ATLS_KEY_P521, NULL, EVP_PKEY_EC, NID_sha512},
    {"Ed25519", ATLS_KEY_ED25519, NULL, EVP_PKEY_ED25519, NID_undef},
    {"RSA, SHA-256", ATLS_KEY_RSA, NULL, EVP_PKEY_RSA_PSS, NID_sha256},
    {"RSA, SHA-384", ATLS_KEY_RSA, scheme_384, EVP_PKEY_RSA_PSS, NID_sha384},
    {"RSA, SHA-512", ATLS_KEY_RSA, scheme_512, EVP_PKEY_RSA_PSS, NID_sha512},
};
#define ROWS (sizeof rows / sizeof rows[0])

static struct atls_attester *open_row(struct fake_attester *fake, const struct row *row)
{
    struct atls_attester *attester = open_fake(fake, row->type);

    if (row->scheme != NULL)
        fake->ops.aik_scheme = row->scheme;
    return attester;
}

static void assert_peer(SSL *ssl, struct atls_attester *attester, const struct row *row)
{
    EVP_PKEY *want = public_of(attester);
    X509 *peer = SSL_get1_peer_certificate(ssl);
    int nid = 0;

    assert_non_null(peer);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(peer), want), 1);
    assert_int_equal(SSL_get_verify_result(ssl), X509_V_OK);
    assert_int_equal(SSL_get_peer_signature_type_nid(ssl, &nid), 1);
    assert_int_equal(nid, row->signature_nid);
    if (row->digest_nid != NID_undef) {
        assert_int_equal(SSL_get_peer_signature_nid(ssl, &nid), 1);
        assert_int_equal(nid, row->digest_nid);
    }
    X509_free(peer);
    EVP_PKEY_free(want);
}

static void servers_and_clients_sign_with_every_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        for (unsigned int sides = 1; sides <= 3; sides++) {
            struct fake_attester fakes[2];
            struct atls_attester *server = NULL, *client = NULL;
            struct ends e;

            if ((sides & 1) != 0)
                server = open_row(&fakes[0], &rows[i]);
            if ((sides & 2) != 0)
                client = open_row(&fakes[1], &rows[i]);
            ends_init(&e, server, client);
            handshake_of(&e);
            if (e.client_result != 1 || e.server_result != 1)
                fail_msg("%s, sides %u: no handshake", rows[i].name, sides);
            assert_shaken(&e);
            if (server != NULL)
                assert_peer(e.client, server, &rows[i]);
            if (client != NULL)
                assert_peer(e.server, client, &rows[i]);
            ends_clear(&e);
            atls_attester_unref(server);
            atls_attester_unref(client);
        }
}

static void the_software_attester_signs(void **state)
{
    const struct atls_attester_ops *const backends[] = {&atls_soft_attester, NULL};
    struct atls_attester_options options;
    struct atls_attester *attester = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct ends e;

    (void)state;
    atls_attester_options_init(&options);
    options.insecure = true;
    test_assert_code(atls_attester_open("soft:", backends, &options, &attester, &err), ATLS_OK,
                     &err);
    ends_init(&e, attester, NULL);
    handshake_of(&e);
    assert_shaken(&e);
    assert_peer(e.client, attester, &rows[0]);
    ends_clear(&e);
    atls_attester_unref(attester);
}

/* ---- the public half ---- */

static void assert_public_half(struct atls_attester *attester, const struct row *row)
{
    EVP_PKEY *key = key_of(attester), *want = public_of(attester);
    struct atls_bytes spki = atls_attester_aik_spki(attester);
    unsigned char *der = NULL, *point = NULL, *want_point = NULL;
    char got_text[64] = "", want_text[64] = "";
    X509 *leaf = leaf_of(attester);
    size_t len = 0, want_len = 0;
    int der_len;

    assert_int_equal(EVP_PKEY_eq(key, want), 1);
    assert_int_equal(EVP_PKEY_eq(want, key), 1);
    assert_int_equal(X509_check_private_key(leaf, key), 1);
    assert_int_equal(EVP_PKEY_get_bits(key), EVP_PKEY_get_bits(want));
    assert_int_equal(EVP_PKEY_get_security_bits(key), EVP_PKEY_get_security_bits(want));
    assert_int_equal(EVP_PKEY_get_size(key), EVP_PKEY_get_size(want));
    assert_int_equal(EVP_PKEY_get_group_name(key, got_text, sizeof got_text, &len),
                     EVP_PKEY_get_group_name(want, want_text, sizeof want_text, &want_len));
    assert_string_equal(got_text, want_text);
    if (row->type != ATLS_KEY_RSA) {
        len = EVP_PKEY_get1_encoded_public_key(key, &point);
        want_len = EVP_PKEY_get1_encoded_public_key(want, &want_point);
        test_assert_bytes(atls_bytes_of(point, len), atls_bytes_of(want_point, want_len));
    }
    assert_int_equal(EVP_PKEY_get_default_digest_name(key, got_text, sizeof got_text), 2);
    assert_int_equal(OBJ_sn2nid(got_text), row->digest_nid); /* and 2 says that no other will do */
    der_len = i2d_PUBKEY(key, &der);
    test_assert_bytes(atls_bytes_of(der, der_len < 0 ? 0 : (size_t)der_len), spki);
    assert_int_equal(EVP_PKEY_can_sign(key), 1);
    OPENSSL_free(point);
    OPENSSL_free(want_point);
    OPENSSL_free(der);
    X509_free(leaf);
    EVP_PKEY_free(want);
    EVP_PKEY_free(key);
}

static void the_public_half_is_that_of_the_certificate(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct fake_attester fake;
        struct atls_attester *attester = open_row(&fake, &rows[i]);

        assert_public_half(attester, &rows[i]);
        atls_attester_unref(attester);
    }
}

static void keys_of_others_are_not_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct fake_attester fake, twin;
        struct atls_attester *attester = open_row(&fake, &rows[i]),
                             *other = open_row(&twin, &rows[i]);
        EVP_PKEY *key = key_of(attester), *again = key_of(attester), *others = key_of(other),
                 *public = public_of(other), *whole = plain_key(fake.key);
        X509 *leaf = leaf_of(other);

        assert_int_equal(EVP_PKEY_eq(key, again), 1);
        assert_int_equal(EVP_PKEY_eq(key, whole), 1);
        assert_int_equal(EVP_PKEY_eq(whole, key), 1);
        assert_int_equal(EVP_PKEY_eq(key, others), 0);
        assert_int_equal(EVP_PKEY_eq(key, public), 0);
        assert_int_equal(EVP_PKEY_eq(public, key), 0);
        assert_int_equal(EVP_PKEY_parameters_eq(key, again), EVP_PKEY_parameters_eq(whole, whole));
        assert_int_equal(X509_check_private_key(leaf, key), 0);
        ERR_clear_error();
        X509_free(leaf);
        EVP_PKEY_free(key);
        EVP_PKEY_free(again);
        EVP_PKEY_free(others);
        EVP_PKEY_free(public);
        EVP_PKEY_free(whole);
        atls_attester_unref(attester);
        atls_attester_unref(other);
    }
}

static void nobody_gets_the_private_half(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct fake_attester fake;
        struct atls_attester *attester = open_row(&fake, &rows[i]);
        EVP_PKEY *key = key_of(attester);
        OSSL_PARAM *params = NULL;
        BIO *bio = BIO_new(BIO_s_mem());
        BIGNUM *d = NULL;

        assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params), 0);
        assert_null(params);
        assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params), 1);
        assert_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_PRIV_KEY));
        assert_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_RSA_D));
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d), 0);
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &d), 0);
        assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 0);
        assert_null(EVP_PKEY_dup(key));
        ERR_clear_error();
        OSSL_PARAM_free(params);
        BIO_free(bio);
        EVP_PKEY_free(key);
        atls_attester_unref(attester);
    }
}

static const char *const kinds[] = {"EC", "RSA", "ED25519"};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void the_provider_says_what_it_takes_and_tells(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        EVP_PKEY_CTX *ctx =
            EVP_PKEY_CTX_new_from_name(atls_provider_library(), kinds[i], ATLS_PROVIDER_QUERY);
        const char *public = i == 1 ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_PUB_KEY;
        EVP_KEYMGMT *keys =
            EVP_KEYMGMT_fetch(atls_provider_library(), kinds[i], ATLS_PROVIDER_QUERY);

        if (ctx == NULL || keys == NULL || EVP_PKEY_fromdata_init(ctx) != 1)
            abort();
        assert_non_null(
            OSSL_PARAM_locate_const(EVP_PKEY_fromdata_settable(ctx, EVP_PKEY_PUBLIC_KEY), public));
        assert_null(EVP_PKEY_fromdata_settable(ctx, OSSL_KEYMGMT_SELECT_PRIVATE_KEY));
        assert_non_null(
            OSSL_PARAM_locate_const(EVP_KEYMGMT_gettable_params(keys), OSSL_PKEY_PARAM_BITS));
        EVP_KEYMGMT_free(keys);
        EVP_PKEY_CTX_free(ctx);
    }
}

/* NULL when the provider refuses. */
static EVP_PKEY *import(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(atls_provider_library(), type, ATLS_PROVIDER_QUERY);
    EVP_PKEY *out = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1)
        abort();
    if (EVP_PKEY_fromdata(ctx, &out, EVP_PKEY_KEYPAIR, params) != 1)
        out = NULL;
    EVP_PKEY_CTX_free(ctx);
    return out;
}

static void what_the_provider_cannot_take_is_refused(void **state)
{
    unsigned char byte = 1;
    struct atls_provided *key = NULL;
    OSSL_PARAM empty[] = {OSSL_PARAM_construct_end()};
    OSSL_PARAM cut[] = {OSSL_PARAM_construct_octet_string(ATLS_PROVIDER_KEY, &byte, 1),
                        OSSL_PARAM_construct_end()};
    OSSL_PARAM typeless[] = {OSSL_PARAM_construct_octet_string(ATLS_PROVIDER_KEY, &key, sizeof key),
                             OSSL_PARAM_construct_end()};

    (void)state;
    typeless[0].data_type = OSSL_PARAM_UTF8_STRING;
    for (size_t i = 0; i < KINDS; i++) {
        assert_null(import(kinds[i], empty));
        assert_null(import(kinds[i], cut));
        assert_null(import(kinds[i], typeless));
    }
    ERR_clear_error();
}

/* ---- signatures ---- */

/* As libssl does it. NULL when the set-up is refused. */
static EVP_MD_CTX *start(EVP_PKEY *key, const char *digest)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;

    if (ctx != NULL && EVP_DigestSignInit_ex(ctx, &options, digest, NULL, NULL, key, NULL) == 1 &&
        (!EVP_PKEY_is_a(key, "RSA") ||
         (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1)))
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

static const char *digest_of(const struct row *row)
{
    return row->digest_nid == NID_undef ? NULL : OBJ_nid2sn(row->digest_nid);
}

static void assert_verifies(EVP_PKEY *public, const char *digest, const unsigned char *signature,
                            size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;

    assert_int_equal(EVP_DigestVerifyInit_ex(ctx, &options, digest, NULL, NULL, public, NULL), 1);
    if (EVP_PKEY_is_a(public, "RSA")) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestVerify(ctx, signature, len, (const unsigned char *)text, TEXT_LEN),
                     1);
    EVP_MD_CTX_free(ctx);
}

static void signs_in_one_go_and_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct fake_attester fake;
        struct atls_attester *attester = open_row(&fake, &rows[i]);
        EVP_PKEY *key = key_of(attester), *public = public_of(attester);
        const char *const digests[] = {digest_of(&rows[i]), NULL}; /* NULL: the key's own */
        unsigned char signature[512];
        EVP_MD_CTX *ctx;
        size_t len;

        for (size_t d = 0; d < 2; d++) {
            assert_non_null(ctx = start(key, digests[d]));
            len = 0;
            assert_int_equal(EVP_DigestSign(ctx, NULL, &len, (const unsigned char *)text, TEXT_LEN),
                             1);
            assert_int_equal(len, EVP_PKEY_get_size(public));
            assert_int_equal(
                EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, TEXT_LEN), 1);
            assert_verifies(public, digest_of(&rows[i]), signature, len);
            EVP_MD_CTX_free(ctx);
        }
        assert_non_null(ctx = start(key, digest_of(&rows[i])));
        assert_int_equal(EVP_DigestSignUpdate(ctx, text, 4), 1);
        assert_int_equal(EVP_DigestSignUpdate(ctx, text, 0), 1);
        assert_int_equal(EVP_DigestSignUpdate(ctx, text + 4, TEXT_LEN - 4), 1);
        len = sizeof signature;
        assert_int_equal(EVP_DigestSignFinal(ctx, signature, &len), 1);
        assert_verifies(public, digest_of(&rows[i]), signature, len);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(public);
        EVP_PKEY_free(key);
        atls_attester_unref(attester);
    }
}

static void a_context_signs_again(void **state)
{
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);
    EVP_PKEY *key = key_of(attester), *public = public_of(attester);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t len;

    (void)state;
    for (size_t i = 0; i < 2; i++) { /* what was gathered the first time is gone */
        assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL), 1);
        assert_int_equal(EVP_DigestSignUpdate(ctx, text, TEXT_LEN), 1);
        len = sizeof signature;
        if (i == 0)
            continue;
        assert_int_equal(EVP_DigestSignFinal(ctx, signature, &len), 1);
        assert_verifies(public, "SHA256", signature, len);
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public);
    EVP_PKEY_free(key);
    atls_attester_unref(attester);
}

static void another_digest_is_refused(void **state)
{
    static const char *const digests[] = {"SHA1",   "SHA224", "SHA256",
                                          "SHA384", "SHA512", "SHA3-256"};

    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct fake_attester fake;
        struct atls_attester *attester = open_row(&fake, &rows[i]);
        EVP_PKEY *key = key_of(attester);

        for (size_t d = 0; d < sizeof digests / sizeof digests[0]; d++) {
            bool fits = rows[i].digest_nid == OBJ_sn2nid(digests[d]);
            EVP_MD_CTX *ctx = start(key, digests[d]);

            if ((ctx != NULL) != fits)
                fail_msg("%s with %s", rows[i].name, digests[d]);
            if (!fits)
                assert_true(queue_has("key of the attester: asked to sign with digest"));
            EVP_MD_CTX_free(ctx);
        }
        EVP_PKEY_free(key);
        atls_attester_unref(attester);
    }
}

static int pkcs1(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING);
}

static int salt_max(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_MAX);
}

static int salt_of_another_digest(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 20);
}

static int salt_in_bytes(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32);
}

static int mgf_of_another_digest(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha384());
}

static int mgf(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256());
}

static int set(EVP_PKEY_CTX *ctx, OSSL_PARAM param)
{
    OSSL_PARAM params[2];

    params[0] = param;
    params[1] = OSSL_PARAM_construct_end();
    return EVP_PKEY_CTX_set_params(ctx, params);
}

static int padding_by_number(EVP_PKEY_CTX *ctx)
{
    int number = RSA_PKCS1_PSS_PADDING;

    return set(ctx, OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &number));
}

static int other_padding_by_number(EVP_PKEY_CTX *ctx)
{
    int number = RSA_PKCS1_PADDING;

    return set(ctx, OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &number));
}

static int padding_by_name(EVP_PKEY_CTX *ctx)
{
    char name[] = "pss";

    return set(ctx, OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, name, 0));
}

static int other_padding_by_name(EVP_PKEY_CTX *ctx)
{
    char name[] = "pkcs1";

    return set(ctx, OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, name, 0));
}

static int salt_by_number(EVP_PKEY_CTX *ctx)
{
    int number = RSA_PSS_SALTLEN_DIGEST;

    return set(ctx, OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &number));
}

static int other_salt_by_name(EVP_PKEY_CTX *ctx)
{
    char name[] = "32 or so";

    return set(ctx, OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, name, 0));
}

static int digest_by_name(EVP_PKEY_CTX *ctx)
{
    char name[] = "SHA2-256";

    return set(ctx, OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, name, 0));
}

static int other_digest_by_name(EVP_PKEY_CTX *ctx)
{
    char name[] = "SHA2-512";

    return set(ctx, OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, name, 0));
}

static int padding_of_no_type(EVP_PKEY_CTX *ctx)
{
    unsigned char byte = RSA_PKCS1_PSS_PADDING;

    return set(ctx, OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_PAD_MODE, &byte, 1));
}

static int salt_of_no_type(EVP_PKEY_CTX *ctx)
{
    unsigned char byte = 32;

    return set(ctx, OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &byte, 1));
}

static int another_parameter(EVP_PKEY_CTX *ctx)
{
    unsigned char byte = 0;

    return set(ctx, OSSL_PARAM_construct_octet_string("another", &byte, 1));
}

static void rsa_parameters_are_checked(void **state)
{
    static const struct {
        const char *name;
        int (*set)(EVP_PKEY_CTX *ctx);
        const char *message; /* NULL: taken */
    } cases[] = {
        {"PKCS #1", pkcs1, "sign with padding"},
        {"longest salt", salt_max, "sign with salt length"},
        {"salt of 20 bytes", salt_of_another_digest, "sign with salt length 20"},
        {"salt of 32 bytes", salt_in_bytes, NULL},
        {"MGF1 of another digest", mgf_of_another_digest, "sign with digest"},
        {"MGF1 of the same digest", mgf, NULL},
        {"padding by number", padding_by_number, NULL},
        {"PKCS #1 by number", other_padding_by_number, "sign with padding"},
        {"padding by name", padding_by_name, NULL},
        {"PKCS #1 by name", other_padding_by_name, "sign with padding pkcs1"},
        {"salt by number", salt_by_number, NULL},
        {"salt by a strange name", other_salt_by_name, "sign with salt length 32 or so"},
        {"padding of no type", padding_of_no_type, "is neither text nor number"},
        {"salt of no type", salt_of_no_type, "is neither text nor number"},
        {"another parameter", another_parameter, NULL},
        {"digest by name", digest_by_name, NULL},
        {"other digest by name", other_digest_by_name, "sign with digest SHA2-512"},
    };
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_RSA);
    EVP_PKEY *key = key_of(attester);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        EVP_MD_CTX *ctx = start(key, "SHA256");

        if (ctx == NULL)
            abort();
        if ((cases[i].set(EVP_MD_CTX_get_pkey_ctx(ctx)) > 0) != (cases[i].message == NULL))
            fail_msg("%s", cases[i].name);
        if (cases[i].message != NULL && !queue_has(cases[i].message))
            fail_msg("%s: no message \"%s\"", cases[i].name, cases[i].message);
        EVP_MD_CTX_free(ctx);
    }
    EVP_PKEY_free(key);
    atls_attester_unref(attester);
}

static void rsa_signs_only_when_asked_for_pss(void **state)
{
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_RSA);
    EVP_PKEY *key = key_of(attester);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t len = sizeof signature;

    (void)state;
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, 4), 0);
    assert_true(queue_has("sign with padding of PKCS #1 v1.5, it signs with rsa_pss_rsae_sha256"));
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    atls_attester_unref(attester);
}

/* As OpenSSL makes one to compare ours with. */
static void a_public_half_alone_signs_nothing(void **state)
{
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);
    EVP_PKEY *public = public_of(attester), *half;
    OSSL_PARAM *params = NULL;

    (void)state;
    assert_int_equal(EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &params), 1);
    half = import("EC", params);
    if (half == NULL)
        abort();
    assert_int_equal(EVP_PKEY_eq(half, public), 1);
    assert_null(start(half, "SHA256"));
    assert_true(queue_has("key has no attester"));
    OSSL_PARAM_free(params);
    EVP_PKEY_free(half);
    EVP_PKEY_free(public);
    atls_attester_unref(attester);
}

static void nothing_but_signatures_of_text(void **state)
{
    static unsigned char much[1024 * 1024];
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);
    EVP_PKEY *key = key_of(attester);
    EVP_PKEY_CTX *digest = EVP_PKEY_CTX_new(key, NULL);
    EVP_MD_CTX *ctx = start(key, "SHA256");
    unsigned char signature[512];
    size_t len = 8;

    (void)state;
    if (ctx == NULL)
        abort();
    assert_true(EVP_PKEY_sign_init(digest) <= 0); /* of a digest made elsewhere */
    assert_true(EVP_PKEY_derive_init(digest) <= 0);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, 4), 0);
    assert_true(queue_has("room for 8"));
    EVP_MD_CTX_free(ctx);
    assert_non_null(ctx = start(key, "SHA256"));
    assert_int_equal(EVP_DigestSignUpdate(ctx, much, sizeof much), 1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, much, 1), 0);
    assert_true(queue_has("asked to sign"));
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_CTX_free(digest);
    EVP_PKEY_free(key);
    atls_attester_unref(attester);
}

/* ---- failures ---- */

static void the_attester_s_message_reaches_the_caller(void **state)
{
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);

    (void)state;
    for (int server = 0; server < 2; server++) {
        struct atls_err err = ATLS_ERR_INIT;
        struct ends e;

        fake.fail_sign = ATLS_OK;
        ends_init(&e, server ? attester : NULL, server ? NULL : attester);
        fake.fail_sign = ATLS_E_DEVICE;
        handshake_of(&e);
        assert_int_not_equal(server ? e.server_result : e.client_result, 1);
        assert_int_equal(atls_openssl_fail(&err, NULL, "TLS handshake"), ATLS_E_TLS);
        if (strstr(err.message, "TLS handshake: fake attester: signing fails") == NULL)
            fail_msg("\"%s\"", err.message);
        ends_clear(&e);
    }
    atls_attester_unref(attester);
}

static enum atls_signature scheme_pkcs1(void *self)
{
    (void)self;
    return ATLS_RSA_PKCS1_SHA256;
}

static enum atls_signature scheme_unknown(void *self)
{
    (void)self;
    return (enum atls_signature)0x0101;
}

static enum atls_signature scheme_ed25519(void *self)
{
    (void)self;
    return ATLS_ED25519;
}

static struct atls_bytes broken_spki(void *self)
{
    static const struct atls_bytes bytes = HEX("\x30\x03\x02\x01\x01");

    (void)self;
    return bytes;
}

/* The curve of P-256, with a point that is none: told from an RSA or Ed25519 key, but no key. */
static struct atls_bytes pointless_spki(void *self)
{
    static uint8_t bytes[91];
    struct fake_attester *fake = self;
    struct atls_bytes spki = atls_key_spki(atls_private_key_public(fake->key));

    assert_int_equal(spki.len, sizeof bytes);
    memcpy(bytes, spki.ptr, sizeof bytes);
    bytes[90] ^= 1;
    return atls_bytes_of(bytes, sizeof bytes);
}

static void unfit_attesters_are_refused(void **state)
{
    static const struct {
        enum atls_key_type type;
        enum atls_signature (*scheme)(void *self);
        struct atls_bytes (*spki)(void *self);
        enum atls_code code;
        const char *message;
    } cases[] = {
        {ATLS_KEY_RSA, scheme_pkcs1, NULL, ATLS_E_UNSUPPORTED, "0x0401 is not for TLS 1.3"},
        {ATLS_KEY_P256, scheme_unknown, NULL, ATLS_E_UNSUPPORTED, "0x0101 is not for TLS 1.3"},
        {ATLS_KEY_P256, scheme_ed25519, NULL, ATLS_E_CONFIG, "ed25519 does not fit its key"},
        {ATLS_KEY_P256, NULL, broken_spki, ATLS_E_DECODE, "attester's key"},
        {ATLS_KEY_P256, NULL, pointless_spki, ATLS_E_TLS, "attester's key cannot be read"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_method());
        struct atls_err err = ATLS_ERR_INIT;
        struct fake_attester fake;
        struct atls_attester *attester = open_fake(&fake, cases[i].type);
        EVP_PKEY *key = NULL;

        if (cases[i].scheme != NULL)
            fake.ops.aik_scheme = cases[i].scheme;
        if (cases[i].spki != NULL)
            fake.ops.aik_spki = cases[i].spki;
        test_assert_code(atls_openssl_key_new(attester, &key, &err), cases[i].code, &err);
        assert_null(key);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("\"%s\", want \"%s\"", err.message, cases[i].message);
        assert_int_equal(atls_openssl_use_attester(ctx, attester, &err), cases[i].code);
        assert_null(SSL_CTX_get0_certificate(ctx));
        SSL_CTX_free(ctx);
        atls_attester_unref(attester);
    }
}

static struct atls_openssl_chain *chain_of(struct atls_attester *attester)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_openssl_chain *chain = NULL;
    size_t count;
    const struct atls_bytes *certificates = atls_attester_chain(attester, &count);

    test_assert_code(atls_openssl_chain_new(certificates, count, &chain, &err), ATLS_OK, &err);
    return chain;
}

static void a_certificate_of_another_key_is_refused(void **state)
{
    struct fake_attester fakes[2];
    struct atls_attester *attester = open_fake(&fakes[0], ATLS_KEY_P256),
                         *other = open_fake(&fakes[1], ATLS_KEY_P256);
    struct atls_openssl_chain *chain = chain_of(attester), *others = chain_of(other);
    struct atls_err err = ATLS_ERR_INIT;
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(ctx);
    EVP_PKEY *key = key_of(attester);

    (void)state;
    assert_int_equal(atls_openssl_use_key(ssl, key, others, &err), ATLS_E_TLS);
    assert_non_null(strstr(err.message, "refuses the attester's certificate"));
    assert_null(SSL_get_certificate(ssl));
    test_assert_code(atls_openssl_use_key(ssl, key, chain, &err), ATLS_OK, &err);
    assert_non_null(SSL_get_certificate(ssl));
    atls_openssl_chain_unref(atls_openssl_chain_ref(chain));
    atls_openssl_chain_unref(chain);
    assert_non_null(SSL_get_certificate(ssl)); /* ssl holds its own */
    atls_openssl_chain_unref(others);
    atls_openssl_chain_unref(NULL);
    EVP_PKEY_free(key);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    atls_attester_unref(attester);
    atls_attester_unref(other);
}

static void a_chain_that_cannot_be_read_is_refused(void **state)
{
    static const uint8_t none[1] = {0};
    const struct atls_bytes nothing = atls_bytes_of(none, sizeof none);
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);
    struct atls_openssl_chain *chain = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    size_t count;
    const struct atls_bytes with_rest[2] = {atls_attester_chain(attester, &count)[0], nothing};

    (void)state;
    assert_int_equal(atls_openssl_chain_new(&nothing, 1, &chain, &err), ATLS_E_TLS);
    assert_int_equal(atls_openssl_chain_new(with_rest, 2, &chain, &err), ATLS_E_TLS);
    assert_non_null(strstr(err.message, "cannot read the attester's certificate"));
    assert_null(chain);
    atls_attester_unref(attester);
}

static void write_chain(const char *path, const struct atls_buf *certificates, size_t count)
{
    BIO *file = BIO_new_file(path, "w");

    assert_non_null(file);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *der = certificates[i].ptr;
        X509 *x = d2i_X509(NULL, &der, (long)certificates[i].len);

        assert_int_equal(PEM_write_bio_X509(file, x), 1);
        X509_free(x);
    }
    BIO_free(file);
}

static void the_whole_chain_is_shown(void **state)
{
    char path[] = "/tmp/atls-key-XXXXXX";
    struct test_identity ca = test_ca("issuer of attestation keys"), leaf;
    struct atls_buf certificates[2];
    struct fake_attester fake = {.certificate = path};
    const unsigned char *der = ca.certificate.ptr;
    X509 *root = d2i_X509(NULL, &der, (long)ca.certificate.len);
    struct atls_attester *attester;
    STACK_OF(X509) * shown;
    struct ends e;

    (void)state;
    close(mkstemp(path));
    test_assert_code(atls_private_key_generate(ATLS_KEY_P256, &fake.key, NULL), ATLS_OK, NULL);
    leaf = test_issue(&ca, &(struct test_certificate){.key = fake.key});
    certificates[0] = leaf.certificate;
    certificates[1] = ca.certificate;
    write_chain(path, certificates, 2);
    attester = fake_attester_open(&fake);
    ends_init(&e, attester, NULL);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(e.client_ctx), root), 1);
    handshake_of(&e);
    assert_shaken(&e);
    shown = SSL_get_peer_cert_chain(e.client);
    assert_int_equal(sk_X509_num(shown), 2);
    assert_int_equal(X509_cmp(sk_X509_value(shown, 1), root), 0);
    ends_clear(&e);
    X509_free(root);
    atls_attester_unref(attester);
    test_identity_clear(&leaf);
    test_identity_clear(&ca);
    unlink(path);
}

/* ---- lives ---- */

static void the_key_keeps_the_attester(void **state)
{
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);
    EVP_PKEY *key = key_of(attester), *public = public_of(attester);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    unsigned char signature[512];
    size_t len = sizeof signature;
    EVP_MD_CTX *signing;
    SSL *ssl;

    (void)state;
    use_attester(ctx, attester);
    atls_attester_unref(attester);
    ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    SSL_free(ssl);
    assert_non_null(fake.key);
    assert_non_null(signing = start(key, "SHA256"));
    EVP_PKEY_free(key);
    assert_int_equal(
        EVP_DigestSign(signing, signature, &len, (const unsigned char *)text, TEXT_LEN), 1);
    assert_verifies(public, "SHA256", signature, len);
    assert_non_null(fake.key);
    EVP_MD_CTX_free(signing);
    assert_null(fake.key); /* closed with the last that held it */
    EVP_PKEY_free(public);
}

static void two_attesters_sign_for_themselves(void **state)
{
    struct fake_attester fakes[3];
    struct atls_attester *one = open_fake(&fakes[0], ATLS_KEY_P256),
                         *two = open_fake(&fakes[1], ATLS_KEY_P256),
                         *rsa = open_fake(&fakes[2], ATLS_KEY_RSA);
    char pss[] = "RSA-PSS+SHA256";
    struct ends e[2];

    (void)state;
    ends_init(&e[0], one, two);
    ends_init(&e[1], two, one);
    handshake_of(&e[0]);
    handshake_of(&e[1]);
    assert_shaken(&e[0]);
    assert_shaken(&e[1]);
    assert_peer(e[0].client, one, &rows[0]);
    assert_peer(e[1].client, two, &rows[0]);
    SSL_free(e[0].client);
    SSL_free(e[0].server);
    /* One context with two: the client's algorithms choose. */
    use_attester(e[0].server_ctx, rsa);
    trust(e[0].client_ctx, rsa);
    assert_int_equal(SSL_CTX_set1_sigalgs_list(e[0].client_ctx, pss), 1);
    e[0].client_result = e[0].server_result = 0;
    handshake_of(&e[0]);
    assert_int_equal(e[0].server_result, -1); /* the client's own key is of the other kind */
    SSL_free(e[0].client);
    SSL_free(e[0].server);
    SSL_CTX_set_verify(e[0].server_ctx, SSL_VERIFY_NONE, NULL);
    e[0].client_result = e[0].server_result = 0;
    handshake_of(&e[0]);
    assert_shaken(&e[0]);
    assert_peer(e[0].client, rsa, &rows[4]);
    ends_clear(&e[0]);
    ends_clear(&e[1]);
    atls_attester_unref(one);
    atls_attester_unref(two);
    atls_attester_unref(rsa);
}

#define THREADS 4

static void *shake(void *arg)
{
    const struct ends *shared = arg;

    for (int i = 0; i < 8; i++) {
        struct ends e = *shared;

        handshake_of(&e);
        if (e.client_result != 1 || e.server_result != 1)
            return arg;
        SSL_free(e.client);
        SSL_free(e.server);
    }
    return NULL;
}

static void many_threads_share_the_keys(void **state)
{
    struct fake_attester fakes[2];
    struct atls_attester *server = open_fake(&fakes[0], ATLS_KEY_P256),
                         *client = open_fake(&fakes[1], ATLS_KEY_ED25519);
    pthread_t threads[THREADS];
    struct ends e;

    (void)state;
    ends_init(&e, server, client);
    atls_attester_unref(server);
    atls_attester_unref(client);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, shake, &e), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    ends_clear(&e);
    assert_null(fakes[0].key);
    assert_null(fakes[1].key);
}

/* ---- the rest of the program ---- */

static void assert_default(const OSSL_PROVIDER *provider)
{
    assert_string_equal(OSSL_PROVIDER_get0_name(provider), "default");
}

static void nothing_else_finds_the_provider(void **state)
{
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);
    EVP_PKEY *key = key_of(attester), *ours = EVP_EC_gen("P-256");
    OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
    static const char *const names[] = {"EC", "RSA", "ED25519"};
    static const char *const signatures[] = {"ECDSA", "RSA", "ED25519"};

    (void)state;
    assert_int_equal(OSSL_PROVIDER_available(NULL, "default"), 1);
    assert_int_equal(OSSL_PROVIDER_available(NULL, "atls"), 0);
    for (size_t i = 0; i < 3; i++) {
        OSSL_LIB_CTX *const contexts[] = {NULL, library};

        for (size_t c = 0; c < 2; c++) { /* the program's, and one made after the key */
            EVP_KEYMGMT *keys = EVP_KEYMGMT_fetch(contexts[c], names[i], NULL);
            EVP_SIGNATURE *signature = EVP_SIGNATURE_fetch(contexts[c], signatures[i], NULL);

            if (keys == NULL || signature == NULL)
                abort();
            assert_default(EVP_KEYMGMT_get0_provider(keys));
            assert_default(EVP_SIGNATURE_get0_provider(signature));
            assert_null(EVP_KEYMGMT_fetch(contexts[c], names[i], "provider=atls"));
            EVP_KEYMGMT_free(keys);
            EVP_SIGNATURE_free(signature);
        }
    }
    assert_default(EVP_PKEY_get0_provider(ours));
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "atls");
    ERR_clear_error();
    OSSL_LIB_CTX_free(library);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(key);
    atls_attester_unref(attester);
}

/* The program's TLS in a library context and with properties of its own. */
static void contexts_of_their_own(void **state)
{
    static const struct {
        const char *query;
        int shaken;
    } cases[] = {{NULL, 1}, {"?fips=yes", 1}, {"fips=yes", 0}};
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_P256);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
        struct ends e;

        ends_init(&e, attester, NULL);
        SSL_CTX_free(e.server_ctx);
        e.server_ctx = SSL_CTX_new_ex(library, cases[i].query, TLS_server_method());
        if (e.server_ctx != NULL) { /* without a provider that has fips=yes there is none */
            use_attester(e.server_ctx, attester);
            handshake_of(&e);
            assert_int_equal(e.server_result == 1 && e.client_result == 1, cases[i].shaken);
        } else {
            assert_int_equal(cases[i].shaken, 0);
        }
        ends_clear(&e);
        OSSL_LIB_CTX_free(library);
    }
    ERR_clear_error();
    atls_attester_unref(attester);
}

static void no_version_below_1_3(void **state)
{
    struct fake_attester fake;
    struct atls_attester *attester = open_fake(&fake, ATLS_KEY_RSA);
    char pkcs1_only[] = "RSA+SHA256";
    struct ends e;

    (void)state;
    ends_init(&e, attester, NULL);
    assert_int_equal(SSL_CTX_get_min_proto_version(e.server_ctx), TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_set_max_proto_version(e.client_ctx, TLS1_2_VERSION), 1);
    handshake_of(&e);
    assert_int_not_equal(e.server_result, 1);
    ends_clear(&e);
    /* A program that lowers the minimum gets no signature of another scheme either. */
    ends_init(&e, attester, NULL);
    assert_int_equal(SSL_CTX_set_min_proto_version(e.server_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(e.client_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set1_sigalgs_list(e.client_ctx, pkcs1_only), 1);
    handshake_of(&e);
    assert_int_not_equal(e.server_result, 1);
    assert_true(queue_has("sign with padding"));
    ends_clear(&e);
    atls_attester_unref(attester);
}

/* ---- memory ---- */

static bool make_and_sign(struct atls_attester *attester, const struct row *row)
{
    struct atls_err err = ATLS_ERR_INIT;
    unsigned char signature[512];
    EVP_MD_CTX *ctx = NULL;
    EVP_PKEY *key = NULL;
    size_t len = sizeof signature;
    bool made = false;

    if (atls_openssl_key_new(attester, &key, &err) == ATLS_OK)
        made = (ctx = start(key, digest_of(row))) != NULL &&
               EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, TEXT_LEN) == 1;
    else if (key != NULL || err.message[0] == '\0')
        fail();
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return made;
}

static bool use_once(struct atls_attester *attester)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    struct atls_err err = ATLS_ERR_INIT;
    bool used = ctx != NULL && atls_openssl_use_attester(ctx, attester, &err) == ATLS_OK;

    if (used)
        assert_non_null(SSL_CTX_get0_certificate(ctx));
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return used;
}

/* OSSL_LIB_CTX_new of OpenSSL 3.0 itself loses memory when it runs short of it. */
static void count_leaks(bool on)
{
#ifdef __SANITIZE_ADDRESS__
    on ? __lsan_enable() : __lsan_disable();
#endif
    (void)on;
}

/* The provider that could not be made is made when it is next asked for. */
static void short_of_memory_there_is_no_provider(void **state)
{
    OSSL_LIB_CTX *library = NULL;
    size_t n;

    (void)state;
    for (n = 0; library == NULL; n++) {
        test_failing_alloc_arm(n);
        count_leaks(false);
        library = atls_provider_library();
        count_leaks(true);
        (void)test_failing_alloc_disarm();
        ERR_clear_error();
    }
    assert_true(n > 1);
    assert_ptr_equal(atls_provider_library(), library);
}

/* One allocation after the other fails: no key, or one that works. */
static void short_of_memory_there_is_no_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct fake_attester fake;
        struct atls_attester *attester = open_row(&fake, &rows[i]);
        size_t failed = 0;
        bool happened = true;

        for (size_t n = 0; happened; n++) {
            bool made;

            test_failing_alloc_arm(n);
            made = make_and_sign(attester, &rows[i]);
            happened = test_failing_alloc_disarm();
            failed += !made;
            if (!happened)
                assert_true(made);
        }
        assert_true(failed > 0);
        happened = i == 0;
        for (size_t n = 0; happened; n++) {
            bool used;

            test_failing_alloc_arm(n);
            used = use_once(attester);
            happened = test_failing_alloc_disarm();
            if (!happened)
                assert_true(used);
        }
        atls_attester_unref(attester);
        assert_null(fake.key);
    }
    /* An RSA key that ran short of memory signs wrongly from then on (libcrypto 3.5). */
    forget_rsa_keys();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_of_memory_there_is_no_provider), /* before it is made */
        cmocka_unit_test(short_of_memory_there_is_no_key),
        cmocka_unit_test(servers_and_clients_sign_with_every_key),
        cmocka_unit_test(the_software_attester_signs),
        cmocka_unit_test(the_public_half_is_that_of_the_certificate),
        cmocka_unit_test(keys_of_others_are_not_equal),
        cmocka_unit_test(nobody_gets_the_private_half),
        cmocka_unit_test(the_provider_says_what_it_takes_and_tells),
        cmocka_unit_test(what_the_provider_cannot_take_is_refused),
        cmocka_unit_test(signs_in_one_go_and_in_pieces),
        cmocka_unit_test(a_context_signs_again),
        cmocka_unit_test(another_digest_is_refused),
        cmocka_unit_test(rsa_parameters_are_checked),
        cmocka_unit_test(rsa_signs_only_when_asked_for_pss),
        cmocka_unit_test(a_public_half_alone_signs_nothing),
        cmocka_unit_test(nothing_but_signatures_of_text),
        cmocka_unit_test(the_attester_s_message_reaches_the_caller),
        cmocka_unit_test(unfit_attesters_are_refused),
        cmocka_unit_test(a_certificate_of_another_key_is_refused),
        cmocka_unit_test(a_chain_that_cannot_be_read_is_refused),
        cmocka_unit_test(the_whole_chain_is_shown),
        cmocka_unit_test(the_key_keeps_the_attester),
        cmocka_unit_test(two_attesters_sign_for_themselves),
        cmocka_unit_test(many_threads_share_the_keys),
        cmocka_unit_test(nothing_else_finds_the_provider),
        cmocka_unit_test(contexts_of_their_own),
        cmocka_unit_test(no_version_below_1_3),
    };

    int failed;

    test_failing_alloc_install();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    forget_rsa_keys();
    return failed;
}
