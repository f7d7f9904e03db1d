#include "wire/psa.h"

#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "wire/cbor.h"

enum { PROFILES = 3 };

/* Claims by profile; 0 where a profile has none. */
enum claim {
    PROFILE,
    CLIENT_ID,
    LIFECYCLE,
    IMPLEMENTATION_ID,
    BOOT_SEED,
    CERTIFICATION_REFERENCE,
    COMPONENTS,
    NO_MEASUREMENTS,
    NONCE,
    INSTANCE_ID,
    VERIFICATION_SERVICE,
    CLAIMS,
};

static const int64_t keys[PROFILES][CLAIMS] = {
    [ATLS_PSA_PROFILE_1 - 1] = {-75000, -75001, -75002, -75003, -75004, -75005, -75006, -75007,
                                -75008, -75009, -75010},
    [ATLS_PSA_2_0_0 - 1] = {265, 2394, 2395, 2396, 2397, 2398, 2399, 0, 10, 256, 2400},
    [ATLS_PSA_RFC9783 - 1] = {265, 2394, 2395, 2396, 268, 2398, 2399, 0, 10, 256, 2400},
};

static const char *const names[PROFILES] = {
    "PSA_IOT_PROFILE_1",
    "http://arm.com/psa/2.0.0",
    "tag:psacertified.org,2023:psa#tfm",
};

const char *atls_psa_profile_name(enum atls_psa_profile profile)
{
    return names[profile - 1];
}

bool atls_psa_profile_of(struct atls_bytes parameter, enum atls_psa_profile *out)
{
    if (atls_bytes_equal_text(parameter, "tag:psacertified.org,2019:psa#legacy")) {
        *out = ATLS_PSA_PROFILE_1;
        return true;
    }
    for (unsigned int i = ATLS_PSA_2_0_0; i <= ATLS_PSA_RFC9783; i++) {
        if (!atls_bytes_equal_text(parameter, names[i - 1]))
            continue;
        *out = (enum atls_psa_profile)i;
        return true;
    }
    return false;
}

enum atls_code atls_psa_token_open(struct atls_bytes in, struct atls_arena *arena,
                                   struct atls_cose_sign1 *out, struct atls_err *err)
{
    enum { TAG_SIGN1 = 18 };
    const struct atls_arm_decoder d = {"PSA token", arena, err};
    struct atls_reader r;
    uint64_t tag = 0;
    enum atls_code code;

    if ((code = atls_arm_shorten(&d, in, &in)) != ATLS_OK)
        return code;
    r = atls_reader_init(in);
    if (!atls_cbor_get_tag(&r, &tag) || tag != TAG_SIGN1)
        return atls_fail_reason(err, ATLS_E_UNSUPPORTED, ATLS_REASON_COSE_TYPE,
                                "PSA token: tag %llu, want 18 (COSE_Sign1); whoever can verify a "
                                "COSE_Mac0 (17) can make it, too",
                                (unsigned long long)tag);
    return atls_arm_open(&d, in, out);
}

static enum atls_code refuse_profile(const struct atls_arm_decoder *d, const char *rule)
{
    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_PROFILE, "%s: %s", d->what, rule);
}

/* RFC 9783 section 4.5.2: by claim 265; without it only the oldest profile is left. */
static enum atls_code find_profile(const struct atls_arm_decoder *d, struct atls_bytes in,
                                   enum atls_psa_profile *out)
{
    enum { EAT_PROFILE, PSA_PROFILE, BOTH };
    static const int64_t both[BOTH] = {265, -75000};
    struct atls_bytes items[BOTH], name;
    char shown[96];
    enum atls_code code = atls_arm_split(d, in, both, items, BOTH);

    if (code != ATLS_OK)
        return code;
    if (items[EAT_PROFILE].ptr == NULL) {
        *out = ATLS_PSA_PROFILE_1;
        if (items[PSA_PROFILE].ptr == NULL ||
            (atls_arm_text(items[PSA_PROFILE], &name) &&
             atls_bytes_equal_text(name, names[ATLS_PSA_PROFILE_1 - 1])))
            return ATLS_OK;
        return refuse_profile(d, "profile (-75000) is not PSA_IOT_PROFILE_1");
    }
    if (!atls_arm_text(items[EAT_PROFILE], &name))
        return atls_arm_malformed(d, "profile (265)", "is no text with content");
    /* What means profile 1 as a parameter does not go with claim 265. */
    if (atls_psa_profile_of(name, out) && *out != ATLS_PSA_PROFILE_1)
        return ATLS_OK;
    return atls_fail_reason(d->err, ATLS_E_UNSUPPORTED, ATLS_REASON_PROFILE,
                            "PSA token: profile \"%s\" is not known",
                            atls_escape(name, shown, sizeof shown));
}

/* No claim under a key that another profile gives it: one verifier would see it, another not. */
static enum atls_code check_unmixed(const struct atls_arm_decoder *d, struct atls_bytes in,
                                    enum atls_psa_profile profile)
{
    const int64_t *own = keys[profile - 1];

    for (size_t other = 0; other < PROFILES; other++) {
        struct atls_bytes items[CLAIMS];
        enum atls_code code = atls_arm_split(d, in, keys[other], items, CLAIMS);

        if (code != ATLS_OK)
            return code;
        for (size_t i = 0; i < CLAIMS; i++)
            if (keys[other][i] != 0 && keys[other][i] != own[i] && items[i].ptr != NULL)
                return refuse_profile(d, "claims have keys of two profiles");
    }
    return ATLS_OK;
}

static bool are_digits(const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return true;
}

/* An EAN-13, a hyphen and five digits. Profile 1 is specified without the last two, but the
 * published tokens of its main implementation have them. */
static bool is_certification_reference(struct atls_bytes text, enum atls_psa_profile profile)
{
    if (profile == ATLS_PSA_PROFILE_1 && text.len == 13)
        return are_digits(text.ptr, 13);
    return text.len == 19 && are_digits(text.ptr, 13) && text.ptr[13] == '-' &&
           are_digits(text.ptr + 14, 5);
}

static enum atls_code read_optional(const struct atls_arm_decoder *d,
                                    const struct atls_bytes items[static CLAIMS],
                                    struct atls_psa_claims *out)
{
    bool is_first = out->profile == ATLS_PSA_PROFILE_1;

    if (is_first || items[BOOT_SEED].ptr != NULL)
        if (!atls_arm_bytes(items[BOOT_SEED], &out->boot_seed) || out->boot_seed.len > 32 ||
            out->boot_seed.len < (is_first ? 32 : 8))
            return atls_arm_refuse(d, items[BOOT_SEED], "boot seed",
                                   is_first ? "of 32 bytes" : "of 8 to 32 bytes");
    if (items[CERTIFICATION_REFERENCE].ptr != NULL &&
        (!atls_arm_text(items[CERTIFICATION_REFERENCE], &out->certification_reference) ||
         !is_certification_reference(out->certification_reference, out->profile)))
        return atls_arm_malformed(d, "certification reference", "is no EAN-13 with version");
    return atls_arm_read_service(d, items[VERIFICATION_SERVICE], &out->verification_service);
}

static enum atls_code read_measurements(const struct atls_arm_decoder *d,
                                        const struct atls_bytes items[static CLAIMS],
                                        struct atls_psa_claims *out)
{
    int64_t none = 0;

    if (items[NO_MEASUREMENTS].ptr == NULL)
        return atls_arm_read_components(d, items[COMPONENTS], &out->components,
                                        &out->component_count);
    if (!atls_arm_int(items[NO_MEASUREMENTS], &none) || none != 1)
        return atls_arm_malformed(d, "no software measurements", "is not 1");
    if (items[COMPONENTS].ptr != NULL)
        return atls_arm_malformed(d, "no software measurements", "stands beside components");
    out->no_measurements = true;
    return ATLS_OK;
}

static enum atls_code read_claims(const struct atls_arm_decoder *d,
                                  const struct atls_bytes items[static CLAIMS],
                                  struct atls_psa_claims *out)
{
    struct atls_bytes ids[2];
    enum atls_code code;

    if (!atls_arm_bytes(items[NONCE], &out->nonce) || !atls_arm_is_hash(out->nonce))
        return atls_arm_refuse(d, items[NONCE], "nonce", "one of 32, 48 or 64 bytes");
    code = atls_arm_read_ids(d, items[IMPLEMENTATION_ID], items[INSTANCE_ID], ids);
    if (code != ATLS_OK)
        return code;
    out->implementation_id = ids[0];
    out->instance_id = ids[1];
    if ((code = atls_arm_read_client_id(d, items[CLIENT_ID], &out->client_id)) != ATLS_OK ||
        (code = atls_arm_read_lifecycle(d, items[LIFECYCLE], &out->lifecycle_value,
                                        &out->lifecycle)) != ATLS_OK ||
        (code = read_measurements(d, items, out)) != ATLS_OK)
        return code;
    return read_optional(d, items, out);
}

enum atls_code atls_psa_claims_decode(struct atls_bytes in, struct atls_arena *arena,
                                      struct atls_psa_claims *out, struct atls_err *err)
{
    const struct atls_arm_decoder d = {"PSA token", arena, err};
    struct atls_psa_claims claims = {.profile = ATLS_PSA_PROFILE_1};
    struct atls_bytes items[CLAIMS];
    enum atls_code code;

    if ((code = atls_arm_shorten(&d, in, &in)) != ATLS_OK ||
        (code = find_profile(&d, in, &claims.profile)) != ATLS_OK ||
        (code = check_unmixed(&d, in, claims.profile)) != ATLS_OK ||
        (code = atls_arm_split(&d, in, keys[claims.profile - 1], items, CLAIMS)) != ATLS_OK)
        return code;
    /* The key 0 of a claim that the profile lacks is nobody's claim, but may be in the map. */
    for (size_t i = 0; i < CLAIMS; i++)
        if (keys[claims.profile - 1][i] == 0)
            items[i] = atls_bytes_of(NULL, 0);
    if ((code = read_claims(&d, items, &claims)) != ATLS_OK)
        return code;
    *out = claims;
    return ATLS_OK;
}
