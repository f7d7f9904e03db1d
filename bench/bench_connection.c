/* What attestation adds to a TLS 1.3 connection, in time and memory.
 *
 * Baseline, in the same run and process: plain TLS 1.3 of the same OpenSSL, both sides, plus the
 * signatures and verifications that an attested connection cannot do without. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "ends.h"
#include "primitive.h"

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
            bench_die("input", &err);
    while ((job = atls_session_job(s)) != NULL) {
        atls_job_run(job);
        if (atls_session_complete(s, job, &err) != ATLS_OK)
            bench_die("job", &err);
    }
    while ((out = atls_session_output(s)).len != 0) {
        if (SSL_write_ex(ssl, out.ptr, out.len, &n) != 1)
            bench_die("write", NULL);
        atls_session_output_done(s, n);
    }
    return atls_session_next(s) == ATLS_NEXT_OPEN;
}

static void attest(struct ends *e, struct atls_session **client, struct atls_session **server)
{
    *client = ends_session(e->client, e->client_config, "bench");
    *server = ends_session(e->server, e->server_config, NULL);
    for (int i = 0; i < 16; i++) {
        bool c = turn(*client, e->client), s = turn(*server, e->server);

        if (c && s)
            return;
    }
    bench_die("the gate did not open", NULL);
}

static void run_plain(void *arg, unsigned long count)
{
    struct ends *e = arg;

    while (count-- > 0) {
        ends_handshake(e);
        ends_drop(e);
    }
}

static void run_attested(void *arg, unsigned long count)
{
    struct atls_session *client, *server;
    struct ends *e = arg;

    while (count-- > 0) {
        ends_handshake(e);
        attest(e, &client, &server);
        atls_session_free(client);
        atls_session_free(server);
        ends_drop(e);
    }
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
        ends_handshake(&open[i]);
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
        ends_drop(&open[i]);
    }
    return (double)(after - before) / (2 * CONNECTIONS);
}

static void report(const struct bench *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("  %-34s %9.1f us median, %9.1f us best\n", b[i].name, b[i].median_ns / 1e3,
               b[i].best_ns / 1e3);
}

int main(void)
{
    char dir[] = "/tmp/atls-bench-XXXXXX";
    struct primitive primitive;
    struct ends ends, exporting;
    struct ends_parts parts;
    struct bench benches[] = {
        {"plain TLS 1.3 handshake", run_plain, &ends, 0, 0},
        {"attested connection (server, soft)", run_attested, &ends, 0, 0},
        {"ECDSA P-256 sign", primitive_sign, &primitive, 0, 0},
        {"ECDSA P-256 verify", primitive_verify, &primitive, 0, 0},
        {"TLS exporter, one value", primitive_export, NULL, 0, 0},
    };
    double floor_median, floor_best;

    if (mkdtemp(dir) == NULL)
        bench_die(dir, NULL);
    ends_contexts(&ends);
    ends_parts_open(&parts, dir, "");
    ends.client_config = ends_relying_party(parts.verifier, parts.policy, NULL);
    ends.server_config = ends_attester_only(parts.attester);
    primitive_init(&primitive);
    exporting = ends;
    ends_handshake(&exporting);
    benches[4].arg = exporting.client;

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

    ends_drop(&exporting);
    atls_config_unref(ends.client_config);
    atls_config_unref(ends.server_config);
    primitive_clear(&primitive);
    SSL_CTX_free(ends.client_ctx);
    SSL_CTX_free(ends.server_ctx);
    ends_parts_close(&parts, dir);
    return 0;
}
