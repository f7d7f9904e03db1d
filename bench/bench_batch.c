/* Many connections that wait for one slow device: a quote takes 40 ms, and is one at a time.
 *
 * Baseline, in the same run and process: the same connections with batch=off, each of which has a
 * quote of its own. Two threads have both sides of half of the connections each, in event loops
 * that start jobs (atls_job_start) and run them when the attester says so; figures are of whole
 * connections, TLS handshake and appraisal of the evidence included, and of the wait for evidence
 * alone. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ends.h"

#define QUOTE_MS       40
#define TEXT_OF(x)     #x
#define TEXT(x)        TEXT_OF(x)
#define OPTIONS(extra) "?delay=" TEXT(QUOTE_MS) extra

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

struct connection {
    struct ends ends;
    struct atls_session *client, *server;
    struct atls_job *job; /* of the server, waits for the attester */
    double begin_ms, asked_ms, ready_ms;
    struct loop *loop;
    struct connection *next; /* in the loop's list of those that are ready */
};

/* Whose evidence is there; filled by a thread of the attester. */
struct loop {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct connection *ready;
};

static void on_ready(void *arg)
{
    struct connection *c = arg;
    struct loop *loop = c->loop;

    pthread_mutex_lock(&loop->lock);
    c->ready_ms = now_ms();
    c->next = loop->ready;
    loop->ready = c;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
}

/* Takes all that are ready; waits for one when wait is set. */
static struct connection *take_ready(struct loop *loop, bool wait)
{
    struct connection *list;

    pthread_mutex_lock(&loop->lock);
    while (wait && loop->ready == NULL)
        pthread_cond_wait(&loop->changed, &loop->lock);
    list = loop->ready;
    loop->ready = NULL;
    pthread_mutex_unlock(&loop->lock);
    return list;
}

/* ---- one connection ---- */

static void finish_job(struct atls_session *s, struct atls_job *job)
{
    struct atls_err err = ATLS_ERR_INIT;

    atls_job_run(job);
    if (atls_session_complete(s, job, &err) != ATLS_OK)
        bench_die("job", &err);
}

static void read_and_write(struct atls_session *s, SSL *ssl)
{
    struct atls_err err = ATLS_ERR_INIT;
    unsigned char buf[16384];
    struct atls_bytes out;
    size_t n;

    while (SSL_read_ex(ssl, buf, sizeof buf, &n) == 1)
        if (atls_session_input(s, atls_bytes_of(buf, n), &n, &err) != ATLS_OK)
            bench_die("input", &err);
    while ((out = atls_session_output(s)).len != 0) {
        if (SSL_write_ex(ssl, out.ptr, out.len, &n) != 1)
            bench_die("write", NULL);
        atls_session_output_done(s, n);
    }
}

/* Up to the wait for evidence. */
static void begin(struct connection *c, const struct ends *with, struct loop *loop)
{
    *c = (struct connection){.ends = *with, .begin_ms = now_ms(), .loop = loop};
    ends_handshake(&c->ends);
    c->client = ends_session(c->ends.client, with->client_config, "bench");
    c->server = ends_session(c->ends.server, with->server_config, NULL);
    read_and_write(c->client, c->ends.client);
    read_and_write(c->server, c->ends.server);
    if ((c->job = atls_session_job(c->server)) == NULL)
        bench_die("the server has nothing to attest", NULL);
    c->asked_ms = now_ms();
    if (!atls_job_start(c->job, on_ready, c))
        bench_die("the job waits for nothing", NULL);
}

/* From the evidence to open gates, and the end. */
static void end(struct connection *c)
{
    struct atls_job *job;

    finish_job(c->server, c->job);
    read_and_write(c->server, c->ends.server);
    read_and_write(c->client, c->ends.client);
    if ((job = atls_session_job(c->client)) == NULL)
        bench_die("the client has nothing to appraise", NULL);
    finish_job(c->client, job);
    read_and_write(c->client, c->ends.client);
    read_and_write(c->server, c->ends.server);
    if (!atls_session_is_open(c->client) || !atls_session_is_open(c->server))
        bench_die("the gate did not open", NULL);
    atls_session_free(c->client);
    atls_session_free(c->server);
    ends_drop(&c->ends);
}

/* ---- many ---- */

struct figures {
    double evidence_per_s; /* from the first question to the last answer */
    double longest;        /* wait for evidence, in quote times */
    double per_s;          /* connections, handshake to open gate */
    double cpu;            /* of that time, in cores */
};

/* What one thread does: count connections, of which rate a second come (0: all at once). */
struct share {
    pthread_t thread;
    struct ends ends;
    struct loop loop;
    size_t count;
    double rate, start_ms;
    double first_ms, last_ms, longest_ms; /* asked, answered, between the two */
};

static void note(struct share *s, const struct connection *c)
{
    const double wait_ms = c->ready_ms - c->asked_ms;

    if (wait_ms > s->longest_ms)
        s->longest_ms = wait_ms;
    if (c->ready_ms > s->last_ms)
        s->last_ms = c->ready_ms;
    if (s->first_ms == 0 || c->asked_ms < s->first_ms)
        s->first_ms = c->asked_ms;
}

static void *serve_share(void *arg)
{
    struct share *s = arg;
    struct connection *all = calloc(s->count + 1, sizeof *all), *c, *next;
    size_t begun = 0, ended = 0;

    if (all == NULL)
        bench_die("memory", NULL);
    while (ended < s->count) {
        const double due =
            s->rate == 0 ? (double)s->count : (now_ms() - s->start_ms) * s->rate / 1e3;

        if (begun < s->count && (double)begun < due)
            begin(&all[begun++], &s->ends, &s->loop);
        /* All of them wait before the first goes on; at a rate both go on beside each other. */
        if (s->rate == 0 && begun < s->count)
            continue;
        for (c = take_ready(&s->loop, begun == s->count); c != NULL; c = next) {
            next = c->next;
            note(s, c);
            end(c);
            ended++;
        }
    }
    free(all);
    return NULL;
}

static struct figures serve(const struct ends *with, size_t count, double rate)
{
    enum { SHARES = 2 };
    struct share shares[SHARES];
    const double start_ms = now_ms(), start_cpu = cpu_ms();
    double first_ms = 0, last_ms = 0, elapsed_ms;
    struct figures f = {0, 0, 0, 0};

    for (size_t i = 0; i < SHARES; i++) {
        shares[i] =
            (struct share){.ends = *with,
                           .loop = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL},
                           .count = (count + SHARES - 1 - i) / SHARES,
                           .rate = rate / SHARES,
                           .start_ms = start_ms};
        if (pthread_create(&shares[i].thread, NULL, serve_share, &shares[i]) != 0)
            bench_die("thread", NULL);
    }
    for (size_t i = 0; i < SHARES; i++) {
        pthread_join(shares[i].thread, NULL);
        if (shares[i].count == 0)
            continue;
        if (first_ms == 0 || shares[i].first_ms < first_ms)
            first_ms = shares[i].first_ms;
        if (shares[i].last_ms > last_ms)
            last_ms = shares[i].last_ms;
        if (shares[i].longest_ms / QUOTE_MS > f.longest)
            f.longest = shares[i].longest_ms / QUOTE_MS;
    }
    elapsed_ms = now_ms() - start_ms;
    f.evidence_per_s = (double)count * 1e3 / (last_ms - first_ms);
    f.per_s = (double)count * 1e3 / elapsed_ms;
    f.cpu = (cpu_ms() - start_cpu) / elapsed_ms;
    return f;
}

/* Without connections: count challenges to one attester, all at once. */
static void ask(struct atls_attester *attester, size_t count)
{
    struct atls_attester_call **calls = calloc(count, sizeof *calls);
    const double start_ms = now_ms(), start_cpu = cpu_ms();
    struct atls_err err = ATLS_ERR_INIT;
    double elapsed_ms;

    if (calls == NULL)
        bench_die("memory", NULL);
    for (size_t i = 0; i < count; i++) {
        uint8_t binder[32] = {(uint8_t)i, (uint8_t)(i >> 8)};
        const struct atls_challenge challenge = {.binder = {binder, sizeof binder},
                                                 .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH};

        if (atls_attester_evidence_start(attester, &challenge, NULL, NULL, &calls[i], &err) !=
            ATLS_OK)
            bench_die("start", &err);
    }
    for (size_t i = 0; i < count; i++) {
        struct atls_buf evidence = ATLS_BUF_INIT;

        if (atls_attester_evidence_finish(calls[i], &evidence, &err) != ATLS_OK)
            bench_die("finish", &err);
        atls_buf_clear(&evidence);
    }
    elapsed_ms = now_ms() - start_ms;
    free(calls);
    printf(
        "  %zu challenges to the attester alone: %.0f evidence/s, all in %.2f quote times, %.1f us "
        "of CPU each\n",
        count, (double)count * 1e3 / elapsed_ms, elapsed_ms / QUOTE_MS,
        (cpu_ms() - start_cpu) * 1e3 / (double)count);
}

/* An attester with these options, and whoever appraises it. */
struct lab {
    char dir[32];
    struct ends_parts parts;
    struct ends ends;
};

static void lab_open(struct lab *lab, const char *options)
{
    *lab = (struct lab){.dir = "/tmp/atls-bench-XXXXXX"};
    if (mkdtemp(lab->dir) == NULL)
        bench_die(lab->dir, NULL);
    ends_contexts(&lab->ends);
    ends_parts_open(&lab->parts, lab->dir, options);
    lab->ends.client_config = ends_relying_party(lab->parts.verifier, lab->parts.policy, NULL);
    lab->ends.server_config = ends_attester_only(lab->parts.attester);
}

static void lab_close(struct lab *lab)
{
    atls_config_unref(lab->ends.client_config);
    atls_config_unref(lab->ends.server_config);
    SSL_CTX_free(lab->ends.client_ctx);
    SSL_CTX_free(lab->ends.server_ctx);
    ends_parts_close(&lab->parts, lab->dir);
}

static struct figures measure(const char *options, size_t count, double rate)
{
    struct figures f;
    struct lab lab;

    lab_open(&lab, options);
    f = serve(&lab.ends, count, rate);
    lab_close(&lab);
    return f;
}

static void show(const char *what, size_t count, const struct figures *f)
{
    printf("  %-9s %6zu %12.1f %14.2f %14.1f %8.2f\n", what, count, f->evidence_per_s, f->longest,
           f->per_s, f->cpu);
}

/* --all: also a thousand connections without batches, which take 40 s. */
int main(int argc, char **argv)
{
    static const size_t counts[] = {1, 10, 100, 1000};
    const bool all = argc > 1 && strcmp(argv[1], "--all") == 0;
    struct figures batched, alone;
    struct lab lab;

    printf("one device, %d ms a quote, so %.0f quotes a second\n", QUOTE_MS, 1e3 / QUOTE_MS);
    printf("  %-9s %6s %12s %14s %14s %8s\n", "", "at once", "evidence/s", "longest wait",
           "connections/s", "cores");
    printf("  %-9s %6s %12s %14s %14s %8s\n", "", "", "", "in quotes", "", "");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        batched = measure(OPTIONS(""), counts[i], 0);
        show("batched", counts[i], &batched);
        if (counts[i] > 100 && !all)
            continue;
        alone = measure(OPTIONS("&batch=off"), counts[i], 0);
        show("batch=off", counts[i], &alone);
        printf("  ratio            %13.1f %14.2f %14.1f\n",
               batched.evidence_per_s / alone.evidence_per_s, batched.longest / alone.longest,
               batched.per_s / alone.per_s);
    }
    batched = measure(OPTIONS(""), 4000, 1000);
    printf("1000 connections come every second, for 4 s\n");
    show("batched", 4000, &batched);
    lab_open(&lab, OPTIONS(""));
    ask(lab.parts.attester, 1000);
    lab_close(&lab);
    return 0;
}
