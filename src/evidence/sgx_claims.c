/* What a verified SGX quote says, as claims. */
#include <string.h>

#include "core/err.h"
#include "evidence/claims.h"
#include "evidence/sgx.h"

/* Class of enclaves below a root that names no class: d8501dce-e408-4e81-9c8b-afd3adc0a83e */
static const uint8_t CLASS_UUID[16] = {0xd8, 0x50, 0x1d, 0xce, 0xe4, 0x08, 0x4e, 0x81,
                                       0x9c, 0x8b, 0xaf, 0xd3, 0xad, 0xc0, 0xa8, 0x3e};

#define MEASUREMENTS 4

/* Measurements in the making; the first lack of memory sticks. */
struct maker {
    struct atls_claims *claims;
    struct atls_digest *digests;
    size_t digest_count;
    bool failed;
};

static struct atls_measurement *next(struct maker *m, const char *name)
{
    struct atls_measurement *to = &m->claims->measurements[m->claims->measurement_count++];

    to->mkey.kind = ATLS_MKEY_TEXT;
    to->mkey.bytes = atls_bytes_of(name, strlen(name));
    return to;
}

static void add_digest(struct maker *m, const char *name, struct atls_bytes value)
{
    struct atls_measurement *to = next(m, name);

    to->mval.digests = &m->digests[m->digest_count++];
    m->failed = m->failed || !atls_claims_add_digest(m->claims, to, ATLS_HASH_SHA256, value);
}

/* Number and version of what the signer signed. */
static void add_signer(struct maker *m, const struct atls_sgx_report *r)
{
    const uint8_t prod_id[2] = {(uint8_t)(r->isv_prod_id >> 8), (uint8_t)r->isv_prod_id};
    struct atls_measurement *to;

    add_digest(m, "mrsigner", r->mr_signer);
    to = next(m, "isvprodid");
    to->mval.present = ATLS_MVAL_RAW;
    m->failed =
        m->failed ||
        !atls_arena_copy(&m->claims->arena, atls_bytes_of(prod_id, sizeof prod_id), &to->mval.raw);
    to = next(m, "isvsvn");
    to->mval.present = ATLS_MVAL_SVN;
    to->mval.svn = r->isv_svn;
}

/* The enclave as it was built is what reference values are wanted for; or who signed it. */
static bool add_measurements(const struct atls_sgx_report *r, bool by_signer,
                             struct atls_claims *claims)
{
    struct maker m = {.claims = claims};

    claims->measurements =
        atls_arena_alloc(&claims->arena, MEASUREMENTS, sizeof *claims->measurements);
    m.digests = atls_arena_alloc(&claims->arena, MEASUREMENTS, sizeof *m.digests);
    if (claims->measurements == NULL || m.digests == NULL)
        return false;
    if (by_signer) {
        add_signer(&m, r);
        add_digest(&m, "mrenclave", r->mr_enclave);
        claims->optional_count = 1;
    } else {
        add_digest(&m, "mrenclave", r->mr_enclave);
        add_signer(&m, r);
        claims->optional_count = MEASUREMENTS - 1;
    }
    return !m.failed;
}

static bool add_details(const struct atls_sgx_result *result, struct atls_claims *claims)
{
    const struct atls_sgx_quote *q = &result->quote;
    const struct atls_sgx_report *r = &q->report;

    return atls_dcap_add_platform(&result->platform, claims) &&
           atls_claims_add_uint(claims, "quote-version", q->dcap.version) &&
           atls_claims_add_bool(claims, "debug", (q->flags & ATLS_SGX_ATTRIBUTE_DEBUG) != 0) &&
           atls_claims_add_uint(claims, "attributes", q->flags) &&
           atls_claims_add_uint(claims, "xfrm", q->xfrm) &&
           atls_claims_add_uint(claims, "misc-select", q->misc_select) &&
           atls_claims_add_uint(claims, "isv-prod-id", r->isv_prod_id) &&
           atls_claims_add_uint(claims, "isv-svn", r->isv_svn) &&
           atls_claims_add_bytes(claims, "cpu-svn", r->cpu_svn) &&
           atls_claims_add_bytes(claims, "config-id", r->config_id) &&
           atls_claims_add_uint(claims, "config-svn", r->config_svn);
}

enum atls_code atls_sgx_make_claims(const struct atls_sgx_check *check,
                                    const struct atls_sgx_result *result, struct atls_bytes spki,
                                    struct atls_claims *out, struct atls_err *err)
{
    const bool by_signer = check->rules != NULL && check->rules->by_signer;
    const struct atls_dcap_speaker speaker = {&check->sources, &result->platform, spki, CLASS_UUID};
    struct atls_claims claims = atls_claims_init(&atls_technology_sgx);
    enum atls_code code = atls_dcap_identify(&speaker, &claims, err);

    if (code == ATLS_OK && (!add_measurements(&result->quote.report, by_signer, &claims) ||
                            !add_details(result, &claims)))
        code = atls_fail(err, ATLS_E_NOMEM, "SGX: out of memory");
    if (code != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    claims.hardware_advisory = result->platform.tcb.status != ATLS_TDX_UP_TO_DATE;
    *out = claims;
    return ATLS_OK;
}
