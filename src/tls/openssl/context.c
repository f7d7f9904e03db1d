#include <string.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "core/reader.h"
#include "tls/openssl/callbacks.h"
#include "tls/openssl/error.h"

/* What one certificate message may hold: a CMW as large as an extension, and a long chain. */
#define CERTIFICATE_MESSAGE_MAX (102400 + 65536)

static const unsigned char alpn[] = {6, 'a', 't', 'l', 's', '/', '1'};

/* RFC 7301 section 3.2: a server that speaks none of the client's protocols says so. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    struct atls_reader r = atls_reader_init(atls_bytes_of(in, in_len));
    struct atls_bytes name;

    (void)ssl;
    (void)arg;
    while (atls_get_vec(&r, 1, 0xff, &name))
        if (atls_bytes_equal_text(name, ATLS_ALPN)) {
            *out = name.ptr;
            *out_len = (unsigned char)name.len;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* select_alpn is not asked when the client sends no ALPN at all. */
static int require_alpn(SSL *ssl, int *out_alert, void *arg)
{
    const unsigned char *data;
    size_t len;

    (void)arg;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data,
                                  &len) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    *out_alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

/* TLS 1.3 without anything of an earlier connection, which no evidence would stand behind. */
static enum atls_code restrict_tls(SSL_CTX *ctx, struct atls_err *err)
{
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1)
        return atls_openssl_fail(err, NULL, "OpenSSL: TLS 1.3 cannot be the only version");
    /* Without any of the three, one kind of ticket or another would still be sent or honoured. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_num_tickets(ctx, 0) != 1 || SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
        SSL_CTX_set_recv_max_early_data(ctx, 0) != 1)
        return atls_openssl_fail(err, NULL, "OpenSSL: tickets and early data cannot be turned off");
    /* An end without close_notify is truncation, and is told apart from an orderly end. */
    SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return ATLS_OK;
}

enum atls_code atls_openssl_prepare(SSL_CTX *ctx, struct atls_err *err)
{
    enum atls_code code = restrict_tls(ctx, err);

    if (code != ATLS_OK)
        return code;
    if (SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn) != 0)
        return atls_openssl_fail(err, NULL, "OpenSSL: ALPN cannot be set");
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    SSL_CTX_set_client_hello_cb(ctx, require_alpn, NULL);
    return ATLS_OK;
}

const struct atls_flavour_hooks *atls_flavour_hooks_of(enum atls_flavour flavour)
{
    switch (flavour) {
    case ATLS_FLAVOUR_INTRA:
        return &atls_intra_hooks;
    case ATLS_FLAVOUR_PRE:
        return &atls_pre_hooks;
    case ATLS_FLAVOUR_POST:
        break;
    }
    return NULL;
}

/* Evidence travels in the Certificate message. */
static void make_room(SSL_CTX *ctx)
{
    if (SSL_CTX_get_max_cert_list(ctx) < CERTIFICATE_MESSAGE_MAX)
        SSL_CTX_set_max_cert_list(ctx, CERTIFICATE_MESSAGE_MAX);
#if defined(SSL_OP_NO_TX_CERTIFICATE_COMPRESSION) && defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION)
    /* Signatures and digests do not shrink, and a small message could unpack to a large one. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION |
                                 SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
}

enum atls_code atls_openssl_prepare_for(SSL_CTX *ctx, struct atls_config *config,
                                        struct atls_err *err)
{
    const enum atls_flavour flavour = config->options.flavour;
    const struct atls_flavour_hooks *hooks = atls_flavour_hooks_of(flavour);
    enum atls_code code;

    if (flavour == ATLS_FLAVOUR_POST)
        return atls_openssl_prepare(ctx, err);
    if (hooks == NULL)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "OpenSSL: flavour %s is not in this build",
                         atls_flavour_name(flavour));
    if (atls_callbacks_config(ctx) != NULL)
        return atls_fail(err, ATLS_E_USAGE, "OpenSSL: the context was prepared before");
    make_room(ctx);
    if ((code = restrict_tls(ctx, err)) != ATLS_OK ||
        (code = atls_callbacks_set(ctx, config, err)) != ATLS_OK)
        return code;
    return hooks->prepare(ctx, config, err);
}
