#include "verifier/remote/carried_result.h"

#include <stdio.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/log.h"
#include "verifier/ear/accept.h"

#define TREE_MAX (16 * 1024)
#define TYPE_MAX 256

static const struct {
    const char *media_type;
    enum atls_ear_form form;
} types[] = {
    {"application/eat+jwt", ATLS_EAR_FORM_JWT},
    {"application/eat+cwt", ATLS_EAR_FORM_CWT},
    {"application/eat-jwt", ATLS_EAR_FORM_JWT},
    {"application/eat-cwt", ATLS_EAR_FORM_CWT},
};

static enum atls_code open_record(const struct atls_cmw *cmw, struct atls_carried_result *out,
                                  struct atls_err *err)
{
    char text[64];

    if (cmw->kind == ATLS_CMW_COLLECTION)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "passport: a collection, want one attestation result");
    if (cmw->ind != 0 && (cmw->ind & ATLS_CMW_ATTESTATION_RESULTS) == 0)
        return atls_fail_reason(
            err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
            "passport: ind of the record is %u, want bit 8, attestation results",
            (unsigned)cmw->ind);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (atls_cmw_type_is(&cmw->type, types[i].media_type)) {
            *out = (struct atls_carried_result){cmw->value, types[i].form, cmw->type};
            return ATLS_OK;
        }
    if (!cmw->type.is_text)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "passport: content-format %u, want an attestation result",
                                (unsigned)cmw->type.content_format);
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                            "passport: type \"%s\", want an attestation result",
                            atls_escape(cmw->type.text, text, sizeof text));
}

enum atls_code atls_carried_result_open(struct atls_bytes in, struct atls_carried_result *out,
                                        struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    struct atls_cmw cmw;
    enum atls_code code = atls_cmw_decode(in, &arena, &cmw, err);

    /* Views of a record point into in, not into the tree. */
    if (code == ATLS_OK)
        code = open_record(&cmw, out, err);
    atls_arena_clear(&arena);
    return code;
}

static const char *type_name(enum atls_ear_form form)
{
    return form == ATLS_EAR_FORM_CWT ? "application/eat+cwt" : "application/eat+jwt";
}

/* Content-Type with the profile; false when it does not fit, or a quoted-string cannot hold it. */
static bool put_type(const char *media_type, struct atls_bytes profile, char out[static TYPE_MAX])
{
    int len;

    for (size_t i = 0; i < profile.len; i++)
        if (profile.ptr[i] < 0x20 || profile.ptr[i] > 0x7e || profile.ptr[i] == '"' ||
            profile.ptr[i] == '\\')
            return false;
    len = snprintf(out, TYPE_MAX, "%s; eat_profile=\"%.*s\"", media_type, (int)profile.len,
                   (const char *)profile.ptr);
    return len > 0 && len < TYPE_MAX;
}

enum atls_code atls_carried_result_check(const struct atls_carried_result *carried,
                                         const struct atls_ear *ear, struct atls_err *err)
{
    char wanted[TYPE_MAX];
    bool equal = false;

    if (atls_ear_form_of(carried->token) != carried->form)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "passport: the type says %s, the token is none",
                                type_name(carried->form));
    if (!atls_cmw_type_has(&carried->type, "eat_profile"))
        return ATLS_OK;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (put_type(types[i].media_type, ear->profile, wanted))
            equal = equal || atls_cmw_type_is(&carried->type, wanted);
    if (equal)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "passport: eat_profile of the type is not that of the token");
}

enum atls_code atls_carried_result_encode(struct atls_bytes token, const struct atls_ear *ear,
                                          struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    const char *type = type_name(atls_ear_form_of(token));
    char full[TYPE_MAX];
    struct atls_cmw record = atls_cmw_record(put_type(type, ear->profile, full) ? full : type,
                                             token, ATLS_CMW_ATTESTATION_RESULTS);
    enum atls_code code = atls_cmw_encode(&record, &w, err);

    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}
