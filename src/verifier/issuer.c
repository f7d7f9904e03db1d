#include <atls/issuer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "verifier/ear/sign.h"
#include "verifier/local/judge.h"
#include "verifier/result.h"
#include "wire/cmw_json.h"
#include "wire/kat.h"

#define TYPE_CMW_CBOR "application/cmw+cbor"
#define TYPE_CMW_JSON "application/cmw+json"
#define TYPE_BUNDLE   TYPE_CMW_CBOR "; cmwc_t=\"" ATLS_BUNDLE_TYPE "\""
/* Of the tree of a CMW in JSON, which holds the evidence decoded. */
#define JSON_TREE_MAX ((size_t)4 * ATLS_CMW_DATA_MAX)
#define POLICY_ID     "policy:libatls/refused-evidence/1"

/* Forms that one build can know: some for each technology. */
#define TYPES_MAX 64

struct atls_issuer {
    struct atls_judge judge;
    const char *media_types[TYPES_MAX + 1];
    struct atls_policy *policy;
    struct atls_ear_options ear;
    struct atls_clock clock;
    struct atls_log log;
};

void atls_issuer_options_init(struct atls_issuer_options *options)
{
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
    atls_ear_options_init(&options->ear);
}

static bool has_type(const struct atls_issuer *issuer, size_t count, const char *media_type)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(issuer->media_types[i], media_type) == 0)
            return true;
    return false;
}

/* Bundles say inside what they hold; tokens that stand alone are told by their type. */
static void list_types(struct atls_issuer *issuer, bool allow_insecure)
{
    static const char *const always[] = {TYPE_BUNDLE, TYPE_CMW_CBOR, TYPE_CMW_JSON};
    size_t count = sizeof always / sizeof always[0];

    memcpy(issuer->media_types, always, sizeof always);
    for (const struct atls_technology *const *t = atls_technologies; *t != NULL; t++)
        for (const struct atls_evidence_format *f = (*t)->formats;
             f->pat_type != NULL && count < TYPES_MAX; f++)
            if (f->kat_type == NULL && (!(*t)->insecure || allow_insecure) &&
                !has_type(issuer, count, f->pat_type))
                issuer->media_types[count++] = f->pat_type;
}

/* A configuration that could never sign is an error of the start, not of the first request. */
static enum atls_code check_signing(const struct atls_issuer *issuer, struct atls_err *err)
{
    struct store_signing_key key;
    enum atls_code code =
        atls_store_signing_key(issuer->judge.store, atls_clock_wall_s(&issuer->clock), &key, err);

    if (code == ATLS_E_NOT_FOUND)
        return atls_fail(err, ATLS_E_CONFIG,
                         "issuer: the store has no key that signs results now (atls store key "
                         "makes one)");
    if (code == ATLS_OK)
        atls_private_key_free(key.key);
    return code;
}

static enum atls_code open_judge(struct atls_issuer *issuer,
                                 const struct atls_issuer_options *options, struct atls_err *err)
{
    struct atls_rules rules = {.snp = {0}};
    const struct atls_evidence_options evidence = {
        .allow_sha1_pcr_bank = options->allow_sha1_pcr_bank,
        .allow_unsafe_clock = options->allow_unsafe_clock,
        .require_ak_eku = options->require_ak_eku,
        .allow_insecure_technology = options->allow_insecure_technology,
        .allow_ima_violations = options->allow_ima_violations,
        .rules = &rules,
    };
    const struct collateral_services services = {options->collateral_from,
                                                 options->collateral_ca_file};
    enum atls_code code = atls_rules_set_all(&rules, options->rules, err);

    if (code != ATLS_OK ||
        (code = atls_judge_init(&issuer->judge, options->store, &evidence, err)) != ATLS_OK)
        return code;
    return collateral_cache_open(&services, options->store, &options->clock,
                                 &issuer->judge.collateral, err);
}

enum atls_code atls_issuer_new(const struct atls_issuer_options *options, struct atls_issuer **out,
                               struct atls_err *err)
{
    struct atls_issuer *issuer;
    enum atls_code code;

    if (options->size != sizeof *options || options->store == NULL)
        return atls_fail(err, ATLS_E_USAGE,
                         "issuer: no store; was atls_issuer_options_init called?");
    if ((code = atls_ear_options_check(&options->ear, err)) != ATLS_OK)
        return code;
    if ((issuer = calloc(1, sizeof *issuer)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "issuer: out of memory");
    list_types(issuer, options->allow_insecure_technology);
    issuer->ear = options->ear;
    issuer->clock = options->clock;
    issuer->log = options->log;
    if ((code = open_judge(issuer, options, err)) != ATLS_OK ||
        (code = check_signing(issuer, err)) != ATLS_OK) {
        atls_issuer_free(issuer);
        return code;
    }
    if (options->policy != NULL)
        issuer->policy = atls_policy_ref(options->policy);
    *out = issuer;
    return ATLS_OK;
}

void atls_issuer_free(struct atls_issuer *issuer)
{
    if (issuer == NULL)
        return;
    atls_judge_clear(&issuer->judge);
    if (issuer->policy != NULL)
        atls_policy_unref(issuer->policy);
    free(issuer);
}

const char *const *atls_issuer_media_types(const struct atls_issuer *issuer)
{
    return issuer->media_types;
}

/* ---- what came ---- */

static struct atls_cmw_type type_of(const char *media_type)
{
    return (struct atls_cmw_type){.is_text = true,
                                  .text = atls_bytes_of(media_type, strlen(media_type))};
}

/* A parameter cmwc_t of the Content-Type repeats the type of the collection, or contradicts it. */
static enum atls_code check_collection_type(const struct atls_cmw_type *type, struct atls_err *err)
{
    if (!atls_cmw_type_has(type, "cmwc_t") || atls_cmw_type_is(type, TYPE_BUNDLE))
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                            "evidence: parameter cmwc_t names a collection that is not known");
}

/* A CMW in JSON becomes the same in CBOR, which is what the checks read. */
static enum atls_code from_json(struct atls_bytes json, struct atls_buf *out, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(JSON_TREE_MAX);
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    struct atls_cmw cmw;
    enum atls_code code;

    if ((code = atls_cmw_json_decode(json, &arena, &cmw, err)) == ATLS_OK)
        code = atls_cmw_encode(&cmw, &w, err);
    atls_arena_clear(&arena);
    if (code != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}

/* Content-Types of a CMW, which says inside what it holds. */
enum cmw_encoding { CMW_EITHER = 1, CMW_CBOR, CMW_JSON };

static const struct {
    const char *media_type;
    enum cmw_encoding encoding;
} wrappers[] = {
    {TYPE_CMW_CBOR, CMW_CBOR},
    {TYPE_CMW_JSON, CMW_JSON},
    {"application/cmw", CMW_EITHER},
    {"application/vnd.veraison.cmw", CMW_EITHER},
    {"application/vnd.veraison.cmw+cbor", CMW_CBOR},
    {"application/vnd.veraison.cmw+json", CMW_JSON},
};

static bool find_wrapper(const struct atls_cmw_type *type, enum cmw_encoding *out)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
        if (atls_cmw_type_is(type, wrappers[i].media_type)) {
            *out = wrappers[i].encoding;
            return true;
        }
    return false;
}

/* Where the type leaves it open the first byte tells (RFC 9999, "Demuxing"). */
static bool is_json(enum cmw_encoding encoding, struct atls_bytes evidence)
{
    enum atls_cmw_shape shape = atls_cmw_sniff(evidence);

    return encoding == CMW_JSON ||
           (encoding == CMW_EITHER &&
            (shape == ATLS_CMW_SHAPE_JSON_RECORD || shape == ATLS_CMW_SHAPE_JSON_COLLECTION));
}

/* A token that stands alone, wrapped as a record of the type that it came with. */
static enum atls_code wrap(const struct atls_issuer *issuer, const struct atls_submission *s,
                           const struct atls_cmw_type *type, struct atls_buf *out,
                           struct atls_err *err)
{
    const struct atls_cmw record = {.kind = ATLS_CMW_RECORD, .type = *type, .value = s->evidence};
    struct atls_writer w = atls_writer_init(ATLS_CMW_DATA_MAX);
    const char *const *known = issuer->media_types;
    enum atls_code code;
    char shown[96];

    while (*known != NULL && !atls_cmw_type_is(type, *known))
        known++;
    if (*known == NULL)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_UNKNOWN_EVIDENCE_TYPE,
                                "evidence of type \"%s\", which nothing here appraises",
                                atls_escape(type->text, shown, sizeof shown));
    if ((code = atls_cmw_encode(&record, &w, err)) != ATLS_OK) {
        atls_writer_clear(&w);
        return code;
    }
    return atls_writer_finish(&w, out, err);
}

static enum atls_code check_submission(const struct atls_submission *s, struct atls_err *err)
{
    if (s->nonce.len < ATLS_RESULT_NONCE_MIN || s->nonce.len > ATLS_RESULT_NONCE_MAX)
        return atls_fail(err, ATLS_E_USAGE, "nonce of %zu bytes, want %d to %d", s->nonce.len,
                         ATLS_RESULT_NONCE_MIN, ATLS_RESULT_NONCE_MAX);
    if (s->evidence.len == 0)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "evidence: empty");
    if (s->evidence.len > ATLS_CMW_DATA_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "evidence of %zu bytes, want at most %d",
                         s->evidence.len, ATLS_CMW_DATA_MAX);
    return ATLS_OK;
}

/* The evidence as CBOR: *out borrows from the submission or from owned. */
static enum atls_code open_submission(const struct atls_issuer *issuer,
                                      const struct atls_submission *s, struct atls_buf *owned,
                                      struct atls_bytes *out, struct atls_err *err)
{
    const struct atls_cmw_type type = type_of(s->media_type);
    enum cmw_encoding encoding = CMW_EITHER;
    enum atls_code code;

    if ((code = check_submission(s, err)) != ATLS_OK)
        return code;
    if (!atls_content_type_valid(type.text))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "Content-Type: malformed near its start, want type/subtype and "
                                "parameters");
    if ((code = check_collection_type(&type, err)) != ATLS_OK)
        return code;
    if (!find_wrapper(&type, &encoding)) {
        code = wrap(issuer, s, &type, owned, err);
    } else if (is_json(encoding, s->evidence)) {
        code = from_json(s->evidence, owned, err);
    } else {
        *out = s->evidence;
        return ATLS_OK;
    }
    if (code == ATLS_OK)
        *out = atls_buf_bytes(owned);
    return code;
}

/* ---- judging ---- */

/* Failures that say something of the evidence, and not of this side nor of its form. */
static bool is_verdict(enum atls_code code)
{
    return code == ATLS_E_EVIDENCE || code == ATLS_E_VERIFY || code == ATLS_E_CERTIFICATE ||
           code == ATLS_E_UNSUPPORTED || code == ATLS_E_LIMIT;
}

static enum atls_code contraindicate(const struct atls_technology *technology,
                                     const struct atls_submission *s, const struct atls_err *cause,
                                     struct atls_result **out, struct atls_err *err)
{
    const struct atls_refusal refusal = {
        .technology = technology->name,
        .submod = technology->submod,
        .insecure = technology->insecure,
        .policy_id = POLICY_ID,
        .reason = cause->reason,
        .problem = cause->message,
    };

    return atls_result_contraindicated(&refusal, s->nonce, s->time_s, out, err);
}

static enum atls_code judge(const struct atls_issuer *issuer, const struct atls_submission *s,
                            struct atls_bytes evidence, struct atls_result **out,
                            struct atls_err *err)
{
    const struct atls_appraisal appraisal = {
        .evidence = evidence, .binder = s->nonce, .time_s = s->time_s};
    const struct atls_technology *technology = NULL;
    struct atls_err cause = ATLS_ERR_INIT;
    enum atls_code code;

    if ((code = atls_evidence_identify(evidence, &technology, NULL, err)) != ATLS_OK)
        return code;
    code = atls_judge_evidence(&issuer->judge, ATLS_EVIDENCE_KEY_UNKNOWN, &appraisal, out, &cause);
    if (code == ATLS_OK)
        return ATLS_OK;
    if (is_verdict(code))
        return contraindicate(technology, s, &cause, out, err);
    if (err != NULL)
        *err = cause;
    return code;
}

/* A policy lowers: what it refuses is contraindicated, and nothing becomes better. */
static enum atls_code apply_policy(const struct atls_issuer *issuer, struct atls_result *result,
                                   struct atls_err *err)
{
    struct atls_decision decision;
    enum atls_code code;

    if (issuer->policy == NULL || !atls_result_is_genuine(result))
        return ATLS_OK;
    code = atls_policy_decide(issuer->policy, result, &decision, err);
    if (code == ATLS_E_REFUSED) {
        atls_err_clear(err);
        return atls_result_lower(result, ATLS_TIER_CONTRAINDICATED, ATLS_REASON_POLICY_OUTPUT,
                                 "the policy of this verifier failed", err);
    }
    if (code != ATLS_OK || decision.accept)
        return code;
    return atls_result_lower(
        result, ATLS_TIER_CONTRAINDICATED, ATLS_REASON_POLICY,
        decision.reason_count == 0 ? "the policy gave no reason" : decision.reasons[0], err);
}

/* ---- signing, and what there is to log ---- */

static enum atls_code sign(const struct atls_issuer *issuer, int64_t time_s,
                           struct atls_result *result, struct atls_buf *out,
                           char kid[ATLS_KID_TEXT], struct atls_err *err)
{
    struct atls_ear_options options = issuer->ear;
    struct store_signing_key key;
    enum atls_code code = atls_store_signing_key(issuer->judge.store, time_s, &key, err);

    if (code != ATLS_OK)
        return code;
    options.kid = key.kid;
    code = atls_ear_sign_with(result, key.key, &options, out, err);
    atls_private_key_free(key.key);
    memcpy(kid, key.kid, ATLS_KID_TEXT);
    return code;
}

static void record_result(struct atls_result *result, const char *kid,
                          struct atls_issue_record *record)
{
    struct atls_bytes key = atls_result_key(result);
    uint8_t digest[ATLS_HASH_MAX];

    memset(record, 0, sizeof *record);
    record->status = atls_result_status(result);
    record->reason = atls_result_reason(result);
    record->genuine = atls_result_is_genuine(result);
    snprintf(record->submod, sizeof record->submod, "%s", atls_result_submod_name(result, 0));
    atls_hex(atls_result_instance(result), record->instance, sizeof record->instance);
    if (key.len != 0 && atls_hash_one(ATLS_HASH_SHA256, key, digest, NULL) == ATLS_OK) {
        memcpy(record->key, "sha256:", 7);
        atls_hex(atls_bytes_of(digest, 8), record->key + 7, sizeof record->key - 7);
    }
    snprintf(record->kid, sizeof record->kid, "%s", kid);
    atls_escape(
        atls_bytes_of(atls_result_explanation(result), strlen(atls_result_explanation(result))),
        record->explanation, sizeof record->explanation);
}

enum atls_code atls_issuer_issue(struct atls_issuer *issuer,
                                 const struct atls_submission *submission, struct atls_buf *out,
                                 struct atls_issue_record *record, struct atls_err *err)
{
    struct atls_submission s = *submission;
    struct atls_buf owned = ATLS_BUF_INIT;
    struct atls_result *result = NULL;
    struct atls_bytes evidence = {NULL, 0};
    char kid[ATLS_KID_TEXT];
    enum atls_code code;

    if (s.time_s == 0)
        s.time_s = atls_clock_wall_s(&issuer->clock);
    code = open_submission(issuer, &s, &owned, &evidence, err);
    if (code == ATLS_OK)
        code = judge(issuer, &s, evidence, &result, err);
    atls_buf_clear(&owned);
    if (code != ATLS_OK)
        return code;
    if (!s.own_nonce)
        atls_result_set_nonce_given(result);
    if ((code = apply_policy(issuer, result, err)) == ATLS_OK &&
        (code = sign(issuer, s.time_s, result, out, kid, err)) == ATLS_OK && record != NULL)
        record_result(result, kid, record);
    atls_result_unref(result);
    return code;
}
