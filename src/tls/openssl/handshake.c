#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <atls/openssl.h>

#include "core/err.h"
#include "core/reader.h"
#include "tls/openssl/error.h"
#include "tls/openssl/facts.h"

static enum atls_code export_value(void *arg, const char *label, struct atls_bytes context,
                                   uint8_t *out, size_t out_len, struct atls_err *err)
{
    static const uint8_t empty[1] = {0};

    ERR_clear_error();
    if (SSL_export_keying_material(arg, out, out_len, label, strlen(label),
                                   context.len == 0 ? empty : context.ptr, context.len, 1) != 1)
        return atls_openssl_fail(err, NULL, "TLS exporter failed");
    return ATLS_OK;
}

static enum atls_code find_hash(const SSL *ssl, enum atls_hash *out, struct atls_err *err)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const EVP_MD *md = cipher == NULL ? NULL : SSL_CIPHER_get_handshake_digest(cipher);
    int type = md == NULL ? NID_undef : EVP_MD_get_type(md);

    if (type != NID_sha256 && type != NID_sha384)
        return atls_fail(err, ATLS_E_TLS, "TLS cipher suite %s has no hash of TLS 1.3",
                         cipher == NULL ? "(none)" : SSL_CIPHER_get_name(cipher));
    *out = type == NID_sha256 ? ATLS_HASH_SHA256 : ATLS_HASH_SHA384;
    return ATLS_OK;
}

/* The key of the peer's leaf, if TLS was told to verify the peer and did. */
static enum atls_code find_peer_key(const SSL *ssl, struct atls_buf *out, struct atls_err *err)
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl);
    const X509_PUBKEY *key = leaf == NULL ? NULL : X509_get_X509_PUBKEY(leaf);
    unsigned char *end;
    int len;

    if (key == NULL || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 ||
        SSL_get_verify_result(ssl) != X509_V_OK)
        return ATLS_OK;
    if ((len = i2d_X509_PUBKEY(key, NULL)) <= 0)
        return atls_openssl_fail(err, NULL, "TLS certificate of the peer has no key");
    if ((out->ptr = end = malloc((size_t)len)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "out of memory");
    out->len = (size_t)i2d_X509_PUBKEY(key, &end);
    return ATLS_OK;
}

enum atls_code atls_openssl_facts(SSL *ssl, struct atls_tls *out, struct atls_err *err)
{
    struct atls_tls tls = {
        .arg = ssl,
        .exporter = export_value,
        .role = SSL_is_server(ssl) ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT,
        .version = (uint16_t)SSL_version(ssl),
        .resumed = SSL_session_reused(ssl) == 0 ? ATLS_ANSWER_NO : ATLS_ANSWER_YES,
        .early_data = SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_NOT_SENT ? ATLS_ANSWER_NO
                                                                                : ATLS_ANSWER_YES,
    };
    enum atls_code code;

    if (!SSL_is_init_finished(ssl))
        return atls_fail(err, ATLS_E_TLS, "TLS handshake is not finished");
    if (tls.version != TLS1_3_VERSION)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_VERSION,
                                "TLS version is %s, want TLSv1.3", SSL_get_version(ssl));
    if ((code = find_hash(ssl, &tls.hash, err)) != ATLS_OK)
        return code;
    *out = tls;
    return ATLS_OK;
}

enum atls_code atls_openssl_tls(SSL *ssl, struct atls_tls *out, struct atls_buf *spki_storage,
                                struct atls_err *err)
{
    struct atls_tls tls;
    const unsigned char *protocol;
    unsigned int len;
    enum atls_code code;

    if ((code = atls_openssl_facts(ssl, &tls, err)) != ATLS_OK)
        return code;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    if (!atls_bytes_equal_text(atls_bytes_of(protocol, len), ATLS_ALPN))
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_NO_COMMON_PARAMETERS,
                                "TLS handshake did not select ALPN \"" ATLS_ALPN "\"");
    if (tls.role == ATLS_ROLE_SERVER && SSL_get_num_tickets(ssl) != 0)
        return atls_fail_reason(err, ATLS_E_TLS, ATLS_REASON_TLS_RESUMED,
                                "TLS session tickets are on: call atls_openssl_prepare");
    if ((code = find_peer_key(ssl, spki_storage, err)) != ATLS_OK)
        return code;
    tls.peer_spki = atls_buf_bytes(spki_storage);
    *out = tls;
    return ATLS_OK;
}
