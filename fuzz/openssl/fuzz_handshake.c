/* A handshake of flavour intra over OpenSSL against a peer that puts arbitrary bytes into the
 * extension. Nobody is ever accepted, because the verifier refuses everything, and nothing opens.
 *
 * Byte 0 of the input: 1 the hostile end is the server, 2 HelloRetryRequest. Then parts: place (1
 * to 4: enum atls_intra_place; 5: ClientHello after HelloRetryRequest; 6: second entry of
 * Certificate; others: no extension in place - 7), length (2 bytes), bytes. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "core/reader.h"
#include "hostile_tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* ---- a verifier that refuses ---- */

static enum atls_code open_verifier(const char *rest, const struct atls_verifier_options *options,
                                    void **out_self, struct atls_err *err)
{
    (void)rest;
    (void)options;
    (void)err;
    *out_self = NULL;
    return ATLS_OK;
}

static void close_verifier(void *self)
{
    (void)self;
}

static enum atls_code appraise(void *self, const struct atls_appraisal *appraisal,
                               struct atls_result **out, struct atls_err *err)
{
    (void)self;
    (void)appraisal;
    (void)out;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH, "refused");
}

/* ---- both ends, made once ---- */

struct end {
    struct atls_config *config;
    SSL_CTX *ours, *theirs; /* with libatls, and of the hostile peer */
    struct hostile_tls hostile;
};

static struct end client, server;
static char all_groups[] = "P-256:P-384", other_group[] = "P-384";

static struct atls_config *configure(void)
{
    static const struct atls_verifier_ops ops = {
        .scheme = "refusing", .open = open_verifier, .close = close_verifier, .appraise = appraise};
    static const struct atls_verifier_ops *const verifiers[] = {&ops, NULL};
    static const struct atls_attester_ops *const attesters[] = {&atls_soft_attester, NULL};
    static const char *const types[] = {"soft", NULL};
    struct atls_attester_options attester;
    struct atls_config_options o;
    struct atls_config *config;

    atls_config_options_init(&o);
    atls_attester_options_init(&attester);
    attester.insecure = true;
    require(atls_attester_open("soft:", attesters, &attester, &o.attester, NULL) == ATLS_OK);
    require(atls_verifier_open("refusing:", verifiers, NULL, &o.verifier, NULL) == ATLS_OK);
    require(atls_policy_default(&o.policy, NULL) == ATLS_OK);
    o.flavour = ATLS_FLAVOUR_INTRA;
    o.require_peer = true;
    o.identity = ATLS_IDENTITY_ATTESTED;
    o.evidence_types = types;
    require(atls_config_new(&o, &config, NULL) == ATLS_OK);
    atls_attester_unref(o.attester);
    atls_verifier_unref(o.verifier);
    atls_policy_unref(o.policy);
    return config;
}

static int take_any(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static void make_end(struct end *e, const SSL_METHOD *method)
{
    e->config = configure();
    e->ours = SSL_CTX_new(method);
    e->theirs = SSL_CTX_new(method);
    require(e->ours != NULL && e->theirs != NULL);
    require(atls_openssl_prepare_for(e->ours, e->config, NULL) == ATLS_OK);
    require(atls_openssl_use_attester(e->theirs, e->config->options.attester, NULL) == ATLS_OK);
    require(hostile_tls_init(&e->hostile, e->theirs, e->config));
    SSL_CTX_set_verify(e->theirs, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(e->theirs, take_any, NULL);
    require(SSL_CTX_set1_groups_list(e->ours, all_groups) == 1);
    require(SSL_CTX_set1_groups_list(e->theirs, all_groups) == 1);
}

static void make_ends(void)
{
    const unsigned char *der;
    size_t count;
    X509 *x;

    make_end(&client, TLS_client_method());
    make_end(&server, TLS_server_method());
    /* A second entry for both hostile ends. */
    for (int i = 0; i < 2; i++) {
        const struct end *e = i == 0 ? &client : &server;
        const struct atls_bytes *chain = atls_attester_chain(e->config->options.attester, &count);

        der = chain[0].ptr;
        x = d2i_X509(NULL, &der, (long)chain[0].len);
        require(x != NULL && SSL_CTX_add1_chain_cert(e->theirs, x) == 1);
        X509_free(x);
    }
}

/* ---- one handshake ---- */

static void take_parts(struct hostile_tls *h, struct atls_reader *r)
{
    static const struct atls_bytes nothing = {NULL, 1};
    uint8_t place;
    uint16_t len;
    struct atls_bytes bytes;

    memset(h->instead, 0, sizeof h->instead);
    h->second_hello = h->second_entry = atls_bytes_of(NULL, 0);
    while (atls_get_u8(r, &place) && atls_get_u16(r, &len) && atls_get_bytes(r, len, &bytes)) {
        if (place >= ATLS_INTRA_CH && place <= ATLS_INTRA_CT)
            h->instead[place] = bytes;
        else if (place == 5)
            h->second_hello = bytes;
        else if (place == 6)
            h->second_entry = bytes;
        else if (place > 7 && place <= 7 + ATLS_INTRA_CT)
            h->instead[place - 7] = nothing;
    }
}

static void shake(SSL *ssl, struct hostile_tls *h, const struct end *ours)
{
    struct atls_openssl *conn = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_openssl_new(ssl, ours->config, "server.example", &conn, &err);

    require(code == ATLS_OK);
    for (int i = 0; i < 12 && code == ATLS_OK; i++) {
        enum atls_want want = ATLS_WANT_NOTHING;

        ERR_clear_error();
        (void)SSL_do_handshake(h->ssl);
        code = atls_openssl_step(conn, &want, &err);
        if (code == ATLS_OK && want == ATLS_WANT_JOB) {
            struct atls_job *job = atls_openssl_job(conn);

            atls_job_run(job);
            code = atls_openssl_complete(conn, job, &err);
        }
        require(atls_openssl_session(conn) == NULL);
    }
    atls_openssl_free(conn);
    require(atls_openssl_attested(ssl, NULL, &err) != ATLS_OK);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reader r = atls_reader_init(atls_bytes_of(data, size));
    struct end *ours, *theirs;
    BIO *a = NULL, *b = NULL;
    uint8_t flags;
    SSL *ssl;

    if (!atls_get_u8(&r, &flags))
        return 0;
    if (client.config == NULL)
        make_ends();
    theirs = (flags & 1) != 0 ? &server : &client;
    ours = (flags & 1) != 0 ? &client : &server;
    require((ssl = SSL_new(ours->ours)) != NULL && hostile_tls_start(&theirs->hostile));
    take_parts(&theirs->hostile, &r);
    require(SSL_set1_groups_list(ours == &server ? ssl : theirs->hostile.ssl,
                                 (flags & 2) != 0 ? other_group : all_groups) == 1);
    require(BIO_new_bio_pair(&a, 400000, &b, 400000) == 1);
    SSL_set_bio(ssl, a, a);
    SSL_set_bio(theirs->hostile.ssl, b, b);
    if (ours == &server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    shake(ssl, &theirs->hostile, ours);
    SSL_free(ssl);
    return 0;
}
