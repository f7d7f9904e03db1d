/* From known-good evidence to a template of reference values. Nothing is verified: whoever runs
 * this says that the machine was good. */
#include <stdio.h>
#include <string.h>

#include <atls/corim.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json_writer.h"
#include "core/log.h"
#include "core/reader.h"
#include "evidence/evidence.h"
#include "store/corim_template_named.h"
#include "wire/cca.h"
#include "wire/kat.h"
#include "wire/psa.h"
#include "wire/snp.h"
#include "wire/tdx.h"
#include "wire/tsm.h"

#define TREE_MAX     (64 * 1024)
#define TOKEN_MAX    ((size_t)4 * 1024 * 1024)
#define TEMPLATE_MAX ((size_t)1024 * 1024)

/* What evidence holds, by the names of a template. */
struct holdings {
    const struct store_template_profile *profile;
    const void *decoded;
    /* The class as a template has it; "" where the profile's default will do. */
    char class_text[2 * 64 + 1];
    /* Writes the value of a field; false when the evidence has none. */
    bool (*put)(struct atls_json *j, const void *decoded, const char *name);
};

/* ---- SNP ---- */

static bool put_snp(struct atls_json *j, const void *decoded, const char *name)
{
    const struct atls_snp_report *r = decoded;
    const struct {
        const char *name;
        struct atls_bytes bytes;
    } rows[] = {{"measurement", r->measurement},     {"host-data", r->host_data},
                {"family-id", r->family_id},         {"image-id", r->image_id},
                {"id-key-digest", r->id_key_digest}, {"author-key-digest", r->author_key_digest},
                {"current-tcb", r->current_tcb},     {"reported-tcb", r->reported_tcb},
                {"committed-tcb", r->committed_tcb}, {"launch-tcb", r->launch_tcb}};
    char number[17];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0) {
            atls_json_put_hex(j, name, rows[i].bytes);
            return true;
        }
    if (strcmp(name, "guest-svn") == 0 || strcmp(name, "vmpl") == 0) {
        atls_json_put_uint(j, name, name[0] == 'g' ? r->guest_svn : r->vmpl);
        return true;
    }
    /* policy, platform-info: numbers that are masks, big-endian as the profile has them. */
    snprintf(number, sizeof number, "%016llx",
             (unsigned long long)(strcmp(name, "policy") == 0 ? r->policy : r->platform_info));
    atls_json_put_string(j, name, number);
    return true;
}

/* ---- TDX ---- */

static bool put_tdx(struct atls_json *j, const void *decoded, const char *name)
{
    const struct atls_tdx_body *b = decoded;
    const struct {
        const char *name;
        struct atls_bytes bytes;
    } rows[] = {{"mrtd", b->mr_td},
                {"rtmr0", b->rtmr[0]},
                {"rtmr1", b->rtmr[1]},
                {"rtmr2", b->rtmr[2]},
                {"rtmr3", b->rtmr[3]},
                {"mrseam", b->mr_seam},
                {"mrconfigid", b->mr_config_id},
                {"mrowner", b->mr_owner},
                {"mrownerconfig", b->mr_owner_config}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0) {
            atls_json_put_hex(j, name, rows[i].bytes);
            return true;
        }
    return false;
}

/* ---- CCA, PSA ---- */

static void put_optional(struct atls_json *j, const char *name, struct atls_bytes text)
{
    if (text.ptr != NULL && text.len != 0)
        atls_json_put_text(j, name, text);
}

static bool put_components(struct atls_json *j, const char *name,
                           const struct atls_arm_component *list, size_t count)
{
    if (count == 0)
        return false;
    atls_json_open_array(j, name);
    for (size_t i = 0; i < count; i++) {
        atls_json_open_object(j, NULL);
        put_optional(j, "name", list[i].type);
        put_optional(j, "version", list[i].version);
        atls_json_put_hex(j, "signer-id", list[i].signer_id);
        atls_json_put_hex(j, "digest", list[i].value);
        atls_json_close(j);
    }
    atls_json_close(j);
    return true;
}

static bool put_platform(struct atls_json *j, const void *decoded, const char *name)
{
    const struct atls_cca_platform *p = decoded;

    if (strcmp(name, "software-components") == 0)
        return put_components(j, name, p->components, p->component_count);
    if (p->config.len != 0)
        atls_json_put_hex(j, name, p->config);
    return p->config.len != 0;
}

static bool put_realm(struct atls_json *j, const void *decoded, const char *name)
{
    const struct atls_cca_realm *r = decoded;

    if (strcmp(name, "rim") == 0)
        atls_json_put_hex(j, name, r->initial_measurement);
    else if (strcmp(name, "rpv") == 0)
        atls_json_put_hex(j, name, r->personalization_value);
    else /* "rem0" to "rem3" */
        atls_json_put_hex(j, name, r->extensible[name[3] - '0']);
    return true;
}

static bool put_psa(struct atls_json *j, const void *decoded, const char *name)
{
    const struct atls_psa_claims *p = decoded;

    return put_components(j, name, p->components, p->component_count);
}

/* ---- the template ---- */

static bool is_listed(const char *const *list, const char *name)
{
    for (; *list != NULL; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static enum atls_code check_names(const struct store_template_profile *profile,
                                  const char *const *only, struct atls_err *err)
{
    char shown[64];

    for (; only != NULL && *only != NULL; only++) {
        const struct store_field *f = profile->fields;

        while (f->name != NULL && strcmp(f->name, *only) != 0)
            f++;
        if (f->name == NULL)
            return atls_fail(err, ATLS_E_CONFIG, "template: %s has no value \"%s\"", profile->name,
                             atls_escape(atls_bytes_of(*only, strlen(*only)), shown, sizeof shown));
    }
    return ATLS_OK;
}

static enum atls_code put_values(struct atls_json *j, const struct holdings *h,
                                 const char *const *only, struct atls_err *err)
{
    size_t count = 0;

    for (const struct store_field *f = h->profile->fields; f->name != NULL; f++) {
        if (only != NULL ? !is_listed(only, f->name) : !f->is_usual)
            continue;
        if (h->put(j, h->decoded, f->name))
            count++;
        else if (only != NULL)
            return atls_fail(err, ATLS_E_NOT_FOUND, "template: the evidence has no \"%s\"",
                             f->name);
    }
    return count != 0 ? ATLS_OK
                      : atls_fail(err, ATLS_E_NOT_FOUND, "template: the evidence has no values");
}

static enum atls_code put_template(const struct holdings *h,
                                   const struct atls_corim_evidence_options *options,
                                   struct atls_buf *out, struct atls_err *err)
{
    struct atls_json j = atls_json_init(TEMPLATE_MAX);
    enum atls_code code;

    if ((code = check_names(h->profile, options->only, err)) != ATLS_OK)
        return code;
    j.pretty = true;
    atls_json_open_object(&j, NULL);
    atls_json_put_string(&j, "id", options->id);
    atls_json_put_string(&j, "tag-id", options->id);
    atls_json_put_string(&j, "profile", h->profile->name);
    if (h->class_text[0] != '\0')
        atls_json_put_string(&j, "class", h->class_text);
    atls_json_open_object(&j, "reference-values");
    code = put_values(&j, h, options->only, err);
    atls_json_close(&j);
    atls_json_close(&j);
    if (code == ATLS_OK)
        return atls_json_finish(&j, out, err);
    atls_json_clear(&j);
    return code;
}

/* ---- technologies ---- */

/* One that the caller asked for must be the one that there is. */
static enum atls_code choose(struct holdings *h, const char *name,
                             const struct atls_corim_evidence_options *options,
                             struct atls_err *err)
{
    h->profile = store_template_profile_by_name(name);
    if (options->profile != NULL && strcmp(options->profile, name) != 0)
        return atls_fail(err, ATLS_E_CONFIG, "template: the evidence is of profile \"%s\"", name);
    return ATLS_OK;
}

static enum atls_code of_snp(struct atls_bytes in,
                             const struct atls_corim_evidence_options *options,
                             struct atls_buf *out, struct atls_err *err)
{
    struct atls_snp_report report;
    struct holdings h = {.decoded = &report, .put = put_snp};
    enum atls_code code;

    if ((code = choose(&h, "snp", options, err)) != ATLS_OK ||
        (code = atls_snp_report_decode(in, &report, err)) != ATLS_OK)
        return code;
    snprintf(h.class_text, sizeof h.class_text, "%s",
             report.signer == ATLS_SNP_VLEK ? "vlek" : "vcek");
    return put_template(&h, options, out, err);
}

static enum atls_code of_tdx(struct atls_bytes in,
                             const struct atls_corim_evidence_options *options,
                             struct atls_buf *out, struct atls_err *err)
{
    struct atls_tdx_quote quote;
    struct holdings h = {.decoded = &quote.body, .put = put_tdx};
    enum atls_code code;

    if ((code = choose(&h, "tdx", options, err)) != ATLS_OK ||
        (code = atls_tdx_quote_decode(in, &quote, err)) != ATLS_OK)
        return code;
    return put_template(&h, options, out, err);
}

static enum atls_code of_cca_platform(const struct atls_cca_token *token, struct atls_arena *arena,
                                      const struct atls_corim_evidence_options *options,
                                      struct atls_buf *out, struct atls_err *err)
{
    struct atls_cca_platform platform;
    struct holdings h = {.decoded = &platform, .put = put_platform};
    enum atls_code code = atls_cca_platform_decode(token->platform.payload, arena, &platform, err);

    if (code != ATLS_OK || (code = choose(&h, "cca-platform", options, err)) != ATLS_OK)
        return code;
    atls_hex(platform.implementation_id, h.class_text, sizeof h.class_text);
    return put_template(&h, options, out, err);
}

static enum atls_code of_cca_realm(const struct atls_cca_token *token, struct atls_arena *arena,
                                   const struct atls_corim_evidence_options *options,
                                   struct atls_buf *out, struct atls_err *err)
{
    struct atls_cca_realm realm;
    struct holdings h = {.decoded = &realm, .put = put_realm};
    enum atls_code code = atls_cca_realm_decode(token->realm.payload, arena, &realm, err);

    if (code != ATLS_OK || (code = choose(&h, "cca-realm", options, err)) != ATLS_OK)
        return code;
    atls_hex(realm.initial_measurement, h.class_text, sizeof h.class_text);
    return put_template(&h, options, out, err);
}

static enum atls_code of_cca(struct atls_bytes in,
                             const struct atls_corim_evidence_options *options,
                             struct atls_buf *out, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(TOKEN_MAX);
    bool is_realm = options->profile != NULL && strcmp(options->profile, "cca-realm") == 0;
    struct atls_cca_token token;
    enum atls_code code;

    if (options->profile == NULL)
        return atls_fail(err, ATLS_E_CONFIG,
                         "template: the evidence speaks of a platform and of a realm: say which "
                         "(cca-platform, cca-realm)");
    if ((code = atls_cca_token_open(in, &arena, &token, err)) == ATLS_OK)
        code = is_realm ? of_cca_realm(&token, &arena, options, out, err)
                        : of_cca_platform(&token, &arena, options, out, err);
    atls_arena_clear(&arena);
    return code;
}

static enum atls_code of_psa(struct atls_bytes in,
                             const struct atls_corim_evidence_options *options,
                             struct atls_buf *out, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(TOKEN_MAX);
    struct atls_psa_claims claims;
    struct holdings h = {.decoded = &claims, .put = put_psa};
    struct atls_cose_sign1 sign1;
    enum atls_code code;

    if ((code = choose(&h, "psa", options, err)) == ATLS_OK &&
        (code = atls_psa_token_open(in, &arena, &sign1, err)) == ATLS_OK &&
        (code = atls_psa_claims_decode(sign1.payload, &arena, &claims, err)) == ATLS_OK) {
        atls_hex(claims.implementation_id, h.class_text, sizeof h.class_text);
        code = put_template(&h, options, out, err);
    }
    atls_arena_clear(&arena);
    return code;
}

/* ---- the evidence ---- */

/* What the firmware gave: behind the kernel's report, when there is one. */
static enum atls_code unwrap(const struct atls_cmw *record, struct atls_bytes *out,
                             struct atls_err *err)
{
    struct atls_tsm_report report;
    enum atls_code code;

    *out = record->value;
    if (!atls_cmw_type_is(&record->type, ATLS_TYPE_TSM_REPORT))
        return ATLS_OK;
    if ((code = atls_tsm_report_decode(record->value, &report, err)) == ATLS_OK)
        *out = report.outblob;
    return code;
}

static enum atls_code of_technology(const char *name, struct atls_bytes in,
                                    const struct atls_corim_evidence_options *options,
                                    struct atls_buf *out, struct atls_err *err)
{
    static const struct {
        const char *name;
        enum atls_code (*make)(struct atls_bytes, const struct atls_corim_evidence_options *,
                               struct atls_buf *, struct atls_err *);
    } rows[] = {{"snp", of_snp}, {"tdx", of_tdx}, {"cca", of_cca}, {"psa", of_psa}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].make(in, options, out, err);
    return atls_fail(err, ATLS_E_UNSUPPORTED,
                     "template: evidence of \"%s\" does not become reference values here", name);
}

static enum atls_code open_record(struct atls_bytes evidence, struct atls_arena *arena,
                                  struct atls_cmw *out, struct atls_err *err)
{
    struct atls_bundle bundle;
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_decode(evidence, arena, &cmw, err)) != ATLS_OK)
        return code;
    if (cmw.kind == ATLS_CMW_RECORD) {
        *out = cmw;
        return ATLS_OK;
    }
    if ((code = atls_bundle_open(&cmw, &bundle, err)) == ATLS_OK)
        *out = bundle.pat;
    return code;
}

enum atls_code atls_corim_template_of_evidence(struct atls_bytes evidence,
                                               const struct atls_corim_evidence_options *options,
                                               struct atls_buf *out, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(TREE_MAX);
    const struct atls_evidence_format *format;
    const struct atls_technology *technology;
    struct atls_cmw record;
    struct atls_bytes in;
    enum atls_code code;

    if (options->id == NULL || options->id[0] == '\0')
        return atls_fail(err, ATLS_E_USAGE, "template: no id");
    if ((code = atls_evidence_identify(evidence, &technology, &format, err)) != ATLS_OK)
        return code;
    if (format->profile == ATLS_PROFILE_PARSEC)
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "template: evidence of Parsec does not become reference values here");
    if ((code = open_record(evidence, &arena, &record, err)) == ATLS_OK &&
        (code = unwrap(&record, &in, err)) == ATLS_OK)
        code = of_technology(technology->name, in, options, out, err);
    atls_arena_clear(&arena);
    return code;
}
