/* The intra-handshake flavour in OpenSSL's callbacks: a custom extension, the message callback for
 * the transcript, the key log callback for the opt-in secret binder. What the bytes mean is of
 * flavour/intra. */
#include "flavour/intra/intra.h"

#include <string.h>

#include <openssl/x509.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "core/reader.h"
#include "core/secret.h"
#include "tls/openssl/callbacks.h"
#include "tls/openssl/error.h"

#define EXTENSION_CONTEXT                                                                          \
    (SSL_EXT_TLS1_3_ONLY | SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS |            \
     SSL_EXT_TLS1_3_CERTIFICATE_REQUEST | SSL_EXT_TLS1_3_CERTIFICATE)

static unsigned int extension_type(const struct atls_config *config)
{
    const unsigned int type = config->options.extension_type;

    return type == 0 ? ATLS_INTRA_EXTENSION_TYPE : type;
}

static enum atls_intra_place place_of(unsigned int context)
{
    return (context & SSL_EXT_CLIENT_HELLO) != 0                  ? ATLS_INTRA_CH
           : (context & SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS) != 0 ? ATLS_INTRA_EE
           : (context & SSL_EXT_TLS1_3_CERTIFICATE_REQUEST) != 0  ? ATLS_INTRA_CR
                                                                  : ATLS_INTRA_CT;
}

/* ---- the extension going out ---- */

/* No Certificate message would come, and nothing of it could be attested. */
static enum atls_code check_fresh(const struct atls_handshake *h, enum atls_intra_place place,
                                  struct atls_err *err)
{
    const SSL_SESSION *session = SSL_get0_session(h->ssl);
    const bool resumes =
        (place == ATLS_INTRA_CH && session != NULL && SSL_SESSION_is_resumable(session) == 1) ||
        (place == ATLS_INTRA_EE && SSL_session_reused(h->ssl) == 1);

    if (!resumes)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_RESUMED,
                            "TLS handshake resumes a session, want a full one");
}

/* Evidence names the attester's key: a certificate of another one would never be accepted. */
static enum atls_code check_own_key(const struct atls_handshake *h, X509 *x, struct atls_err *err)
{
    struct atls_bytes aik = atls_attester_aik_spki(h->config->options.attester);
    unsigned char *der = NULL;
    const int len = x == NULL ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    const bool same = len > 0 && atls_bytes_equal(atls_bytes_of(der, (size_t)len), aik);

    OPENSSL_free(der);
    if (same)
        return ATLS_OK;
    return atls_fail(err, ATLS_E_CONFIG,
                     "OpenSSL: the TLS certificate is not of the attester's key, which flavour "
                     "intra wants");
}

static enum atls_code extension_out(struct atls_handshake *h, enum atls_intra_place place,
                                    size_t entry, X509 *x, struct atls_bytes *out,
                                    struct atls_err *err)
{
    enum atls_code code = check_fresh(h, place, err);

    /* A client has made its evidence in the certificate callback. */
    if (code == ATLS_OK && place == ATLS_INTRA_CT && h->role == ATLS_ROLE_SERVER &&
        atls_handshake_work(h, ATLS_PAUSE_ASYNC) != ATLS_WORK_READY_NOW) {
        *err = h->error;
        return err->code;
    }
    if (code == ATLS_OK)
        code = atls_intra_extension_out(h->own, place, entry, out, err);
    if (code != ATLS_OK || place != ATLS_INTRA_CT || out->ptr == NULL)
        return code;
    h->shown = true;
    return check_own_key(h, x, err);
}

static int add(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
               size_t *out_len, X509 *x, size_t entry, int *out_alert, void *arg)
{
    struct atls_handshake *h = atls_handshake_of(ssl);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_bytes data = {NULL, 0};

    (void)type;
    (void)arg;
    if (h == NULL) {
        atls_callbacks_not_attached();
        *out_alert = SSL_AD_INTERNAL_ERROR;
        return -1;
    }
    if (h->passed) /* a request after the handshake: nothing is attested again */
        return 0;
    if (h->error.code != ATLS_OK ||
        extension_out(h, place_of(context), entry, x, &data, &err) != ATLS_OK) {
        *out_alert = atls_handshake_fail(h, &err);
        return -1;
    }
    *out = data.ptr;
    *out_len = data.len;
    return data.ptr == NULL ? 0 : 1;
}

/* ---- the extension coming in ---- */

static enum atls_code extension_in(struct atls_handshake *h, enum atls_intra_place place,
                                   size_t entry, struct atls_bytes data, struct atls_err *err)
{
    enum atls_code code = atls_intra_extension_in(h->own, place, entry, data, err);

    return code == ATLS_OK && place == ATLS_INTRA_CH ? atls_intra_check_choice(h->own, err) : code;
}

static int parse(SSL *ssl, unsigned int type, unsigned int context, const unsigned char *in,
                 size_t in_len, X509 *x, size_t entry, int *out_alert, void *arg)
{
    struct atls_handshake *h = atls_handshake_of(ssl);
    struct atls_err err = ATLS_ERR_INIT;

    (void)type;
    (void)x;
    (void)arg;
    if (h == NULL) {
        atls_callbacks_not_attached();
        *out_alert = SSL_AD_INTERNAL_ERROR;
        return 0;
    }
    if (h->passed) { /* whatever it is, the connection has been judged */
        *out_alert = SSL_AD_UNEXPECTED_MESSAGE;
        return 0;
    }
    if (h->error.code != ATLS_OK ||
        extension_in(h, place_of(context), entry, atls_bytes_of(in, in_len), &err) != ATLS_OK) {
        *out_alert = atls_handshake_fail(h, &err);
        return 0;
    }
    return 1;
}

/* ---- the transcript, and the secret ---- */

static void message(int sent, int version, int content_type, const void *buf, size_t len, SSL *ssl,
                    void *arg)
{
    struct atls_handshake *h = atls_handshake_of(ssl);
    struct atls_err err = ATLS_ERR_INIT;

    (void)version;
    (void)arg;
    if (h == NULL || h->own == NULL || content_type != SSL3_RT_HANDSHAKE)
        return;
    if (atls_intra_message(h->own, atls_bytes_of(buf, len),
                           (sent != 0) == (h->role == ATLS_ROLE_CLIENT), &err) != ATLS_OK)
        (void)atls_handshake_fail(h, &err); /* the next callback that can fail does */
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Lines of NSS key log format: label, client random, secret, in hexadecimal. */
static void keylog(const SSL *ssl, const char *line)
{
    static const char label[] = "SERVER_HANDSHAKE_TRAFFIC_SECRET ";
    struct atls_handshake *h = atls_handshake_of(ssl);
    SSL_CTX_keylog_cb_func own = atls_callbacks_keylog(ssl);
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t secret[EVP_MAX_MD_SIZE];
    const char *hex;
    size_t len = 0;

    if (own != NULL)
        own(ssl, line);
    if (h == NULL || h->own == NULL || strncmp(line, label, sizeof label - 1) != 0 ||
        (hex = strchr(line + sizeof label - 1, ' ')) == NULL)
        return;
    for (hex++; len < sizeof secret && digit(hex[0]) >= 0 && digit(hex[1]) >= 0; hex += 2)
        secret[len++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
    if (atls_intra_set_secret(h->own, atls_bytes_of(secret, len), &err) != ATLS_OK)
        (void)atls_handshake_fail(h, &err);
    atls_wipe(secret, sizeof secret);
}

/* ---- hooks ---- */

static enum atls_code prepare(SSL_CTX *ctx, struct atls_config *config, struct atls_err *err)
{
    enum atls_code code;

    if (config->options.attester != NULL &&
        (code = atls_openssl_use_attester(ctx, config->options.attester, err)) != ATLS_OK)
        return code;
    if (SSL_CTX_add_custom_ext(ctx, extension_type(config), EXTENSION_CONTEXT, add, NULL, NULL,
                               parse, NULL) != 1)
        return atls_openssl_fail(err, NULL, "OpenSSL: the extension cannot be registered");
    SSL_CTX_set_msg_callback(ctx, message);
    if (config->options.secret_binder)
        SSL_CTX_set_keylog_callback(ctx, keylog);
    return ATLS_OK;
}

static enum atls_code attach(struct atls_handshake *h, struct atls_err *err)
{
    struct atls_intra *intra = NULL;
    enum atls_code code = atls_intra_new(h->config, h->role, &intra, err);

    if (code == ATLS_OK)
        h->own = intra;
    return code;
}

static void free_own(void *own)
{
    atls_intra_free(own);
}

/* A client that leaves the extension out is judged here, where access_denied can still be said; an
 * extension that is there is judged when it is parsed. Who has no TLS 1.3 is refused by TLS. */
static enum atls_code client_hello(struct atls_handshake *h, struct atls_err *err)
{
    const unsigned char *data;
    size_t len;

    if (SSL_client_hello_get0_ext(h->ssl, extension_type(h->config), &data, &len) == 1 ||
        SSL_client_hello_get0_ext(h->ssl, TLSEXT_TYPE_supported_versions, &data, &len) != 1)
        return ATLS_OK;
    return atls_intra_check_choice(h->own, err);
}

static enum atls_code own_job(struct atls_handshake *h, struct atls_job **out, struct atls_err *err)
{
    struct atls_proof proof;
    enum atls_code code;

    if (!atls_intra_wants_own_cmw(h->own))
        return ATLS_OK;
    code =
        atls_intra_proof(h->own, atls_attester_aik_spki(h->config->options.attester), &proof, err);
    if (code == ATLS_OK)
        code = atls_prove_job_new(&proof, out, err);
    atls_wipe(&proof, sizeof proof);
    return code;
}

static enum atls_code own_done(struct atls_handshake *h, struct atls_job *job, struct atls_err *err)
{
    struct atls_buf cmw = ATLS_BUF_INIT;
    enum atls_code code = job->code;

    if (code != ATLS_OK) {
        *err = job->err;
        return code;
    }
    cmw = atls_prove_job_take(job);
    code = atls_intra_set_own_cmw(h->own, atls_buf_bytes(&cmw), err);
    atls_buf_clear(&cmw);
    return code;
}

static enum atls_code negotiated(struct atls_handshake *h, struct atls_err *err)
{
    return atls_intra_check_choice(h->own, err);
}

static bool attests(const struct atls_handshake *h, const struct atls_tls_peer *peer)
{
    (void)peer;
    return atls_intra_peer_attests(h->own);
}

static enum atls_code peer_job(struct atls_handshake *h, const struct atls_tls_peer *peer,
                               struct atls_job **out, struct atls_err *err)
{
    struct atls_judgement judgement;
    enum atls_code code;

    if (!atls_intra_judges(h->own))
        return ATLS_OK;
    if ((code = atls_intra_judgement(h->own, peer->spki, &judgement, err)) != ATLS_OK)
        return code;
    judgement.peer_name = h->peer_name;
    judgement.chain = peer->chain;
    judgement.chain_len = peer->chain_len;
    if (peer->verified)
        judgement.tls_spki = peer->spki;
    return atls_judge_job_new(&judgement, out, err);
}

static enum atls_code peer_done(struct atls_handshake *h, struct atls_err *err)
{
    return atls_intra_set_judged(h->own, atls_result_evidence_type(h->result), err);
}

static enum atls_code finish(struct atls_handshake *h, struct atls_err *err)
{
    const struct atls_intra_facts facts = {
        .version = (uint16_t)SSL_version(h->ssl),
        .resumed = SSL_session_reused(h->ssl) != 0,
        .early_data = SSL_get_early_data_status(h->ssl) != SSL_EARLY_DATA_NOT_SENT,
    };

    return atls_intra_finish(h->own, &facts, err);
}

const struct atls_flavour_hooks atls_intra_hooks = {
    .prepare = prepare,
    .attach = attach,
    .free = free_own,
    .client_hello = client_hello,
    .own_job = own_job,
    .own_done = own_done,
    .own_late_on_server = true,
    .negotiated = negotiated,
    .attests = attests,
    .peer_job = peer_job,
    .peer_done = peer_done,
    .finish = finish,
    .alert = atls_intra_alert,
};
