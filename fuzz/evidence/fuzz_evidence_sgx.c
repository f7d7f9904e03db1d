/* Certificates with evidence of others, judged whole: the root that a quote brings is on file, and
 * nothing else, so that the quote is what decides how far verification comes; claims are read
 * whatever it says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/ra_tls.h"
#include "evidence/sgx.h"
#include "wire/ra_tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TIME_S INT64_C(1751328000) /* 2025-07-01 */

static enum atls_code tee_anchors(void *arg, struct atls_certificate_set **out,
                                  struct atls_err *err)
{
    struct atls_certificate_set *set = arg;

    (void)err;
    *out = set != NULL ? atls_certificate_set_ref(set) : NULL;
    return ATLS_OK;
}

/* The last certificate of the quote's chain; NULL when there is none. */
static struct atls_certificate_set *believe(struct atls_bytes quote)
{
    struct atls_certificate *chain[4];
    struct atls_certificate_set *set = NULL;
    struct atls_sgx_quote q;
    size_t count = 0;

    if (atls_sgx_quote_decode(quote, &q, NULL) != ATLS_OK ||
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

static void explained(enum atls_code code, const struct atls_err *err)
{
    if (code == ATLS_E_USAGE || code == ATLS_E_INTERNAL || (code != ATLS_OK && err->code != code))
        abort(); /* never the caller's fault, never unexplained */
}

static void judge(struct atls_evidence_request *request, const struct atls_cmw *pat)
{
    struct atls_endorsement_source source = {.tee_anchors = tee_anchors};
    struct atls_ra_tls_answer answer;
    struct atls_claims claims;
    struct atls_err err = ATLS_ERR_INIT;
    enum atls_code code = atls_ra_tls_expect(pat, request, &answer, &err);

    explained(code, &err);
    if (code == ATLS_OK) {
        explained(atls_ra_tls_accept(&answer, request, &err), &err);
        source.arg = believe(answer.quote);
        request->source = &source;
    }
    code = atls_evidence_verify(request, &claims, &err);
    explained(code, &err);
    if (code == ATLS_OK)
        atls_claims_clear(&claims);
    if (source.arg != NULL)
        atls_certificate_set_unref(source.arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t binder[32];
    struct atls_arena arena = atls_arena_init(64 * 1024);
    struct atls_writer w = atls_writer_init(size + 4096);
    struct atls_evidence_request request = {
        .binder = atls_bytes_of(binder, sizeof binder),
        .profiles = ATLS_PROFILE_RATLS,
        .time_s = TIME_S,
    };
    struct atls_ra_tls found;
    struct atls_cmw cmw;

    if (atls_ra_tls_find(atls_bytes_of(data, size), &found, NULL) == ATLS_OK &&
        atls_ra_tls_cmw(found.form, found.value, &w, NULL) == ATLS_OK &&
        atls_cmw_decode(atls_writer_bytes(&w), &arena, &cmw, NULL) == ATLS_OK &&
        cmw.kind == ATLS_CMW_RECORD) {
        request.evidence = atls_writer_bytes(&w);
        request.aik_spki = found.spki;
        judge(&request, &cmw);
    }
    atls_writer_clear(&w);
    atls_arena_clear(&arena);
    return 0;
}
