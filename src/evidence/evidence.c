#include "evidence/evidence.h"

#include "core/err.h"
#include "core/log.h"
#include "evidence/claims.h"

#define TREE_MAX (64 * 1024) /* of the decoded CMW; its strings stay in the evidence */

const struct atls_technology *const atls_technologies[] = {
    &atls_technology_tpm,
    &atls_technology_soft,
    NULL,
};

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

static const struct atls_technology *find_technology(const struct atls_cmw *pat)
{
    for (size_t i = 0; atls_technologies[i] != NULL; i++)
        if (atls_cmw_type_is(&pat->type, atls_technologies[i]->pat_type))
            return atls_technologies[i];
    return NULL;
}

static enum atls_code pick_technology(const struct atls_bundle *bundle,
                                      const struct atls_technology **out, struct atls_err *err)
{
    const struct atls_technology *technology = find_technology(&bundle->pat);

    if (technology == NULL)
        return unknown_type("pat", &bundle->pat, err);
    if (!atls_cmw_type_is(&bundle->kat.type, technology->kat_type))
        return unknown_type("kat", &bundle->kat, err);
    *out = technology;
    return ATLS_OK;
}

/* The bundle's tree lives in arena, also on failure the caller's to clear. */
static enum atls_code open_bundle(struct atls_bytes evidence, struct atls_arena *arena,
                                  struct atls_bundle *out,
                                  const struct atls_technology **technology, struct atls_err *err)
{
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_decode(evidence, arena, &cmw, err)) != ATLS_OK ||
        (code = atls_bundle_open(&cmw, out, err)) != ATLS_OK)
        return code;
    return pick_technology(out, technology, err);
}

/* Decoders do not all name the reason that their code implies. */
static enum atls_code name_malformed(enum atls_code code, struct atls_err *err)
{
    if (code == ATLS_E_DECODE && err->reason == ATLS_REASON_NONE)
        err->reason = ATLS_REASON_MALFORMED;
    return code;
}

enum atls_code atls_evidence_identify(struct atls_bytes evidence,
                                      const struct atls_technology **out, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct atls_bundle bundle;
    enum atls_code code = open_bundle(evidence, &arena, &bundle, out, e);

    atls_arena_clear(&arena);
    return name_malformed(code, e);
}

static enum atls_code verify_bundle(const struct atls_bundle *bundle,
                                    const struct atls_technology *technology,
                                    const struct atls_evidence_request *request,
                                    struct atls_claims *out, struct atls_err *err)
{
    if (technology->insecure && !atls_evidence_options_of(request)->allow_insecure_technology)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_INSECURE_TECHNOLOGY,
                                "evidence of technology \"%s\" can be made by anyone and is not "
                                "allowed",
                                technology->name);
    return technology->verify(bundle, request, out, err);
}

enum atls_code atls_evidence_verify(const struct atls_evidence_request *request,
                                    struct atls_claims *out, struct atls_err *err)
{
    struct atls_err local = ATLS_ERR_INIT, *e = err != NULL ? err : &local;
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    const struct atls_technology *technology = NULL;
    struct atls_bundle bundle;
    enum atls_code code;

    if (request->binder.len != 32 && request->binder.len != 48)
        return atls_fail_reason(e, ATLS_E_USAGE, ATLS_REASON_BINDER_MISSING,
                                "expected binder has %zu bytes, want 32 or 48",
                                request->binder.len);
    if ((request->aik_spki.len == 0) != (request->scope == ATLS_EVIDENCE_KEY_UNKNOWN))
        return atls_fail(e, ATLS_E_USAGE,
                         request->aik_spki.len == 0 ? "no key that the evidence is to name"
                                                    : "a key that this scope does not compare");
    code = open_bundle(request->evidence, &arena, &bundle, &technology, e);
    if (code == ATLS_OK)
        code = verify_bundle(&bundle, technology, request, out, e);
    atls_arena_clear(&arena);
    return name_malformed(code, e);
}
