#include "evidence/evidence.h"

#include "core/err.h"
#include "core/log.h"
#include "evidence/claims.h"

#define TREE_MAX (64 * 1024) /* of the decoded CMW; its strings stay in the evidence */

const struct atls_technology *const atls_technologies[] = {
    &atls_technology_tpm, &atls_technology_snp, &atls_technology_tdx,  &atls_technology_sgx,
    &atls_technology_cca, &atls_technology_psa, &atls_technology_soft, NULL,
};

const char *atls_technology_name(struct atls_bytes name)
{
    for (const struct atls_technology *const *t = atls_technologies; *t != NULL; t++)
        if (atls_bytes_equal_text(name, (*t)->name))
            return (*t)->name;
    return NULL;
}

static enum atls_code unknown_type(const char *half, const struct atls_cmw *cmw,
                                   struct atls_err *err)
{
    char text[64];

    if (!cmw->type.is_text)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "bundle: %s has content-format %u, which does not select evidence "
                                "that we know",
                                half, (unsigned)cmw->type.content_format);
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                            "bundle: %s has type \"%s\", which does not select evidence that we "
                            "know",
                            half, atls_escape(cmw->type.text, text, sizeof text));
}

/* Evidence opened as far as its shape: which row judges it, and in which form it came. */
struct opened {
    struct atls_bundle bundle;
    const struct atls_technology *technology;
    const struct atls_evidence_format *format;
};

/* The form of technology t that the two media types select. */
static const struct atls_evidence_format *
find_format(const struct atls_technology *t, const struct atls_bundle *bundle, bool is_bundle)
{
    for (const struct atls_evidence_format *f = t->formats; f->pat_type != NULL; f++)
        if ((f->kat_type != NULL) == is_bundle &&
            atls_cmw_type_is(&bundle->pat.type, f->pat_type) &&
            (!is_bundle || atls_cmw_type_is(&bundle->kat.type, f->kat_type)) &&
            (f->recognises == NULL || f->recognises(bundle->pat.value)))
            return f;
    return NULL;
}

/* True when some technology has this type for its platform token: then the other half is at fault.
 */
static bool is_pat_type(const struct atls_cmw_type *type)
{
    for (size_t i = 0; atls_technologies[i] != NULL; i++)
        for (const struct atls_evidence_format *f = atls_technologies[i]->formats;
             f->pat_type != NULL; f++)
            if (f->kat_type != NULL && atls_cmw_type_is(type, f->pat_type))
                return true;
    return false;
}

static enum atls_code pick_format(struct opened *o, bool is_bundle, struct atls_err *err)
{
    for (size_t i = 0; atls_technologies[i] != NULL; i++) {
        o->technology = atls_technologies[i];
        if ((o->format = find_format(o->technology, &o->bundle, is_bundle)) != NULL)
            return ATLS_OK;
    }
    if (!is_bundle)
        return unknown_type("record", &o->bundle.pat, err);
    if (is_pat_type(&o->bundle.pat.type))
        return unknown_type("kat", &o->bundle.kat, err);
    return unknown_type("pat", &o->bundle.pat, err);
}

/* One record is the platform token alone; a collection is our bundle. The tree lives in arena, also
 * on failure the caller's to clear. */
static enum atls_code open_evidence(struct atls_bytes evidence, struct atls_arena *arena,
                                    struct opened *out, struct atls_err *err)
{
    struct opened o = {.technology = NULL};
    bool is_bundle;
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_decode(evidence, arena, &cmw, err)) != ATLS_OK)
        return code;
    is_bundle = cmw.kind != ATLS_CMW_RECORD;
    if (!is_bundle)
        o.bundle.pat = cmw;
    else if ((code = atls_bundle_open(&cmw, &o.bundle, err)) != ATLS_OK)
        return code;
    if ((code = pick_format(&o, is_bundle, err)) == ATLS_OK)
        *out = o;
    return code;
}

/* Decoders do not all name the reason that their code implies. */
static enum atls_code name_malformed(enum atls_code code, struct atls_err *err)
{
    if (code == ATLS_E_DECODE && err->reason == ATLS_REASON_NONE)
        err->reason = ATLS_REASON_MALFORMED;
    return code;
}

enum atls_code atls_evidence_identify(struct atls_bytes evidence,
                                      const struct atls_technology **out,
                                      const struct atls_evidence_format **out_format,
                                      struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct opened opened;
    enum atls_code code = open_evidence(evidence, &arena, &opened, e);

    if (code == ATLS_OK) {
        *out = opened.technology;
        if (out_format != NULL)
            *out_format = opened.format;
    }
    atls_arena_clear(&arena);
    return name_malformed(code, e);
}

/* Forms that are not of our making take the nonce as others' clients give it. */
static bool takes_any_nonce(const struct atls_evidence_request *request,
                            const struct atls_evidence_format *format)
{
    return request->scope == ATLS_EVIDENCE_KEY_UNKNOWN &&
           (format->profile == ATLS_PROFILE_BARE || format->profile == ATLS_PROFILE_PARSEC);
}

static unsigned int accepted_profiles(const struct atls_evidence_request *request)
{
    static const unsigned int ours = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH;

    if (request->profiles != 0)
        return request->profiles;
    return request->scope == ATLS_EVIDENCE_KEY_UNKNOWN
               ? ours | ATLS_PROFILE_BARE | ATLS_PROFILE_PARSEC
               : ours;
}

static enum atls_code check_profile(const struct atls_evidence_request *request,
                                    const struct opened *o, struct atls_err *err)
{
    if ((accepted_profiles(request) & o->format->profile) == 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_EVIDENCE_PROFILE,
                                "\"%s\" evidence has profile %s, which is not accepted here",
                                o->technology->name,
                                atls_evidence_profile_name(o->format->profile));
    if (o->format->profile == ATLS_PROFILE_RATLS && request->scope != ATLS_EVIDENCE_COMPLETE)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_EVIDENCE_PROFILE,
                                "\"%s\" evidence has profile ra-tls, which a Verifier elsewhere "
                                "cannot judge: it does not see the certificate",
                                o->technology->name);
    if (!takes_any_nonce(request, o->format) && request->binder.len != 32 &&
        request->binder.len != 48)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH,
                                "nonce of %zu bytes, evidence of this form answers 32 or 48",
                                request->binder.len);
    if (!o->technology->insecure || atls_evidence_options_of(request)->allow_insecure_technology)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_INSECURE_TECHNOLOGY,
                            "evidence of technology \"%s\" can be made by anyone and is not "
                            "allowed",
                            o->technology->name);
}

static enum atls_code verify_opened(const struct opened *o,
                                    const struct atls_evidence_request *request,
                                    struct atls_claims *out, struct atls_err *err)
{
    enum atls_code code = check_profile(request, o, err);

    if (code != ATLS_OK)
        return code;
    return o->format->verify != NULL ? o->format->verify(&o->bundle, request, out, err)
                                     : o->technology->verify(&o->bundle, request, out, err);
}

/* A Relying Party always knows its binder and the key; a Verifier that serves others knows a nonce.
 */
static enum atls_code check_request(const struct atls_evidence_request *request,
                                    struct atls_err *err)
{
    const bool serves_others = request->scope == ATLS_EVIDENCE_KEY_UNKNOWN;

    if (serves_others ? request->binder.len < 8 || request->binder.len > 64
                      : request->binder.len != 32 && request->binder.len != 48)
        return atls_fail_reason(err, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                                "expected binder has %zu bytes, want 32 or 48",
                                request->binder.len);
    if ((request->aik_spki.len == 0) != serves_others)
        return atls_fail(err, ATLS_E_USAGE,
                         request->aik_spki.len == 0 ? "no key that the evidence is to name"
                                                    : "a key that this scope does not compare");
    return ATLS_OK;
}

enum atls_code atls_evidence_verify(const struct atls_evidence_request *request,
                                    struct atls_claims *out, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct opened opened;
    enum atls_code code;

    if ((code = check_request(request, e)) != ATLS_OK)
        return code;
    code = open_evidence(request->evidence, &arena, &opened, e);
    if (code == ATLS_OK)
        code = verify_opened(&opened, request, out, e);
    atls_arena_clear(&arena);
    return name_malformed(code, e);
}
