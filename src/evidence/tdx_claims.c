/* What a verified TDX quote says, as claims. */
#include <string.h>

#include "core/err.h"
#include "evidence/claims.h"
#include "evidence/tdx.h"

#define MEASUREMENTS 9
#define OPTIONAL     4 /* the last ones */

/* Class of trust domains below a root that names no class: a2b07d94-54f2-4ab4-9bdf-856e7d832ab8 */
static const uint8_t CLASS_UUID[16] = {0xa2, 0xb0, 0x7d, 0x94, 0x54, 0xf2, 0x4a, 0xb4,
                                       0x9b, 0xdf, 0x85, 0x6e, 0x7d, 0x83, 0x2a, 0xb8};

static enum atls_code no_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "TDX: out of memory");
}

/* ---- measurements ---- */

static bool add_measurements(const struct atls_tdx_body *b, struct atls_claims *claims)
{
    const struct {
        const char *name;
        struct atls_bytes value;
    } rows[MEASUREMENTS] = {
        {"mrtd", b->mr_td},
        {"rtmr0", b->rtmr[0]},
        {"rtmr1", b->rtmr[1]},
        {"rtmr2", b->rtmr[2]},
        {"rtmr3", b->rtmr[3]},
        {"mrseam", b->mr_seam},
        {"mrconfigid", b->mr_config_id},
        {"mrowner", b->mr_owner},
        {"mrownerconfig", b->mr_owner_config},
    };
    struct atls_measurement *list = atls_arena_alloc(&claims->arena, MEASUREMENTS, sizeof *list);
    struct atls_digest *digests = atls_arena_alloc(&claims->arena, MEASUREMENTS, sizeof *digests);

    if (list == NULL || digests == NULL)
        return false;
    for (size_t i = 0; i < MEASUREMENTS; i++) {
        list[i].mkey.kind = ATLS_MKEY_TEXT;
        list[i].mkey.bytes = atls_bytes_of(rows[i].name, strlen(rows[i].name));
        list[i].mval.digests = &digests[i];
        if (!atls_claims_add_digest(claims, &list[i], ATLS_HASH_SHA384, rows[i].value))
            return false;
    }
    claims->measurements = list;
    claims->measurement_count = MEASUREMENTS;
    claims->optional_count = OPTIONAL;
    return true;
}

/* ---- details ---- */

static bool add_details(const struct atls_tdx_result *r, struct atls_claims *claims)
{
    const struct atls_tdx_body *b = &r->quote.body;

    return (r->platform.pck == NULL || atls_dcap_add_platform(&r->platform, claims)) &&
           atls_claims_add_uint(claims, "quote-version", r->quote.dcap.version) &&
           atls_claims_add_bool(claims, "debug",
                                (b->td_attributes & ATLS_TDX_ATTRIBUTE_DEBUG) != 0) &&
           atls_claims_add_uint(claims, "td-attributes", b->td_attributes) &&
           atls_claims_add_uint(claims, "xfam", b->xfam) &&
           atls_claims_add_bytes(claims, "tee-tcb-svn", b->tcb_svn) &&
           (!b->is_15 || (atls_claims_add_bytes(claims, "tee-tcb-svn2", b->tcb_svn2) &&
                          atls_claims_add_bytes(claims, "mr-service-td", b->mr_service_td))) &&
           (!r->has_event_log || atls_claims_add_uint(claims, "event-log-events", r->events));
}

enum atls_code atls_tdx_make_claims(const struct atls_technology *technology,
                                    const struct atls_tdx_check *check,
                                    const struct atls_tdx_result *result, struct atls_bytes spki,
                                    struct atls_claims *out, struct atls_err *err)
{
    struct atls_claims claims = atls_claims_init(technology);
    const struct atls_dcap_speaker speaker = {
        &check->sources, result->platform.pck != NULL ? &result->platform : NULL, spki, CLASS_UUID};
    enum atls_code code = atls_dcap_identify(&speaker, &claims, err);

    if (code == ATLS_OK &&
        (!add_measurements(&result->quote.body, &claims) || !add_details(result, &claims)))
        code = no_memory(err);
    if (code != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    claims.hardware_advisory =
        result->platform.pck != NULL && result->platform.tcb.status != ATLS_TDX_UP_TO_DATE;
    *out = claims;
    return ATLS_OK;
}
