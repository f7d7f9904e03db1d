/* What a whole appraisal of a confidential machine's evidence costs, from the CMW to the result, by
 * a local verifier over a store with anchors, collateral and reference values, when the machine was
 * seen before: beside the bare signature checks that it cannot do without. Each appraisal is of
 * evidence of its own, over a challenge of its own. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atls/local.h>
#include <atls/store.h>
#include <atls/verifier.h>

#include "attester/bundle.h"
#include "attester/file.h"
#include "bench.h"
#include "core/err.h"
#include "core/writer.h"
#include "crypto/crypto.h"
#include "simulator/world.h"
#include "wire/cca.h"
#include "wire/tsm.h"

#define EVIDENCE_COUNT 64
#define ROUNDS         15
#define SLICE_MS       60
#define FILE_LEN_MAX   (1024 * 1024)

_Noreturn static void die(const char *what, const struct atls_err *err)
{
    fprintf(stderr, "bench: %s: %s\n", what, err->message);
    exit(2);
}

/* One technology: the signatures that its evidence always carries. */
static const struct technology {
    const char *name;
    struct atls_sim_setup setup;
    enum atls_key_type type;
    enum atls_signature scheme;
    unsigned int checks;
    size_t signed_len; /* about: what one of them covers */
} technologies[] = {
    {"SEV-SNP", {.tee = ATLS_SIM_SNP}, ATLS_KEY_P384, ATLS_ECDSA_P384_SHA384, 1, 672},
    {"TDX", {.tee = ATLS_SIM_TDX}, ATLS_KEY_P256, ATLS_ECDSA_P256_SHA256, 2, 632},
    {"CCA", {.tee = ATLS_SIM_CCA}, ATLS_KEY_P384, ATLS_ECDSA_P384_SHA384, 2, 700},
};

/* A machine, a store that knows it, and evidence of it. */
struct machine {
    const struct technology *t;
    char folder[64], store[96];
    struct atls_sim_world *world;
    struct atls_private_key *aik;
    struct atls_verifier *verifier;
    struct atls_buf evidence[EVIDENCE_COUNT];
    uint8_t binders[EVIDENCE_COUNT][32];
    size_t next;
};

/* ---- evidence ---- */

static enum atls_code quote(void *self, const uint8_t challenge[ATLS_QUOTE_CHALLENGE_LEN],
                            struct atls_quote *out, struct atls_err *err)
{
    struct machine *m = self;
    const struct atls_sim_request request = {
        .inblob = atls_bytes_of(challenge, ATLS_QUOTE_CHALLENGE_LEN), .service_provider = ""};
    const char *provider = atls_sim_world_provider_name(m->world);
    struct atls_writer w = atls_writer_init(FILE_LEN_MAX);
    struct atls_sim_blobs blobs = {.auxblob = ATLS_BUF_INIT};
    int sys_errno = 0;
    enum atls_code code;

    if ((code = atls_sim_world_evidence(m->world, &request, &blobs, &sys_errno, err)) != ATLS_OK)
        return code;
    const struct atls_tsm_report report = {
        .provider = atls_bytes_of(provider, strlen(provider)),
        .outblob = atls_buf_bytes(&blobs.outblob),
        .auxblob = atls_buf_bytes(&blobs.auxblob),
    };
    *out = (struct atls_quote){.type = ATLS_TYPE_TSM_REPORT};
    if (m->t->setup.tee == ATLS_SIM_CCA) {
        out->type = ATLS_TYPE_CCA;
        code = atls_buf_copy(&out->token, atls_buf_bytes(&blobs.outblob), err);
    } else {
        atls_tsm_report_put(&w, &report);
        code = atls_writer_finish(&w, &out->token, err);
    }
    atls_sim_blobs_clear(&blobs);
    return code;
}

static void make_evidence(struct machine *m)
{
    const struct atls_quoter quoter = {"bench", m, quote,
                                       atls_key_spki(atls_private_key_public(m->aik))};
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; i < EVIDENCE_COUNT; i++) {
        const struct atls_challenge challenge = {
            .binder = atls_bytes_of(m->binders[i], sizeof m->binders[i]),
            .profiles = ATLS_PROFILE_KAT};

        if (atls_random(m->binders[i], sizeof m->binders[i], &err) != ATLS_OK ||
            atls_bundle_evidence(&quoter, &challenge, &m->evidence[i], &err) != ATLS_OK)
            die("evidence", &err);
    }
}

/* ---- the store ---- */

typedef enum atls_code import_function(struct atls_store *s, const char *name,
                                       struct atls_bytes content, struct atls_err *err);

static enum atls_code import_manifest(struct atls_store *s, const char *name,
                                      struct atls_bytes content, struct atls_err *err)
{
    struct atls_store_import_report report;

    (void)name;
    return atls_store_import_corim(s, content, atls_bytes_of(NULL, 0), time(NULL), &report, err);
}

static enum atls_code import_root(struct atls_store *s, const char *name, struct atls_bytes content,
                                  struct atls_err *err)
{
    const struct atls_store_anchor_options as = {.purpose = ATLS_ANCHOR_TEE};
    const char *dot = strrchr(name, '.');

    if (dot != NULL && strcmp(dot, ".corim") == 0)
        return import_manifest(s, name, content, err);
    if (strcmp(name, "platform.pem") == 0)
        return ATLS_OK; /* the key that the manifest beside it has, too */
    return atls_store_import_anchors_as(s, content, &as, NULL, err);
}

static enum atls_code import_document(struct atls_store *s, const char *name,
                                      struct atls_bytes content, struct atls_err *err)
{
    return atls_store_import_collateral(s, name, content, time(NULL), NULL, err);
}

/* Every file of a folder of the world, if it has that folder. */
static void import_folder(const struct machine *m, struct atls_store *s, const char *name,
                          import_function *import)
{
    char path[512];
    struct dirent *entry;
    DIR *folder;

    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    if ((folder = opendir(path)) == NULL)
        return;
    while ((entry = readdir(folder)) != NULL) {
        struct atls_buf content = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s/%s", m->folder, name, entry->d_name);
        if (atls_file_read("file of the world", path, FILE_LEN_MAX, &content, &err) != ATLS_OK ||
            import(s, entry->d_name, atls_buf_bytes(&content), &err) != ATLS_OK)
            die(path, &err);
        atls_buf_clear(&content);
    }
    closedir(folder);
}

static void fill_store(const struct machine *m)
{
    struct atls_store *s = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    if (atls_store_open(m->store, ATLS_STORE_CREATE, &s, &err) != ATLS_OK)
        die("store", &err);
    import_folder(m, s, "roots", import_root);
    import_folder(m, s, "reference", import_manifest);
    import_folder(m, s, "collateral", import_document);
    atls_store_close(s);
}

/* ---- a machine ---- */

static void set_up(struct machine *m, const struct technology *t)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
    struct atls_sim_setup setup = t->setup;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];

    memset(m, 0, sizeof *m);
    m->t = t;
    snprintf(m->folder, sizeof m->folder, "/tmp/atls-bench-XXXXXX");
    if (mkdtemp(m->folder) == NULL)
        exit(2);
    snprintf(m->store, sizeof m->store, "%s.db", m->folder);
    snprintf(uri, sizeof uri, "local:%s", m->store);
    setup.time_s = time(NULL) - 3600;
    if (atls_sim_world_make(m->folder, &setup, &m->world, &err) != ATLS_OK ||
        atls_sim_world_publish(m->world, time(NULL), &err) != ATLS_OK ||
        atls_private_key_generate(ATLS_KEY_P256, &m->aik, &err) != ATLS_OK)
        die("simulator", &err);
    make_evidence(m);
    fill_store(m);
    if (atls_verifier_open(uri, backends, NULL, &m->verifier, &err) != ATLS_OK)
        die("verifier", &err);
}

static void remove_all(const char *folder)
{
    char command[512];

    snprintf(command, sizeof command, "rm -rf '%s' '%s.db' '%s.db-wal' '%s.db-shm'", folder, folder,
             folder, folder);
    if (system(command) != 0)
        fprintf(stderr, "bench: %s is left behind\n", folder);
}

static void tear_down(struct machine *m)
{
    atls_verifier_unref(m->verifier);
    atls_private_key_free(m->aik);
    atls_sim_world_free(m->world);
    for (size_t i = 0; i < EVIDENCE_COUNT; i++)
        atls_buf_clear(&m->evidence[i]);
    remove_all(m->folder);
}

static void run_appraise(void *arg, unsigned long count)
{
    struct machine *m = arg;

    while (count-- > 0) {
        const size_t i = m->next++ % EVIDENCE_COUNT;
        const struct atls_appraisal appraisal = {
            .evidence = atls_buf_bytes(&m->evidence[i]),
            .binder = atls_bytes_of(m->binders[i], sizeof m->binders[i]),
            .aik_spki = atls_key_spki(atls_private_key_public(m->aik))};
        struct atls_result *result = NULL;
        struct atls_err err = ATLS_ERR_INIT;

        if (atls_verifier_appraise(m->verifier, &appraisal, &result, &err) != ATLS_OK)
            die(m->t->name, &err);
        if (atls_result_status(result) != ATLS_TIER_AFFIRMING) {
            snprintf(err.message, sizeof err.message, "%.200s", atls_result_explanation(result));
            die(m->t->name, &err);
        }
        atls_result_unref(result);
    }
}

/* ---- what it is measured by ---- */

struct bare {
    const struct technology *t;
    struct atls_private_key *key;
    struct atls_buf tbs, signature;
};

static void run_bare(void *arg, unsigned long count)
{
    const struct bare *b = arg;
    struct atls_err err = ATLS_ERR_INIT;

    while (count-- > 0)
        for (unsigned int i = 0; i < b->t->checks; i++)
            if (atls_key_verify_raw(atls_private_key_public(b->key), b->t->scheme,
                                    atls_buf_bytes(&b->tbs), atls_buf_bytes(&b->signature),
                                    &err) != ATLS_OK)
                die("signature", &err);
}

static struct bare bare_of(const struct technology *t)
{
    struct bare b = {.t = t};
    struct atls_writer w = atls_writer_init(t->signed_len);
    struct atls_err err = ATLS_ERR_INIT;

    for (size_t i = 0; i < t->signed_len; i++)
        atls_put_u8(&w, (uint8_t)i);
    if (atls_writer_finish(&w, &b.tbs, &err) != ATLS_OK ||
        atls_private_key_generate(t->type, &b.key, &err) != ATLS_OK ||
        atls_private_key_sign_raw(b.key, t->scheme, atls_buf_bytes(&b.tbs), &b.signature, &err) !=
            ATLS_OK)
        die("key", &err);
    return b;
}

int main(void)
{
    puts("whole appraisals over a store, machine seen before; 1.00: the bare signature checks");
    for (size_t i = 0; i < sizeof technologies / sizeof technologies[0]; i++) {
        const struct technology *t = &technologies[i];
        struct bare bare = bare_of(t);
        struct machine *m = malloc(sizeof *m);
        struct bench benches[2];

        if (m == NULL)
            exit(2);
        set_up(m, t);
        run_appraise(m, 1);
        benches[0] = (struct bench){.name = "bare", .run = run_bare, .arg = &bare};
        benches[1] = (struct bench){.name = "appraisal", .run = run_appraise, .arg = m};
        bench_run(benches, 2, ROUNDS, SLICE_MS);
        printf("%-8s %u check%s %7.1f us, appraisal %7.1f us: %.3f (median %.3f)\n", t->name,
               t->checks, t->checks == 1 ? " " : "s", benches[0].best_ns / 1e3,
               benches[1].best_ns / 1e3, benches[1].best_ns / benches[0].best_ns,
               benches[1].median_ns / benches[0].median_ns);
        tear_down(m);
        free(m);
        atls_private_key_free(bare.key);
        atls_buf_clear(&bare.tbs);
        atls_buf_clear(&bare.signature);
    }
    return 0;
}
