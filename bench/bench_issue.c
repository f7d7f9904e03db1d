/* What a result for others costs, in process: TPM evidence of 24 PCRs in, appraised against
 * reference values of all of them, a signed result (JWT, ES256) out; beside the two signature
 * checks that the evidence cannot do without and the one signature of the result. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atls/issuer.h>

#include "bench.h"
#include "wire/kat.h"
#include "world.h"

struct work {
    struct atls_issuer *issuer;
    const struct world *world;
};

static void issue(struct work *w, const struct world_machine *m)
{
    const struct atls_submission submission = {
        .media_type = "application/cmw+cbor; cmwc_t=\"" ATLS_BUNDLE_TYPE "\"",
        .evidence = atls_buf_bytes(&m->evidence),
        .nonce = atls_bytes_of(m->nonce, sizeof m->nonce),
    };
    struct atls_buf token = ATLS_BUF_INIT;
    struct atls_issue_record record;
    struct atls_err err = ATLS_ERR_INIT;

    if (atls_issuer_issue(w->issuer, &submission, &token, &record, &err) != ATLS_OK)
        world_die("issuing", &err);
    if (record.status != ATLS_TIER_AFFIRMING)
        world_die(record.explanation, NULL);
    atls_buf_clear(&token);
}

static void run_issue(void *arg, unsigned long count)
{
    struct work *w = arg;

    for (unsigned long i = 0; i < count; i++)
        issue(w, &w->world->machines[i % WORLD_MACHINES]);
}

static void remove_store(const char *folder, const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[96];

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    rmdir(folder);
}

static void print(const struct bench *b, const struct bench *verifications)
{
    printf("  %-28s %9.2f us median (%.2f best), %.3f of the two verifications\n", b->name,
           b->median_ns / 1e3, b->best_ns / 1e3, b->median_ns / verifications->median_ns);
}

int main(void)
{
    char folder[] = "/tmp/atls-bench-XXXXXX", path[64];
    struct atls_issuer_options options;
    struct atls_store *store = NULL;
    struct world_signature signature;
    struct world *world = calloc(1, sizeof *world);
    struct work work = {NULL, world};
    struct atls_err err = ATLS_ERR_INIT;
    struct bench benches[] = {
        {"atls_issuer_issue", run_issue, &work, 0, 0},
        {"one ECDSA P-256 signature", world_run_sign, &signature, 0, 0},
        {"two ECDSA P-256 checks", world_run_verify_two, &signature, 0, 0},
    };

    if (world == NULL || mkdtemp(folder) == NULL)
        world_die("a folder below /tmp", NULL);
    snprintf(path, sizeof path, "%s/store.db", folder);
    world_make(world);
    world_store(world, path);
    world_signature_make(&signature);
    atls_issuer_options_init(&options);
    if (atls_store_open(path, ATLS_STORE_WRITE, &store, &err) != ATLS_OK)
        world_die("opening the store", &err);
    options.store = store;
    if (atls_issuer_new(&options, &work.issuer, &err) != ATLS_OK)
        world_die("issuer", &err);
    bench_run(benches, 3, 25, 100);
    printf("appraisal and signed result, in process (evidence of %zu bytes, %d PCRs)\n",
           world->machines[0].evidence.len, WORLD_PCRS);
    for (size_t i = 0; i < 3; i++)
        print(&benches[i], &benches[2]);
    printf("  beyond checks and signature  %9.2f us, %.3f of the two verifications\n",
           (benches[0].median_ns - benches[1].median_ns - benches[2].median_ns) / 1e3,
           (benches[0].median_ns - benches[1].median_ns) / benches[2].median_ns - 1);
    atls_issuer_free(work.issuer);
    atls_store_close(store);
    remove_store(folder, path);
    world_signature_clear(&signature);
    world_clear(world);
    free(world);
    return 0;
}
