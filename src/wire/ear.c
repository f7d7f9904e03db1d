#include "wire/ear.h"

#include <string.h>

#include "core/reader.h"

static const struct {
    const char *dots, *underscores;
    int64_t label;
} names[ATLS_EAR_CLAIMS] = {
    [ATLS_EAR_STATUS] = {"ear.status", "ear_status", 1000},
    [ATLS_EAR_VECTOR] = {"ear.trustworthiness-vector", "ear_trustworthiness_vector", 1001},
    [ATLS_EAR_RAW_EVIDENCE] = {"ear.raw-evidence", "ear_raw_evidence", 1002},
    [ATLS_EAR_POLICY] = {"ear.appraisal-policy-id", "ear_appraisal_policy_ids", 1003},
    [ATLS_EAR_VERIFIER] = {"ear.verifier-id", "ear_verifier_id", 1004},
    [ATLS_EAR_ATTESTER_CLAIMS] = {NULL, "ear_attester_claims", 1005},
    [ATLS_EAR_VERIFIER_CLAIMS] = {NULL, "ear_verifier_claims", 1006},
    [ATLS_EAR_TOPOLOGY] = {NULL, "ear_device_topology", 1007},
    [ATLS_EAR_TEEP] = {"ear.teep-claims", "ear_teep_claims", 65000},
    [ATLS_EAR_ANNOTATED_EVIDENCE] = {"ear.veraison.annotated-evidence",
                                     "ear_veraison_annotated_evidence", -70000},
    [ATLS_EAR_POLICY_CLAIMS] = {"ear.veraison.policy-claims", "ear_veraison_policy_claims", -70001},
    [ATLS_EAR_KEY_ATTESTATION] = {"ear.veraison.key-attestation", "ear_veraison_key_attestation",
                                  -70002},
    [ATLS_EAR_TEE_INFO] = {"ear.veraison.tee-info", NULL, 0},
};

static const struct {
    const char *profile;
    enum atls_ear_version version;
} profiles[] = {
    {ATLS_EAR_PROFILE_2023, ATLS_EAR_2023},
    {"tag:github.com,2024:confidential-containers/Trustee", ATLS_EAR_2023},
    {"tag:ietf.org,2025-07:ear", ATLS_EAR_02},
    {"tag:ietf.org,2026:rats/ear#03", ATLS_EAR_03},
    {ATLS_EAR_PROFILE_04, ATLS_EAR_04},
};

enum atls_ear_version atls_ear_version_of(struct atls_bytes profile)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
        if (atls_bytes_equal_text(profile, profiles[i].profile))
            return profiles[i].version;
    return (enum atls_ear_version)0;
}

const char *atls_ear_name(enum atls_ear_claim claim, enum atls_ear_version version)
{
    return version >= ATLS_EAR_03 ? names[claim].underscores : names[claim].dots;
}

const char *atls_ear_other_name(enum atls_ear_claim claim, enum atls_ear_version version)
{
    return version >= ATLS_EAR_03 ? names[claim].dots : names[claim].underscores;
}

int64_t atls_ear_label(enum atls_ear_claim claim)
{
    return names[claim].label;
}

enum atls_ear_claim atls_ear_attester_claims_of(enum atls_ear_version version)
{
    return version >= ATLS_EAR_04 ? ATLS_EAR_ATTESTER_CLAIMS : ATLS_EAR_ANNOTATED_EVIDENCE;
}

enum atls_ear_claim atls_ear_verifier_claims_of(enum atls_ear_version version)
{
    return version >= ATLS_EAR_04 ? ATLS_EAR_VERIFIER_CLAIMS : ATLS_EAR_POLICY_CLAIMS;
}

const struct atls_ear_value *atls_ear_value_get(const struct atls_ear_value *value, const char *key)
{
    if (value == NULL || value->kind != ATLS_EAR_VALUE_OBJECT)
        return NULL;
    for (size_t i = 0; i < value->count; i++)
        if (strcmp(value->items[i].key, key) == 0)
            return &value->items[i];
    return NULL;
}

void atls_ear_clear(struct atls_ear *ear)
{
    atls_arena_clear(&ear->arena);
    memset(ear, 0, sizeof *ear);
}
