/* What verification of a SEV-SNP report costs when its machine was seen before (every appraisal but
 * the first within the hour) and when it was not, in signature checks of the report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "core/err.h"
#include "core/writer.h"
#include "evidence/claims.h"
#include "evidence/snp.h"
#include "evidence/snp_vek.h"
#include "simulator/amd.h"

#define TIME_S INT64_C(1790000000)

struct store {
    struct atls_buf crl, table;
    struct atls_certificate_set *anchors;
    uint8_t report[ATLS_SNP_REPORT_LEN];
};

_Noreturn static void die(const char *what, const struct atls_err *err)
{
    fprintf(stderr, "bench: %s: %s\n", what, err->message);
    exit(2);
}

static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    struct store *s = arg;

    (void)err;
    *out = atls_certificate_set_ref(s->anchors);
    return ATLS_OK;
}

static enum atls_code collateral(void *arg, const struct atls_collateral_query *query,
                                 int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    struct store *s = arg;

    (void)time_s;
    if (query->kind != ATLS_COLLATERAL_SNP_CRL)
        return ATLS_E_NOT_FOUND;
    return atls_buf_copy(out, atls_buf_bytes(&s->crl), err);
}

static void trust(struct store *s, const struct atls_sim_amd *amd, const struct atls_sim_snp *order,
                  enum atls_sim_amd_certificate kind)
{
    struct atls_buf der = ATLS_BUF_INIT;
    struct atls_certificate *c;
    struct atls_err err = ATLS_ERR_INIT;

    if (atls_sim_amd_certificate(amd, kind, order, NULL, &der, &err) != ATLS_OK ||
        atls_certificate_parse(atls_buf_bytes(&der), &c, &err) != ATLS_OK ||
        atls_certificate_set_add(s->anchors, c, &err) != ATLS_OK)
        die("simulator", &err);
    atls_certificate_unref(c);
    atls_buf_clear(&der);
}

static void fill(struct store *s, const uint8_t report_data[ATLS_SNP_REPORT_DATA_LEN])
{
    struct atls_sim_amd *amd;
    struct atls_sim_snp order;
    struct atls_err err = ATLS_ERR_INIT;

    atls_sim_snp_init(&order, ATLS_SNP_GENOA, TIME_S);
    order.with_authorities = true;
    if (atls_sim_amd_new(4096, &amd, &err) != ATLS_OK ||
        atls_sim_amd_report(amd, &order, report_data, s->report, &err) != ATLS_OK ||
        atls_sim_amd_table(amd, &order, &s->table, &err) != ATLS_OK ||
        atls_sim_amd_crl(amd, &order, NULL, &s->crl, &err) != ATLS_OK ||
        atls_certificate_set_new(&s->anchors, &err) != ATLS_OK)
        die("simulator", &err);
    trust(s, amd, &order, ATLS_SIM_ARK);
    trust(s, amd, &order, ATLS_SIM_ASK);
    atls_sim_amd_free(amd);
}

static void run_report(void *arg, unsigned long count)
{
    const struct atls_snp_check *check = arg;

    while (count-- > 0) {
        struct atls_claims claims = atls_claims_init(&atls_technology_snp);
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_snp_result result;

        if (atls_snp_verify(check, &result, &err) != ATLS_OK ||
            atls_snp_claims(&result, atls_bytes_of(NULL, 0), &claims, &err) != ATLS_OK)
            die("report", &err);
        atls_claims_clear(&claims);
        atls_snp_result_clear(&result);
    }
}

static void run_signature(void *arg, unsigned long count)
{
    const struct atls_snp_result *r = arg;
    struct atls_err err = ATLS_ERR_INIT;

    while (count-- > 0)
        if (atls_key_verify_raw(
                atls_certificate_key(r->vek->leaf), ATLS_ECDSA_P384_SHA384, r->report.signed_part,
                atls_bytes_of(r->report.signature, sizeof r->report.signature), &err) != ATLS_OK)
            die("signature", &err);
}

int main(void)
{
    static const uint8_t report_data[ATLS_SNP_REPORT_DATA_LEN] = "what the report answers";
    struct store store = {.crl = ATLS_BUF_INIT, .table = ATLS_BUF_INIT};
    const struct atls_endorsement_source source = {
        .arg = &store, .tee_anchors = tee_anchors, .collateral = collateral};
    struct atls_evidence_request first = {.source = &source, .time_s = TIME_S}, again;
    struct atls_snp_check cold = {.request = &first}, warm;
    struct atls_snp_result result;
    struct atls_err err = ATLS_ERR_INIT;
    struct bench benches[] = {
        {"machine seen before", run_report, &warm, 0, 0},
        {"machine seen first", run_report, &cold, 0, 0},
        {"one P-384 verification", run_signature, &result, 0, 0},
    };
    enum { COUNT = sizeof benches / sizeof benches[0] };

    fill(&store, report_data);
    cold.report = atls_bytes_of(store.report, sizeof store.report);
    cold.certificates = atls_buf_bytes(&store.table);
    cold.report_data = atls_bytes_of(report_data, sizeof report_data);
    again = first;
    warm = cold;
    warm.request = &again;
    if (atls_chain_cache_new(64, &again.cache, &err) != ATLS_OK ||
        atls_snp_verify(&warm, &result, &err) != ATLS_OK)
        die("report", &err);
    bench_run(benches, COUNT, 15, 100);
    printf("verification of a SEV-SNP report, claims included\n");
    for (size_t i = 0; i < COUNT; i++)
        printf("  %-28s %9.2f us median (%.2f best), %.3f of its signature check\n",
               benches[i].name, benches[i].median_ns / 1e3, benches[i].best_ns / 1e3,
               benches[i].median_ns / benches[COUNT - 1].median_ns);
    atls_snp_result_clear(&result);
    atls_chain_cache_free(again.cache);
    atls_certificate_set_unref(store.anchors);
    atls_buf_clear(&store.crl);
    atls_buf_clear(&store.table);
    return 0;
}
