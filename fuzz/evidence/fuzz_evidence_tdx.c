/* A quote and the collateral that came with it, below the root that it names itself: what its
 * signatures hold is judged, whatever else was changed. */
#include <stdlib.h>
#include <string.h>

#include "core/reader.h"
#include "evidence/tdx.h"

/* Every seed holds at this time. */
#define TIME_S INT64_C(1751328000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    (void)err;
    *out = arg != NULL ? atls_certificate_set_ref(arg) : NULL;
    return ATLS_OK;
}

/* The last certificate of the quote's chain; NULL when there is none. */
static struct atls_certificate_set *believe(struct atls_bytes quote)
{
    struct atls_certificate *chain[4] = {NULL};
    struct atls_certificate_set *set = NULL;
    struct atls_tdx_quote q;
    size_t count = 0;

    if (atls_tdx_quote_decode(quote, &q, NULL) != ATLS_OK ||
        atls_certificates_parse(q.dcap.certification, chain, 4, &count, NULL) != ATLS_OK)
        return NULL;
    if (atls_certificate_set_new(&set, NULL) == ATLS_OK &&
        atls_certificate_set_add(set, chain[count - 1], NULL) != ATLS_OK) {
        atls_certificate_set_unref(set);
        set = NULL;
    }
    for (size_t i = 0; i < count; i++)
        atls_certificate_unref(chain[i]);
    return set;
}

static void verify(struct atls_bytes quote, const struct atls_cmw *endorsements)
{
    static const struct atls_tdx_rules lenient = {
        .dcap = {.statuses = 0xff, .tcb_date_s = 1}, .allow_debug = true, .allow_ve = true};
    struct atls_certificate_set *anchors = believe(quote);
    const struct atls_endorsement_source source = {.arg = anchors, .tee_anchors = tee_anchors};
    const struct atls_cmw *log =
        endorsements != NULL ? atls_cmw_find(endorsements, ATLS_TDX_EVENT_LOG) : NULL;
    struct atls_tdx_check check = {.quote = quote,
                                   .rules = &lenient,
                                   .sources = {&source, endorsements, NULL, TIME_S, ATLS_DCAP_TDX}};
    struct atls_tdx_result result;
    struct atls_tdx_quote q;
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code;

    check.report_data = atls_tdx_quote_decode(quote, &q, NULL) == ATLS_OK
                            ? q.body.report_data
                            : atls_bytes_of(&err, ATLS_TDX_REPORT_DATA_LEN);
    if (log != NULL && log->kind == ATLS_CMW_RECORD)
        check.event_log = log->value;
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        check.trust_elsewhere = elsewhere != 0;
        code = atls_tdx_verify(&check, &result, &err);
        if (code == ATLS_E_USAGE || code == ATLS_E_INTERNAL ||
            (code != ATLS_OK && err.code != code))
            abort(); /* never the caller's fault, never unexplained */
        if (code != ATLS_OK)
            continue;
        if (atls_tdx_make_claims(&atls_technology_tdx, &check, &result, atls_bytes_of(NULL, 0),
                                 &claims, &err) == ATLS_OK)
            atls_claims_clear(&claims);
        atls_tdx_result_clear(&result);
    }
    atls_certificate_set_unref(anchors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_arena arena = atls_arena_init(64 * 1024);
    const struct atls_cmw *pat, *endorsements;
    struct atls_cmw cmw;

    if (atls_cmw_decode(atls_bytes_of(data, size), &arena, &cmw, NULL) == ATLS_OK &&
        cmw.kind == ATLS_CMW_COLLECTION && (pat = atls_cmw_find(&cmw, "pat")) != NULL &&
        pat->kind == ATLS_CMW_RECORD) {
        endorsements = atls_cmw_find(&cmw, "endorsements");
        if (endorsements != NULL && endorsements->kind != ATLS_CMW_COLLECTION)
            endorsements = NULL;
        verify(pat->value, endorsements);
    } else {
        verify(atls_bytes_of(data, size), NULL);
    }
    atls_arena_clear(&arena);
    return 0;
}
