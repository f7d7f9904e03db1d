/* What attestation costs a TLS 1.3 connection in each flavour: time, flights, bytes, and for how
 * long it holds up the thread that drives the handshakes.
 *
 * Baseline, in the same run and process: plain TLS 1.3 of the same OpenSSL between the same ends,
 * plus what an attested connection cannot do without: evidence made, evidence appraised, and the
 * signatures that the flavour adds to those of TLS. Evidence is of the software attester. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include <atls/openssl.h>

#include "bench.h"
#include "ends.h"
#include "wire.h"

#define NAME   "bench.example"
#define ROUNDS 11
#define SLICE  60
/* Connections that are looked at one by one; odd. */
#define LOOKS 21
/* Of the run that measures who waits, as long as a TPM takes. */
#define QUOTE_MS 40

enum sides { SERVER = 1, CLIENT = 2, BOTH = 3 };

static const char *const side_names[] = {"", "server", "client", "both"};

/* ---- who attests and who appraises ---- */

struct parts {
    struct ends_parts ends;
    struct atls_attester *other; /* of the client: no two ends have one key */
};

static void parts_open(struct parts *p, const char *dir, const char *options)
{
    static const struct atls_attester_ops *const attesters[] = {&atls_soft_attester, NULL};
    struct atls_attester_options attester_options;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[300];

    ends_parts_open(&p->ends, dir, options);
    atls_attester_options_init(&attester_options);
    attester_options.insecure = true;
    snprintf(uri, sizeof uri, "soft:%s/platform.pem%s", dir, options);
    if (atls_attester_open(uri, attesters, &attester_options, &p->other, &err) != ATLS_OK)
        bench_die("attester", &err);
}

static void parts_close(struct parts *p, const char *dir)
{
    atls_attester_unref(p->other);
    ends_parts_close(&p->ends, dir);
}

/* ---- one way to connect ---- */

/* One row. flavour below 0: plain TLS. */
struct way {
    const char *name;
    int flavour; /* enum atls_flavour */
    enum atls_freshness freshness;
    enum sides sides; /* who attests; plain: who has a certificate */
    bool async;       /* SSL_MODE_ASYNC on the server */
    SSL_CTX *contexts[2];
    struct atls_config *configs[2];
    struct wire wire; /* of the latest connection */
    /* Longest, since they were last set to 0. */
    double step_ns[2], job_ns;
};

#define PLAIN (-1)

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void note(double *longest, double start)
{
    const double took = now_ns() - start;

    if (took > *longest)
        *longest = took;
}

static struct atls_config *configure(const struct way *w, const struct parts *p, enum wire_side me)
{
    static const char *const soft[] = {"soft", NULL};
    struct atls_config_options options;
    struct atls_config *config;
    struct atls_err err = ATLS_ERR_INIT;

    atls_config_options_init(&options);
    options.flavour = (enum atls_flavour)w->flavour;
    options.freshness = w->freshness;
    if ((w->sides & (me == WIRE_SERVER ? SERVER : CLIENT)) != 0)
        options.attester = me == WIRE_SERVER ? p->ends.attester : p->other;
    if ((w->sides & (me == WIRE_SERVER ? CLIENT : SERVER)) != 0) {
        options.require_peer = true;
        options.verifier = p->ends.verifier;
        options.policy = p->ends.policy;
        options.identity = ATLS_IDENTITY_ATTESTED;
        options.evidence_types = soft;
    }
    if (atls_config_new(&options, &config, &err) != ATLS_OK)
        bench_die("configuration", &err);
    return config;
}

/* TLS 1.3 with certificates of their own on both sides, which both verify; nothing is resumed. */
static void make_contexts(struct way *w)
{
    struct ends e;

    ends_contexts(&e);
    w->contexts[WIRE_CLIENT] = e.client_ctx;
    w->contexts[WIRE_SERVER] = e.server_ctx;
    if (w->flavour != PLAIN || (w->sides & CLIENT) == 0)
        return;
    SSL_CTX_use_certificate(e.client_ctx, SSL_CTX_get0_certificate(e.server_ctx));
    SSL_CTX_use_PrivateKey(e.client_ctx, SSL_CTX_get0_privatekey(e.server_ctx));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(e.server_ctx),
                        SSL_CTX_get0_certificate(e.server_ctx));
    SSL_CTX_set_verify(e.server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static void way_open(struct way *w, const struct parts *p)
{
    struct atls_err err = ATLS_ERR_INIT;

    make_contexts(w);
    wire_init(&w->wire);
    for (int i = 0; i < 2 && w->flavour != PLAIN; i++) {
        w->configs[i] = configure(w, p, (enum wire_side)i);
        if (atls_openssl_prepare_for(w->contexts[i], w->configs[i], &err) != ATLS_OK)
            bench_die(w->name, &err);
    }
}

static void way_close(struct way *w)
{
    for (int i = 0; i < 2; i++) {
        SSL_CTX_free(w->contexts[i]);
        atls_config_unref(w->configs[i]);
    }
    wire_clear(&w->wire);
}

/* ---- one connection ---- */

static void connect_ends(struct way *w, SSL *ends[2])
{
    wire_clear(&w->wire);
    wire_init(&w->wire);
    for (int i = 0; i < 2; i++) {
        BIO *bio = wire_bio(&w->wire, (enum wire_side)i);

        if ((ends[i] = SSL_new(w->contexts[i])) == NULL || bio == NULL)
            bench_die("connection", NULL);
        SSL_set_bio(ends[i], bio, bio);
    }
    SSL_set_connect_state(ends[WIRE_CLIENT]);
    SSL_set_accept_state(ends[WIRE_SERVER]);
    if (w->async)
        SSL_set_mode(ends[WIRE_SERVER], SSL_MODE_ASYNC);
}

static void shake_plain(SSL *const ends[2])
{
    for (int i = 0; i < 8; i++) {
        const int client = SSL_do_handshake(ends[WIRE_CLIENT]),
                  server = SSL_do_handshake(ends[WIRE_SERVER]);

        if (client == 1 && server == 1)
            return;
    }
    bench_die("plain handshake", NULL);
}

/* Everything that an end can do before the other speaks; true: the gate is open. */
static bool turn(struct way *w, struct atls_openssl *c, enum wire_side side)
{
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_want want;
    struct atls_job *job;
    double start;

    for (;;) {
        start = now_ns();
        if (atls_openssl_step(c, &want, &err) != ATLS_OK)
            bench_die(w->name, &err);
        note(&w->step_ns[side], start);
        if (want != ATLS_WANT_JOB)
            break;
        job = atls_openssl_job(c);
        start = now_ns();
        atls_job_run(job);
        note(&w->job_ns, start);
        if (atls_openssl_complete(c, job, &err) != ATLS_OK)
            bench_die(w->name, &err);
    }
    return atls_openssl_session(c) != NULL && atls_session_is_open(atls_openssl_session(c));
}

static void shake_attested(struct way *w, SSL *const ends[2])
{
    struct atls_openssl *client, *server;
    struct atls_err err = ATLS_ERR_INIT;
    bool open = false;

    if (atls_openssl_new(ends[WIRE_CLIENT], w->configs[WIRE_CLIENT], NAME, &client, &err) !=
            ATLS_OK ||
        atls_openssl_new(ends[WIRE_SERVER], w->configs[WIRE_SERVER], NULL, &server, &err) !=
            ATLS_OK)
        bench_die(w->name, &err);
    for (int i = 0; i < 16 && !open; i++) {
        open = turn(w, client, WIRE_CLIENT);
        open = turn(w, server, WIRE_SERVER) && open;
    }
    if (!open)
        bench_die("the gate did not open", NULL);
    atls_openssl_free(client);
    atls_openssl_free(server);
}

static void run_way(void *arg, unsigned long count)
{
    struct way *w = arg;
    SSL *ends[2];

    while (count-- > 0) {
        connect_ends(w, ends);
        if (w->flavour == PLAIN)
            shake_plain(ends);
        else
            shake_attested(w, ends);
        SSL_free(ends[WIRE_CLIENT]);
        SSL_free(ends[WIRE_SERVER]);
    }
}

/* ---- what it cannot do without ---- */

struct primitive {
    const struct parts *parts;
    EVP_PKEY *key;
    unsigned char tbs[130], signature[80];
    size_t signature_len;
    struct atls_buf evidence;
    unsigned char binder[32];
};

static void run_sign(void *arg, unsigned long count)
{
    struct primitive *p = arg;

    while (count-- > 0) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        p->signature_len = sizeof p->signature;
        if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, p->key, NULL) != 1 ||
            EVP_DigestSign(ctx, p->signature, &p->signature_len, p->tbs, sizeof p->tbs) != 1)
            bench_die("sign", NULL);
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
            bench_die("verify", NULL);
        EVP_MD_CTX_free(ctx);
    }
}

static void run_evidence(void *arg, unsigned long count)
{
    struct primitive *p = arg;
    const struct atls_challenge challenge = {
        .binder = atls_bytes_of(p->binder, sizeof p->binder),
        .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH, /* as connections ask */
    };
    struct atls_err err = ATLS_ERR_INIT;

    while (count-- > 0) {
        struct atls_buf evidence = ATLS_BUF_INIT;

        if (atls_attester_evidence_for(p->parts->ends.attester, &challenge, &evidence, &err) !=
            ATLS_OK)
            bench_die("evidence", &err);
        atls_buf_clear(&p->evidence);
        p->evidence = evidence;
    }
}

static void run_appraise(void *arg, unsigned long count)
{
    struct primitive *p = arg;
    const struct atls_appraisal appraisal = {
        .evidence = atls_buf_bytes(&p->evidence),
        .binder = atls_bytes_of(p->binder, sizeof p->binder),
        .aik_spki = atls_attester_aik_spki(p->parts->ends.attester),
    };
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_decision decision;
    struct atls_result *result;

    while (count-- > 0) {
        if (atls_verifier_appraise(p->parts->ends.verifier, &appraisal, &result, &err) != ATLS_OK ||
            atls_policy_decide(p->parts->ends.policy, result, &decision, &err) != ATLS_OK ||
            !decision.accept)
            bench_die("appraisal", &err);
        atls_result_unref(result);
    }
}

/* ---- the table ---- */

enum { PLAIN_SERVER, PLAIN_BOTH, SIGN, VERIFY, EVIDENCE, APPRAISE, FIRST_WAY };

/* Of flavours intra and pre the attester's key is that of TLS: a client that attests has a
 * certificate. Post signs CertificateVerify of an authenticator besides; pre with a nonce the
 * certificate that is made for it; pre without makes nothing. */
static double floor_of(const struct way *w, const struct bench *b)
{
    const double attesting = w->sides == BOTH ? 2 : 1;
    const bool post = w->flavour == ATLS_FLAVOUR_POST, fresh = w->freshness != ATLS_FRESHNESS_NONE;
    double sum = b[!post && (w->sides & CLIENT) != 0 ? PLAIN_BOTH : PLAIN_SERVER].median_ns;

    sum += attesting * b[APPRAISE].median_ns;
    if (fresh)
        sum += attesting * b[EVIDENCE].median_ns;
    if (post)
        sum += attesting * (b[SIGN].median_ns + b[VERIFY].median_ns);
    if (w->flavour == ATLS_FLAVOUR_PRE && fresh)
        sum += attesting * b[SIGN].median_ns;
    return sum;
}

static void print_way(const struct way *w, const struct bench *b, const struct bench *all)
{
    const struct wire_end *client = &w->wire.ends[WIRE_CLIENT],
                          *server = &w->wire.ends[WIRE_SERVER];
    const bool with_client = w->flavour != ATLS_FLAVOUR_POST && (w->sides & CLIENT) != 0;
    const double plain = all[with_client ? PLAIN_BOTH : PLAIN_SERVER].median_ns;

    printf("  %-16s %-7s %8.0f %8.2f ", w->name, side_names[w->sides], b->median_ns / 1e3,
           b->median_ns / plain);
    if (w->flavour == PLAIN)
        printf("%8s", "");
    else
        printf("%8.2f", b->median_ns / floor_of(w, all));
    printf("   %u + %u    %6zu %6zu\n", client->flights, server->flights, client->len, server->len);
}

static const struct way first_ways[] = {
    {.name = "plain", .flavour = PLAIN, .sides = SERVER},
    {.name = "plain", .flavour = PLAIN, .sides = BOTH},
    {.name = "post", .flavour = ATLS_FLAVOUR_POST, .sides = SERVER},
    {.name = "post", .flavour = ATLS_FLAVOUR_POST, .sides = CLIENT},
    {.name = "post", .flavour = ATLS_FLAVOUR_POST, .sides = BOTH},
    {.name = "intra", .flavour = ATLS_FLAVOUR_INTRA, .sides = SERVER},
    {.name = "intra", .flavour = ATLS_FLAVOUR_INTRA, .sides = CLIENT},
    {.name = "intra", .flavour = ATLS_FLAVOUR_INTRA, .sides = BOTH},
    {.name = "pre, nonce",
     .flavour = ATLS_FLAVOUR_PRE,
     .freshness = ATLS_FRESHNESS_NONCE,
     .sides = SERVER},
    {.name = "pre, nonce",
     .flavour = ATLS_FLAVOUR_PRE,
     .freshness = ATLS_FRESHNESS_NONCE,
     .sides = CLIENT},
    {.name = "pre, nonce",
     .flavour = ATLS_FLAVOUR_PRE,
     .freshness = ATLS_FRESHNESS_NONCE,
     .sides = BOTH},
    {.name = "pre, no nonce",
     .flavour = ATLS_FLAVOUR_PRE,
     .freshness = ATLS_FRESHNESS_NONE,
     .sides = SERVER},
    {.name = "pre, no nonce",
     .flavour = ATLS_FLAVOUR_PRE,
     .freshness = ATLS_FRESHNESS_NONE,
     .sides = CLIENT},
    {.name = "pre, no nonce",
     .flavour = ATLS_FLAVOUR_PRE,
     .freshness = ATLS_FRESHNESS_NONE,
     .sides = BOTH},
};
#define WAYS (sizeof first_ways / sizeof first_ways[0])

/* Plain TLS comes first, in the order of the enumeration above. */
static size_t bench_of(size_t way)
{
    return way <= PLAIN_BOTH ? way : way - PLAIN_BOTH - 1 + FIRST_WAY;
}

static void check_flights(const struct way *ways)
{
    for (size_t i = 0; i < WAYS; i++) {
        const struct way *plain = &ways[(ways[i].sides & CLIENT) != 0 ? PLAIN_BOTH : PLAIN_SERVER];

        if (ways[i].flavour != ATLS_FLAVOUR_INTRA)
            continue;
        for (int end = 0; end < 2; end++)
            if (ways[i].wire.ends[end].flights != plain->wire.ends[end].flights)
                bench_die("intra has not the flights of plain TLS", NULL);
    }
    printf("  intra: not one flight more than plain TLS\n");
}

static void compare(const struct parts *parts)
{
    static struct primitive primitive;
    static struct bench benches[FIRST_WAY + WAYS];
    static struct way ways[WAYS];

    memcpy(ways, first_ways, sizeof ways);
    primitive.parts = parts;
    primitive.key = EVP_EC_gen("P-256");
    run_sign(&primitive, 1);
    run_evidence(&primitive, 1);
    benches[SIGN] = (struct bench){"sign", run_sign, &primitive, 0, 0};
    benches[VERIFY] = (struct bench){"verify", run_verify, &primitive, 0, 0};
    benches[EVIDENCE] = (struct bench){"evidence", run_evidence, &primitive, 0, 0};
    benches[APPRAISE] = (struct bench){"appraise", run_appraise, &primitive, 0, 0};
    for (size_t i = 0; i < WAYS; i++) {
        way_open(&ways[i], parts);
        benches[bench_of(i)] = (struct bench){ways[i].name, run_way, &ways[i], 0, 0};
    }
    bench_run(benches, FIRST_WAY + WAYS - 2, ROUNDS, SLICE);
    printf("flavours of attestation, both sides in one process, software evidence, P-256\n");
    printf("  flavour          attests       us  x plain  x floor   flights  bytes of client and "
           "server\n");
    for (size_t i = 0; i < WAYS; i++)
        print_way(&ways[i], &benches[bench_of(i)], benches);
    printf(
        "  plain: a certificate of the server, or of both. Floor: plain, evidence made (%.0f us)\n"
        "  and appraised (%.0f us), and the flavour's own signatures (%.0f us, verified %.0f us)\n",
        benches[EVIDENCE].median_ns / 1e3, benches[APPRAISE].median_ns / 1e3,
        benches[SIGN].median_ns / 1e3, benches[VERIFY].median_ns / 1e3);
    check_flights(ways);
    for (size_t i = 0; i < WAYS; i++)
        way_close(&ways[i]);
    atls_buf_clear(&primitive.evidence);
    EVP_PKEY_free(primitive.key);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Who waits for a slow attester: the thread that drives the handshakes, or one for jobs. */
static void waits(const struct parts *parts)
{
    static const struct way cases[] = {
        {.name = "server", .sides = SERVER},
        {.name = "server, ASYNC", .sides = SERVER, .async = true},
        {.name = "client", .sides = CLIENT},
    };

    printf("intra, evidence takes %d ms: the longest step of the attesting side, the longest job "
           "of either\n"
           "  attests            step: median, most       job: median, most, in ms\n",
           QUOTE_MS);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const enum wire_side side = cases[i].sides == SERVER ? WIRE_SERVER : WIRE_CLIENT;
        double steps[LOOKS], jobs[LOOKS];
        struct way w = cases[i];

        w.flavour = ATLS_FLAVOUR_INTRA;
        way_open(&w, parts);
        run_way(&w, 1); /* first touches */
        for (size_t look = 0; look < LOOKS; look++) {
            w.step_ns[side] = w.job_ns = 0;
            run_way(&w, 1);
            steps[look] = w.step_ns[side] / 1e6;
            jobs[look] = w.job_ns / 1e6;
        }
        qsort(steps, LOOKS, sizeof steps[0], ascending);
        qsort(jobs, LOOKS, sizeof jobs[0], ascending);
        printf("  %-16s %14.2f %8.2f %16.2f %8.2f\n", w.name, steps[LOOKS / 2], steps[LOOKS - 1],
               jobs[LOOKS / 2], jobs[LOOKS - 1]);
        way_close(&w);
    }
}

int main(void)
{
    char dir[] = "/tmp/atls-bench-XXXXXX", slow_dir[] = "/tmp/atls-bench-XXXXXX", delay[32];
    struct parts parts, slow;

    if (mkdtemp(dir) == NULL || mkdtemp(slow_dir) == NULL)
        bench_die(dir, NULL);
    parts_open(&parts, dir, "");
    compare(&parts);
    parts_close(&parts, dir);
    snprintf(delay, sizeof delay, "?delay=%d", QUOTE_MS);
    parts_open(&slow, slow_dir, delay);
    waits(&slow);
    parts_close(&slow, slow_dir);
    return 0;
}
