#include "wire/ar4si.h"

#include "core/reader.h"

enum atls_tier atls_tier_of(int value)
{
    /* draft-ietf-rats-ar4si: assigned values are positive, private ones negative. */
    if (value >= 96 || value <= -97)
        return ATLS_TIER_CONTRAINDICATED;
    if (value >= 32 || value <= -33)
        return ATLS_TIER_WARNING;
    if (value >= 2 || value <= -2)
        return ATLS_TIER_AFFIRMING;
    return ATLS_TIER_NONE;
}

const char *atls_tier_name(enum atls_tier tier)
{
    switch (tier) {
    case ATLS_TIER_AFFIRMING:
        return "affirming";
    case ATLS_TIER_WARNING:
        return "warning";
    case ATLS_TIER_CONTRAINDICATED:
        return "contraindicated";
    case ATLS_TIER_NONE:
    default:
        return "none";
    }
}

const char *atls_trust_claim_name(enum atls_trust_claim claim)
{
    static const char *const names[ATLS_TRUST_CLAIMS] = {
        [ATLS_TRUST_INSTANCE_IDENTITY] = "instance-identity",
        [ATLS_TRUST_CONFIGURATION] = "configuration",
        [ATLS_TRUST_EXECUTABLES] = "executables",
        [ATLS_TRUST_FILE_SYSTEM] = "file-system",
        [ATLS_TRUST_HARDWARE] = "hardware",
        [ATLS_TRUST_RUNTIME_OPAQUE] = "runtime-opaque",
        [ATLS_TRUST_STORAGE_OPAQUE] = "storage-opaque",
        [ATLS_TRUST_SOURCED_DATA] = "sourced-data",
    };

    return (unsigned int)claim < ATLS_TRUST_CLAIMS ? names[claim] : "unknown";
}

bool atls_tier_parse(struct atls_bytes name, enum atls_tier *out)
{
    static const enum atls_tier tiers[] = {ATLS_TIER_NONE, ATLS_TIER_AFFIRMING, ATLS_TIER_WARNING,
                                           ATLS_TIER_CONTRAINDICATED};

    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
        if (atls_bytes_equal_text(name, atls_tier_name(tiers[i]))) {
            *out = tiers[i];
            return true;
        }
    }
    return false;
}

bool atls_trust_claim_parse(struct atls_bytes name, enum atls_trust_claim *out)
{
    for (unsigned int i = 0; i < ATLS_TRUST_CLAIMS; i++) {
        if (atls_bytes_equal_text(name, atls_trust_claim_name((enum atls_trust_claim)i))) {
            *out = (enum atls_trust_claim)i;
            return true;
        }
    }
    return false;
}

bool atls_tier_allows(enum atls_tier tier, enum atls_tier status)
{
    return tier <= ATLS_TIER_AFFIRMING || status >= tier;
}
