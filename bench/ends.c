#include "ends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <atls/local.h>
#include <atls/openssl.h>
#include <atls/store.h>

/* The evidence that the bench runs on is the insecure one; the policy has to name it. */
static const char policy_text[] =
    "{decision: (if .submods.SOFT then \"accept\" else \"refuse\" end), "
    "insecure: [\"soft\"]}";

_Noreturn void bench_die(const char *what, const struct atls_err *err)
{
    fprintf(stderr, "bench: %s: %s\n", what, err == NULL ? "failed" : err->message);
    exit(2);
}

static void make_certificate(EVP_PKEY **key, X509 **cert)
{
    X509_NAME *name;

    *key = EVP_EC_gen("P-256");
    *cert = X509_new();
    X509_set_version(*cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(*cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(*cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(*cert), 86400);
    name = X509_get_subject_name(*cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"bench", -1, -1, 0);
    X509_set_issuer_name(*cert, name);
    X509_set_pubkey(*cert, *key);
    if (X509_sign(*cert, *key, EVP_sha256()) == 0)
        bench_die("certificate", NULL);
}

void ends_contexts(struct ends *e)
{
    struct atls_err err = ATLS_ERR_INIT;
    EVP_PKEY *key;
    X509 *cert;

    make_certificate(&key, &cert);
    e->client_ctx = SSL_CTX_new(TLS_client_method());
    e->server_ctx = SSL_CTX_new(TLS_server_method());
    if (atls_openssl_prepare(e->client_ctx, &err) != ATLS_OK ||
        atls_openssl_prepare(e->server_ctx, &err) != ATLS_OK)
        bench_die("contexts", &err);
    /* As a real client would: the chain is verified in the plain baseline too. */
    X509_STORE_add_cert(SSL_CTX_get_cert_store(e->client_ctx), cert);
    SSL_CTX_set_verify(e->client_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_use_certificate(e->server_ctx, cert);
    SSL_CTX_use_PrivateKey(e->server_ctx, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void ends_handshake(struct ends *e)
{
    BIO *left, *right;

    e->client = SSL_new(e->client_ctx);
    e->server = SSL_new(e->server_ctx);
    if (BIO_new_bio_pair(&left, 1 << 17, &right, 1 << 17) != 1)
        bench_die("pipe", NULL);
    SSL_set_bio(e->client, left, left);
    SSL_set_bio(e->server, right, right);
    SSL_set_connect_state(e->client);
    SSL_set_accept_state(e->server);
    for (int i = 0; i < 8; i++) {
        int c = SSL_do_handshake(e->client), s = SSL_do_handshake(e->server);

        if (c == 1 && s == 1)
            return;
    }
    bench_die("handshake", NULL);
}

void ends_drop(struct ends *e)
{
    SSL_free(e->client);
    SSL_free(e->server);
}

struct atls_session *ends_session(SSL *ssl, struct atls_config *config, const char *name)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_session *s;
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_tls tls;

    if (atls_openssl_tls(ssl, &tls, &spki, &err) != ATLS_OK ||
        atls_session_new(config, &tls, name, &s, &err) != ATLS_OK)
        bench_die("session", &err);
    atls_buf_clear(&spki);
    return s;
}

/* Longer than a thousand quotes of 40 ms. */
#define PATIENCE_MS 120000

/* ---- configuration ---- */

struct atls_config *ends_relying_party(struct atls_verifier *verifier, struct atls_policy *policy,
                                       struct atls_attester *attester)
{
    struct atls_config_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_config *config;
    static const char *const soft[] = {"soft", NULL};

    atls_config_options_init(&options);
    options.gate_timeout_ms = PATIENCE_MS;
    options.attester = attester;
    options.require_peer = true;
    options.verifier = verifier;
    options.policy = policy;
    options.identity = ATLS_IDENTITY_ATTESTED;
    options.evidence_types = soft;
    if (atls_config_new(&options, &config, &err) != ATLS_OK)
        bench_die("configuration", &err);
    return config;
}

struct atls_config *ends_attester_only(struct atls_attester *attester)
{
    struct atls_config_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_config *config;

    atls_config_options_init(&options);
    options.gate_timeout_ms = PATIENCE_MS;
    options.attester = attester;
    if (atls_config_new(&options, &config, &err) != ATLS_OK)
        bench_die("configuration", &err);
    return config;
}

#define CLASS "8f1f2a52-6a0c-4c7a-9f3e-2f0b0a4c1d11"

void ends_enrol(const char *key_path, const char *store_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(key_path, "w");
    unsigned char *spki = NULL, ueid[33] = {0x01};
    unsigned int digest_len;
    int len = i2d_PUBKEY(key, &spki);
    struct atls_store_attest_key entry = {.class_uuid = CLASS, .technology = "soft"};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_store *store;

    if (file == NULL || len <= 0 ||
        PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0 ||
        EVP_Digest(spki, (size_t)len, ueid + 1, &digest_len, EVP_sha256(), NULL) != 1)
        bench_die("platform key", NULL);
    entry.instance = atls_bytes_of(ueid, sizeof ueid);
    entry.spki = atls_bytes_of(spki, (size_t)len);
    if (atls_store_open(store_path, ATLS_STORE_CREATE, &store, &err) != ATLS_OK ||
        atls_store_add_attest_key(store, &entry, &err) != ATLS_OK)
        bench_die("store", &err);
    atls_store_close(store);
    OPENSSL_free(spki);
    EVP_PKEY_free(key);
}

void ends_parts_load(struct ends_parts *p, const char *dir, const char *options)
{
    static const struct atls_attester_ops *const attesters[] = {&atls_soft_attester, NULL};
    static const struct atls_verifier_ops *const verifiers[] = {&atls_local_verifier, NULL};
    struct atls_attester_options attester_options;
    struct atls_verifier_options verifier_options;
    struct atls_err err = ATLS_ERR_INIT;
    char key[256], store[256], uri[300];

    snprintf(key, sizeof key, "%s/platform.pem", dir);
    snprintf(store, sizeof store, "%s/store.db", dir);
    atls_attester_options_init(&attester_options);
    attester_options.insecure = true;
    snprintf(uri, sizeof uri, "soft:%s%s", key, options);
    if (atls_attester_open(uri, attesters, &attester_options, &p->attester, &err) != ATLS_OK)
        bench_die("attester", &err);
    atls_verifier_options_init(&verifier_options);
    verifier_options.allow_insecure_technology = true;
    snprintf(uri, sizeof uri, "local:%s", store);
    if (atls_verifier_open(uri, verifiers, &verifier_options, &p->verifier, &err) != ATLS_OK)
        bench_die("verifier", &err);
    if (atls_policy_compile("bench", atls_bytes_of(policy_text, strlen(policy_text)), &p->policy,
                            &err) != ATLS_OK)
        bench_die("policy", &err);
}

void ends_parts_open(struct ends_parts *p, const char *dir, const char *options)
{
    char key[256], store[256];

    snprintf(key, sizeof key, "%s/platform.pem", dir);
    snprintf(store, sizeof store, "%s/store.db", dir);
    ends_enrol(key, store);
    ends_parts_load(p, dir, options);
}

void ends_parts_close(struct ends_parts *p, const char *dir)
{
    static const char *const files[] = {"platform.pem", "store.db", "store.db-wal", "store.db-shm"};
    char path[256];

    atls_policy_unref(p->policy);
    atls_verifier_unref(p->verifier);
    atls_attester_unref(p->attester);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        remove(path);
    }
    remove(dir);
}
