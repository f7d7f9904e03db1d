#include "chips.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atls/local.h>
#include <atls/store.h>

#include "core/writer.h"
#include "soft_evidence.h"
#include "testlib.h"
#include "wire/kat.h"
#include "wire/snp.h"
#include "wire/tsm.h"

static void must(enum atls_code code, const struct atls_err *err)
{
    test_assert_code(code, ATLS_OK, err);
}

static void trust(const struct chips *c, struct atls_store *store)
{
    struct atls_buf chain = ATLS_BUF_INIT, list = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    must(atls_sim_amd_chain(c->amd, &c->machines[0], &chain, &err), &err);
    must(atls_sim_amd_crl(c->amd, &c->machines[0], NULL, &list, &err), &err);
    must(
        atls_store_import_anchors(store, ATLS_ANCHOR_TEE, atls_buf_bytes(&chain), NULL, NULL, &err),
        &err);
    must(atls_store_import_collateral(store, "snp-crl-genoa.crl", atls_buf_bytes(&list),
                                      c->machines[0].time_s, NULL, &err),
         &err);
    atls_buf_clear(&chain);
    atls_buf_clear(&list);
}

static void pin(struct chips *c)
{
    char text[512], hex[129];
    struct atls_err err = ATLS_ERR_INIT;
    int len;

    for (size_t i = 0; i < 64; i++)
        snprintf(hex + 2 * i, 3, "%02x", c->machines[0].chip_id[i]);
    len = snprintf(text, sizeof text,
                   ".submods.SNP as $snp | if $snp.ear_trustworthiness_vector.hardware == 2 and "
                   "$snp.ear_attester_claims.details.\"chip-id\" == \"%s\" "
                   "then {decision: \"accept\"} else {decision: \"refuse\"} end",
                   hex);
    must(atls_policy_compile("pins a chip", atls_bytes_of(text, (size_t)len), &c->pins_first, &err),
         &err);
}

void chips_open(struct chips *c, const char *folder)
{
    static const struct atls_verifier_ops *const backends[] = {&atls_local_verifier, NULL};
    struct atls_verifier_options options;
    struct atls_store *store = NULL;
    struct atls_err err = ATLS_ERR_INIT;
    char uri[128];

    memset(c, 0, sizeof *c);
    must(atls_sim_amd_new(2048, &c->amd, &err), &err);
    for (size_t i = 0; i < 2; i++)
        atls_sim_snp_init(&c->machines[i], ATLS_SNP_GENOA, time(NULL));
    c->machines[1].chip_id[63] ^= 1;
    snprintf(c->store, sizeof c->store, "%s/chips.db", folder);
    must(atls_store_open(c->store, ATLS_STORE_CREATE, &store, &err), &err);
    trust(c, store);
    atls_store_close(store);
    atls_verifier_options_init(&options);
    snprintf(uri, sizeof uri, "local:%s", c->store);
    must(atls_verifier_open(uri, backends, &options, &c->verifier, &err), &err);
    pin(c);
}

void chips_close(struct chips *c)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[128];

    atls_verifier_unref(c->verifier);
    atls_policy_unref(c->pins_first);
    atls_sim_amd_free(c->amd);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", c->store, suffixes[i]);
        unlink(path);
    }
}

struct atls_buf chips_evidence(const struct chips *c, size_t machine, struct atls_bytes binder,
                               struct atls_bytes aik)
{
    uint8_t report[ATLS_SNP_REPORT_LEN], challenge[ATLS_HASH_MAX];
    struct atls_tsm_report tsm = {
        .provider = atls_bytes_of(ATLS_TSM_PROVIDER_SNP, strlen(ATLS_TSM_PROVIDER_SNP)),
        .outblob = {report, sizeof report}};
    struct atls_writer w = atls_writer_init(1 << 16);
    struct atls_buf kat = test_kat(binder, aik), table = ATLS_BUF_INIT, out;
    struct atls_err err = ATLS_ERR_INIT;

    must(atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&kat), challenge, &err), &err);
    must(atls_sim_amd_report(c->amd, &c->machines[machine], challenge, report, &err), &err);
    must(atls_sim_amd_table(c->amd, &c->machines[machine], &table, &err), &err);
    tsm.auxblob = atls_buf_bytes(&table);
    atls_tsm_report_put(&w, &tsm);
    assert_int_equal(w.failed, ATLS_OK);
    out = test_bundle(ATLS_TYPE_KAT, atls_buf_bytes(&kat), ATLS_TYPE_TSM_REPORT,
                      atls_writer_bytes(&w));
    atls_writer_clear(&w);
    atls_buf_clear(&kat);
    atls_buf_clear(&table);
    return out;
}
