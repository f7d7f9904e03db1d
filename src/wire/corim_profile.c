#include "wire/corim_profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/corim_rules.h"
#include "wire/kat.h"

static const char *const psa_uris[] = {"tag:arm.com,2025:psa#1.0.0", ATLS_CORIM_OLD_PSA_PROFILE,
                                       NULL};
static const char *const cca_platform_uris[] = {"tag:arm.com,2025:cca_platform#1.0.0",
                                                "http://arm.com/cca/ssd/1", NULL};
static const char *const cca_realm_uris[] = {"tag:arm.com,2025:cca_realm#1.0.0",
                                             "http://arm.com/cca/realm/1", NULL};
static const char *const parsec_tpm_uris[] = {ATLS_CORIM_TPM_PROFILE, NULL};
static const char *const parsec_cca_uris[] = {"tag:github.com/parallaxsecond,2023-03-03:cca", NULL};
static const char *const enacttrust_uris[] = {"https://enacttrust.com/veraison/1.0.0", NULL};
static const char *const sev_snp_uris[] = {ATLS_CORIM_SNP_PROFILE, NULL};
static const char *const ark_uris[] = {"https://amd.com/ark", NULL};
static const char *const soft_uris[] = {ATLS_SOFT_PROFILE, NULL};

/* 2.16.840.1.113741.1.16.1 */
static const uint8_t tdx_oid[] = {0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x4d, 0x01, 0x10, 0x01};

static const int64_t psa_extensions[] = {100};
static const int64_t tdx_extensions[] = {-70, -71, -72, -73, -77, -80, -81, -82,  -83,
                                         -84, -85, -86, -88, -89, -90, -91, -101, -125};

#define EXTENSIONS(list) list, sizeof(list) / sizeof(list)[0]

/* Row 0: no profile. */
static const struct atls_corim_profile profiles[] = {
    {ATLS_CORIM_SCHEME_NONE, "none", NULL, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_PSA, "PSA", psa_uris, {NULL, 0}, EXTENSIONS(psa_extensions)},
    {ATLS_CORIM_SCHEME_CCA_PLATFORM, "CCA platform", cca_platform_uris, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_CCA_REALM, "CCA realm", cca_realm_uris, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_PARSEC_TPM, "TPM", parsec_tpm_uris, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_PARSEC_CCA, "Parsec CCA", parsec_cca_uris, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_ENACTTRUST_TPM, "EnactTrust TPM", enacttrust_uris, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_SEV_SNP, "SEV-SNP", sev_snp_uris, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_SEV_SNP_ANCHOR, "AMD root key", ark_uris, {NULL, 0}, NULL, 0},
    {ATLS_CORIM_SCHEME_TDX, "TDX", NULL, {tdx_oid, sizeof tdx_oid}, EXTENSIONS(tdx_extensions)},
    {ATLS_CORIM_SCHEME_SOFT, "software", soft_uris, {NULL, 0}, NULL, 0},
};

static bool has_uri(const struct atls_corim_profile *profile, struct atls_bytes uri)
{
    for (const char *const *one = profile->uris; one != NULL && *one != NULL; one++)
        if (atls_bytes_equal_text(uri, *one))
            return true;
    return false;
}

const struct atls_corim_profile *atls_corim_profile_find(struct atls_bytes item)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_bytes content = {NULL, 0};
    uint64_t tag = 0;

    if (item.ptr == NULL)
        return &profiles[0];
    if (!atls_cbor_get_tag(&r, &tag) ||
        !(tag == ATLS_TAG_URI   ? atls_cbor_get_text(&r, &content)
          : tag == ATLS_TAG_OID ? atls_cbor_get_bytes(&r, &content)
                                : false) ||
        !atls_reader_done(&r))
        return NULL;
    for (size_t i = 1; i < sizeof profiles / sizeof profiles[0]; i++)
        if (tag == ATLS_TAG_URI
                ? has_uri(&profiles[i], content)
                : profiles[i].oid.ptr != NULL && atls_bytes_equal(profiles[i].oid, content))
            return &profiles[i];
    return NULL;
}

bool atls_corim_profile_defines(const struct atls_corim_profile *profile, int64_t key)
{
    for (size_t i = 0; i < profile->extension_count; i++)
        if (profile->extensions[i] == key)
            return true;
    return false;
}

bool atls_corim_extension_known(int64_t key)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
        if (atls_corim_profile_defines(&profiles[i], key))
            return true;
    return false;
}

/* ---- the check ---- */

/* Where it is under way. */
struct check {
    const struct atls_corim_profile *profile;
    const struct atls_corim_rules *rules;
    size_t tag;
    const char *triple; /* kind */
    size_t index;       /* of the triple in its list */
};

static enum atls_code broken(const struct check *c, struct atls_err *err, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "CoRIM: tag %zu: %s triple %zu: %s profile: %s", c->tag, c->triple,
                            c->index, c->profile->name, rule);
}

static enum atls_code broken_value(const struct check *c, struct atls_err *err, size_t index,
                                   const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "CoRIM: tag %zu: %s triple %zu: %s profile: measurement %zu: %s",
                            c->tag, c->triple, c->index, c->profile->name, index, rule);
}

/* Members that nobody defines would make the whole value match nothing, without anybody being
 * told: a manifest under a profile is better refused. */
static enum atls_code check_extensions(const struct check *c, const struct atls_measurement *m,
                                       size_t index, struct atls_err *err)
{
    if (c->profile->scheme == ATLS_CORIM_SCHEME_NONE)
        return ATLS_OK;
    for (size_t i = 0; i < m->mval.extension_count; i++)
        if (!atls_corim_profile_defines(c->profile, m->mval.extensions[i].key))
            return atls_fail(
                err, ATLS_E_UNSUPPORTED,
                "CoRIM: tag %zu: %s triple %zu: %s profile: measurement %zu: value %" PRId64
                " is not known",
                c->tag, c->triple, c->index, c->profile->name, index, m->mval.extensions[i].key);
    return ATLS_OK;
}

static enum atls_code check_claims(const struct check *c, const struct atls_measurement *list,
                                   size_t count, struct atls_err *err)
{
    enum atls_code code;
    const char *rule;

    for (size_t i = 0; i < count; i++) {
        if ((code = check_extensions(c, &list[i], i, err)) != ATLS_OK)
            return code;
        if (c->rules->claim != NULL && (rule = c->rules->claim(&list[i])) != NULL)
            return broken_value(c, err, i, rule);
    }
    return ATLS_OK;
}

static enum atls_code check_environment(const struct check *c, const struct atls_environment *e,
                                        struct atls_err *err)
{
    const char *rule = c->rules->class_id == NULL ? NULL : c->rules->class_id(e);

    return rule == NULL ? ATLS_OK : broken(c, err, rule);
}

static enum atls_code check_ect(const struct check *c, const struct atls_corim_ect *ect,
                                struct atls_err *err)
{
    enum atls_code code = check_environment(c, &ect->environment, err);

    return code == ATLS_OK ? check_claims(c, ect->measurements, ect->count, err) : code;
}

static enum atls_code check_reference(const struct check *c, const struct atls_corim_reference *ref,
                                      struct atls_err *err)
{
    const char *rule = NULL;
    enum atls_code code;

    if (c->rules->of_reference != NULL)
        rule = c->rules->of_reference(&ref->environment);
    if (rule != NULL)
        return broken(c, err, rule);
    if ((code = check_environment(c, &ref->environment, err)) != ATLS_OK)
        return code;
    /* What is missing says more than what is there in its place. */
    for (size_t i = 0; c->rules->value != NULL && i < ref->count; i++)
        if ((rule = c->rules->value(&ref->measurements[i])) != NULL)
            return broken_value(c, err, i, rule);
    if ((code = check_claims(c, ref->measurements, ref->count, err)) != ATLS_OK)
        return code;
    if (c->rules->list != NULL && (rule = c->rules->list(ref)) != NULL)
        return broken(c, err, rule);
    return ATLS_OK;
}

static enum atls_code check_references(struct check *c, const struct atls_comid *m,
                                       struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    c->triple = "reference";
    for (c->index = 0; c->index < m->reference_count && code == ATLS_OK; c->index++)
        code = check_reference(c, &m->references[c->index], err);
    return code;
}

static enum atls_code check_keys(struct check *c, const char *kind,
                                 const struct atls_corim_attest_key *keys, size_t count,
                                 struct atls_err *err)
{
    const char *rule;

    c->triple = kind;
    for (c->index = 0; c->rules->key != NULL && c->index < count; c->index++)
        if ((rule = c->rules->key(&keys[c->index])) != NULL)
            return broken(c, err, rule);
    return ATLS_OK;
}

static enum atls_code check_endorsed(struct check *c, const struct atls_comid *m,
                                     struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    c->triple = "endorsed";
    for (c->index = 0; c->index < m->endorsed_count && code == ATLS_OK; c->index++)
        code = check_ect(c, &m->endorsed[c->index].ect, err);
    return code;
}

static enum atls_code check_one_series(const struct check *c, const struct atls_corim_series *s,
                                       struct atls_err *err)
{
    enum atls_code code = check_ect(c, &s->condition, err);

    for (size_t i = 0; i < s->entry_count && code == ATLS_OK; i++) {
        const struct atls_corim_series_entry *e = &s->entries[i];

        if ((code = check_claims(c, e->selection, e->selection_count, err)) == ATLS_OK)
            code = check_claims(c, e->addition, e->addition_count, err);
    }
    return code;
}

static enum atls_code check_series(struct check *c, const struct atls_comid *m,
                                   struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    c->triple = "conditional-endorsement-series";
    for (c->index = 0; c->index < m->series_count && code == ATLS_OK; c->index++)
        code = check_one_series(c, &m->series[c->index], err);
    return code;
}

static enum atls_code check_conditionals(struct check *c, const struct atls_comid *m,
                                         struct atls_err *err)
{
    enum atls_code code = ATLS_OK;

    c->triple = "conditional-endorsement";
    for (c->index = 0; c->index < m->conditional_count && code == ATLS_OK; c->index++) {
        const struct atls_corim_conditional *one = &m->conditionals[c->index];

        for (size_t i = 0; i < one->condition_count && code == ATLS_OK; i++)
            code = check_ect(c, &one->conditions[i], err);
        for (size_t i = 0; i < one->addition_count && code == ATLS_OK; i++)
            code = check_ect(c, &one->additions[i], err);
    }
    return code;
}

static enum atls_code check_comid(struct check *c, const struct atls_comid *m, struct atls_err *err)
{
    enum atls_code code;

    /* What is not understood may narrow what is. */
    if (m->unknown_members != 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "CoRIM: tag %zu: CoMID with members that are not known", c->tag);
    for (size_t i = 0; i < m->other_count; i++)
        if (m->others[i].kind != ATLS_TRIPLE_COSWID)
            return atls_fail(err, ATLS_E_UNSUPPORTED,
                             "CoRIM: tag %zu: triples of unknown kind %" PRId64, c->tag,
                             m->others[i].kind);
    if ((code = check_references(c, m, err)) != ATLS_OK ||
        (code = check_keys(c, "identity", m->identities, m->identity_count, err)) != ATLS_OK ||
        (code = check_keys(c, "attest-key", m->attest_keys, m->attest_key_count, err)) != ATLS_OK ||
        (code = check_endorsed(c, m, err)) != ATLS_OK ||
        (code = check_series(c, m, err)) != ATLS_OK)
        return code;
    return check_conditionals(c, m, err);
}

static enum atls_code unknown_profile(const struct atls_corim *corim, struct atls_err *err)
{
    char text[128];

    return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: profile %s is not one that is known",
                     corim->profile_uri.ptr != NULL
                         ? atls_escape(corim->profile_uri, text, sizeof text)
                         : atls_hex(corim->profile, text, sizeof text));
}

enum atls_code atls_corim_profile_check(const struct atls_corim *corim,
                                        const struct atls_corim_profile **out, struct atls_err *err)
{
    struct check c = {.profile = atls_corim_profile_find(corim->profile)};
    enum atls_code code = ATLS_OK;

    if (c.profile == NULL)
        return unknown_profile(corim, err);
    if (corim->unknown_members != 0)
        return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM: members that are not known");
    c.rules = atls_corim_rules_of(c.profile->scheme);
    for (c.tag = 0; c.tag < corim->tag_count && code == ATLS_OK; c.tag++)
        if (corim->tags[c.tag].comid != NULL)
            code = check_comid(&c, corim->tags[c.tag].comid, err);
    if (code == ATLS_OK && out != NULL)
        *out = c.profile;
    return code;
}
