/* Attestation inside of the handshake, and what goes wrong before there is any: the attacker is an
 * OpenSSL peer with certificates, keys and extensions of his own making. */
#include "scene.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <atls/session.h>

#include "core/reader.h"
#include "core/writer.h"

#define EXTENSION_TYPE 65424
#define EXTENSION_WHERE                                                                            \
    (SSL_EXT_TLS1_3_ONLY | SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS |            \
     SSL_EXT_TLS1_3_CERTIFICATE_REQUEST | SSL_EXT_TLS1_3_CERTIFICATE)
#define CMW_OID  "1.3.6.1.5.5.7.1.35"
#define DICE_OID "2.23.133.5.4.9"
#define LIMIT    (1 << 20)
#define ROUNDS   40
#define MINUTE_S 60
#define MONTH_S  (30 * 86400)

/* The attacker at one end of one connection. */
struct actor {
    const struct bench *bench;
    const struct column *speaks;
    bool is_server, self_signed;
    bool mutual;             /* he wants the victim attested, too */
    const struct show *show; /* NULL: he shows nothing, and looks */
    struct scene scene;
    struct atls_buf transcript; /* ClientHello..ServerHello, as sent */
    size_t first_hello;         /* how long the ClientHello before a HelloRetryRequest is; or 0 */
    bool said_hello;
    struct atls_buf extension; /* last given to OpenSSL */
    struct atls_buf seen;      /* CMW of the peer, when he looks */
    const uint8_t *asks;       /* nonce that he asks with; or NULL */
};

static struct actor *actor_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static struct atls_buf finish(struct atls_writer *w)
{
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_writer_finish(w, &out, NULL), ATLS_OK, NULL);
    return out;
}

/* ---- what he hears ---- */

/* Random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3). */
static bool is_retry(const uint8_t *message, size_t len)
{
    uint8_t digest[ATLS_HASH_MAX];

    test_assert_code(
        atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of("HelloRetryRequest", 17), digest, NULL),
        ATLS_OK, NULL);
    return message[0] == SSL3_MT_SERVER_HELLO && len > 38 && memcmp(message + 6, digest, 32) == 0;
}

static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
                       void *arg)
{
    struct actor *a = arg;
    struct atls_writer w;
    struct atls_buf more;

    (void)sent, (void)version, (void)ssl;
    if (type != SSL3_RT_HANDSHAKE || a->said_hello)
        return;
    w = atls_writer_init(LIMIT);
    atls_put_bytes(&w, atls_buf_bytes(&a->transcript));
    atls_put_bytes(&w, atls_bytes_of(bytes, len));
    more = finish(&w);
    if (is_retry(bytes, len))
        a->first_hello = a->transcript.len;
    else
        a->said_hello = *(const uint8_t *)bytes == SSL3_MT_SERVER_HELLO;
    atls_buf_clear(&a->transcript);
    a->transcript = more;
}

static void on_key(const SSL *ssl, const char *line)
{
    static const char label[] = "SERVER_HANDSHAKE_TRAFFIC_SECRET ";
    struct actor *a = actor_of(ssl);
    struct atls_buf secret;

    if (a == NULL || strncmp(line, label, sizeof label - 1) != 0)
        return;
    secret = test_unhex(strrchr(line, ' ') + 1);
    assert_true(secret.len <= sizeof a->scene.secret);
    memcpy(a->scene.secret, secret.ptr, secret.len);
    atls_buf_clear(&secret);
}

/* The transcript as it is hashed: a hash stands for the ClientHello before a HelloRetryRequest (RFC
 * 8446 section 4.4.1). */
static struct atls_buf hashed_transcript(const struct actor *a)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    uint8_t digest[ATLS_HASH_MAX];
    size_t len = atls_hash_len(a->scene.hash);

    if (a->first_hello != 0) {
        test_assert_code(atls_hash_one(a->scene.hash,
                                       atls_bytes_of(a->transcript.ptr, a->first_hello), digest,
                                       NULL),
                         ATLS_OK, NULL);
        atls_put_u8(&w, SSL3_MT_MESSAGE_HASH);
        atls_put_u24(&w, (uint32_t)len);
        atls_put_bytes(&w, atls_bytes_of(digest, len));
    }
    atls_put_bytes(
        &w, atls_bytes_of(a->transcript.ptr + a->first_hello, a->transcript.len - a->first_hello));
    return finish(&w);
}

/* Values of the connection, once ServerHello has passed. */
static void learn(SSL *ssl, struct actor *a)
{
    const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
    struct atls_buf transcript;

    assert_non_null(md);
    a->scene.hash = EVP_MD_get_size(md) == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256;
    assert_int_equal(a->first_hello != 0, a->bench->retry);
    transcript = hashed_transcript(a);
    test_assert_code(
        atls_hash_one(a->scene.hash, atls_buf_bytes(&transcript), a->scene.transcript_hash, NULL),
        ATLS_OK, NULL);
    atls_buf_clear(&transcript);
}

/* ---- nonces, in base32 without padding ---- */

static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

static void nonce_to_text(const uint8_t nonce[32], char out[53])
{
    for (size_t i = 0; i < 52; i++) {
        unsigned int value = 0;

        for (size_t b = i * 5; b < i * 5 + 5; b++)
            value = value << 1 | (b < 256 ? (unsigned int)nonce[b / 8] >> (7 - b % 8) & 1u : 0);
        out[i] = letters[value];
    }
    out[52] = '\0';
}

static bool nonce_from_text(const char *text, uint8_t out[32])
{
    memset(out, 0, 32);
    for (size_t i = 0; i < 52; i++) {
        const char *at = text[i] == '\0' ? NULL : strchr(letters, text[i]);

        if (at == NULL)
            return false;
        for (size_t b = 0; b < 5; b++)
            if (i * 5 + b < 256 && ((at - letters) >> (4 - b) & 1) != 0)
                out[(i * 5 + b) / 8] |= (uint8_t)(0x80u >> (i * 5 + b) % 8);
    }
    return true;
}

static void hear_nonce(SSL *ssl, struct actor *a)
{
    const STACK_OF(X509_NAME) *names = a->is_server ? NULL : SSL_get0_peer_CA_list(ssl);
    const char *host = a->is_server ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    char text[64];

    if (host != NULL && strlen(host) > 52 && nonce_from_text(host, a->scene.nonce))
        return;
    for (int i = 0; names != NULL && i < sk_X509_NAME_num(names); i++)
        if (X509_NAME_get_text_by_NID(sk_X509_NAME_value(names, i), NID_commonName, text,
                                      sizeof text) == 52 &&
            nonce_from_text(text, a->scene.nonce))
            return;
}

/* ---- certificates and keys ---- */

static EVP_PKEY *evp_key(const struct atls_private_key *key)
{
    struct atls_buf pem = ATLS_BUF_INIT;
    EVP_PKEY *out;
    BIO *bio;

    test_assert_code(atls_private_key_to_pem(key, &pem, NULL), ATLS_OK, NULL);
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    out = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    atls_buf_clear(&pem);
    assert_non_null(out);
    return out;
}

/* A key whose halves are of two machines, so that OpenSSL lets one sign for the other. */
static EVP_PKEY *key_of_two(const struct machine *named, const struct machine *signs)
{
    EVP_PKEY *half = evp_key(named->aik.private_key), *other = evp_key(signs->aik.private_key),
             *out = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    BIGNUM *d = NULL;
    unsigned char point[256];
    size_t len = 0;

    assert_true(EVP_PKEY_get_bn_param(other, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1 &&
                EVP_PKEY_get_octet_string_param(half, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                                &len) == 1);
    assert_true(
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, len) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1);
    params = OSSL_PARAM_BLD_to_param(build);
    assert_true(EVP_PKEY_fromdata_init(ctx) == 1 &&
                EVP_PKEY_fromdata(ctx, &out, EVP_PKEY_KEYPAIR, params) == 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(d);
    EVP_PKEY_free(half);
    EVP_PKEY_free(other);
    return out;
}

static X509 *x509(struct atls_bytes der)
{
    const unsigned char *p = der.ptr;
    X509 *out = d2i_X509(NULL, &p, (long)der.len);

    assert_non_null(out);
    return out;
}

/* "DER:04...": the CMW in an OCTET STRING, for test_issue. */
static struct atls_buf extension_text(struct atls_bytes cmw)
{
    struct atls_writer w = atls_writer_init(LIMIT);
    char byte[3];

    atls_put_bytes(&w, atls_bytes_of("DER:0482", 8));
    snprintf(byte, sizeof byte, "%02x", (unsigned int)(cmw.len >> 8));
    atls_put_bytes(&w, atls_bytes_of(byte, 2));
    for (size_t i = 0; i <= cmw.len; i++) {
        snprintf(byte, sizeof byte, "%02x",
                 i == 0 ? (unsigned int)(cmw.len & 0xff) : cmw.ptr[i - 1]);
        atls_put_bytes(&w, atls_bytes_of(byte, 2));
    }
    atls_put_u8(&w, 0);
    return finish(&w);
}

/* When a certificate was made: a peer without nonces takes what was made lately. */
static int64_t made_at_s(const struct show *show)
{
    if (show->expired)
        return TEST_NOT_BEFORE_S;
    return (int64_t)time(NULL) - (show->aged ? MONTH_S : MINUTE_S);
}

/* A certificate of named's key, with the CMW where there is one. */
static struct atls_buf make_certificate(const struct actor *a, bool by_ca, struct atls_bytes cmw)
{
    const struct show *show = a->show;
    const char *const names[] = {machine_name(a->bench->lab, show->named), NULL};
    struct atls_buf text = cmw.len != 0 ? extension_text(cmw) : (struct atls_buf)ATLS_BUF_INIT;
    /* 60000([quote, claims]), which nobody gets to look at. */
    const struct test_extension foreign = {DICE_OID, "DER:d9ea6082410041a0"};
    const struct test_extension own = {cmw.len != 0 ? CMW_OID : NULL, (const char *)text.ptr};
    const struct test_extension extensions[] = {
        {"basicConstraints", "critical,CA:FALSE"},
        {"keyUsage", "critical,digitalSignature"},
        cmw.len != 0 && show->manner == MANNER_FOREIGN ? foreign : own,
        {show->manner == MANNER_TWICE ? CMW_OID : NULL, (const char *)text.ptr},
        {NULL, NULL},
    };
    const struct test_certificate spec = {
        .common_name = names[0],
        .dns_names = names,
        .key = show->named->aik.private_key,
        .not_before_s = made_at_s(show),
        .not_after_s = show->expired ? TEST_NOT_BEFORE_S + 86400 : 0,
        .extensions = extensions,
    };
    struct test_identity made = test_issue(by_ca ? &a->bench->lab->ca : NULL, &spec);

    atls_buf_clear(&text);
    return made.certificate;
}

/* pre: evidence in a certificate that its own key signed, and behind it, where somebody asks for a
 * name, the certificate of that key that a CA signed. */
static void choose_pre(const struct actor *a, X509 **out_leaf, X509 **out_next)
{
    const struct show *show = a->show;
    const bool later = show->manner == MANNER_LATER_ENTRY;
    struct atls_buf cmw = scene_cmw(&a->scene, show), with, without;
    struct atls_bytes none = atls_bytes_of(NULL, 0);

    with = make_certificate(a, false, show->manner == MANNER_WITHOUT ? none : atls_buf_bytes(&cmw));
    without = make_certificate(a, !later && !a->self_signed, none);
    *out_leaf = x509(atls_buf_bytes(later ? &without : &with));
    *out_next = x509(atls_buf_bytes(later ? &with : &without));
    atls_buf_clear(&with);
    atls_buf_clear(&without);
    atls_buf_clear(&cmw);
}

static void choose_plain(const struct actor *a, X509 **out_leaf, X509 **out_next)
{
    struct atls_buf leaf = make_certificate(a, a->show->behind == NULL, atls_bytes_of(NULL, 0));

    *out_leaf = x509(atls_buf_bytes(&leaf));
    *out_next = x509(atls_buf_bytes(&a->bench->lab->ca.certificate)); /* room for a later entry */
    atls_buf_clear(&leaf);
}

static int on_certificate(SSL *ssl, void *arg)
{
    struct actor *a = arg;
    X509 *leaf, *next;
    EVP_PKEY *key;

    if (a->show == NULL || a->show->manner == MANNER_ANONYMOUS)
        return 1;
    if (a->bench->column->freshness == ATLS_FRESHNESS_NONCE)
        hear_nonce(ssl, a);
    if (a->speaks->flavour == ATLS_FLAVOUR_PRE && a->show->manner != MANNER_UNAWARE)
        choose_pre(a, &leaf, &next);
    else
        choose_plain(a, &leaf, &next);
    if (a->show->behind != NULL) {
        X509_free(next);
        next = x509(atls_buf_bytes(&a->show->behind->certificate.certificate));
    }
    key = key_of_two(a->show->named, a->show->signs);
    assert_true(SSL_use_certificate(ssl, leaf) == 1 && SSL_use_PrivateKey(ssl, key) == 1 &&
                SSL_clear_chain_certs(ssl) == 1 && SSL_add1_chain_cert(ssl, next) == 1);
    X509_free(leaf);
    X509_free(next);
    EVP_PKEY_free(key);
    return 1;
}

/* ---- the extension of flavour intra ---- */

static void put_scheme(struct atls_writer *w, const struct show *show)
{
    char type[160];
    const char *technology = show == NULL || show->technology == NULL ? "tpm" : show->technology;
    int len = snprintf(type, sizeof type,
                       "application/vnd.libatls.evidence+cbor; technology=%s; profile=kat-bundle",
                       technology);

    if (show != NULL && show->scheme != NULL)
        len = snprintf(type, sizeof type, "%s", show->scheme);
    assert_true(len > 0 && (size_t)len < sizeof type);
    atls_put_u16(w, 1);
    atls_put_u16(w, (uint16_t)len);
    atls_put_bytes(w, atls_bytes_of(type, (size_t)len));
}

/* Two vectors: of the server, of the client. He attests as what he is, and lets the other attest.
 */
static void put_offer(struct atls_writer *w, const struct actor *a)
{
    struct atls_writer one = atls_writer_init(LIMIT);
    struct atls_buf scheme;

    put_scheme(&one, a->show);
    scheme = finish(&one);
    for (int i = 0; i < 2; i++) {
        struct atls_mark m = atls_open_vec(w, 0xffff);

        if (a->mutual || (i == 1) == (a->show != NULL))
            atls_put_bytes(w, atls_buf_bytes(&scheme));
        atls_close_vec(w, m);
    }
    atls_buf_clear(&scheme);
}

static bool put_cmw(SSL *ssl, struct actor *a, size_t entry, struct atls_writer *w)
{
    const enum manner manner = a->show->manner;
    struct atls_buf cmw;
    struct atls_mark m;
    const bool wanted = entry == 0 ? manner != MANNER_LATER_ENTRY
                                   : manner == MANNER_LATER_ENTRY || manner == MANNER_TWICE;

    if (!wanted || entry > 1 || manner == MANNER_WITHOUT)
        return false;
    learn(ssl, a);
    cmw = scene_cmw(&a->scene, a->show);
    m = atls_open_vec(w, 0xffffff);
    atls_put_bytes(w, atls_buf_bytes(&cmw));
    atls_close_vec(w, m);
    atls_buf_clear(&cmw);
    return true;
}

static int add(SSL *ssl, unsigned int type, unsigned int where, const unsigned char **out,
               size_t *out_len, X509 *x, size_t entry, int *alert, void *arg)
{
    struct actor *a = actor_of(ssl);
    struct atls_writer w = atls_writer_init(LIMIT);
    bool present = true;

    (void)type, (void)x, (void)alert, (void)arg;
    if (where == SSL_EXT_CLIENT_HELLO)
        put_offer(&w, a);
    else if (where == SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS)
        present = a->show != NULL && a->show->manner != MANNER_UNCHOSEN;
    else if (where == SSL_EXT_TLS1_3_CERTIFICATE_REQUEST)
        present = a->show == NULL || a->mutual;
    else
        present = a->show != NULL && put_cmw(ssl, a, entry, &w);
    if (present && (where == SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS ||
                    where == SSL_EXT_TLS1_3_CERTIFICATE_REQUEST))
        put_scheme(&w, a->show);
    if (!present) {
        atls_writer_clear(&w);
        return 0;
    }
    atls_buf_clear(&a->extension);
    a->extension = finish(&w);
    *out = a->extension.ptr;
    *out_len = a->extension.len;
    return 1;
}

static int parse(SSL *ssl, unsigned int type, unsigned int where, const unsigned char *in,
                 size_t len, X509 *x, size_t entry, int *alert, void *arg)
{
    struct actor *a = actor_of(ssl);

    (void)type, (void)x, (void)alert, (void)arg;
    if (where == SSL_EXT_TLS1_3_CERTIFICATE && entry == 0 && len > 3 && a->seen.len == 0)
        test_assert_code(atls_buf_copy(&a->seen, atls_bytes_of(in + 3, len - 3), NULL), ATLS_OK,
                         NULL);
    return 1;
}

/* ---- his end ---- */

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
    (void)ok, (void)ctx;
    return 1;
}

/* Server and client agree on this suite; a group that clients send no share of makes the server ask
 * for another ClientHello. */
static void choose_parameters(SSL_CTX *ctx, const struct bench *b, bool is_server)
{
    char groups[] = "P-384"; /* the macro takes no constant */

    assert_int_equal(SSL_CTX_set_ciphersuites(ctx, b->suite), 1);
    if (is_server && b->retry)
        assert_int_equal(SSL_CTX_set1_groups_list(ctx, groups), 1);
}

static SSL_CTX *actor_context(const struct actor *a)
{
    SSL_CTX *ctx = SSL_CTX_new(a->is_server ? TLS_server_method() : TLS_client_method());
    const bool aware = a->show == NULL || a->show->manner != MANNER_UNAWARE;

    assert_non_null(ctx);
    choose_parameters(ctx, a->bench, a->is_server);
    SSL_CTX_set_keylog_callback(ctx, on_key);
    if (a->speaks->flavour == ATLS_FLAVOUR_INTRA && aware)
        assert_int_equal(SSL_CTX_add_custom_ext(ctx, EXTENSION_TYPE, EXTENSION_WHERE, add, NULL,
                                                NULL, parse, NULL),
                         1);
    if (a->show != NULL && a->show->manner == MANNER_TLS_1_2)
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    return ctx;
}

static int select_atls(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)ssl, (void)arg;
    *out = in + 1;
    *out_len = in[0];
    return in_len != 0 ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* A context for post names the carrier; and so does one that takes up an old session of it. */
static void offer_carrier(SSL_CTX *ctx, bool is_server)
{
    static const unsigned char alpn[] = {6, 'a', 't', 'l', 's', '/', '1'};

    if (is_server)
        SSL_CTX_set_alpn_select_cb(ctx, select_atls, NULL);
    else
        assert_int_equal(SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn), 0);
}

static void ask_with_nonce(SSL *ssl, const struct actor *a)
{
    char text[80], host[128];
    X509_NAME *name;
    STACK_OF(X509_NAME) * names;

    nonce_to_text(a->asks, text);
    if (!a->is_server) {
        snprintf(host, sizeof host, "%s.any.example", text);
        assert_int_equal(SSL_set_tlsext_host_name(ssl, host), 1);
        return;
    }
    name = X509_NAME_new();
    names = sk_X509_NAME_new_null();
    assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (unsigned char *)text, -1, -1,
                                           0) == 1 &&
                sk_X509_NAME_push(names, name) == 1);
    SSL_set_client_CA_list(ssl, names);
}

static SSL *actor_ssl(SSL_CTX *ctx, struct actor *a)
{
    SSL *ssl = SSL_new(ctx);

    assert_non_null(ssl);
    SSL_set_app_data(ssl, a);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, a);
    SSL_set_cert_cb(ssl, on_certificate, a);
    if (!a->is_server || a->show == NULL || a->mutual)
        SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any);
    if (a->asks != NULL)
        ask_with_nonce(ssl, a);
    if (a->is_server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

static void actor_clear(struct actor *a)
{
    atls_buf_clear(&a->transcript);
    atls_buf_clear(&a->extension);
    atls_buf_clear(&a->seen);
}

/* ---- the product's end ---- */

static SSL_CTX *product_context(const struct bench *b, enum atls_role role,
                                struct atls_config *config)
{
    SSL_CTX *ctx =
        SSL_CTX_new(role == ATLS_ROLE_CLIENT ? TLS_client_method() : TLS_server_method());
    struct test_identity tls = test_leaf(&b->lab->ca, "any.example", ATLS_KEY_P256);
    struct atls_err err = ATLS_ERR_INIT;
    X509 *cert = x509(atls_buf_bytes(&tls.certificate));
    EVP_PKEY *key = evp_key(tls.key);

    if (role == ATLS_ROLE_SERVER)
        assert_true(SSL_CTX_use_certificate(ctx, cert) == 1 &&
                    SSL_CTX_use_PrivateKey(ctx, key) == 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    test_identity_clear(&tls);
    choose_parameters(ctx, b, role == ATLS_ROLE_SERVER);
    test_assert_code(atls_openssl_prepare_for(ctx, config, &err), ATLS_OK, &err);
    return ctx;
}

/* TLS looks for the name where nothing else would know the server. */
static SSL *product_ssl(SSL_CTX *ctx, const struct bench *b, const struct wish *wish)
{
    SSL *ssl = SSL_new(ctx);

    assert_non_null(ssl);
    if (b->optional && b->victim == ATLS_ROLE_CLIENT)
        assert_int_equal(SSL_set1_host(ssl, wish->name != NULL ? wish->name : "m1.example"), 1);
    return ssl;
}

static void join(SSL *a, SSL *b)
{
    BIO *left, *right;

    assert_int_equal(BIO_new_bio_pair(&left, LIMIT, &right, LIMIT), 1);
    SSL_set_bio(a, left, left);
    SSL_set_bio(b, right, right);
}

/* The product goes on until it waits; true when its gate is open. */
static bool step(struct atls_openssl *c, struct atls_err *err)
{
    enum atls_want want = ATLS_WANT_READ;
    struct atls_job *job;

    for (int i = 0; i < ROUNDS; i++) {
        if (atls_openssl_step(c, &want, err) != ATLS_OK || want != ATLS_WANT_JOB)
            break;
        job = atls_openssl_job(c);
        assert_non_null(job);
        atls_job_run(job);
        if (atls_openssl_complete(c, job, err) != ATLS_OK)
            break;
    }
    return err->code == ATLS_OK && want == ATLS_WANT_NOTHING;
}

static void go_on(SSL *actor)
{
    unsigned char byte;
    size_t len;

    ERR_clear_error();
    if (SSL_do_handshake(actor) == 1)
        (void)SSL_peek_ex(actor, &byte, 1, &len);
    ERR_clear_error();
}

/* Both ends, until the product has decided. */
static struct outcome drive(struct atls_openssl *c, SSL *actor)
{
    struct atls_err err = ATLS_ERR_INIT;
    bool open = false;

    for (int i = 0; i < ROUNDS && !open && err.code == ATLS_OK; i++) {
        open = step(c, &err);
        go_on(actor);
    }
    if (!open && err.code == ATLS_OK) { /* it waits for what he will not say: he hangs up */
        SSL_shutdown(actor);
        open = step(c, &err);
        assert_int_not_equal(err.code, ATLS_OK);
    }
    if (err.code != ATLS_OK)
        return scene_refused(&err);
    return (struct outcome){.accepted = true};
}

/* What was refused moves no byte; what was accepted moves one each way. */
static void check_gate(struct atls_openssl *c, SSL *actor, bool accepted)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_want want;
    unsigned char byte = 0;
    size_t len = 0;

    if (accepted) {
        test_assert_code(atls_openssl_write(c, "x", 1, &len, &want, &err), ATLS_OK, &err);
        assert_true(SSL_read_ex(actor, &byte, 1, &len) == 1 && byte == 'x');
        assert_true(SSL_write_ex(actor, "y", 1, &len) == 1);
        test_assert_code(atls_openssl_read(c, &byte, 1, &len, &want, &err), ATLS_OK, &err);
        assert_true(len == 1 && byte == 'y');
        return;
    }
    (void)SSL_write_ex(actor, "y", 1, &len);
    assert_int_not_equal(atls_openssl_write(c, "x", 1, &len, &want, &err), ATLS_OK);
    len = 0;
    if (atls_openssl_read(c, &byte, 1, &len, &want, &err) == ATLS_OK)
        assert_int_equal(len, 0);
    ERR_clear_error();
    assert_int_not_equal(SSL_read_ex(actor, &byte, 1, &len), 1);
    ERR_clear_error();
}

/* How the accepted peer is described. */
static void check_peer(struct atls_openssl *c, const struct bench *b, struct outcome *out)
{
    static const char *const freshness[] = {"connection", "none", "nonce"};
    struct atls_peer peer;

    atls_session_peer(atls_openssl_session(c), &peer);
    if (b->optional && peer.unattested) {
        assert_true(!peer.attested && peer.result == NULL && peer.spki.len == 0);
        *out = (struct outcome){.unattested = true};
        return;
    }
    assert_false(peer.unattested);
    assert_true(peer.attested && peer.flavour == b->column->flavour);
    assert_string_equal(peer.binding,
                        b->column->flavour == ATLS_FLAVOUR_PRE ? "key" : "connection");
    assert_string_equal(peer.freshness, freshness[b->column->freshness]);
    /* Nobody may believe that he asks again. */
    assert_int_equal(atls_session_reattest(atls_openssl_session(c), NULL), ATLS_E_USAGE);
}

static void resume(SSL *ssl, SSL_CTX *ctx, const struct wish *wish, const struct show *show)
{
    unsigned char keys[80];

    if (SSL_is_server(ssl)) /* a program whose contexts share their ticket keys */
        assert_true(SSL_CTX_get_tlsext_ticket_keys(show->resumes, keys, sizeof keys) == 1 &&
                    SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys) == 1);
    else
        assert_int_equal(SSL_set_session(ssl, wish->session), 1);
}

struct outcome tls_play(const struct bench *b, const struct wish *wish, const struct show *show)
{
    struct atls_config *config = scene_config(b, wish);
    SSL_CTX *ctx = product_context(b, b->victim, config), *actor_ctx;
    struct actor a = {.bench = b,
                      .speaks = show->speaks != NULL ? show->speaks : b->column,
                      .is_server = b->victim == ATLS_ROLE_CLIENT,
                      .self_signed = wish->identity != ATLS_IDENTITY_PKIX,
                      .show = show,
                      .scene = {.bench = b}};
    SSL *ssl = product_ssl(ctx, b, wish), *actor;
    struct atls_openssl *c = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    struct outcome out;
    static const uint8_t nonce[32] = {0x6e};

    a.scene.speaks = a.speaks;
    a.mutual = wish->own != NULL;
    if (a.mutual && a.speaks->freshness == ATLS_FRESHNESS_NONCE)
        a.asks = nonce;
    if (show->resumes != NULL) {
        actor_ctx = show->resumes;
        SSL_CTX_up_ref(actor_ctx);
    } else {
        actor_ctx = actor_context(&a);
    }
    if (a.speaks->flavour == ATLS_FLAVOUR_POST && show->manner != MANNER_UNAWARE)
        offer_carrier(actor_ctx, a.is_server);
    actor = actor_ssl(actor_ctx, &a);
    join(ssl, actor);
    if (wish->session != NULL && !a.is_server)
        assert_int_equal(SSL_set_session(actor, wish->session), 1);
    if (b->victim == ATLS_ROLE_CLIENT)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    test_assert_code(atls_openssl_new(ssl, config, wish->name, &c, &err), ATLS_OK, &err);
    if (wish->session != NULL)
        resume(ssl, ctx, wish, show);
    out = drive(c, actor);
    if (out.accepted)
        check_peer(c, b, &out);
    check_gate(c, actor, out.accepted || out.unattested);
    atls_openssl_free(c);
    SSL_free(ssl);
    SSL_free(actor);
    SSL_CTX_free(actor_ctx);
    SSL_CTX_free(ctx);
    atls_config_unref(config);
    actor_clear(&a);
    return out;
}

/* ---- a program that drives its SSL itself ---- */

/* A handshake of the product's ssl with an actor. */
struct pair {
    struct actor a;
    SSL_CTX *ctx;
    SSL *actor;
};

static void pair_open(struct pair *p, const struct bench *b, const struct wish *wish,
                      const struct show *show)
{
    *p = (struct pair){.a = {.bench = b,
                             .speaks = b->column,
                             .is_server = b->victim == ATLS_ROLE_CLIENT,
                             .self_signed = wish->identity != ATLS_IDENTITY_PKIX,
                             .show = show,
                             .scene = {.bench = b, .speaks = b->column}}};
    p->ctx = actor_context(&p->a);
    p->actor = actor_ssl(p->ctx, &p->a);
    SSL_set_post_handshake_auth(p->actor, 1);
}

static void pair_close(struct pair *p)
{
    SSL_free(p->actor);
    SSL_CTX_free(p->ctx);
    actor_clear(&p->a);
}

/* Runs it, and asks what came of it: a byte passes or not. */
static enum atls_code shake(SSL *ssl, struct pair *p, struct atls_err *err)
{
    enum atls_code code;
    unsigned char byte;
    size_t len;

    join(ssl, p->actor);
    for (int i = 0; i < ROUNDS; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(ssl);
        go_on(p->actor);
    }
    code = atls_openssl_attested(ssl, NULL, err);
    ERR_clear_error();
    assert_int_equal(SSL_write_ex(ssl, "x", 1, &len), code == ATLS_OK ? 1 : 0);
    ERR_clear_error();
    assert_int_equal(SSL_read_ex(p->actor, &byte, 1, &len), code == ATLS_OK ? 1 : 0);
    ERR_clear_error();
    return code;
}

/* The program's end, attached. */
static SSL *attached(SSL_CTX *ctx, const struct bench *b, struct atls_config *config,
                     const struct wish *wish)
{
    SSL *ssl = product_ssl(ctx, b, wish);
    struct atls_err err = ATLS_ERR_INIT;

    if (b->victim == ATLS_ROLE_CLIENT)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    test_assert_code(atls_openssl_attach(ssl, config, wish->name, &err), ATLS_OK, &err);
    return ssl;
}

struct outcome scene_asked_again(const struct bench *b, const struct wish *wish,
                                 const struct show *first, const struct show *second)
{
    struct atls_config *config = scene_config(b, wish);
    SSL_CTX *ctx = product_context(b, b->victim, config);
    SSL *ssl = attached(ctx, b, config, wish);
    struct atls_err err = ATLS_ERR_INIT;
    struct outcome out = {.accepted = true};
    unsigned char byte;
    size_t len;
    struct pair p;

    pair_open(&p, b, wish, first);
    test_assert_code(shake(ssl, &p, &err), ATLS_OK, &err);
    p.a.show = second;
    assert_int_equal(SSL_verify_client_post_handshake(ssl), 1);
    assert_int_equal(SSL_do_handshake(ssl), 1);
    assert_int_equal(SSL_peek_ex(p.actor, &byte, 1, &len), 0); /* answers */
    assert_true(SSL_write_ex(p.actor, "y", 1, &len) == 1);
    if (SSL_read_ex(ssl, &byte, 1, &len) != 1)
        out = (struct outcome){.code = ATLS_E_TLS};
    ERR_clear_error();
    pair_close(&p);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    atls_config_unref(config);
    return out;
}

struct outcome scene_used_again(const struct bench *b, const struct wish *wish,
                                const struct show *first, const struct show *second)
{
    struct atls_config *config = scene_config(b, wish);
    SSL_CTX *ctx = product_context(b, b->victim, config);
    SSL *ssl = attached(ctx, b, config, wish);
    struct atls_err err = ATLS_ERR_INIT;
    struct outcome out = {.accepted = true};
    struct pair p;

    pair_open(&p, b, wish, first);
    assert_int_equal(shake(ssl, &p, &err) == ATLS_OK, first->named == first->signs);
    pair_close(&p);
    SSL_shutdown(ssl);
    assert_int_equal(SSL_clear(ssl), 1);
    ERR_clear_error();
    pair_open(&p, b, wish, second);
    if (shake(ssl, &p, &err) != ATLS_OK)
        out = scene_refused(&err);
    pair_close(&p);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    atls_config_unref(config);
    return out;
}

/* ---- a genuine machine that the attacker asks ---- */

static void see_certificate(SSL *ssl, struct actor *a)
{
    X509 *cert = SSL_get1_peer_certificate(ssl);
    ASN1_OBJECT *oid = OBJ_txt2obj(CMW_OID, 1);
    const unsigned char *p;
    ASN1_OCTET_STRING *content, *cmw;
    int at;

    assert_non_null(cert);
    at = X509_get_ext_by_OBJ(cert, oid, -1);
    assert_true(at >= 0);
    content = X509_EXTENSION_get_data(X509_get_ext(cert, at));
    p = ASN1_STRING_get0_data(content);
    cmw = d2i_ASN1_OCTET_STRING(NULL, &p, ASN1_STRING_length(content));
    assert_non_null(cmw);
    test_assert_code(
        atls_buf_copy(&a->seen,
                      atls_bytes_of(ASN1_STRING_get0_data(cmw), (size_t)ASN1_STRING_length(cmw)),
                      NULL),
        ATLS_OK, NULL);
    ASN1_OCTET_STRING_free(cmw);
    ASN1_OBJECT_free(oid);
    X509_free(cert);
}

static struct atls_config *machine_config(const struct column *column,
                                          struct atls_attester *attester)
{
    struct atls_config_options options;
    struct atls_config *out = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    atls_config_options_init(&options);
    options.attester = attester;
    options.flavour = column->flavour;
    options.freshness = column->freshness;
    options.secret_binder = column->secret_binder;
    test_assert_code(atls_config_new(&options, &out, &err), ATLS_OK, &err);
    return out;
}

struct atls_buf tls_oracle(const struct scene *s, struct machine *m)
{
    const struct bench *b = s->bench;
    struct atls_attester *attester = machine_attester(m);
    struct atls_config *config = machine_config(b->column, attester);
    const enum atls_role role = b->victim == ATLS_ROLE_CLIENT ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
    SSL_CTX *ctx = product_context(b, role, config), *actor_ctx;
    struct actor a = {.bench = b,
                      .speaks = b->column,
                      .is_server = b->victim == ATLS_ROLE_SERVER,
                      .scene = {.bench = b, .speaks = b->column}};
    SSL *ssl = SSL_new(ctx), *actor;
    struct atls_openssl *c = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    if (b->column->freshness == ATLS_FRESHNESS_NONCE)
        a.asks = s->nonce;
    actor_ctx = actor_context(&a);
    if (a.is_server) {
        struct test_identity tls = test_leaf(&b->lab->ca, "any.example", ATLS_KEY_P256);
        X509 *cert = x509(atls_buf_bytes(&tls.certificate));
        EVP_PKEY *key = evp_key(tls.key);

        assert_true(SSL_CTX_use_certificate(actor_ctx, cert) == 1 &&
                    SSL_CTX_use_PrivateKey(actor_ctx, key) == 1);
        X509_free(cert);
        EVP_PKEY_free(key);
        test_identity_clear(&tls);
    }
    actor = actor_ssl(actor_ctx, &a);
    join(ssl, actor);
    if (role == ATLS_ROLE_CLIENT)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    test_assert_code(atls_openssl_new(ssl, config, "any.example", &c, &err), ATLS_OK, &err);
    assert_true(drive(c, actor).accepted);
    if (b->column->flavour == ATLS_FLAVOUR_PRE)
        see_certificate(actor, &a);
    assert_true(a.seen.len != 0);
    atls_openssl_free(c);
    SSL_free(ssl);
    SSL_free(actor);
    SSL_CTX_free(actor_ctx);
    SSL_CTX_free(ctx);
    atls_config_unref(config);
    atls_attester_unref(attester);
    atls_buf_clear(&a.transcript);
    atls_buf_clear(&a.extension);
    return a.seen;
}

/* ---- sessions of ordinary connections ---- */

SSL_SESSION *scene_session(const struct bench *b, SSL_CTX **out_ctx)
{
    const bool by_carrier = b->column->flavour == ATLS_FLAVOUR_POST;
    struct test_identity tls = test_leaf(&b->lab->ca, "any.example", ATLS_KEY_P256);
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method()),
            *server_ctx = SSL_CTX_new(TLS_server_method());
    X509 *cert = x509(atls_buf_bytes(&tls.certificate));
    EVP_PKEY *key = evp_key(tls.key);
    unsigned char keys[80];
    SSL_SESSION *out;
    SSL *client, *server;

    assert_true(SSL_CTX_use_certificate(server_ctx, cert) == 1 &&
                SSL_CTX_use_PrivateKey(server_ctx, key) == 1);
    choose_parameters(client_ctx, b, false);
    choose_parameters(server_ctx, b, true);
    if (by_carrier) {
        offer_carrier(client_ctx, false);
        offer_carrier(server_ctx, true);
    }
    client = SSL_new(client_ctx);
    server = SSL_new(server_ctx);
    join(client, server);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    for (int i = 0; i < ROUNDS; i++) {
        go_on(client);
        go_on(server);
    }
    out = SSL_get1_session(client);
    assert_true(out != NULL && SSL_SESSION_is_resumable(out) == 1);
    /* Whoever is to take it up: the attacker's server, or his client, which brings along the
     * keys of the server that it is for. */
    assert_true(SSL_CTX_get_tlsext_ticket_keys(server_ctx, keys, sizeof keys) == 1 &&
                SSL_CTX_set_tlsext_ticket_keys(client_ctx, keys, sizeof keys) == 1);
    *out_ctx = b->victim == ATLS_ROLE_CLIENT ? server_ctx : client_ctx;
    SSL_CTX_free(b->victim == ATLS_ROLE_CLIENT ? client_ctx : server_ctx);
    SSL_shutdown(client);
    SSL_free(client);
    SSL_free(server);
    X509_free(cert);
    EVP_PKEY_free(key);
    test_identity_clear(&tls);
    return out;
}
