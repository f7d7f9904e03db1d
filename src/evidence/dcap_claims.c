/* What a verified platform says of itself, as claims of SGX and TDX. */
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "evidence/claims.h"
#include "evidence/dcap.h"
#include "wire/cbor.h"

#define DATE_LEN sizeof "2024-03-13"
/* Of the levels of platform, module and enclave, with commas. */
#define ADVISORIES_MAX (3 * ATLS_TDX_ADVISORIES_MAX * (ATLS_TDX_ADVISORY_LEN + 1))

#define UUID_LEN 16

static enum atls_code no_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "quote: out of memory");
}

/* ---- who ---- */

static enum atls_code default_class(const struct atls_dcap_speaker *s, struct atls_attest_key *out,
                                    struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(32);

    atls_cbor_put_tag(&w, ATLS_TAG_UUID);
    atls_cbor_put_bytes(&w, atls_bytes_of(s->class_uuid, UUID_LEN));
    return atls_writer_finish(&w, &out->class_id, err);
}

/* The class that an operator gave the root comes first. */
static enum atls_code find_class(const struct atls_dcap_speaker *s, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    const struct atls_endorsement_source *source = s->sources->source;
    struct atls_bytes root;
    enum atls_code code;

    if (s->platform == NULL || source == NULL || source->anchor_class == NULL)
        return default_class(s, out, err);
    root = atls_certificate_der(atls_pck_chain_of(s->platform->pck)->root);
    code = source->anchor_class(source->arg, root, out, err);
    if (code != ATLS_E_NOT_FOUND)
        return code;
    atls_err_clear(err);
    return default_class(s, out, err);
}

enum atls_code atls_dcap_identify(const struct atls_dcap_speaker *s, struct atls_claims *claims,
                                  struct atls_err *err)
{
    const struct atls_pck *pck = s->platform != NULL ? s->platform->pck : NULL;
    struct atls_attest_key class = {0};
    enum atls_code code = find_class(s, &class, err);

    if (code == ATLS_OK && s->platform != NULL) {
        claims->key_trust = ATLS_KEY_TRUST_CERTIFIED;
        code = atls_claims_identify(claims, atls_pck_ueid(pck), &class, s->spki, err);
        if (code == ATLS_OK && !atls_arena_copy(&claims->arena, atls_key_spki(atls_pck_key(pck)),
                                                &claims->signer_spki))
            code = no_memory(err);
    } else if (code == ATLS_OK) {
        if (!atls_arena_copy(&claims->arena, atls_buf_bytes(&class.class_id),
                             &claims->environment.class_id) ||
            !atls_arena_copy(&claims->arena, s->spki, &claims->key_spki))
            code = no_memory(err);
    }
    atls_attest_key_clear(&class);
    return code;
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

bool atls_dcap_add_platform(const struct atls_dcap_platform *p, struct atls_claims *claims)
{
    const struct atls_pck_facts *facts = atls_pck_facts_of(p->pck);

    return atls_claims_add_string(claims, "tcb-status", atls_tdx_status_name(p->tcb.status)) &&
           add_advisories(&p->tcb, claims) && add_date(claims, "tcb-date", p->tcb.date_s) &&
           atls_claims_add_uint(claims, "tcb-evaluation-number",
                                atls_tdx_tcb_info_of(&p->documents)->evaluation_number) &&
           atls_claims_add_bytes(claims, "fmspc",
                                 atls_bytes_of(facts->fmspc, sizeof facts->fmspc)) &&
           atls_claims_add_bytes(claims, "ppid", atls_bytes_of(facts->ppid, sizeof facts->ppid)) &&
           (!facts->has_instance ||
            atls_claims_add_bytes(claims, "platform-instance-id",
                                  atls_bytes_of(facts->instance, sizeof facts->instance)));
}
