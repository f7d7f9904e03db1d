/* The pre-handshake flavour in OpenSSL's callbacks: the certificate with evidence, and the nonces
 * that ask for a fresh one, the client's in server_name, the server's among the acceptable
 * certificate authorities. What they mean is of flavour/pre. */
#include "flavour/pre/pre.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "crypto/crypto.h"
#include "tls/openssl/error.h"
#include "tls/openssl/ex_index.h"
#include "tls/openssl/flavour.h"
#include "tls/openssl/key.h"

/* ---- what hangs on a context ---- */

struct shown {
    EVP_PKEY *key;                  /* of the attester */
    struct atls_pre_keeper *keeper; /* NULL with freshness nonce */
    /* The latest chain that keeper gave, parsed: most connections show the same. */
    pthread_mutex_t lock;
    struct atls_pre_chain *kept;
    struct atls_openssl_chain *parsed;
};

static void free_shown(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                       void *argp)
{
    struct shown *s = ptr;

    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (s == NULL)
        return;
    atls_pre_keeper_unref(s->keeper);
    atls_pre_chain_unref(s->kept);
    atls_openssl_chain_unref(s->parsed);
    EVP_PKEY_free(s->key);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int make_index(void)
{
    return SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_shown);
}

static int shown_index(void)
{
    static struct atls_ex_index index = ATLS_EX_INDEX_INIT;

    return atls_ex_index_get(&index, make_index);
}

static bool wants_nonces(const struct atls_config *config)
{
    return config->options.freshness == ATLS_FRESHNESS_NONCE;
}

/* The first certificate is made here, so that what is wrong with the attester shows at once. */
static enum atls_code make_first(struct atls_pre_keeper *keeper, struct atls_err *err)
{
    struct atls_pre_chain *chain = NULL;
    struct atls_job *job = NULL;
    enum atls_code code = atls_pre_keeper_get(keeper, &chain, &job, err);

    if (code == ATLS_OK && job != NULL) {
        atls_job_run(job);
        code = job->code;
        if (code != ATLS_OK && err != NULL)
            *err = job->err;
        atls_job_free(job);
    }
    atls_pre_chain_unref(chain);
    return code;
}

static enum atls_code prepare(SSL_CTX *ctx, struct atls_config *config, struct atls_err *err)
{
    struct shown *s;
    enum atls_code code;

    if (config->options.attester == NULL)
        return ATLS_OK;
    if ((s = calloc(1, sizeof *s)) == NULL || pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return atls_fail(err, ATLS_E_NOMEM, "certificate: out of memory");
    }
    if ((code = atls_openssl_key_new(config->options.attester, &s->key, err)) == ATLS_OK &&
        !wants_nonces(config) && (code = atls_pre_keeper_new(config, &s->keeper, err)) == ATLS_OK)
        code = make_first(s->keeper, err);
    if (code == ATLS_OK && SSL_CTX_set_ex_data(ctx, shown_index(), s) != 1)
        code = atls_openssl_fail(err, NULL, "OpenSSL: nothing can be kept on the context");
    if (code != ATLS_OK)
        free_shown(NULL, s, NULL, 0, 0, NULL);
    return code;
}

/* ---- one connection ---- */

struct own {
    struct atls_pre_nonce nonce; /* that the peer must answer, here and nowhere else */
    bool asked;                  /* there is one */
    bool used;                   /* a certificate was judged by it */
    struct atls_pre_chain *old;  /* to be shown if a newer one cannot be made; or NULL */
};

static enum atls_code make_nonce(struct own *own, struct atls_err *err)
{
    enum atls_code code = atls_random(own->nonce.bytes, sizeof own->nonce.bytes, err);

    own->asked = code == ATLS_OK;
    return code;
}

static enum atls_code ask_server(struct atls_handshake *h, struct own *own, struct atls_err *err)
{
    char host[ATLS_PRE_HOST_MAX + 1];
    enum atls_code code = make_nonce(own, err);

    if (code == ATLS_OK)
        code = atls_pre_host_make(&own->nonce, h->peer_name, host, err);
    if (code == ATLS_OK && SSL_set_tlsext_host_name(h->ssl, host) != 1)
        code = atls_openssl_fail(err, NULL, "OpenSSL: the server name cannot be set");
    return code;
}

static void free_own(void *ptr)
{
    struct own *own = ptr;

    if (own == NULL)
        return;
    atls_pre_chain_unref(own->old);
    free(own);
}

/* A client always sends a nonce, whatever it requires: the server may refuse those who do not. */
static enum atls_code attach(struct atls_handshake *h, struct atls_err *err)
{
    struct own *own = calloc(1, sizeof *own);
    enum atls_code code = ATLS_OK;

    if (own == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "certificate: out of memory");
    if (h->role == ATLS_ROLE_CLIENT && wants_nonces(h->config))
        code = ask_server(h, own, err);
    if (code == ATLS_OK)
        h->own = own;
    else
        free_own(own);
    return code;
}

/* The only name in CertificateRequest (RFC 8446 section 4.2.4) is the nonce. */
static enum atls_code ask_client(struct atls_handshake *h, struct own *own, struct atls_err *err)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    struct atls_buf der = ATLS_BUF_INIT;
    X509_NAME *name = NULL;
    enum atls_code code = make_nonce(own, err);

    if (code == ATLS_OK && (code = atls_pre_authority_make(&own->nonce, &der, err)) == ATLS_OK) {
        const unsigned char *at = der.ptr;

        name = d2i_X509_NAME(NULL, &at, (long)der.len);
    }
    if (name != NULL && names != NULL && sk_X509_NAME_push(names, name) > 0) {
        SSL_set_client_CA_list(h->ssl, names);
        names = NULL;
        name = NULL;
    } else if (code == ATLS_OK) {
        code = atls_fail(err, ATLS_E_NOMEM, "nonce: out of memory");
    }
    sk_X509_NAME_free(names);
    X509_NAME_free(name);
    atls_buf_clear(&der);
    return code;
}

static enum atls_code no_nonce(struct atls_err *err, const char *what)
{
    return atls_fail_alert(err, ATLS_E_PROTOCOL, ATLS_REASON_NONCE_MISMATCH,
                           ATLS_ALERT_MISSING_EXTENSION, "%s, which freshness nonce wants", what);
}

/* The host name of a server_name extension (RFC 6066 section 3); empty when there is none. */
static struct atls_bytes host_name(SSL *ssl)
{
    const unsigned char *data;
    struct atls_bytes list, host = atls_bytes_of(NULL, 0);
    struct atls_reader r;
    uint8_t type;
    size_t len;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &len) != 1)
        return host;
    r = atls_reader_init(atls_bytes_of(data, len));
    if (!atls_get_vec(&r, 1, 0xffff, &list) || !atls_reader_done(&r))
        return host;
    r = atls_reader_init(list);
    if (!atls_get_u8(&r, &type) || type != TLSEXT_NAMETYPE_host_name ||
        !atls_get_vec(&r, 1, 0xffff, &host) || !atls_reader_done(&r))
        return atls_bytes_of(NULL, 0);
    return host;
}

/* Looked for here, because the certificate callback, where the nonce is answered, tells the peer
 * internal_error of every failure (OpenSSL makes handshake_failure of missing_extension before
 * there is a version). Who has no TLS 1.3 is refused by TLS. */
static enum atls_code check_client_nonce(struct atls_handshake *h, struct atls_err *err)
{
    struct atls_pre_nonce nonce;
    const unsigned char *data;
    size_t len;

    if (h->config->options.attester == NULL ||
        SSL_client_hello_get0_ext(h->ssl, TLSEXT_TYPE_supported_versions, &data, &len) != 1 ||
        atls_pre_host_read(host_name(h->ssl), &nonce))
        return ATLS_OK;
    return no_nonce(err, "the client's server name begins with no nonce");
}

static enum atls_code client_hello(struct atls_handshake *h, struct atls_err *err)
{
    struct own *own = h->own;
    enum atls_code code;

    if (wants_nonces(h->config) && (code = check_client_nonce(h, err)) != ATLS_OK)
        return code;
    /* After a HelloRetryRequest this is the second time, of the same connection. */
    if (!wants_nonces(h->config) || !h->config->options.require_peer || own->asked)
        return ATLS_OK;
    return ask_client(h, own, err);
}

/* ---- our side ---- */

static enum atls_code parse_chain(const struct atls_pre_chain *chain,
                                  struct atls_openssl_chain **out, struct atls_err *err)
{
    struct atls_bytes views[ATLS_CHAIN_MAX];

    for (size_t i = 0; i < chain->count; i++)
        views[i] = atls_buf_bytes(&chain->certificates[i]);
    return atls_openssl_chain_new(views, chain->count, out, err);
}

/* chain, parsed: what is kept, if that is the same. *out is the caller's reference. */
static enum atls_code parsed_chain(struct shown *s, struct atls_pre_chain *chain,
                                   struct atls_openssl_chain **out, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (s->keeper == NULL) /* made for this connection */
        return parse_chain(chain, out, err);
    pthread_mutex_lock(&s->lock);
    if (s->kept != chain) {
        struct atls_openssl_chain *parsed = NULL;

        if ((code = parse_chain(chain, &parsed, err)) == ATLS_OK) {
            atls_pre_chain_unref(s->kept);
            atls_openssl_chain_unref(s->parsed);
            s->kept = atls_pre_chain_ref(chain);
            s->parsed = parsed;
        }
    }
    if (code == ATLS_OK)
        *out = atls_openssl_chain_ref(s->parsed);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static enum atls_code show(struct atls_handshake *h, struct atls_pre_chain *chain,
                           struct atls_err *err)
{
    struct shown *s = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(h->ssl), shown_index());
    struct atls_openssl_chain *parsed;
    enum atls_code code = parsed_chain(s, chain, &parsed, err);

    if (code != ATLS_OK)
        return code;
    code = atls_openssl_use_key(h->ssl, s->key, parsed, err);
    atls_openssl_chain_unref(parsed);
    h->shown = code == ATLS_OK;
    return code;
}

static enum atls_code client_nonce(const SSL *ssl, struct atls_pre_nonce *out, struct atls_err *err)
{
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    if (host == NULL || !atls_pre_host_read(atls_bytes_of(host, strlen(host)), out))
        return no_nonce(err, "the client's server name begins with no nonce");
    return ATLS_OK;
}

/* How many authorities are nonces. */
static size_t server_nonces(const SSL *ssl, struct atls_pre_nonce *out)
{
    const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(ssl);
    size_t count = 0;

    for (int i = 0; i < sk_X509_NAME_num(names); i++) {
        unsigned char *der = NULL;
        const int len = i2d_X509_NAME(sk_X509_NAME_value(names, i), &der);

        if (len > 0 && atls_pre_authority_read(atls_bytes_of(der, (size_t)len), out))
            count++;
        OPENSSL_free(der);
    }
    return count;
}

/* *out_asked false: a server that attests nobody asks for a certificate, and gets none of ours. */
static enum atls_code server_nonce(const struct atls_handshake *h, struct atls_pre_nonce *out,
                                   bool *out_asked, struct atls_err *err)
{
    const size_t count = server_nonces(h->ssl, out);

    *out_asked = count == 1;
    if (count > 1)
        return no_nonce(err, "the server names more than one nonce, want one");
    if (count == 0 && h->config->options.require_self)
        return no_nonce(err, "the server names no nonce among its authorities");
    return ATLS_OK;
}

static enum atls_code fresh_job(struct atls_handshake *h, struct atls_job **out,
                                struct atls_err *err)
{
    struct atls_pre_nonce nonce;
    bool asked = true;
    enum atls_code code = h->role == ATLS_ROLE_SERVER ? client_nonce(h->ssl, &nonce, err)
                                                      : server_nonce(h, &nonce, &asked, err);

    if (code != ATLS_OK || !asked)
        return code;
    return atls_pre_make_job_new(h->config, &nonce, out, err);
}

static enum atls_code kept_job(struct atls_handshake *h, struct atls_job **out,
                               struct atls_err *err)
{
    const struct shown *s = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(h->ssl), shown_index());
    struct own *own = h->own;
    enum atls_code code = atls_pre_keeper_get(s->keeper, &own->old, out, err);

    return code == ATLS_OK && *out == NULL ? show(h, own->old, err) : code;
}

static enum atls_code own_job(struct atls_handshake *h, struct atls_job **out, struct atls_err *err)
{
    *out = NULL;
    if (h->config->options.attester == NULL)
        return ATLS_OK;
    if (SSL_CTX_get_ex_data(SSL_get_SSL_CTX(h->ssl), shown_index()) == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "OpenSSL: the context of this connection is another "
                         "than the one that was prepared");
    return wants_nonces(h->config) ? fresh_job(h, out, err) : kept_job(h, out, err);
}

static enum atls_code own_done(struct atls_handshake *h, struct atls_job *job, struct atls_err *err)
{
    const struct own *own = h->own;
    struct atls_pre_chain *chain = atls_pre_make_job_chain(job);
    enum atls_code code;

    if (chain == NULL && own->old != NULL) {
        atls_log(&h->config->options.log, ATLS_LOG_WARNING, "pre",
                 "certificate with evidence not renewed: %s", job->err.message);
        return show(h, own->old, err);
    }
    if (chain == NULL) {
        if (err != NULL)
            *err = job->err;
        return job->code;
    }
    code = show(h, chain, err);
    atls_pre_chain_unref(chain);
    return code;
}

/* ---- the peer ---- */

static bool attests(const struct atls_handshake *h, const struct atls_tls_peer *peer)
{
    (void)h;
    return peer->chain_len != 0 && atls_pre_shows_evidence(peer->chain[0]);
}

static enum atls_code peer_job(struct atls_handshake *h, const struct atls_tls_peer *peer,
                               struct atls_job **out, struct atls_err *err)
{
    struct own *own = h->own;
    struct atls_ra_certificate_check check;
    struct atls_pre_peer opened;
    enum atls_code code;

    if (own->used)
        return atls_fail_reason(err, ATLS_E_PROTOCOL, ATLS_REASON_NONCE_MISMATCH,
                                "the nonce of this connection was answered before");
    own->used = own->asked;
    atls_ra_certificate_check_init(&check);
    check.chain = peer->chain;
    check.chain_len = peer->chain_len;
    if (own->asked)
        check.nonce = atls_pre_nonce_bytes(&own->nonce);
    check.role = h->role;
    check.peer_name = h->peer_name;
    check.chain_validated = peer->verified;
    code = atls_pre_peer_open(h->config, &check, &opened, err);
    if (code == ATLS_OK)
        code = atls_judge_job_new(&opened.judgement, out, err);
    atls_pre_peer_clear(&opened);
    return code;
}

static enum atls_code finish(struct atls_handshake *h, struct atls_err *err)
{
    /* A certificate that was made for this connection has served, and takes some KiB. */
    if (h->shown && wants_nonces(h->config))
        SSL_certs_clear(h->ssl);
    if (!h->config->options.require_self || h->shown)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NOT_ATTESTED,
                            "the server asked for no certificate, so that ours was not shown");
}

static uint8_t alert(const struct atls_err *err)
{
    if (err->alert != ATLS_ALERT_NONE)
        return (uint8_t)err->alert;
    return atls_is_peers_fault(err->code) || err->code == ATLS_E_REFUSED
               ? ATLS_ALERT_BAD_CERTIFICATE
               : ATLS_ALERT_INTERNAL_ERROR;
}

const struct atls_flavour_hooks atls_pre_hooks = {
    .prepare = prepare,
    .attach = attach,
    .free = free_own,
    .client_hello = client_hello,
    .own_job = own_job,
    .own_done = own_done,
    .attests = attests,
    .peer_job = peer_job,
    .finish = finish,
    .alert = alert,
};
