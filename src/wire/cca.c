#include "wire/cca.h"

#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "wire/cbor.h"
#include "wire/cmw.h"

enum { MEMBER_PLATFORM = 44234, MEMBER_REALM = 44241 };
static const char platform_name[] = "platform token (44234)", realm_name[] = "realm token (44241)";

static struct atls_arm_decoder decoder(const char *what, struct atls_arena *arena,
                                       struct atls_err *err)
{
    struct atls_arm_decoder d = {what, arena, err};

    return d;
}

static enum atls_code missing_token(const struct atls_arm_decoder *d, const char *name)
{
    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MISSING_TOKEN, "%s: %s is absent",
                            d->what, name);
}

static enum atls_code open_map(const struct atls_arm_decoder *d, struct atls_bytes in,
                               struct atls_cca_token *token)
{
    static const int64_t keys[] = {MEMBER_PLATFORM, MEMBER_REALM};
    struct atls_bytes items[2];
    enum atls_code code = atls_arm_split(d, in, keys, items, 2);

    if (code != ATLS_OK)
        return code;
    if (items[0].ptr == NULL || items[1].ptr == NULL)
        return missing_token(d, items[0].ptr == NULL ? platform_name : realm_name);
    if (!atls_arm_bytes(items[0], &token->platform_encoded))
        return atls_arm_malformed(d, platform_name, "is no byte string");
    if (!atls_arm_bytes(items[1], &token->realm_encoded))
        return atls_arm_malformed(d, realm_name, "is no byte string");
    return ATLS_OK;
}

/* A record of an EAT in CBOR that may serve as evidence. */
static enum atls_code get_record(const struct atls_arm_decoder *d,
                                 const struct atls_cmw *collection, int64_t label,
                                 struct atls_bytes *out)
{
    const char *name = label == MEMBER_PLATFORM ? platform_name : realm_name;

    for (size_t i = 0; i < collection->count; i++) {
        const struct atls_cmw_entry *entry = &collection->entries[i];

        if (entry->label.is_text || entry->label.number != label)
            continue;
        if (entry->value.kind != ATLS_CMW_RECORD ||
            !atls_cmw_type_is(&entry->value.type, "application/eat+cwt") ||
            (entry->value.ind != 0 && (entry->value.ind & ATLS_CMW_EVIDENCE) == 0))
            return atls_arm_malformed(d, name, "is no record of an EAT");
        *out = entry->value.value;
        return ATLS_OK;
    }
    return missing_token(d, name);
}

static enum atls_code open_collection(const struct atls_arm_decoder *d, struct atls_bytes in,
                                      struct atls_cca_token *token)
{
    struct atls_cmw cmw;
    enum atls_code code = atls_cmw_decode(in, d->arena, &cmw, d->err);

    if (code != ATLS_OK)
        return code;
    if (cmw.kind != ATLS_CMW_COLLECTION)
        return atls_arm_malformed(d, "wrapper", "is no CMW collection");
    code = get_record(d, &cmw, MEMBER_PLATFORM, &token->platform_encoded);
    return code != ATLS_OK ? code : get_record(d, &cmw, MEMBER_REALM, &token->realm_encoded);
}

/* Which wrapper it is, and what is inside its tag. */
static enum atls_code open_wrapper(const struct atls_arm_decoder *d, struct atls_bytes in,
                                   struct atls_cca_token *token)
{
    struct atls_reader r = atls_reader_init(in);
    enum atls_cbor_type type;
    uint64_t tag = 0;

    if (atls_cbor_peek(&r, &type) && type == ATLS_CBOR_MAP) {
        token->wrapper = ATLS_CCA_UNTAGGED;
        return open_collection(d, in, token);
    }
    if (!atls_cbor_get_tag(&r, &tag) || (tag != ATLS_CCA_TAG_MAP && tag != ATLS_CCA_TAG_COLLECTION))
        return atls_arm_malformed(d, "wrapper", "has neither tag 399 nor tag 907");
    token->wrapper = (enum atls_cca_wrapper)tag;
    in = atls_bytes_of(in.ptr + r.pos, atls_reader_left(&r));
    return tag == ATLS_CCA_TAG_MAP ? open_map(d, in, token) : open_collection(d, in, token);
}

enum atls_code atls_cca_token_open(struct atls_bytes in, struct atls_arena *arena,
                                   struct atls_cca_token *out, struct atls_err *err)
{
    const struct atls_arm_decoder d = decoder("CCA token", arena, err);
    const struct atls_arm_decoder of_platform = decoder("CCA platform token", arena, err);
    const struct atls_arm_decoder of_realm = decoder("CCA realm token", arena, err);
    struct atls_cca_token token;
    enum atls_code code;

    memset(&token, 0, sizeof token);
    if ((code = atls_arm_shorten(&d, in, &in)) != ATLS_OK ||
        (code = open_wrapper(&d, in, &token)) != ATLS_OK ||
        (code = atls_arm_open(&of_platform, token.platform_encoded, &token.platform)) != ATLS_OK ||
        (code = atls_arm_open(&of_realm, token.realm_encoded, &token.realm)) != ATLS_OK)
        return code;
    *out = token;
    return ATLS_OK;
}

static const char *const platform_profiles[] = {
    "http://arm.com/CCA-SSD/1.0.0",
    "tag:arm.com,2023:cca_platform#1.0.0",
    "tag:arm.com,2024:cca_platform#2.0.0",
};
static const char *const realm_profiles[] = {
    "legacy", /* means: none; never compared */
    "tag:arm.com,2023:realm#1.0.0",
    "tag:arm.com,2024:realm#2.0.0",
};
enum { PROFILES = 3 };

const char *atls_cca_platform_profile_name(enum atls_cca_platform_profile profile)
{
    return platform_profiles[profile - 1];
}

const char *atls_cca_realm_profile_name(enum atls_cca_realm_profile profile)
{
    return realm_profiles[profile - 1];
}

/* 1 for the first of names. */
static enum atls_code find_profile(const struct atls_arm_decoder *d, struct atls_bytes item,
                                   const char *const *names, size_t first, unsigned int *out)
{
    struct atls_bytes name;
    char shown[96];

    if (!atls_arm_text(item, &name))
        return atls_arm_refuse(d, item, "profile", "text with content");
    for (size_t i = first; i < PROFILES; i++) {
        if (!atls_bytes_equal_text(name, names[i]))
            continue;
        *out = (unsigned int)i + 1;
        return ATLS_OK;
    }
    return atls_fail_reason(d->err, ATLS_E_UNSUPPORTED, ATLS_REASON_PROFILE,
                            "%s: profile \"%s\" is not known", d->what,
                            atls_escape(name, shown, sizeof shown));
}

static enum atls_code read_hash(const struct atls_arm_decoder *d, const char *claim,
                                struct atls_bytes item, enum atls_arm_hash *out)
{
    struct atls_bytes name;

    if (!atls_arm_text(item, &name) || !atls_arm_hash_of(name, out))
        return atls_arm_refuse(d, item, claim, "one of sha-256, sha-384, sha-512");
    return ATLS_OK;
}

enum platform_claim {
    PLATFORM_PROFILE,
    PLATFORM_CHALLENGE,
    PLATFORM_IMPLEMENTATION_ID,
    PLATFORM_INSTANCE_ID,
    PLATFORM_CONFIG,
    PLATFORM_LIFECYCLE,
    PLATFORM_COMPONENTS,
    PLATFORM_SERVICE,
    PLATFORM_HASH,
    PLATFORM_CLIENT_ID,
    PLATFORM_MANUFACTURING_CONFIG,
    PLATFORM_CLAIMS,
};
static const int64_t platform_keys[PLATFORM_CLAIMS] = {265,  10,   2396, 256,  2401, 2395,
                                                       2399, 2400, 2402, 2394, 2403};

/* Claims that came with the profile of 2024; in older ones they are not known. */
static enum atls_code read_platform_2024(const struct atls_arm_decoder *d,
                                         const struct atls_bytes items[static PLATFORM_CLAIMS],
                                         struct atls_cca_platform *out)
{
    out->has_client_id = items[PLATFORM_CLIENT_ID].ptr != NULL;
    if (items[PLATFORM_MANUFACTURING_CONFIG].ptr != NULL &&
        !atls_arm_bytes(items[PLATFORM_MANUFACTURING_CONFIG], &out->manufacturing_config))
        return atls_arm_malformed(d, "manufacturing config", "is no byte string");
    return out->has_client_id
               ? atls_arm_read_client_id(d, items[PLATFORM_CLIENT_ID], &out->client_id)
               : ATLS_OK;
}

static enum atls_code read_platform(const struct atls_arm_decoder *d,
                                    const struct atls_bytes items[static PLATFORM_CLAIMS],
                                    struct atls_cca_platform *out)
{
    struct atls_bytes ids[2];
    enum atls_code code;

    if (!atls_arm_bytes(items[PLATFORM_CHALLENGE], &out->challenge) ||
        !atls_arm_is_hash(out->challenge))
        return atls_arm_refuse(d, items[PLATFORM_CHALLENGE], "challenge",
                               "one of 32, 48 or 64 bytes");
    code =
        atls_arm_read_ids(d, items[PLATFORM_IMPLEMENTATION_ID], items[PLATFORM_INSTANCE_ID], ids);
    if (code != ATLS_OK)
        return code;
    out->implementation_id = ids[0];
    out->instance_id = ids[1];
    if (!atls_arm_bytes(items[PLATFORM_CONFIG], &out->config))
        return atls_arm_refuse(d, items[PLATFORM_CONFIG], "config", "a byte string");
    if ((code = atls_arm_read_lifecycle(d, items[PLATFORM_LIFECYCLE], &out->lifecycle_value,
                                        &out->lifecycle)) != ATLS_OK ||
        (code = atls_arm_read_components(d, items[PLATFORM_COMPONENTS], &out->components,
                                         &out->component_count)) != ATLS_OK ||
        (code = read_hash(d, "hash algorithm", items[PLATFORM_HASH], &out->hash)) != ATLS_OK ||
        (code = atls_arm_read_service(d, items[PLATFORM_SERVICE], &out->verification_service)) !=
            ATLS_OK)
        return code;
    return out->profile == ATLS_CCA_PLATFORM_2024 ? read_platform_2024(d, items, out) : ATLS_OK;
}

enum atls_code atls_cca_platform_decode(struct atls_bytes in, struct atls_arena *arena,
                                        struct atls_cca_platform *out, struct atls_err *err)
{
    const struct atls_arm_decoder d = decoder("CCA platform token", arena, err);
    struct atls_cca_platform platform = {.profile = ATLS_CCA_PLATFORM_LEGACY};
    struct atls_bytes items[PLATFORM_CLAIMS];
    unsigned int profile = 0;
    enum atls_code code;

    if ((code = atls_arm_shorten(&d, in, &in)) != ATLS_OK ||
        (code = atls_arm_split(&d, in, platform_keys, items, PLATFORM_CLAIMS)) != ATLS_OK ||
        (code = find_profile(&d, items[PLATFORM_PROFILE], platform_profiles, 0, &profile)) !=
            ATLS_OK)
        return code;
    platform.profile = (enum atls_cca_platform_profile)profile;
    if ((code = read_platform(&d, items, &platform)) != ATLS_OK)
        return code;
    *out = platform;
    return ATLS_OK;
}

enum realm_claim {
    REALM_PROFILE,
    REALM_CHALLENGE,
    REALM_PERSONALIZATION,
    REALM_HASH,
    REALM_PUBLIC_KEY,
    REALM_INITIAL,
    REALM_EXTENSIBLE,
    REALM_PUBLIC_KEY_HASH,
    REALM_MEC_POLICY,
    REALM_CLAIMS,
};
static const int64_t realm_keys[REALM_CLAIMS] = {265,   10,    44235, 44236, 44237,
                                                 44238, 44239, 44240, 44243};

static enum atls_code read_realm_measurements(const struct atls_arm_decoder *d,
                                              const struct atls_bytes items[static REALM_CLAIMS],
                                              struct atls_cca_realm *out)
{
    struct atls_reader r = atls_reader_init(items[REALM_EXTENSIBLE]);
    struct atls_cbor_iter array;

    if (!atls_arm_bytes(items[REALM_INITIAL], &out->initial_measurement) ||
        !atls_arm_is_hash(out->initial_measurement))
        return atls_arm_refuse(d, items[REALM_INITIAL], "initial measurement",
                               "of 32, 48 or 64 bytes");
    if (!atls_cbor_enter_array(&r, &array) || array.left != ATLS_CCA_EXTENSIBLE)
        return atls_arm_refuse(d, items[REALM_EXTENSIBLE], "extensible measurements",
                               "four of them");
    for (size_t i = 0; i < ATLS_CCA_EXTENSIBLE; i++)
        if (!atls_cbor_get_bytes(&r, &out->extensible[i]) ||
            out->extensible[i].len != out->initial_measurement.len)
            return atls_arm_malformed(d, "extensible measurements",
                                      "are not as long as the initial one");
    out->measurements_fit_hash = out->initial_measurement.len == (size_t)out->hash;
    return ATLS_OK;
}

/* The form goes with the profile, never with the length. */
static enum atls_code read_realm_key(const struct atls_arm_decoder *d, struct atls_bytes item,
                                     struct atls_cca_realm *out)
{
    enum { P384_BYTES = 48 };
    struct atls_bytes key;
    enum atls_code code;

    if (!atls_arm_bytes(item, &out->public_key))
        return atls_arm_refuse(d, item, "public key", "a byte string");
    if (out->profile != ATLS_CCA_REALM_LEGACY) {
        if ((code = atls_arm_shorten(d, out->public_key, &key)) == ATLS_OK &&
            (code = atls_cose_key_decode(key, &out->key, d->err)) == ATLS_OK)
            return out->key.kty == ATLS_COSE_EC2 && out->key.y.ptr != NULL
                       ? ATLS_OK
                       : atls_arm_malformed(d, "public key", "is no EC2 key with both coordinates");
        return atls_err_prefix(d->err, code, "CCA realm token: public key");
    }
    if (out->public_key.len != ATLS_CCA_LEGACY_PUBLIC_KEY || out->public_key.ptr[0] != 0x04)
        return atls_arm_malformed(d, "public key", "is no 04 with two coordinates of P-384");
    out->key.kty = ATLS_COSE_EC2;
    out->key.crv = ATLS_COSE_P384;
    out->key.x = atls_bytes_of(out->public_key.ptr + 1, P384_BYTES);
    out->key.y = atls_bytes_of(out->public_key.ptr + 1 + P384_BYTES, P384_BYTES);
    return ATLS_OK;
}

static enum atls_code read_mec_policy(const struct atls_arm_decoder *d, struct atls_bytes item,
                                      struct atls_cca_realm *out)
{
    struct atls_bytes name = {NULL, 0};

    if (item.ptr == NULL || out->profile != ATLS_CCA_REALM_2024)
        return ATLS_OK;
    if (!atls_arm_text(item, &name) ||
        !(atls_bytes_equal_text(name, "private") || atls_bytes_equal_text(name, "shared")))
        return atls_arm_malformed(d, "MEC policy", "is neither private nor shared");
    out->mec_policy = name.ptr[0] == 'p' ? ATLS_CCA_MEC_PRIVATE : ATLS_CCA_MEC_SHARED;
    return ATLS_OK;
}

static enum atls_code read_realm(const struct atls_arm_decoder *d,
                                 const struct atls_bytes items[static REALM_CLAIMS],
                                 struct atls_cca_realm *out)
{
    enum atls_code code;

    if (!atls_arm_bytes(items[REALM_CHALLENGE], &out->challenge) ||
        out->challenge.len != ATLS_CCA_CHALLENGE_LEN)
        return atls_arm_refuse(d, items[REALM_CHALLENGE], "challenge", "of 64 bytes");
    if (!atls_arm_bytes(items[REALM_PERSONALIZATION], &out->personalization_value) ||
        out->personalization_value.len != 64)
        return atls_arm_refuse(d, items[REALM_PERSONALIZATION], "personalization value",
                               "of 64 bytes");
    if ((code = read_hash(d, "hash algorithm", items[REALM_HASH], &out->hash)) != ATLS_OK ||
        (code = read_hash(d, "public key hash algorithm", items[REALM_PUBLIC_KEY_HASH],
                          &out->public_key_hash)) != ATLS_OK ||
        (code = read_realm_measurements(d, items, out)) != ATLS_OK ||
        (code = read_realm_key(d, items[REALM_PUBLIC_KEY], out)) != ATLS_OK)
        return code;
    return read_mec_policy(d, items[REALM_MEC_POLICY], out);
}

enum atls_code atls_cca_realm_decode(struct atls_bytes in, struct atls_arena *arena,
                                     struct atls_cca_realm *out, struct atls_err *err)
{
    const struct atls_arm_decoder d = decoder("CCA realm token", arena, err);
    struct atls_cca_realm realm;
    struct atls_bytes items[REALM_CLAIMS];
    unsigned int profile = ATLS_CCA_REALM_LEGACY;
    enum atls_code code;

    memset(&realm, 0, sizeof realm);
    if ((code = atls_arm_shorten(&d, in, &in)) != ATLS_OK ||
        (code = atls_arm_split(&d, in, realm_keys, items, REALM_CLAIMS)) != ATLS_OK)
        return code;
    if (items[REALM_PROFILE].ptr != NULL &&
        (code = find_profile(&d, items[REALM_PROFILE], realm_profiles, ATLS_CCA_REALM_2023 - 1,
                             &profile)) != ATLS_OK)
        return code;
    realm.profile = (enum atls_cca_realm_profile)profile;
    if ((code = read_realm(&d, items, &realm)) != ATLS_OK)
        return code;
    *out = realm;
    return ATLS_OK;
}
