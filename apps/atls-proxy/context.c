#include "context.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <atls/openssl.h>

#include "file.h"
#include "text.h"

#define CERTIFICATE_MAX (256 * 1024)
#define EPHEMERAL_DAYS                                                                             \
    366 /* of the certificate; nobody checks it, evidence vouches for the key                      \
         */

static enum atls_code tls_error(struct atls_err *err, enum atls_code code, const char *what)
{
    char text[160] = "no reason given";
    unsigned long number = ERR_peek_last_error();

    if (number != 0)
        ERR_error_string_n(number, text, sizeof text);
    ERR_clear_error();
    return set_error(err, code, "%.160s: %s", what, text);
}

/* ---- who vouches for the peer ---- */

/* The name of the server, for each connection of the context. */
static enum atls_code want_name(SSL_CTX *tls, const char *name, struct atls_err *err)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls);
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;

    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if ((is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
                    : X509_VERIFY_PARAM_set1_host(param, name, 0)) != 1)
        return tls_error(err, ATLS_E_CONFIG, name);
    return ATLS_OK;
}

/* TLS checks the peer's chain where its identity rests on it. A peer that is trusted for its
 * evidence alone is bound by the exporter, and its certificate says nothing. */
static enum atls_code set_trust(SSL_CTX *tls, const struct config_side *side, bool server,
                                const struct context_pem *pem, struct atls_err *err)
{
    const enum atls_identity identity = side->require.identity;
    const bool checked =
        server ? identity == ATLS_IDENTITY_SAME_KEY : identity != ATLS_IDENTITY_ATTESTED;
    enum atls_code code;

    SSL_CTX_set_verify(
        tls, checked ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    if (!checked)
        return ATLS_OK;
    if (!server && side->tls.name == NULL)
        return set_error(err, ATLS_E_CONFIG, "tls: there is no name to check");
    if (server && side->tls.ca == NULL)
        return set_error(err, ATLS_E_CONFIG, "tls: there is no ca for clients");
    if (!server && (code = want_name(tls, side->tls.name, err)) != ATLS_OK)
        return code;
    return side->tls.ca == NULL
               ? atls_openssl_trust_system(tls, atls_buf_bytes(&pem->crl), err)
               : atls_openssl_trust(tls, atls_buf_bytes(&pem->ca), atls_buf_bytes(&pem->crl), err);
}

/* ---- who we are ---- */

static bool make_ephemeral(EVP_PKEY *key, X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int64_t serial = 0;

    return RAND_bytes((unsigned char *)&serial, 7) == 1 &&
           X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -300) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), EPHEMERAL_DAYS, 0, NULL) != NULL &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)"atls-proxy", -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 &&
           X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* The key is made once; the certificate, each time, so that it does not expire with the process. */
static enum atls_code use_ephemeral(SSL_CTX *tls, struct atls_err *err)
{
    static EVP_PKEY *key;
    X509 *certificate = X509_new();
    bool good;

    if (key == NULL)
        key = EVP_EC_gen("P-256");
    good = key != NULL && certificate != NULL && make_ephemeral(key, certificate) &&
           SSL_CTX_use_certificate(tls, certificate) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1;
    X509_free(certificate);
    return good ? ATLS_OK : tls_error(err, ATLS_E_TLS, "ephemeral certificate");
}

static enum atls_code use_chain(SSL_CTX *tls, const char *path, struct atls_err *err)
{
    if (SSL_CTX_use_certificate_chain_file(tls, path) != 1)
        return tls_error(err, ATLS_E_CONFIG, path);
    return ATLS_OK;
}

/* Nobody is there to type one. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static enum atls_code use_key(SSL_CTX *tls, const char *path, struct atls_err *err)
{
    struct atls_buf file = ATLS_BUF_INIT;
    enum atls_code code = file_read(path, FILE_SECRET, CERTIFICATE_MAX, &file, err);
    EVP_PKEY *key = NULL;
    BIO *bio;

    if (code != ATLS_OK)
        return code;
    if ((bio = BIO_new_mem_buf(file.ptr, (int)file.len)) != NULL)
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL || SSL_CTX_use_PrivateKey(tls, key) != 1)
        code = tls_error(err, ATLS_E_CONFIG, path);
    else if (SSL_CTX_check_private_key(tls) != 1)
        code = tls_error(err, ATLS_E_CONFIG, path);
    EVP_PKEY_free(key);
    BIO_free(bio);
    OPENSSL_cleanse(file.ptr, file.len);
    atls_buf_clear(&file);
    return code;
}

static enum atls_code set_certificate(SSL_CTX *tls, const struct config_side *side,
                                      struct atls_err *err)
{
    enum atls_code code;

    if (side->tls.ephemeral)
        return use_ephemeral(tls, err);
    if (side->tls.certificate == NULL)
        return ATLS_OK; /* a client's, or the attester's */
    if ((code = use_chain(tls, side->tls.certificate, err)) != ATLS_OK)
        return code;
    return use_key(tls, side->tls.key, err);
}

enum atls_code context_new(const struct context_for *what, SSL_CTX **out, struct atls_err *err)
{
    SSL_CTX *tls = SSL_CTX_new(what->server ? TLS_server_method() : TLS_client_method());
    enum atls_code code;

    if (tls == NULL)
        return tls_error(err, ATLS_E_TLS, "TLS context");
    if ((code = set_certificate(tls, what->side, err)) != ATLS_OK ||
        (code = set_trust(tls, what->side, what->server, what->pem, err)) != ATLS_OK ||
        (code = atls_openssl_prepare_for(tls, what->attested, err)) != ATLS_OK) {
        SSL_CTX_free(tls);
        return code;
    }
    *out = tls;
    return ATLS_OK;
}
