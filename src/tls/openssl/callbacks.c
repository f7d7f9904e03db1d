#include "tls/openssl/callbacks.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "core/err.h"
#include "crypto/crypto.h"
#include "tls/openssl/error.h"
#include "tls/openssl/ex_index.h"

/* ---- what hangs on a context ---- */

struct prepared {
    struct atls_config *config; /* referenced */
    /* The program's own, called on; or NULL. */
    void (*info)(const SSL *ssl, int where, int ret);
    SSL_CTX_keylog_cb_func keylog;
};

static void free_prepared(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                          void *argp)
{
    struct prepared *p = ptr;

    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (p == NULL)
        return;
    atls_config_unref(p->config);
    free(p);
}

static int make_index(void)
{
    return SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_prepared);
}

static int prepared_index(void)
{
    static struct atls_ex_index index = ATLS_EX_INDEX_INIT;

    return atls_ex_index_get(&index, make_index);
}

static const struct prepared *prepared_of(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, prepared_index());
}

struct atls_config *atls_handshake_config(const SSL *ssl)
{
    const struct prepared *p = prepared_of(SSL_get_SSL_CTX(ssl));

    return p == NULL ? NULL : p->config;
}

SSL_CTX_keylog_cb_func atls_callbacks_keylog(const SSL *ssl)
{
    const struct prepared *p = prepared_of(SSL_get_SSL_CTX(ssl));

    return p == NULL ? NULL : p->keylog;
}

void atls_callbacks_not_attached(void)
{
    ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL,
                   "attestation: atls_openssl_attach was not called for this connection");
}

/* Authentication after the handshake would show keys that no evidence names: this connection has
 * been judged by what it began with. */
static bool is_over(const struct atls_handshake *h)
{
    if (h->passed)
        ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL,
                       "attestation: certificates are for the handshake, not for after it");
    return h->passed;
}

/* ---- our certificate ---- */

/* The return value of SSL_set_cert_cb: 1 go on, 0 fail, -1 call again. */
static int certificate(SSL *ssl, void *arg)
{
    struct atls_handshake *h = atls_handshake_of(ssl);

    (void)arg;
    if (h == NULL) {
        atls_callbacks_not_attached();
        return 0;
    }
    if (is_over(h))
        return 0;
    atls_callbacks_watch(ssl);
    if (h->hooks->own_job == NULL || (h->role == ATLS_ROLE_SERVER && h->hooks->own_late_on_server))
        return 1;
    switch (atls_handshake_work(h, ATLS_PAUSE_NATIVE)) {
    case ATLS_WORK_READY_NOW:
        return 1;
    case ATLS_WORK_PAUSED:
        return -1;
    case ATLS_WORK_FAILED:
        break;
    }
    return 0;
}

/* ---- the peer's certificate ---- */

/* The error of X.509 verification that OpenSSL tells the peer by this alert, or by the nearest one
 * that it has for certificates. */
static int x509_error(uint8_t alert)
{
    static const struct {
        uint8_t alert;
        int error;
    } rows[] = {
        {SSL_AD_UNSUPPORTED_CERTIFICATE, X509_V_ERR_INVALID_PURPOSE},
        {SSL_AD_CERTIFICATE_REVOKED, X509_V_ERR_CERT_REVOKED},
        {SSL_AD_CERTIFICATE_EXPIRED, X509_V_ERR_CERT_HAS_EXPIRED},
        {SSL_AD_UNKNOWN_CA, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
        {SSL_AD_DECRYPT_ERROR, X509_V_ERR_CERT_SIGNATURE_FAILURE},
        {SSL_AD_INTERNAL_ERROR, X509_V_ERR_UNSPECIFIED},
        {SSL_AD_HANDSHAKE_FAILURE, X509_V_ERR_APPLICATION_VERIFICATION},
        {SSL_AD_ACCESS_DENIED, X509_V_ERR_APPLICATION_VERIFICATION},
        {SSL_AD_UNSUPPORTED_EXTENSION, X509_V_ERR_APPLICATION_VERIFICATION},
        {SSL_AD_MISSING_EXTENSION, X509_V_ERR_APPLICATION_VERIFICATION},
        {SSL_AD_ILLEGAL_PARAMETER, X509_V_ERR_APPLICATION_VERIFICATION},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].alert == alert)
            return rows[i].error;
    return X509_V_ERR_CERT_REJECTED; /* bad_certificate */
}

static void clear_peer(struct atls_tls_peer *peer)
{
    for (size_t i = 0; i < peer->chain_len; i++)
        OPENSSL_free((void *)(uintptr_t)peer->chain[i].ptr);
    peer->chain_len = 0;
}

/* The chain as DER; OpenSSL keeps the bytes of a certificate as they came. */
static enum atls_code take_peer(X509_STORE_CTX *store, struct atls_tls_peer *peer,
                                struct atls_err *err)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
    const int count = sk_X509_num(chain); /* -1 without a chain */

    if (count < 1 || count > ATLS_CHAIN_MAX)
        return atls_fail_alert(err, ATLS_E_LIMIT, ATLS_REASON_NONE, ATLS_ALERT_BAD_CERTIFICATE,
                               "TLS certificate chain of %d, want 1 to %d", count, ATLS_CHAIN_MAX);
    for (int i = 0; i < count; i++) {
        unsigned char *der = NULL;
        const int len = i2d_X509(sk_X509_value(chain, i), &der);

        if (len <= 0)
            return atls_openssl_fail(err, NULL, "TLS certificate of the peer");
        peer->chain[peer->chain_len++] = atls_bytes_of(der, (size_t)len);
    }
    return atls_certificate_spki(peer->chain[0], &peer->spki, err);
}

/* TLS's own verification decides: about peers that need not attest or do not, and about identity
 * same-key. With identity pkix the anchors of the configuration are asked instead. */
static bool is_tls_asked(const struct atls_config_options *o, const struct atls_tls_peer *peer)
{
    if (!o->require_peer || o->identity == ATLS_IDENTITY_SAME_KEY)
        return true;
    return !peer->attests && o->identity != ATLS_IDENTITY_PKIX;
}

static bool tls_verifies(struct atls_handshake *h, X509_STORE_CTX *store,
                         const struct atls_tls_peer *peer)
{
    struct atls_err err = ATLS_ERR_INIT;

    if (X509_verify_cert(store) == 1)
        return true;
    if (h->config->options.require_peer) {
        (void)atls_fail_alert(&err, ATLS_E_CERTIFICATE, ATLS_REASON_IDENTITY_MISMATCH,
                              ATLS_ALERT_BAD_CERTIFICATE,
                              "TLS certificate of the peer, which %s wants verified: %s",
                              peer->attests ? "identity same-key" : "a peer that does not attest",
                              X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
        (void)atls_handshake_fail(h, &err);
    }
    return false;
}

/* *out_refused: by TLS's own verification, whose error is in store. */
static enum atls_work_outcome judge(struct atls_handshake *h, X509_STORE_CTX *store,
                                    bool *out_refused)
{
    const struct atls_config_options *o = &h->config->options;
    struct atls_tls_peer peer = {.verified = false};
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_work_outcome outcome = ATLS_WORK_FAILED;
    const enum atls_code code = take_peer(store, &peer, &err);

    peer.attests = !o->peer_optional || h->hooks->attests(h, &peer);
    *out_refused = false;
    if (code == ATLS_OK && is_tls_asked(o, &peer))
        *out_refused = !(peer.verified = tls_verifies(h, store, &peer));
    if (code != ATLS_OK)
        (void)atls_handshake_fail(h, &err);
    else if (!*out_refused)
        outcome = atls_handshake_judge(
            h, &peer, h->role == ATLS_ROLE_CLIENT ? ATLS_PAUSE_NATIVE : ATLS_PAUSE_ASYNC);
    clear_peer(&peer);
    return outcome;
}

/* The return value of SSL_CTX_set_cert_verify_callback: 1 accepted. OpenSSL's client calls again
 * after SSL_set_retry_verify; its server would take that for acceptance, which is why a server
 * never gets ATLS_PAUSE_NATIVE. */
static int verify(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct atls_handshake *h = ssl == NULL ? NULL : atls_handshake_of(ssl);
    bool refused;

    (void)arg;
    X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    if (h == NULL) {
        atls_callbacks_not_attached();
        return 0;
    }
    if (is_over(h))
        return 0;
    atls_callbacks_watch(ssl);
    X509_STORE_CTX_set_error(store, X509_V_OK);
    switch (judge(h, store, &refused)) {
    case ATLS_WORK_READY_NOW:
        return 1;
    case ATLS_WORK_PAUSED:
        if (h->role == ATLS_ROLE_CLIENT && SSL_set_retry_verify(ssl) == 1)
            return 1;
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
        return 0;
    case ATLS_WORK_FAILED:
        break;
    }
    if (refused)
        return 0;
    X509_STORE_CTX_set_error(store, x509_error(h->hooks->alert(&h->error)));
    return 0;
}

/* ---- ClientHello, ALPN ---- */

static int client_hello(SSL *ssl, int *out_alert, void *arg)
{
    struct atls_handshake *h = atls_handshake_of(ssl);
    struct atls_err err = ATLS_ERR_INIT;

    (void)arg;
    if (h == NULL) {
        atls_callbacks_not_attached();
        *out_alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (is_over(h)) {
        *out_alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    atls_callbacks_watch(ssl);
    if (h->error.code == ATLS_OK &&
        (h->hooks->client_hello == NULL || h->hooks->client_hello(h, &err) == ATLS_OK))
        return SSL_CLIENT_HELLO_SUCCESS;
    *out_alert = atls_handshake_fail(h, &err);
    return SSL_CLIENT_HELLO_ERROR;
}

/* RFC 7301 section 3.2. A server that has no protocols of its own ignores what the client offers.
 */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    const struct atls_config *config = arg;
    struct atls_bytes ours = atls_config_names(config, ATLS_NAMES_INNER_PROTOCOLS);
    struct atls_bytes common = atls_names_common(ours, atls_bytes_of(in, in_len));

    (void)ssl;
    if (ours.len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    if (common.len == 0)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = common.ptr;
    *out_len = (unsigned char)common.len;
    return SSL_TLSEXT_ERR_OK;
}

/* ---- shut until the post-conditions hold ---- */

/* SSL_write that drives the handshake goes on to write, whatever was set meanwhile; and SSL_read to
 * read what it would then throw away. */
static long refuse_moving(BIO *bio, int operation, const char *data, size_t len, int argi,
                          long argl, int ret, size_t *processed)
{
    (void)data;
    (void)len;
    (void)argi;
    (void)argl;
    (void)processed;
    if (operation != BIO_CB_WRITE && operation != BIO_CB_READ)
        return ret;
    BIO_clear_retry_flags(bio);
    if (operation == BIO_CB_READ)
        BIO_set_retry_read(bio);
    return -1;
}

/* *out_own gets the program's callback, unless the BIO refuses already. */
static void refuse(BIO *bio, BIO_callback_fn_ex *out_own)
{
    if (BIO_get_callback_ex(bio) == refuse_moving)
        return;
    *out_own = BIO_get_callback_ex(bio);
    BIO_set_callback_ex(bio, refuse_moving);
}

static void shut(SSL *ssl, struct atls_handshake *h)
{
    BIO_callback_fn_ex nobodys;

    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    refuse(SSL_get_wbio(ssl), h == NULL ? &nobodys : &h->write_callback);
    refuse(SSL_get_rbio(ssl), h == NULL ? &nobodys : &h->read_callback); /* may be the same */
    if (h != NULL)
        h->shut = true;
}

void atls_callbacks_open(struct atls_handshake *h)
{
    if (!h->shut)
        return;
    h->shut = false;
    if (SSL_get_rbio(h->ssl) != SSL_get_wbio(h->ssl))
        BIO_set_callback_ex(SSL_get_rbio(h->ssl), h->read_callback);
    BIO_set_callback_ex(SSL_get_wbio(h->ssl), h->write_callback);
    SSL_set_read_ahead(h->ssl, h->read_ahead);
    SSL_set_shutdown(h->ssl, 0);
}

static void watch(const SSL *ssl, int where, int ret)
{
    struct atls_handshake *h = atls_handshake_of(ssl);
    const struct prepared *p = prepared_of(SSL_get_SSL_CTX(ssl));

    if ((where & SSL_CB_HANDSHAKE_START) != 0 && h != NULL)
        atls_handshake_begins(h);
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && (h == NULL || !h->passed))
        shut((SSL *)(uintptr_t)ssl, h);
    if (h != NULL && h->info != NULL)
        h->info(ssl, where, ret);
    else if (p != NULL && p->info != NULL)
        p->info(ssl, where, ret);
}

void atls_callbacks_watch(SSL *ssl)
{
    struct atls_handshake *h = atls_handshake_of(ssl);
    void (*own)(const SSL *, int, int) = SSL_get_info_callback(ssl);

    if (own == watch)
        return;
    h->info = own;
    SSL_set_info_callback(ssl, watch);
}

/* ---- registration ---- */

int atls_callbacks_verify_mode(const struct atls_config *config)
{
    return SSL_VERIFY_PEER | (config->options.peer_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
}

static void set_verification(SSL_CTX *ctx, const struct atls_config *config)
{
    if (config->options.require_peer)
        SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx) | atls_callbacks_verify_mode(config),
                           SSL_CTX_get_verify_callback(ctx));
    SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
}

static enum atls_code set_alpn(SSL_CTX *ctx, const struct atls_config *config, struct atls_err *err)
{
    struct atls_bytes names = atls_config_names(config, ATLS_NAMES_INNER_PROTOCOLS);

    /* Our lists are encoded as ALPN is. */
    if (SSL_CTX_set_alpn_protos(ctx, names.ptr, (unsigned int)names.len) != 0)
        return atls_openssl_fail(err, NULL, "OpenSSL: ALPN cannot be set");
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, (void *)(uintptr_t)config);
    return ATLS_OK;
}

enum atls_code atls_callbacks_set(SSL_CTX *ctx, struct atls_config *config, struct atls_err *err)
{
    struct prepared *p = calloc(1, sizeof *p);

    if (p == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "OpenSSL: out of memory");
    p->config = atls_config_ref(config);
    p->info = SSL_CTX_get_info_callback(ctx);
    p->keylog = SSL_CTX_get_keylog_callback(ctx);
    if (SSL_CTX_set_ex_data(ctx, prepared_index(), p) != 1) {
        free_prepared(NULL, p, NULL, 0, 0, NULL);
        return atls_openssl_fail(err, NULL, "OpenSSL: configuration cannot be attached");
    }
    set_verification(ctx, config);
    SSL_CTX_set_cert_cb(ctx, certificate, NULL);
    SSL_CTX_set_client_hello_cb(ctx, client_hello, NULL);
    SSL_CTX_set_info_callback(ctx, watch);
    return set_alpn(ctx, config, err);
}

struct atls_config *atls_callbacks_config(const SSL_CTX *ctx)
{
    const struct prepared *p = prepared_of(ctx);

    return p == NULL ? NULL : p->config;
}
