/* Evidence of a realm on an Arm CCA platform: in our bundle, as the record of its token, in the
 * report of configfs-tsm, and in the bundle of Parsec. Two submodules: the platform, and the realm
 * on it (docs/arm.md). */
#include <stdlib.h>
#include <string.h>

#include "bind/batch.h"
#include "core/err.h"
#include "evidence/answer.h"
#include "evidence/arm.h"
#include "evidence/cca.h"
#include "evidence/parsec.h"
#include "wire/tsm.h"

#define TYPE_EAT(profile) "application/eat+cwt; eat_profile=\"" profile "\""

static const char realm_submod[] = "CCA_REALM";

/* What is at hand while one token is verified. */
struct appraisal {
    const struct atls_evidence_request *request;
    struct atls_arena arena;
    struct atls_attest_key trusted; /* with trust elsewhere empty but for its class */
    struct atls_cca_verified verified;
    struct atls_buf spki; /* the attested key */
};

/* ---- verification ---- */

static enum atls_code find_platform_key(void *arg, const struct atls_cca_platform *platform,
                                        struct atls_key **out, struct atls_err *err)
{
    struct appraisal *a = arg;
    const struct atls_arm_speaker speaker = {&atls_technology_cca, platform->implementation_id,
                                             platform->instance_id};
    enum atls_code code = atls_arm_find_key(a->request, &speaker, &a->trusted, err);

    if (code != ATLS_OK)
        return code;
    return atls_chain_cache_key(a->request->cache, atls_buf_bytes(&a->trusted.spki), out, err);
}

static struct atls_cca_check make_check(struct appraisal *a, struct atls_bytes token,
                                        struct atls_bytes challenge, enum atls_reason reason)
{
    const struct atls_arm_rules *rules = atls_arm_rules_of(a->request);
    struct atls_cca_check check = {
        .token = token,
        .platform_key = find_platform_key,
        .arg = a,
        .trusted_elsewhere = a->request->scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE,
        .allow_p256 = rules->cca_allow_p256,
        .challenge = challenge,
        .challenge_reason = reason,
        .allow_debug = rules->cca_allow_debug,
    };

    return check;
}

/* The token may come in the report of configfs-tsm. */
static enum atls_code find_token(const struct atls_bundle *bundle, struct atls_bytes *out,
                                 struct atls_err *err)
{
    struct atls_tsm_report report;
    enum atls_code code;

    if (!atls_cmw_type_is(&bundle->pat.type, ATLS_TYPE_TSM_REPORT)) {
        *out = bundle->pat.value;
        return ATLS_OK;
    }
    if ((code = atls_tsm_report_decode(bundle->pat.value, &report, err)) == ATLS_OK)
        *out = report.outblob;
    return code;
}

/* A type that names the profile of the platform token must not contradict it (RFC 9782). */
static enum atls_code check_type(const struct atls_bundle *bundle,
                                 const struct atls_cca_platform *platform, struct atls_err *err)
{
    static const struct {
        enum atls_cca_platform_profile profile;
        const char *type;
    } types[] = {
        {ATLS_CCA_PLATFORM_LEGACY, TYPE_EAT("http://arm.com/CCA-SSD/1.0.0")},
        {ATLS_CCA_PLATFORM_2023, TYPE_EAT("tag:arm.com,2023:cca_platform#1.0.0")},
        {ATLS_CCA_PLATFORM_2024, TYPE_EAT("tag:arm.com,2024:cca_platform#2.0.0")},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].profile != platform->profile &&
            atls_cmw_type_is(&bundle->pat.type, types[i].type))
            return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PROFILE,
                                    "CCA platform token: profile is %s, its media type names "
                                    "another",
                                    atls_cca_platform_profile_name(platform->profile));
    return ATLS_OK;
}

/* ---- claims ---- */

static bool add_platform_details(const struct atls_cca_platform *p, struct atls_claims *claims)
{
    return atls_claims_add_string(claims, "profile", atls_cca_platform_profile_name(p->profile)) &&
           atls_claims_add_bytes(claims, "implementation-id", p->implementation_id) &&
           atls_claims_add_bytes(claims, "instance-id", p->instance_id) &&
           atls_claims_add_bytes(claims, "config", p->config) &&
           atls_claims_add_string(claims, "lifecycle", atls_arm_lifecycle_name(p->lifecycle)) &&
           atls_claims_add_uint(claims, "lifecycle-value", p->lifecycle_value) &&
           atls_claims_add_string(claims, "hash-algorithm", atls_arm_hash_name(p->hash)) &&
           atls_claims_add_uint(claims, "software-components", p->component_count) &&
           atls_claims_add_text(claims, "verification-service", p->verification_service) &&
           atls_claims_add_bytes(claims, "manufacturing-config", p->manufacturing_config) &&
           (!p->has_client_id || atls_arm_add_client_id(claims, p->client_id));
}

static bool add_platform_measurements(const struct atls_cca_platform *p, struct atls_claims *claims)
{
    const struct atls_arm_components components = {
        .list = p->components,
        .count = p->component_count,
        .mkey = "cca.software-component",
        .default_hash = atls_arm_hash_name(p->hash),
        .further = 1,
    };

    return atls_arm_add_components(claims, &components) &&
           atls_arm_add_raw(claims, "cca.platform-config", p->config);
}

static enum atls_code fill_platform(const struct appraisal *a, struct atls_claims *claims,
                                    struct atls_err *err)
{
    const struct atls_cca_platform *p = &a->verified.platform;
    enum atls_code code =
        atls_claims_identify(claims, p->instance_id, &a->trusted, atls_buf_bytes(&a->spki), err);

    if (code != ATLS_OK)
        return code;
    if ((claims->environment.class_id.ptr == NULL &&
         !atls_arm_class_id(&claims->arena, p->implementation_id, &claims->environment.class_id)) ||
        !atls_arena_copy(&claims->arena, atls_buf_bytes(&a->trusted.spki), &claims->signer_spki) ||
        !add_platform_measurements(p, claims) || !add_platform_details(p, claims))
        return atls_fail(err, ATLS_E_NOMEM, "CCA: out of memory");
    return ATLS_OK;
}

static bool add_realm_details(const struct atls_cca_realm *r, struct atls_claims *claims)
{
    return atls_claims_add_string(claims, "profile", atls_cca_realm_profile_name(r->profile)) &&
           atls_claims_add_bytes(claims, "personalization-value", r->personalization_value) &&
           atls_claims_add_bytes(claims, "initial-measurement", r->initial_measurement) &&
           atls_claims_add_bytes(claims, "extensible-measurement-0", r->extensible[0]) &&
           atls_claims_add_bytes(claims, "extensible-measurement-1", r->extensible[1]) &&
           atls_claims_add_bytes(claims, "extensible-measurement-2", r->extensible[2]) &&
           atls_claims_add_bytes(claims, "extensible-measurement-3", r->extensible[3]) &&
           atls_claims_add_string(claims, "hash-algorithm", atls_arm_hash_name(r->hash)) &&
           atls_claims_add_string(claims, "public-key-hash-algorithm",
                                  atls_arm_hash_name(r->public_key_hash)) &&
           (r->mec_policy == ATLS_CCA_MEC_NONE ||
            atls_claims_add_string(claims, "mec-policy",
                                   r->mec_policy == ATLS_CCA_MEC_PRIVATE ? "private" : "shared"));
}

/* The initial measurement must have a reference value, the rest where there is one. */
static bool add_realm_measurements(const struct atls_cca_realm *r, struct atls_claims *claims)
{
    static const char *const extensible[ATLS_CCA_EXTENSIBLE] = {"cca.rem0", "cca.rem1", "cca.rem2",
                                                                "cca.rem3"};
    const char *name = atls_arm_hash_name(r->hash);
    const struct atls_bytes hash = atls_bytes_of(name, strlen(name));

    claims->optional_count = ATLS_CCA_EXTENSIBLE + 1;
    claims->measurements =
        atls_arena_alloc(&claims->arena, claims->optional_count + 1, sizeof *claims->measurements);
    if (claims->measurements == NULL ||
        !atls_arm_add_digest(claims, "cca.rim", hash, r->initial_measurement))
        return false;
    for (size_t i = 0; i < ATLS_CCA_EXTENSIBLE; i++)
        if (!atls_arm_add_digest(claims, extensible[i], hash, r->extensible[i]))
            return false;
    return atls_arm_add_raw(claims, "cca.rpv", r->personalization_value);
}

/* A realm has no name of its own: what it is made of is its class, and the platform vouches for its
 * key. */
static enum atls_code fill_realm(const struct appraisal *a, struct atls_claims *claims,
                                 struct atls_err *err)
{
    const struct atls_cca_realm *r = &a->verified.realm;
    struct atls_bytes signer = atls_key_spki(a->verified.realm_key);

    if (!atls_arm_class_id(&claims->arena, r->initial_measurement, &claims->environment.class_id) ||
        !atls_arena_copy(&claims->arena, signer, &claims->signer_spki) ||
        !atls_arena_copy(&claims->arena, atls_buf_bytes(&a->spki), &claims->key_spki) ||
        !add_realm_measurements(r, claims) || !add_realm_details(r, claims))
        return atls_fail(err, ATLS_E_NOMEM, "CCA: out of memory");
    return ATLS_OK;
}

/* next is the caller's, also on failure. */
static enum atls_code add_realm(const struct appraisal *a, struct atls_claims *claims,
                                struct atls_err *err)
{
    struct atls_claims *realm = calloc(1, sizeof *realm);

    if (realm == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "CCA: out of memory");
    atls_claims_start(realm, &atls_technology_cca);
    realm->submod = realm_submod;
    realm->key_trust = claims->key_trust;
    claims->next = realm;
    return fill_realm(a, realm, err);
}

static enum atls_code make_claims(const struct appraisal *a, struct atls_claims *out,
                                  struct atls_err *err)
{
    struct atls_claims claims = atls_claims_init(&atls_technology_cca);
    enum atls_code code;

    claims.key_trust = a->trusted.spki.len != 0 ? ATLS_KEY_TRUST_ENROLLED : ATLS_KEY_TRUST_NONE;
    if ((code = fill_platform(a, &claims, err)) != ATLS_OK ||
        (code = add_realm(a, &claims, err)) != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    *out = claims;
    return ATLS_OK;
}

/* ---- the forms ---- */

static struct appraisal *appraisal_new(const struct atls_evidence_request *request,
                                       struct atls_err *err)
{
    struct appraisal *a = calloc(1, sizeof *a); /* too much for a stack frame */

    if (a == NULL) {
        (void)atls_fail(err, ATLS_E_NOMEM, "CCA: out of memory");
        return NULL;
    }
    a->request = request;
    a->arena = atls_arena_init(ATLS_ARM_ARENA_MAX);
    return a;
}

static void appraisal_free(struct appraisal *a)
{
    atls_cca_verified_clear(&a->verified);
    atls_attest_key_clear(&a->trusted);
    atls_buf_clear(&a->spki);
    atls_arena_clear(&a->arena);
    free(a);
}

/* What is shorter than a realm's challenge has zeros behind it: a nonce where no key is known. */
static enum atls_code appraise(struct appraisal *a, const struct atls_bundle *bundle,
                               struct atls_claims *out, struct atls_err *err)
{
    struct atls_answer answer;
    struct atls_cca_check check;
    struct atls_bytes token;
    enum atls_code code;

    if ((code = atls_answer_expect(bundle, a->request, &answer, err)) != ATLS_OK ||
        (code = find_token(bundle, &token, err)) != ATLS_OK)
        return code;
    check = make_check(a, token, atls_bytes_of(answer.challenge, sizeof answer.challenge),
                       ATLS_REASON_CHALLENGE_MISMATCH);
    if ((code = atls_cca_verify(&check, &a->arena, &a->verified, err)) != ATLS_OK ||
        (code = check_type(bundle, &a->verified.platform, err)) != ATLS_OK ||
        (code = atls_answer_accept(&answer, a->request, &a->spki, err)) != ATLS_OK)
        return code;
    return make_claims(a, out, err);
}

static enum atls_code verify(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err)
{
    struct appraisal *a = appraisal_new(request, err);
    enum atls_code code;

    if (a == NULL)
        return ATLS_E_NOMEM;
    code = appraise(a, bundle, out, err);
    appraisal_free(a);
    return code;
}

/* Nothing but the realm's challenge vouches for the KAT: it is read last. */
static enum atls_code appraise_parsec(struct appraisal *a, struct atls_bytes in,
                                      struct atls_claims *out, struct atls_err *err)
{
    uint8_t challenge[ATLS_HASH_MAX];
    struct atls_parsec_cca parsec;
    struct atls_cca_check check;
    enum atls_code code;

    if ((code = atls_parsec_cca_decode(in, &a->arena, &parsec, err)) != ATLS_OK ||
        (code = atls_hash_one(ATLS_HASH_SHA512, parsec.kat, challenge, err)) != ATLS_OK)
        return code;
    check = make_check(a, parsec.token, atls_bytes_of(challenge, sizeof challenge),
                       ATLS_REASON_KEY_BINDING_MISMATCH);
    if ((code = atls_cca_verify(&check, &a->arena, &a->verified, err)) != ATLS_OK ||
        (code = atls_parsec_cca_accept(&parsec, a->request, &a->arena, &a->spki, err)) != ATLS_OK)
        return code;
    return make_claims(a, out, err);
}

static enum atls_code verify_parsec(const struct atls_bundle *bundle,
                                    const struct atls_evidence_request *request,
                                    struct atls_claims *out, struct atls_err *err)
{
    struct appraisal *a = appraisal_new(request, err);
    enum atls_code code;

    if (a == NULL)
        return ATLS_E_NOMEM;
    code = appraise_parsec(a, bundle->pat.value, out, err);
    appraisal_free(a);
    return code;
}

static bool is_report_of_realm(struct atls_bytes pat)
{
    return atls_tsm_report_is(pat, ATLS_TSM_PROVIDER_CCA);
}

#define FORMS(type, test)                                                                          \
    {type, ATLS_TYPE_KAT, ATLS_PROFILE_KAT, test, NULL},                                           \
        {type, ATLS_TYPE_KAT_BATCH, ATLS_PROFILE_BATCH, test, NULL},                               \
    {                                                                                              \
        type, NULL, ATLS_PROFILE_BARE, test, NULL                                                  \
    }

static const struct atls_evidence_format formats[] = {
    FORMS(ATLS_TYPE_CCA, NULL),
    FORMS(TYPE_EAT("http://arm.com/CCA-SSD/1.0.0"), NULL),
    FORMS(TYPE_EAT("tag:arm.com,2023:cca_platform#1.0.0"), NULL),
    FORMS(TYPE_EAT("tag:arm.com,2024:cca_platform#2.0.0"), NULL),
    FORMS(ATLS_TYPE_TSM_REPORT, is_report_of_realm),
    {ATLS_TYPE_PARSEC_CCA, NULL, ATLS_PROFILE_PARSEC, NULL, verify_parsec},
    {.pat_type = NULL},
};

const struct atls_technology atls_technology_cca = {
    .name = "cca",
    .submod = "CCA_SSD_PLATFORM",
    .insecure = false,
    .formats = formats,
    .verify = verify,
};
