/* The transcript against a TLS library: the server's Finished of real handshakes, recomputed from
 * the messages that its message callback shows. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "flavour/intra/transcript.h"

#define FINISHED 20

/* What one end saw. */
struct seen {
    struct atls_transcript *transcript;
    bool is_server;
    enum atls_code code;
    uint8_t before_finished[ATLS_HASH_MAX]; /* up to the server's CertificateVerify */
    uint8_t finished[ATLS_HASH_MAX];        /* the server's, as it was on the wire */
    size_t finished_len;
    uint8_t secret[ATLS_HASH_MAX]; /* the server's handshake traffic secret */
    size_t secret_len;
};

static int seen_index;

static void on_message(int write_p, int version, int content_type, const void *buf, size_t len,
                       SSL *ssl, void *arg)
{
    struct seen *s = SSL_get_ex_data(ssl, seen_index);
    const bool from_client = (write_p == 0) == s->is_server;
    const uint8_t *message = buf;

    (void)version;
    (void)arg;
    if (content_type != SSL3_RT_HANDSHAKE || len < 4 || s->code != ATLS_OK || s->finished_len != 0)
        return;
    if (message[0] == FINISHED && !from_client) {
        s->code = atls_transcript_peek(s->transcript, s->before_finished, NULL);
        if (len - 4 <= sizeof s->finished)
            memcpy(s->finished, message + 4, s->finished_len = len - 4);
        return;
    }
    s->code = atls_transcript_add(s->transcript, atls_bytes_of(buf, len), from_client, NULL);
}

static void on_secret(const SSL *ssl, const char *line)
{
    static const char label[] = "SERVER_HANDSHAKE_TRAFFIC_SECRET ";
    struct seen *s = SSL_get_ex_data(ssl, seen_index);
    struct atls_buf secret;

    if (strncmp(line, label, sizeof label - 1) != 0)
        return;
    secret = test_unhex(line + sizeof label - 1 + 64 + 1); /* behind the client's random */
    s->secret_len = secret.len;
    memcpy(s->secret, secret.ptr, secret.len);
    atls_buf_clear(&secret);
}

static SSL *end_of(SSL_CTX *ctx, struct seen *s, bool is_server)
{
    SSL *ssl = SSL_new(ctx);
    struct atls_err err = ATLS_ERR_INIT;

    if (ssl == NULL)
        abort();
    memset(s, 0, sizeof *s);
    s->is_server = is_server;
    test_assert_code(atls_transcript_new(&s->transcript, &err), ATLS_OK, &err);
    atls_transcript_go_on(s->transcript);
    assert_int_equal(SSL_set_ex_data(ssl, seen_index, s), 1);
    SSL_set_msg_callback(ssl, on_message);
    if (is_server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

static void handshake(SSL *client, SSL *server)
{
    BIO *a, *b;

    assert_int_equal(BIO_new_bio_pair(&a, 1 << 16, &b, 1 << 16), 1);
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    for (int i = 0; i < 20 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server));
         i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    assert_true(SSL_is_init_finished(client) && SSL_is_init_finished(server));
}

/* RFC 8446 section 4.4.4: HMAC(finished_key, transcript up to CertificateVerify). */
static void check(const struct seen *s, enum atls_hash hash, bool retried)
{
    const size_t len = atls_hash_len(hash);
    uint8_t key[ATLS_HASH_MAX], mac[ATLS_HASH_MAX];
    struct atls_err err = ATLS_ERR_INIT;

    assert_int_equal(s->code, ATLS_OK);
    assert_int_equal(atls_transcript_hash(s->transcript), hash);
    assert_int_equal(atls_transcript_retried(s->transcript), retried);
    assert_int_equal(s->secret_len, len);
    test_assert_code(atls_hkdf_expand_label(hash, atls_bytes_of(s->secret, len), "tls13 ",
                                            "finished", atls_bytes_of(NULL, 0), key, len, &err),
                     ATLS_OK, &err);
    test_assert_code(
        atls_hmac(hash, atls_bytes_of(key, len), atls_bytes_of(s->before_finished, len), mac, &err),
        ATLS_OK, &err);
    test_assert_bytes(atls_bytes_of(mac, len), atls_bytes_of(s->finished, s->finished_len));
}

static void use_certificate(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();

    if (key == NULL || certificate == NULL)
        abort();
    assert_int_equal(X509_set_version(certificate, 2), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_int_not_equal(X509_sign(certificate, key, EVP_sha256()), 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static int believe(X509_STORE_CTX *store, void *arg)
{
    (void)store;
    (void)arg;
    return 1;
}

static void finished_of_the_server(void **state)
{
    static const struct {
        const char *suite;
        enum atls_hash hash;
        bool retry;
    } rows[] = {
        {"TLS_AES_128_GCM_SHA256", ATLS_HASH_SHA256, false},
        {"TLS_AES_256_GCM_SHA384", ATLS_HASH_SHA384, false},
        {"TLS_CHACHA20_POLY1305_SHA256", ATLS_HASH_SHA256, false},
        {"TLS_AES_128_GCM_SHA256", ATLS_HASH_SHA256, true},
        {"TLS_AES_256_GCM_SHA384", ATLS_HASH_SHA384, true},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        const bool mutual = i % 2 == 1;
        SSL_CTX *clients = SSL_CTX_new(TLS_client_method());
        SSL_CTX *servers = SSL_CTX_new(TLS_server_method());
        struct seen by_client, by_server;
        char offered[] = "P-256:P-384", without[] = "P-256", with[] = "P-384";
        SSL *client, *server;

        if (clients == NULL || servers == NULL)
            abort();
        use_certificate(servers);
        if (mutual) {
            use_certificate(clients);
            SSL_CTX_set_verify(servers, SSL_VERIFY_PEER, NULL);
            SSL_CTX_set_cert_verify_callback(servers, believe, NULL);
        }
        SSL_CTX_set_keylog_callback(clients, on_secret);
        SSL_CTX_set_keylog_callback(servers, on_secret);
        assert_int_equal(SSL_CTX_set_ciphersuites(clients, rows[i / 2].suite), 1);
        /* The client's key share is of its first group alone. */
        assert_int_equal(SSL_CTX_set1_groups_list(clients, offered), 1);
        assert_int_equal(SSL_CTX_set1_groups_list(servers, rows[i / 2].retry ? with : without), 1);
        client = end_of(clients, &by_client, false);
        server = end_of(servers, &by_server, true);
        handshake(client, server);
        check(&by_client, rows[i / 2].hash, rows[i / 2].retry);
        check(&by_server, rows[i / 2].hash, rows[i / 2].retry);
        test_assert_bytes(atls_transcript_hellos(by_client.transcript),
                          atls_transcript_hellos(by_server.transcript));
        atls_transcript_free(by_client.transcript);
        atls_transcript_free(by_server.transcript);
        SSL_free(client);
        SSL_free(server);
        SSL_CTX_free(clients);
        SSL_CTX_free(servers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finished_of_the_server),
    };

    seen_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (seen_index < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
