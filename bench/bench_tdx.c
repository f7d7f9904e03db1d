/* What verification of a TDX quote costs, with claims: of a platform that was seen before, and of
 * one that was not; beside the two signature checks that every quote needs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "evidence/tdx.h"
#include "simulator/intel.h"

#define TIME_S INT64_C(1760000000)

_Noreturn static void die(const char *what, const struct atls_err *err)
{
    fprintf(stderr, "bench: %s failed: %s\n", what, err->message);
    exit(2);
}

/* A Verifier's root and documents, in memory. */
struct store {
    struct atls_sim_tdx_evidence made;
    struct atls_certificate_set *anchors;
};

static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    struct store *s = arg;

    (void)err;
    *out = atls_certificate_set_ref(s->anchors);
    return ATLS_OK;
}

static const struct atls_buf *document_of(const struct store *s, enum atls_collateral_kind kind)
{
    const struct {
        enum atls_collateral_kind kind;
        const struct atls_buf *text;
    } rows[] = {
        {ATLS_COLLATERAL_TDX_TCB_INFO, &s->made.tcb_info},
        {ATLS_COLLATERAL_TDX_QE_IDENTITY, &s->made.qe_identity},
        {ATLS_COLLATERAL_TDX_TCB_CHAIN, &s->made.tcb_chain},
        {ATLS_COLLATERAL_TDX_PCK_CRL, &s->made.pck_crl},
        {ATLS_COLLATERAL_TDX_ROOT_CRL, &s->made.root_crl},
        {ATLS_COLLATERAL_TDX_EVALUATION, &s->made.evaluation},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].kind == kind)
            return rows[i].text;
    return NULL;
}

static enum atls_code collateral(void *arg, const struct atls_collateral_query *query,
                                 int64_t time_s, struct atls_buf *out, struct atls_err *err)
{
    const struct atls_buf *text = document_of(arg, query->kind);

    (void)time_s;
    (void)err;
    if (text == NULL)
        return ATLS_E_NOT_FOUND;
    out->ptr = malloc(text->len);
    out->len = text->len;
    if (out->ptr == NULL)
        return ATLS_E_NOMEM;
    memcpy(out->ptr, text->ptr, text->len);
    return ATLS_OK;
}

static void fill(struct store *s, struct atls_sim_tdx *order)
{
    struct atls_sim_intel intel;
    struct atls_certificate *root;
    struct atls_err err = ATLS_ERR_INIT;

    atls_sim_tdx_init(order, TIME_S);
    if (atls_sim_intel_make(&intel, &err) != ATLS_OK ||
        atls_sim_tdx_make(&intel, order, &s->made, &err) != ATLS_OK ||
        atls_certificate_set_new(&s->anchors, &err) != ATLS_OK ||
        atls_certificate_parse(atls_buf_bytes(&s->made.root), &root, &err) != ATLS_OK ||
        atls_certificate_set_add(s->anchors, root, &err) != ATLS_OK)
        die("simulator", &err);
    atls_certificate_unref(root);
    atls_sim_intel_clear(&intel);
}

static void run_quote(void *arg, unsigned long count)
{
    const struct atls_tdx_check *check = arg;

    while (count-- > 0) {
        struct atls_err err = ATLS_ERR_INIT;
        struct atls_tdx_result result;
        struct atls_claims claims;

        if (atls_tdx_verify(check, &result, &err) != ATLS_OK ||
            atls_tdx_make_claims(&atls_technology_tdx, check, &result, atls_bytes_of(NULL, 0),
                                 &claims, &err) != ATLS_OK)
            die("quote", &err);
        atls_claims_clear(&claims);
        atls_tdx_result_clear(&result);
    }
}

/* The two of one quote: QE report and quote. */
static void run_signatures(void *arg, unsigned long count)
{
    const struct atls_tdx_result *r = arg;
    struct atls_err err = ATLS_ERR_INIT;

    for (count *= 2; count-- > 0;)
        if (atls_key_verify_raw(atls_pck_key(r->platform.pck), ATLS_ECDSA_P256_SHA256,
                                r->quote.dcap.qe_report.raw, r->quote.dcap.qe_signature,
                                &err) != ATLS_OK)
            die("signature", &err);
}

int main(void)
{
    struct store store;
    struct atls_sim_tdx order;
    const struct atls_endorsement_source source = {
        .arg = &store, .tee_anchors = tee_anchors, .collateral = collateral};
    struct atls_tdx_check cold = {.sources = {&source, NULL, NULL, TIME_S, ATLS_DCAP_TDX}}, warm;
    struct atls_tdx_result result;
    struct atls_err err = ATLS_ERR_INIT;
    struct bench benches[] = {
        {"platform seen before", run_quote, &warm, 0, 0},
        {"platform seen first", run_quote, &cold, 0, 0},
        {"two P-256 verifications", run_signatures, &result, 0, 0},
    };
    enum { COUNT = sizeof benches / sizeof benches[0] };

    fill(&store, &order);
    cold.quote = atls_buf_bytes(&store.made.quote);
    cold.report_data = atls_bytes_of(order.quote.report_data, sizeof order.quote.report_data);
    warm = cold;
    if (atls_chain_cache_new(64, &warm.sources.cache, &err) != ATLS_OK ||
        atls_tdx_verify(&warm, &result, &err) != ATLS_OK)
        die("quote", &err);
    bench_run(benches, COUNT, 15, 100);
    printf("verification of a TDX quote, claims included\n");
    for (size_t i = 0; i < COUNT; i++)
        printf("  %-28s %9.2f us median (%.2f best), %.3f of its two signature checks\n",
               benches[i].name, benches[i].median_ns / 1e3, benches[i].best_ns / 1e3,
               benches[i].median_ns / benches[COUNT - 1].median_ns);
    atls_tdx_result_clear(&result);
    atls_chain_cache_free(warm.sources.cache);
    atls_certificate_set_unref(store.anchors);
    atls_sim_tdx_evidence_clear(&store.made);
    return 0;
}
