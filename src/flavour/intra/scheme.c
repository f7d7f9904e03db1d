#include "flavour/intra/scheme.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"
#include "evidence/evidence.h"

#define TEXT_MAX 384 /* media type, parameters, 255 bytes of technology */

/* In the order in which an attester picks. */
static const enum atls_evidence_profile profiles[] = {ATLS_PROFILE_BATCH, ATLS_PROFILE_KAT,
                                                      ATLS_PROFILE_BARE, ATLS_PROFILE_PARSEC};

static bool is_bundle(enum atls_evidence_profile profile)
{
    return profile == ATLS_PROFILE_BATCH || profile == ATLS_PROFILE_KAT;
}

/* ---- lists ---- */

static bool is_same(const struct atls_intra_scheme *a, const struct atls_intra_scheme *b)
{
    return a->profile == b->profile && atls_bytes_equal(a->name, b->name) &&
           (a->record_type == NULL) == (b->record_type == NULL) &&
           (a->record_type == NULL || strcmp(a->record_type, b->record_type) == 0);
}

static enum atls_code add(struct atls_intra_schemes *to, const struct atls_intra_scheme *scheme,
                          struct atls_err *err)
{
    for (size_t i = 0; i < to->count; i++)
        if (is_same(&to->list[i], scheme)) /* technologies share types of records */
            return ATLS_OK;
    if (to->count == ATLS_EARLY_SCHEMES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "remoteAttestation: more than %d schemes to offer",
                         ATLS_EARLY_SCHEMES_MAX);
    to->list[to->count++] = *scheme;
    return ATLS_OK;
}

static const struct atls_technology *technology_of(struct atls_bytes name)
{
    for (const struct atls_technology *const *t = atls_technologies; *t != NULL; t++)
        if (atls_bytes_equal_text(name, (*t)->name))
            return *t;
    return NULL;
}

/* The types of record that evidence of a technology has in a profile. */
static enum atls_code add_records(struct atls_intra_schemes *to, const struct atls_technology *t,
                                  enum atls_evidence_profile profile, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    if (t == NULL)
        return ATLS_OK;
    for (const struct atls_evidence_format *f = t->formats; code == ATLS_OK && f->pat_type != NULL;
         f++) {
        const struct atls_intra_scheme scheme = {.profile = profile, .record_type = f->pat_type};

        if (f->profile == profile && f->kat_type == NULL)
            code = add(to, &scheme, err);
    }
    return code;
}

static enum atls_code add_evidence(struct atls_intra_schemes *to, struct atls_bytes technology,
                                   unsigned int of, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; code == ATLS_OK && i < sizeof profiles / sizeof profiles[0]; i++) {
        const struct atls_intra_scheme bundle = {.profile = profiles[i], .name = technology};

        if ((of & profiles[i]) == 0)
            continue;
        code = is_bundle(profiles[i])
                   ? add(to, &bundle, err)
                   : add_records(to, technology_of(technology), profiles[i], err);
    }
    return code;
}

static enum atls_code add_all_evidence(struct atls_intra_schemes *to, struct atls_bytes names,
                                       unsigned int of, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;
    struct atls_bytes name;

    while (code == ATLS_OK && atls_names_next(&names, &name))
        code = add_evidence(to, name, of, err);
    return code;
}

static enum atls_code add_result(struct atls_intra_schemes *to, const char *verifier,
                                 struct atls_err *err)
{
    const struct atls_intra_scheme scheme = {.name = atls_bytes_of(verifier, strlen(verifier))};

    return add(to, &scheme, err);
}

enum atls_code atls_intra_schemes_own(const struct atls_config *config,
                                      struct atls_intra_schemes *out, struct atls_err *err)
{
    struct atls_attester *attester = config->options.attester;
    enum atls_code code = ATLS_OK;

    out->count = 0;
    if (attester == NULL)
        return ATLS_OK;
    if (config->passport_verifier != NULL)
        code = add_result(out, config->passport_verifier, err);
    if (code == ATLS_OK)
        code = add_all_evidence(out, atls_config_names(config, ATLS_NAMES_EVIDENCE_OFFERED),
                                atls_attester_profiles(attester), err);
    return code;
}

enum atls_code atls_intra_schemes_peer(const struct atls_config *config,
                                       struct atls_intra_schemes *out, struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    out->count = 0;
    if (!config->options.require_peer)
        return ATLS_OK;
    if (config->accepted_verifier != NULL)
        code = add_result(out, config->accepted_verifier, err);
    if (code == ATLS_OK)
        code = add_all_evidence(out, atls_config_names(config, ATLS_NAMES_EVIDENCE_ACCEPTED),
                                config->profiles, err);
    return code;
}

/* ---- encoded ---- */

/* Media type of evidence; NUL-terminated, in buffer or static. */
static const char *media_type(const struct atls_intra_scheme *scheme, char buffer[TEXT_MAX])
{
    if (scheme->record_type != NULL)
        return scheme->record_type;
    (void)snprintf(buffer, TEXT_MAX, "%s; technology=%.*s; profile=%s", ATLS_TYPE_EVIDENCE,
                   (int)scheme->name.len, (const char *)scheme->name.ptr,
                   atls_evidence_profile_name((enum atls_evidence_profile)scheme->profile));
    return buffer;
}

void atls_intra_schemes_put(struct atls_writer *w, const struct atls_intra_schemes *schemes)
{
    char buffer[TEXT_MAX];

    for (size_t i = 0; i < schemes->count; i++) {
        const struct atls_intra_scheme *s = &schemes->list[i];
        struct atls_early_scheme encoded = {.kind = ATLS_EARLY_RESULT, .text = s->name};

        if (s->profile != 0) {
            const char *text = media_type(s, buffer);

            encoded.kind = ATLS_EARLY_MEDIA_TYPE;
            encoded.text = atls_bytes_of(text, strlen(text));
        }
        atls_early_scheme_put(w, &encoded);
    }
}

static bool means(const struct atls_early_scheme *encoded, const struct atls_intra_scheme *scheme)
{
    const struct atls_cmw_type type = {.is_text = encoded->kind == ATLS_EARLY_MEDIA_TYPE,
                                       .content_format = encoded->content_format,
                                       .text = encoded->text};
    char buffer[TEXT_MAX];

    if (encoded->kind == ATLS_EARLY_RESULT || scheme->profile == 0)
        return encoded->kind == ATLS_EARLY_RESULT && scheme->profile == 0 &&
               atls_bytes_equal(encoded->text, scheme->name);
    return atls_cmw_type_is(&type, media_type(scheme, buffer));
}

const struct atls_intra_scheme *atls_intra_schemes_find(const struct atls_intra_schemes *schemes,
                                                        const struct atls_early_scheme *encoded)
{
    for (size_t i = 0; i < schemes->count; i++)
        if (means(encoded, &schemes->list[i]))
            return &schemes->list[i];
    return NULL;
}

/* ---- the CMW ---- */

static enum atls_code mismatch(const struct atls_intra_scheme *scheme, const char *found,
                               struct atls_err *err)
{
    char buffer[TEXT_MAX];

    if (scheme->profile == 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_SCHEME_MISMATCH,
                                "CMW is %s, the scheme negotiated is a result of \"%.*s\"", found,
                                (int)scheme->name.len, (const char *)scheme->name.ptr);
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_SCHEME_MISMATCH,
                            "CMW is %s, the scheme negotiated is %s", found,
                            media_type(scheme, buffer));
}

static bool is_of(const struct atls_intra_scheme *scheme, const struct atls_technology *technology,
                  const struct atls_evidence_format *format)
{
    if (scheme->profile != format->profile) /* results have none */
        return false;
    if (scheme->record_type != NULL)
        return format->kat_type == NULL && strcmp(scheme->record_type, format->pat_type) == 0;
    return atls_bytes_equal_text(scheme->name, technology->name);
}

enum atls_code atls_intra_scheme_check(const struct atls_intra_scheme *scheme,
                                       struct atls_bytes cmw, struct atls_err *err)
{
    const bool known = scheme->record_type != NULL ||
                       (scheme->profile != 0 && technology_of(scheme->name) != NULL);
    const struct atls_evidence_format *format;
    const struct atls_technology *technology;
    enum atls_code code = atls_evidence_identify(cmw, &technology, &format, err);
    char found[96];

    if (code == ATLS_OK) {
        if (is_of(scheme, technology, format))
            return ATLS_OK;
        (void)snprintf(found, sizeof found, "\"%s\" evidence in profile %s", technology->name,
                       atls_evidence_profile_name(format->profile));
        return mismatch(scheme, found, err);
    }
    if (code == ATLS_E_NOMEM || (known && code != ATLS_E_UNSUPPORTED))
        return code;
    if (known)
        return mismatch(scheme, "no evidence that we know", err);
    atls_err_clear(err);
    return ATLS_OK;
}
