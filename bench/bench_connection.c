/* What attestation adds to a TLS 1.3 connection, in time and memory.
 *
 * Baseline, in the same run and process: plain TLS 1.3 of the same OpenSSL, both sides, plus the
 * signatures and verifications that an attested connection cannot do without. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <atls/local.h>
#include <atls/openssl.h>
#include <atls/store.h>

#include "bench.h"

/* The evidence that the bench runs on is the insecure one; the policy has to name it. */
static const char policy_text[] =
    "{decision: (if .submods.SOFT then \"accept\" else \"refuse\" end), "
    "insecure: [\"soft\"]}";

_Noreturn static void die(const char *what, const struct atls_err *err)
{
    fprintf(stderr, "bench: %s: %s\n", what, err == NULL ? "failed" : err->message);
    exit(2);
}

/* ---- two TLS ends in memory ---- */

struct ends {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
    struct atls_config *client_config, *server_config;
};

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
        die("certificate", NULL);
}

static void contexts(struct ends *e)
{
    struct atls_err err = ATLS_ERR_INIT;
    EVP_PKEY *key;
    X509 *cert;

    make_certificate(&key, &cert);
    e->client_ctx = SSL_CTX_new(TLS_client_method());
    e->server_ctx = SSL_CTX_new(TLS_server_method());
    if (atls_openssl_prepare(e->client_ctx, &err) != ATLS_OK ||
        atls_openssl_prepare(e->server_ctx, &err) != ATLS_OK)
        die("contexts", &err);
    /* As a real client would: the chain is verified in the plain baseline too. */
    X509_STORE_add_cert(SSL_CTX_get_cert_store(e->client_ctx), cert);
    SSL_CTX_set_verify(e->client_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_use_certificate(e->server_ctx, cert);
    SSL_CTX_use_PrivateKey(e->server_ctx, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void handshake(struct ends *e)
{
    BIO *left, *right;

    e->client = SSL_new(e->client_ctx);
    e->server = SSL_new(e->server_ctx);
    if (BIO_new_bio_pair(&left, 1 << 17, &right, 1 << 17) != 1)
        die("pipe", NULL);
    SSL_set_bio(e->client, left, left);
    SSL_set_bio(e->server, right, right);
    SSL_set_connect_state(e->client);
    SSL_set_accept_state(e->server);
    for (int i = 0; i < 8; i++) {
        int c = SSL_do_handshake(e->client), s = SSL_do_handshake(e->server);

        if (c == 1 && s == 1)
            return;
    }
    die("handshake", NULL);
}

static void drop(struct ends *e)
{
    SSL_free(e->client);
    SSL_free(e->server);
}

/* ---- the attested part, over sessions so that nothing waits ---- */

static struct atls_session *start(SSL *ssl, struct atls_config *config, const char *name)
{
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_session *s;
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_tls tls;

    if (atls_openssl_tls(ssl, &tls, &spki, &err) != ATLS_OK ||
        atls_session_new(config, &tls, name, &s, &err) != ATLS_OK)
        die("session", &err);
    atls_buf_clear(&spki);
    return s;
}

/* Moves what can be moved from one end; true when the gate is open and nothing is left to do. */
static bool turn(struct atls_session *s, SSL *ssl)
{
    struct atls_err err = ATLS_ERR_INIT;
    unsigned char buf[16384];
    struct atls_bytes out;
    struct atls_job *job;
    size_t n;

    while (SSL_read_ex(ssl, buf, sizeof buf, &n) == 1)
        if (atls_session_input(s, atls_bytes_of(buf, n), &n, &err) != ATLS_OK)
            die("input", &err);
    while ((job = atls_session_job(s)) != NULL) {
        atls_job_run(job);
        if (atls_session_complete(s, job, &err) != ATLS_OK)
            die("job", &err);
    }
    while ((out = atls_session_output(s)).len != 0) {
        if (SSL_write_ex(ssl, out.ptr, out.len, &n) != 1)
            die("write", NULL);
        atls_session_output_done(s, n);
    }
    return atls_session_next(s) == ATLS_NEXT_OPEN;
}

static void attest(struct ends *e, struct atls_session **client, struct atls_session **server)
{
    *client = start(e->client, e->client_config, "bench");
    *server = start(e->server, e->server_config, NULL);
    for (int i = 0; i < 16; i++) {
        bool c = turn(*client, e->client), s = turn(*server, e->server);

        if (c && s)
            return;
    }
    die("the gate did not open", NULL);
}

static void run_plain(void *arg, unsigned long count)
{
    struct ends *e = arg;

    while (count-- > 0) {
        handshake(e);
        drop(e);
    }
}

static void run_attested(void *arg, unsigned long count)
{
    struct atls_session *client, *server;
    struct ends *e = arg;

    while (count-- > 0) {
        handshake(e);
        attest(e, &client, &server);
        atls_session_free(client);
        atls_session_free(server);
        drop(e);
    }
}

/* ---- the signatures it cannot do without ---- */

struct primitive {
    EVP_PKEY *key;
    unsigned char tbs[130], signature[80];
    size_t signature_len;
};

/* What RFC 9261 and the binder ask of the TLS library besides: three values on each side. */
static void run_export(void *arg, unsigned long count)
{
    struct ends *e = arg;
    unsigned char out[32];

    while (count-- > 0)
        if (SSL_export_keying_material(e->client, out, sizeof out, "Attestation", 11,
                                       (const unsigned char *)"context", 7, 1) != 1)
            die("export", NULL);
}

static void run_sign(void *arg, unsigned long count)
{
    struct primitive *p = arg;

    while (count-- > 0) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        p->signature_len = sizeof p->signature;
        if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, p->key, NULL) != 1 ||
            EVP_DigestSign(ctx, p->signature, &p->signature_len, p->tbs, sizeof p->tbs) != 1)
            die("sign", NULL);
        EVP_MD_CTX_free(ctx);
    }
}

static void run_verify(void *arg, unsigned long count)
{
    struct primitive *p = arg;

    while (count-- > 0) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        if (EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, p->key, NULL) != 1 ||
            EVP_DigestVerify(ctx, p->signature, p->signature_len, p->tbs, sizeof p->tbs) != 1)
            die("verify", NULL);
        EVP_MD_CTX_free(ctx);
    }
}

/* ---- configuration ---- */

static struct atls_config *relying_party(struct atls_verifier *verifier, struct atls_policy *policy,
                                         struct atls_attester *attester)
{
    struct atls_config_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_config *config;
    static const char *const soft[] = {"soft", NULL};

    atls_config_options_init(&options);
    options.attester = attester;
    options.require_peer = true;
    options.verifier = verifier;
    options.policy = policy;
    options.identity = ATLS_IDENTITY_ATTESTED;
    options.evidence_types = soft;
    if (atls_config_new(&options, &config, &err) != ATLS_OK)
        die("configuration", &err);
    return config;
}

static struct atls_config *attester_only(struct atls_attester *attester)
{
    struct atls_config_options options;
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_config *config;

    atls_config_options_init(&options);
    options.attester = attester;
    if (atls_config_new(&options, &config, &err) != ATLS_OK)
        die("configuration", &err);
    return config;
}

static size_t heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Heap of the two sessions of an open connection, the TLS objects not counted. */
static double heap_per_session(struct ends *e)
{
    enum { CONNECTIONS = 64 };
    static struct atls_session *sessions[CONNECTIONS][2];
    static struct ends open[CONNECTIONS];
    size_t before, after;

    for (size_t i = 0; i < CONNECTIONS; i++) {
        open[i] = *e;
        handshake(&open[i]);
        /* Both record buffers of both ends exist before the count starts. */
        attest(&open[i], &sessions[i][0], &sessions[i][1]);
        atls_session_free(sessions[i][0]);
        atls_session_free(sessions[i][1]);
    }
    before = heap_in_use();
    for (size_t i = 0; i < CONNECTIONS; i++)
        attest(&open[i], &sessions[i][0], &sessions[i][1]);
    after = heap_in_use();
    for (size_t i = 0; i < CONNECTIONS; i++) {
        atls_session_free(sessions[i][0]);
        atls_session_free(sessions[i][1]);
        drop(&open[i]);
    }
    return (double)(after - before) / (2 * CONNECTIONS);
}

#define CLASS "8f1f2a52-6a0c-4c7a-9f3e-2f0b0a4c1d11"

/* Writes the platform key to a file and enrols its public half, as an operator would. */
static void enrol(const char *key_path, const char *store_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(key_path, "w");
    unsigned char *spki = NULL, ueid[33] = {0x01};
    unsigned int digest_len;
    int len = i2d_PUBKEY(key, &spki);
    struct atls_store_attest_key entry = {{NULL, 0}, {NULL, 0}, {NULL, 0}, CLASS, NULL, NULL, NULL};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_store *store;

    if (file == NULL || len <= 0 ||
        PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0 ||
        EVP_Digest(spki, (size_t)len, ueid + 1, &digest_len, EVP_sha256(), NULL) != 1)
        die("platform key", NULL);
    entry.instance = atls_bytes_of(ueid, sizeof ueid);
    entry.spki = atls_bytes_of(spki, (size_t)len);
    if (atls_store_open(store_path, ATLS_STORE_CREATE, &store, &err) != ATLS_OK ||
        atls_store_add_attest_key(store, &entry, &err) != ATLS_OK)
        die("store", &err);
    atls_store_close(store);
    OPENSSL_free(spki);
    EVP_PKEY_free(key);
}

struct parts {
    struct atls_attester *attester;
    struct atls_verifier *verifier;
    struct atls_policy *policy;
};

static void parts_open(struct parts *p, const char *dir)
{
    static const struct atls_attester_ops *const attesters[] = {&atls_soft_attester, NULL};
    static const struct atls_verifier_ops *const verifiers[] = {&atls_local_verifier, NULL};
    struct atls_attester_options attester_options;
    struct atls_verifier_options verifier_options;
    struct atls_err err = ATLS_ERR_INIT;
    char key[256], store[256], uri[300];

    snprintf(key, sizeof key, "%s/platform.pem", dir);
    snprintf(store, sizeof store, "%s/store.db", dir);
    enrol(key, store);
    atls_attester_options_init(&attester_options);
    attester_options.insecure = true;
    snprintf(uri, sizeof uri, "soft:%s", key);
    if (atls_attester_open(uri, attesters, &attester_options, &p->attester, &err) != ATLS_OK)
        die("attester", &err);
    atls_verifier_options_init(&verifier_options);
    verifier_options.allow_insecure_technology = true;
    snprintf(uri, sizeof uri, "local:%s", store);
    if (atls_verifier_open(uri, verifiers, &verifier_options, &p->verifier, &err) != ATLS_OK)
        die("verifier", &err);
    if (atls_policy_compile("bench", atls_bytes_of(policy_text, strlen(policy_text)), &p->policy,
                            &err) != ATLS_OK)
        die("policy", &err);
}

static void report(const struct bench *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("  %-34s %9.1f us median, %9.1f us best\n", b[i].name, b[i].median_ns / 1e3,
               b[i].best_ns / 1e3);
}

int main(void)
{
    char dir[] = "/tmp/atls-bench-XXXXXX", path[64];
    struct primitive primitive = {NULL, {0}, {0}, 0};
    struct ends ends, exporting;
    struct parts parts;
    struct bench benches[] = {
        {"plain TLS 1.3 handshake", run_plain, &ends, 0, 0},
        {"attested connection (server, soft)", run_attested, &ends, 0, 0},
        {"ECDSA P-256 sign", run_sign, &primitive, 0, 0},
        {"ECDSA P-256 verify", run_verify, &primitive, 0, 0},
        {"TLS exporter, one value", run_export, &exporting, 0, 0},
    };
    double floor_median, floor_best;

    if (mkdtemp(dir) == NULL)
        die(dir, NULL);
    contexts(&ends);
    parts_open(&parts, dir);
    ends.client_config = relying_party(parts.verifier, parts.policy, NULL);
    ends.server_config = attester_only(parts.attester);
    primitive.key = EVP_EC_gen("P-256");
    exporting = ends;
    handshake(&exporting);
    run_sign(&primitive, 1);

    printf("attested connection, both sides in one process\n");
    bench_run(benches, sizeof benches / sizeof benches[0], 15, 200);
    report(benches, sizeof benches / sizeof benches[0]);
    /* CertificateVerify and the platform token: made once, verified once, each. */
    floor_median = benches[0].median_ns + 2 * (benches[2].median_ns + benches[3].median_ns);
    floor_best = benches[0].best_ns + 2 * (benches[2].best_ns + benches[3].best_ns);
    printf("  floor: handshake + 2 signatures + 2 verifications\n");
    printf("  ratio attested / floor             %9.3f by medians, %.3f by best\n",
           benches[1].median_ns / floor_median, benches[1].best_ns / floor_best);
    printf("  of that, exporters                 %9.3f\n", 6 * benches[4].median_ns / floor_median);
    printf("  heap of an open session            %9.1f KiB\n", heap_per_session(&ends) / 1024);

    drop(&exporting);
    atls_config_unref(ends.client_config);
    atls_config_unref(ends.server_config);
    atls_policy_unref(parts.policy);
    atls_verifier_unref(parts.verifier);
    atls_attester_unref(parts.attester);
    EVP_PKEY_free(primitive.key);
    SSL_CTX_free(ends.client_ctx);
    SSL_CTX_free(ends.server_ctx);
    snprintf(path, sizeof path, "%s/platform.pem", dir);
    remove(path);
    for (size_t i = 0; i < 3; i++) {
        static const char *const suffixes[] = {"", "-wal", "-shm"};

        snprintf(path, sizeof path, "%s/store.db%s", dir, suffixes[i]);
        remove(path);
    }
    remove(dir);
    return 0;
}
