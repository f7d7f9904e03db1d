/* Evidence of a device with a PSA root of trust: a PSA attestation token (docs/arm.md). */
#include "evidence/psa.h"

#include <inttypes.h>
#include <stdlib.h>

#include "bind/batch.h"
#include "core/err.h"
#include "core/secret.h"
#include "evidence/answer.h"
#include "evidence/arm.h"

#define TYPE_EAT(profile) "application/eat+cwt; eat_profile=\"" profile "\""
#define TYPE_RFC9783      TYPE_EAT("tag:psacertified.org,2023:psa#tfm") /* content-format 10003 */
#define TYPE_LEGACY       TYPE_EAT("tag:psacertified.org,2019:psa#legacy") /* 10004 */
#define TYPE_2_0_0        TYPE_EAT("http://arm.com/psa/2.0.0")
/* Of before the registrations. */
#define TYPE_UNREGISTERED "application/psa-attestation-token"
#define TYPE_OLD_2_0_0    "application/eat-cwt; profile=\"http://arm.com/psa/2.0.0\""

static const char what[] = "PSA token";

/* ---- the token ---- */

static enum atls_code check_profile(const struct atls_psa_check *check,
                                    const struct atls_psa_claims *claims, struct atls_err *err)
{
    if (claims->profile == ATLS_PSA_RFC9783 || check->rules->psa_allow_legacy)
        return ATLS_OK;
    return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PROFILE,
                            "%s: profile is %s, older ones than that of RFC 9783 are not allowed",
                            what, atls_psa_profile_name(claims->profile));
}

static enum atls_code verify_signature(const struct atls_psa_check *check,
                                       const struct atls_cose_sign1 *sign1,
                                       const struct atls_psa_claims *claims, struct atls_key **key,
                                       struct atls_err *err)
{
    struct atls_arm_signature signature = {
        .sign1 = sign1,
        .reason = ATLS_REASON_SIGNATURE,
        .what = what,
    };
    enum atls_code code;

    if (check->trusted_elsewhere)
        return ATLS_OK;
    if ((code = check->attest_key(check->arg, claims, key, err)) != ATLS_OK ||
        (check->rules->psa_instance_from_key &&
         (code = atls_arm_check_instance(*key, claims->instance_id, err)) != ATLS_OK))
        return code;
    signature.key = *key;
    return atls_arm_verify_signature(&signature, err);
}

/* Whoever asked for the token: without a rule any caller's will do, since the nonce is signed for
 * whoever holds the attested key. */
static enum atls_code check_client(const struct atls_psa_check *check,
                                   const struct atls_psa_claims *claims, struct atls_err *err)
{
    const struct atls_arm_rules *rules = check->rules;
    const uint64_t id = (uint64_t)(int64_t)claims->client_id;

    if (rules->psa_client.set && rules->psa_client.value != id)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_CLIENT_ID,
                                "%s: client id is %" PRId32 ", another one is wanted", what,
                                claims->client_id);
    if (rules->psa_secure_callers && claims->client_id < 0)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_CLIENT_ID,
                                "%s: client id is %" PRId32 ", want a secure caller's, above 0",
                                what, claims->client_id);
    return ATLS_OK;
}

static enum atls_code check_content(const struct atls_psa_check *check,
                                    const struct atls_psa_claims *claims, struct atls_err *err)
{
    enum atls_code code;

    if (check->nonce.len == 0 || !atls_secret_equal(claims->nonce, check->nonce))
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_NONCE_MISMATCH,
                                "%s: nonce (%zu bytes) is not the expected one (%zu)", what,
                                claims->nonce.len, check->nonce.len);
    if ((code = check_client(check, claims, err)) != ATLS_OK ||
        (code = atls_arm_check_lifecycle(claims->lifecycle, check->rules->psa_allow_debug, what,
                                         err)) != ATLS_OK)
        return code;
    if (claims->no_measurements && !check->rules->psa_allow_unmeasured)
        return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_MEASUREMENT,
                                "%s: says that no software was measured", what);
    return ATLS_OK;
}

enum atls_code atls_psa_verify(const struct atls_psa_check *check, struct atls_arena *arena,
                               struct atls_psa_claims *out, struct atls_key **out_key,
                               struct atls_err *err)
{
    struct atls_psa_claims claims;
    struct atls_cose_sign1 sign1;
    struct atls_key *key = NULL;
    enum atls_code code;

    if ((code = atls_psa_token_open(check->token, arena, &sign1, err)) != ATLS_OK ||
        (code = atls_psa_claims_decode(sign1.payload, arena, &claims, err)) != ATLS_OK ||
        (code = check_profile(check, &claims, err)) != ATLS_OK ||
        (code = verify_signature(check, &sign1, &claims, &key, err)) != ATLS_OK ||
        (code = check_content(check, &claims, err)) != ATLS_OK) {
        atls_key_unref(key);
        return code;
    }
    *out = claims;
    *out_key = key;
    return ATLS_OK;
}

/* ---- evidence ---- */

struct appraisal {
    const struct atls_evidence_request *request;
    struct atls_arena arena;
    struct atls_attest_key trusted; /* with trust elsewhere empty */
    struct atls_psa_claims token;
    struct atls_buf spki; /* the attested key */
};

static enum atls_code find_key(void *arg, const struct atls_psa_claims *claims,
                               struct atls_key **out, struct atls_err *err)
{
    struct appraisal *a = arg;
    const struct atls_arm_speaker speaker = {&atls_technology_psa, claims->implementation_id,
                                             claims->instance_id};
    enum atls_code code = atls_arm_find_key(a->request, &speaker, &a->trusted, err);

    if (code != ATLS_OK)
        return code;
    return atls_chain_cache_key(a->request->cache, atls_buf_bytes(&a->trusted.spki), out, err);
}

/* A type that names a profile must not contradict the token (RFC 9782). */
static enum atls_code check_type(const struct atls_bundle *bundle,
                                 const struct atls_psa_claims *claims, struct atls_err *err)
{
    static const struct {
        enum atls_psa_profile profile;
        const char *type;
    } types[] = {
        {ATLS_PSA_RFC9783, TYPE_RFC9783},
        {ATLS_PSA_2_0_0, TYPE_2_0_0},
        {ATLS_PSA_2_0_0, TYPE_OLD_2_0_0},
        {ATLS_PSA_PROFILE_1, TYPE_LEGACY},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].profile != claims->profile &&
            atls_cmw_type_is(&bundle->pat.type, types[i].type))
            return atls_fail_reason(err, ATLS_E_EVIDENCE, ATLS_REASON_PROFILE,
                                    "%s: profile is %s, its media type names another", what,
                                    atls_psa_profile_name(claims->profile));
    return ATLS_OK;
}

static bool add_details(const struct atls_psa_claims *c, struct atls_claims *claims)
{
    return atls_claims_add_string(claims, "profile", atls_psa_profile_name(c->profile)) &&
           atls_claims_add_bytes(claims, "implementation-id", c->implementation_id) &&
           atls_claims_add_bytes(claims, "instance-id", c->instance_id) &&
           atls_arm_add_client_id(claims, c->client_id) &&
           atls_claims_add_string(claims, "lifecycle", atls_arm_lifecycle_name(c->lifecycle)) &&
           atls_claims_add_uint(claims, "lifecycle-value", c->lifecycle_value) &&
           atls_claims_add_bytes(claims, "boot-seed", c->boot_seed) &&
           atls_claims_add_text(claims, "certification-reference", c->certification_reference) &&
           atls_claims_add_uint(claims, "software-components", c->component_count) &&
           atls_claims_add_text(claims, "verification-service", c->verification_service);
}

static enum atls_code fill_claims(const struct appraisal *a, struct atls_claims *claims,
                                  struct atls_err *err)
{
    const struct atls_psa_claims *token = &a->token;
    const struct atls_arm_components components = {
        .list = token->components,
        .count = token->component_count,
        .mkey = "psa.software-component",
    };
    enum atls_code code = atls_claims_identify(claims, token->instance_id, &a->trusted,
                                               atls_buf_bytes(&a->spki), err);

    if (code != ATLS_OK)
        return code;
    if ((claims->environment.class_id.ptr == NULL &&
         !atls_arm_class_id(&claims->arena, token->implementation_id,
                            &claims->environment.class_id)) ||
        !atls_arena_copy(&claims->arena, atls_buf_bytes(&a->trusted.spki), &claims->signer_spki) ||
        !atls_arm_add_components(claims, &components) || !add_details(token, claims))
        return atls_fail(err, ATLS_E_NOMEM, "PSA: out of memory");
    return ATLS_OK;
}

static enum atls_code make_claims(const struct appraisal *a, struct atls_claims *out,
                                  struct atls_err *err)
{
    struct atls_claims claims = atls_claims_init(&atls_technology_psa);
    enum atls_code code;

    claims.key_trust = a->trusted.spki.len != 0 ? ATLS_KEY_TRUST_ENROLLED : ATLS_KEY_TRUST_NONE;
    if ((code = fill_claims(a, &claims, err)) != ATLS_OK) {
        atls_claims_clear(&claims);
        return code;
    }
    *out = claims;
    return ATLS_OK;
}

static enum atls_code appraise(struct appraisal *a, const struct atls_bundle *bundle,
                               struct atls_claims *out, struct atls_err *err)
{
    struct atls_psa_check check = {
        .token = bundle->pat.value,
        .attest_key = find_key,
        .arg = a,
        .trusted_elsewhere = a->request->scope == ATLS_EVIDENCE_KEY_TRUST_ELSEWHERE,
        .rules = atls_arm_rules_of(a->request),
    };
    struct atls_answer answer;
    struct atls_key *key = NULL;
    enum atls_code code;

    if ((code = atls_answer_expect(bundle, a->request, &answer, err)) != ATLS_OK)
        return code;
    check.nonce = atls_bytes_of(answer.challenge, answer.len);
    if ((code = atls_psa_verify(&check, &a->arena, &a->token, &key, err)) != ATLS_OK)
        return code;
    atls_key_unref(key);
    if ((code = check_type(bundle, &a->token, err)) != ATLS_OK ||
        (code = atls_answer_accept(&answer, a->request, &a->spki, err)) != ATLS_OK)
        return code;
    return make_claims(a, out, err);
}

static enum atls_code verify(const struct atls_bundle *bundle,
                             const struct atls_evidence_request *request, struct atls_claims *out,
                             struct atls_err *err)
{
    struct appraisal *a = calloc(1, sizeof *a); /* too much for a stack frame */
    enum atls_code code;

    if (a == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "PSA: out of memory");
    a->request = request;
    a->arena = atls_arena_init(ATLS_ARM_ARENA_MAX);
    code = appraise(a, bundle, out, err);
    atls_attest_key_clear(&a->trusted);
    atls_buf_clear(&a->spki);
    atls_arena_clear(&a->arena);
    free(a);
    return code;
}

#define FORMS(type)                                                                                \
    {type, ATLS_TYPE_KAT, ATLS_PROFILE_KAT, NULL, NULL},                                           \
        {type, ATLS_TYPE_KAT_BATCH, ATLS_PROFILE_BATCH, NULL, NULL},                               \
    {                                                                                              \
        type, NULL, ATLS_PROFILE_BARE, NULL, NULL                                                  \
    }

static const struct atls_evidence_format formats[] = {
    FORMS(TYPE_RFC9783),      FORMS(TYPE_LEGACY),    FORMS(TYPE_2_0_0),
    FORMS(TYPE_UNREGISTERED), FORMS(TYPE_OLD_2_0_0), {.pat_type = NULL},
};

const struct atls_technology atls_technology_psa = {
    .name = "psa",
    .submod = "PSA_IOT",
    .insecure = false,
    .formats = formats,
    .verify = verify,
};
