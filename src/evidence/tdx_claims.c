/* What a verified TDX quote says, as claims. */
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "evidence/claims.h"
#include "evidence/tdx.h"
#include "wire/cbor.h"

#define MEASUREMENTS 9
#define OPTIONAL     4 /* the last ones */
#define DATE_LEN     sizeof "2024-03-13"
/* Of the levels of platform, module and enclave, with commas. */
#define ADVISORIES_MAX (3 * ATLS_TDX_ADVISORIES_MAX * (ATLS_TDX_ADVISORY_LEN + 1))

/* Class of trust domains below a root that names no class: a2b07d94-54f2-4ab4-9bdf-856e7d832ab8 */
static const uint8_t CLASS_UUID[16] = {0xa2, 0xb0, 0x7d, 0x94, 0x54, 0xf2, 0x4a, 0xb4,
                                       0x9b, 0xdf, 0x85, 0x6e, 0x7d, 0x83, 0x2a, 0xb8};

static enum atls_code no_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "TDX: out of memory");
}

/* ---- who ---- */

static enum atls_code default_class(struct atls_attest_key *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(32);

    atls_cbor_put_tag(&w, ATLS_TAG_UUID);
    atls_cbor_put_bytes(&w, atls_bytes_of(CLASS_UUID, sizeof CLASS_UUID));
    return atls_writer_finish(&w, &out->class_id, err);
}

/* The class that an operator gave the root comes first. */
static enum atls_code find_class(const struct atls_tdx_check *check,
                                 const struct atls_tdx_result *r, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    const struct atls_endorsement_source *source = check->sources.source;
    struct atls_bytes root;
    enum atls_code code;

    if (r->pck == NULL || source == NULL || source->anchor_class == NULL)
        return default_class(out, err);
    root = atls_certificate_der(atls_pck_chain_of(r->pck)->root);
    code = source->anchor_class(source->arg, root, out, err);
    if (code != ATLS_E_NOT_FOUND)
        return code;
    atls_err_clear(err);
    return default_class(out, err);
}

static enum atls_code identify(const struct atls_tdx_check *check, const struct atls_tdx_result *r,
                               struct atls_bytes spki, struct atls_claims *claims,
                               struct atls_err *err)
{
    struct atls_attest_key class = {0};
    enum atls_code code = find_class(check, r, &class, err);

    if (code == ATLS_OK && r->pck != NULL) {
        claims->key_trust = ATLS_KEY_TRUST_CERTIFIED;
        code = atls_claims_identify(claims, atls_pck_ueid(r->pck), &class, spki, err);
        if (code == ATLS_OK && !atls_arena_copy(&claims->arena, atls_key_spki(atls_pck_key(r->pck)),
                                                &claims->signer_spki))
            code = no_memory(err);
    } else if (code == ATLS_OK) {
        if (!atls_arena_copy(&claims->arena, atls_buf_bytes(&class.class_id),
                             &claims->environment.class_id) ||
            !atls_arena_copy(&claims->arena, spki, &claims->key_spki))
            code = no_memory(err);
    }
    atls_attest_key_clear(&class);
    return code;
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

static bool add_date(struct atls_claims *claims, const char *name, int64_t time_s)
{
    const time_t t = (time_t)time_s;
    char text[DATE_LEN];
    struct tm tm;

    return gmtime_r(&t, &tm) != NULL && strftime(text, sizeof text, "%Y-%m-%d", &tm) != 0 &&
           atls_claims_add_string(claims, name, text);
}

/* True when a level before this one, or an entry before this one, has the advisory already. */
static bool is_repeated(const struct atls_tdx_tcb_status *tcb, size_t level, size_t entry)
{
    const struct atls_bytes advisory = tcb->levels[level]->advisories[entry];

    for (size_t i = 0; i <= level; i++)
        for (size_t k = 0; k < (i < level ? tcb->levels[i]->advisory_count : entry); k++)
            if (atls_bytes_equal(tcb->levels[i]->advisories[k], advisory))
                return true;
    return false;
}

static bool add_advisories(const struct atls_tdx_tcb_status *tcb, struct atls_claims *claims)
{
    struct atls_writer w = atls_writer_init(ADVISORIES_MAX);
    bool ok = true;

    for (size_t i = 0; i < tcb->level_count; i++)
        for (size_t k = 0; k < tcb->levels[i]->advisory_count; k++) {
            if (is_repeated(tcb, i, k))
                continue;
            if (w.len != 0)
                atls_put_u8(&w, ',');
            atls_put_bytes(&w, tcb->levels[i]->advisories[k]);
        }
    if (w.failed != ATLS_OK)
        ok = false;
    else if (w.len != 0)
        ok = atls_claims_add_text(claims, "advisory-ids", atls_writer_bytes(&w));
    atls_writer_clear(&w);
    return ok;
}

static bool add_platform(const struct atls_tdx_result *r, struct atls_claims *claims)
{
    const struct atls_pck_facts *facts = atls_pck_facts_of(r->pck);

    return atls_claims_add_string(claims, "tcb-status", atls_tdx_status_name(r->tcb.status)) &&
           add_advisories(&r->tcb, claims) && add_date(claims, "tcb-date", r->tcb.date_s) &&
           atls_claims_add_uint(claims, "tcb-evaluation-number",
                                atls_tdx_tcb_info_of(&r->documents)->evaluation_number) &&
           atls_claims_add_bytes(claims, "fmspc",
                                 atls_bytes_of(facts->fmspc, sizeof facts->fmspc)) &&
           atls_claims_add_bytes(claims, "ppid", atls_bytes_of(facts->ppid, sizeof facts->ppid)) &&
           (!facts->has_instance ||
            atls_claims_add_bytes(claims, "platform-instance-id",
                                  atls_bytes_of(facts->instance, sizeof facts->instance)));
}

static bool add_details(const struct atls_tdx_result *r, struct atls_claims *claims)
{
    const struct atls_tdx_body *b = &r->quote.body;

    return (r->pck == NULL || add_platform(r, claims)) &&
           atls_claims_add_uint(claims, "quote-version", r->quote.version) &&
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
    enum atls_code code = identify(check, result, spki, &claims, err);

    if (code == ATLS_OK &&
        (!add_measurements(&result->quote.body, &claims) || !add_details(result, &claims)))
        code = no_memory(err);
    if (code != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    claims.hardware_advisory = result->pck != NULL && result->tcb.status != ATLS_TDX_UP_TO_DATE;
    *out = claims;
    return ATLS_OK;
}
