#include "hostile_tls.h"

#include <string.h>

#include <openssl/x509.h>

static enum atls_intra_place place_of(unsigned int context)
{
    return (context & SSL_EXT_CLIENT_HELLO) != 0                  ? ATLS_INTRA_CH
           : (context & SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS) != 0 ? ATLS_INTRA_EE
           : (context & SSL_EXT_TLS1_3_CERTIFICATE_REQUEST) != 0  ? ATLS_INTRA_CR
                                                                  : ATLS_INTRA_CT;
}

/* Evidence as it should be, if it was agreed on. */
static void prove(struct hostile_tls *h)
{
    struct atls_attester *attester = h->config->options.attester;
    struct atls_buf cmw = ATLS_BUF_INIT;
    struct atls_proof proof;
    enum atls_code ignored;

    if (attester == NULL || !atls_intra_wants_own_cmw(h->intra) ||
        atls_intra_proof(h->intra, atls_attester_aik_spki(attester), &proof, NULL) != ATLS_OK ||
        atls_proof_make(&proof, NULL, &cmw, NULL) != ATLS_OK)
        return;
    ignored = atls_intra_set_own_cmw(h->intra, atls_buf_bytes(&cmw), NULL);
    (void)ignored;
    atls_buf_clear(&cmw);
}

static bool exchanged(struct hostile_tls *h, enum atls_intra_place place, size_t entry,
                      struct atls_bytes *out)
{
    if (place == ATLS_INTRA_CT && entry > 0) {
        *out = entry == 1 ? h->second_entry : atls_bytes_of(NULL, 0);
        return true;
    }
    if (place == ATLS_INTRA_CH && h->said_hello && h->second_hello.ptr != NULL) {
        *out = h->second_hello;
        return true;
    }
    *out = h->instead[place];
    return out->ptr != NULL || out->len != 0;
}

static int add(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
               size_t *out_len, X509 *x, size_t entry, int *out_alert, void *arg)
{
    struct hostile_tls *h = SSL_get_app_data(ssl);
    const enum atls_intra_place place = place_of(context);
    struct atls_bytes data = {NULL, 0};

    (void)type;
    (void)x;
    (void)out_alert;
    (void)arg;
    if (!exchanged(h, place, entry, &data)) {
        if (place == ATLS_INTRA_CT)
            prove(h);
        if (atls_intra_extension_out(h->intra, place, entry, &data, NULL) != ATLS_OK)
            data = atls_bytes_of(NULL, 0);
    }
    h->said_hello = true;
    *out = data.ptr;
    *out_len = data.len;
    return data.ptr == NULL ? 0 : 1;
}

static int parse(SSL *ssl, unsigned int type, unsigned int context, const unsigned char *in,
                 size_t in_len, X509 *x, size_t entry, int *out_alert, void *arg)
{
    struct hostile_tls *h = SSL_get_app_data(ssl);
    const enum atls_intra_place place = place_of(context);
    enum atls_code ignored;

    (void)type;
    (void)x;
    (void)out_alert;
    (void)arg;
    ignored = atls_intra_extension_in(h->intra, place, entry, atls_bytes_of(in, in_len), NULL);
    atls_buf_clear(&h->seen[place]);
    ignored = atls_buf_copy(&h->seen[place], atls_bytes_of(in, in_len), NULL);
    (void)ignored;
    return 1;
}

static void message(int sent, int version, int content_type, const void *buf, size_t len, SSL *ssl,
                    void *arg)
{
    struct hostile_tls *h = SSL_get_app_data(ssl);
    enum atls_code ignored;

    (void)version;
    (void)arg;
    if (content_type != SSL3_RT_HANDSHAKE)
        return;
    ignored = atls_intra_message(h->intra, atls_bytes_of(buf, len),
                                 (sent != 0) == (SSL_is_server(ssl) == 0), NULL);
    (void)ignored;
}

bool hostile_tls_init(struct hostile_tls *h, SSL_CTX *ctx, struct atls_config *config)
{
    memset(h, 0, sizeof *h);
    h->config = config;
    h->ctx = ctx;
    SSL_CTX_set_msg_callback(ctx, message);
    return SSL_CTX_add_custom_ext(
               ctx, ATLS_INTRA_EXTENSION_TYPE,
               SSL_EXT_TLS1_3_ONLY | SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS |
                   SSL_EXT_TLS1_3_CERTIFICATE_REQUEST | SSL_EXT_TLS1_3_CERTIFICATE,
               add, NULL, NULL, parse, NULL) == 1;
}

static void end(struct hostile_tls *h)
{
    SSL_free(h->ssl);
    atls_intra_free(h->intra);
    for (size_t i = 0; i < HOSTILE_PLACES; i++)
        atls_buf_clear(&h->seen[i]);
    h->ssl = NULL;
    h->intra = NULL;
    h->said_hello = false;
}

bool hostile_tls_start(struct hostile_tls *h)
{
    end(h);
    if ((h->ssl = SSL_new(h->ctx)) == NULL ||
        atls_intra_new(h->config, SSL_is_server(h->ssl) ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT,
                       &h->intra, NULL) != ATLS_OK)
        return false;
    SSL_set_app_data(h->ssl, h);
    if (SSL_is_server(h->ssl))
        SSL_set_accept_state(h->ssl);
    else
        SSL_set_connect_state(h->ssl);
    return true;
}

void hostile_tls_clear(struct hostile_tls *h)
{
    end(h);
}
