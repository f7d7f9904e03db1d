#include "wire/ear_cbor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/cmw.h"
#include "wire/tlv.h"

/* Members of one map among the claims: each is compared with those before it. */
#define MEMBERS_MAX 1024

struct decoder {
    struct atls_ear *ear;
    struct atls_err *err;
};

/* The claims of a map, as encoded; .ptr NULL when absent. */
struct claims {
    struct atls_bytes exp, nbf, iat, cti, nonce, profile, submods;
    struct atls_bytes ear[ATLS_EAR_CLAIMS];
};

static enum atls_code malformed(const struct decoder *d, const char *claim, const char *rule)
{
    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "EAR \"%s\": %s", claim,
                            rule);
}

static enum atls_code no_memory(const struct decoder *d)
{
    return atls_fail(d->err, ATLS_E_NOMEM, "EAR: out of memory");
}

/* Names for messages: those of JSON, of the newest set that has one. */
static const char *name_of(enum atls_ear_claim claim)
{
    const char *name = atls_ear_name(claim, ATLS_EAR_04);

    return name != NULL ? name : atls_ear_name(claim, ATLS_EAR_2023);
}

static struct atls_bytes *slot_of(struct claims *c, int64_t label)
{
    switch (label) {
    case ATLS_EAT_EXP:
        return &c->exp;
    case ATLS_EAT_NBF:
        return &c->nbf;
    case ATLS_EAT_IAT:
        return &c->iat;
    case ATLS_EAT_CTI:
        return &c->cti;
    case ATLS_EAT_NONCE:
        return &c->nonce;
    case ATLS_EAT_PROFILE:
        return &c->profile;
    case ATLS_EAT_SUBMODS:
        return &c->submods;
    default:
        break;
    }
    for (unsigned int i = 0; i < ATLS_EAR_CLAIMS; i++)
        if (label != 0 && atls_ear_label((enum atls_ear_claim)i) == label)
            return &c->ear[i];
    return NULL;
}

/* A claim that has a number must come by it (draft-ietf-rats-ear-04 section 4.1). */
static bool is_registered_name(struct atls_bytes key)
{
    static const char *const names[] = {"exp", "nbf",       "iat",         "cti",
                                        "jti", "eat_nonce", "eat_profile", "submods"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (atls_bytes_equal_text(key, names[i]))
            return true;
    for (unsigned int i = 0; i < ATLS_EAR_CLAIMS; i++) {
        const char *new_name = atls_ear_name((enum atls_ear_claim)i, ATLS_EAR_04);
        const char *old_name = atls_ear_name((enum atls_ear_claim)i, ATLS_EAR_2023);

        if ((new_name != NULL && atls_bytes_equal_text(key, new_name)) ||
            (old_name != NULL && atls_bytes_equal_text(key, old_name)))
            return true;
    }
    return false;
}

/* Splits a map of claims. The document was checked: keys are unique. */
static enum atls_code split(const struct decoder *d, struct atls_bytes item, const char *what,
                            struct claims *out)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter map;

    memset(out, 0, sizeof *out);
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(d, what, "is no map");
    while (atls_cbor_more(&r, &map)) {
        struct atls_bytes value, text, *slot = NULL;
        struct atls_reader key = r;
        int64_t label;

        if (!atls_cbor_skip(&r) || !atls_cbor_get_item(&r, &value))
            return malformed(d, what, "is truncated");
        if (atls_cbor_get_int(&key, &label))
            slot = slot_of(out, label);
        else if (atls_cbor_get_text(&key, &text) && is_registered_name(text))
            return malformed(d, what, "has the name of a claim that has a number");
        if (slot != NULL)
            *slot = value;
    }
    return ATLS_OK;
}

static bool get_int(struct atls_bytes item, int64_t *out)
{
    struct atls_reader r = atls_reader_init(item);

    return atls_cbor_get_int(&r, out);
}

static bool get_text(struct atls_bytes item, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(item);

    return atls_cbor_get_text(&r, out) && out->len != 0;
}

static bool get_bytes(struct atls_bytes item, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(item);

    return atls_cbor_get_bytes(&r, out) && out->len != 0;
}

static enum atls_code keep(const struct decoder *d, struct atls_bytes bytes, struct atls_bytes *out)
{
    return atls_arena_copy(&d->ear->arena, bytes, out) ? ATLS_OK : no_memory(d);
}

static enum atls_code keep_text(const struct decoder *d, struct atls_bytes item, const char *name,
                                struct atls_bytes *out)
{
    struct atls_bytes text;

    if (!get_text(item, &text))
        return malformed(d, name, "is absent or no text");
    return keep(d, text, out);
}

static enum atls_code read_profile(const struct decoder *d, const struct claims *c)
{
    struct atls_bytes profile;
    char shown[96];

    if (!get_text(c->profile, &profile))
        return malformed(d, "eat_profile", "is absent or no text");
    if ((d->ear->version = atls_ear_version_of(profile)) != 0)
        return keep(d, profile, &d->ear->profile);
    return atls_fail(d->err, ATLS_E_UNSUPPORTED, "EAR: profile \"%s\" is not known",
                     atls_escape(profile, shown, sizeof shown));
}

static enum atls_code read_time(const struct decoder *d, struct atls_bytes item, const char *name,
                                bool *out_present, int64_t *out)
{
    *out_present = item.ptr != NULL;
    if (item.ptr == NULL)
        return ATLS_OK;
    return get_int(item, out) && *out >= 0 ? ATLS_OK
                                           : malformed(d, name, "is no integer of at least 0");
}

static enum atls_code read_times(const struct decoder *d, const struct claims *c)
{
    struct atls_ear *ear = d->ear;
    enum atls_code code;
    bool issued = false;

    if ((code = read_time(d, c->iat, "iat", &issued, &ear->issued_at_s)) != ATLS_OK ||
        (code = read_time(d, c->exp, "exp", &ear->has_expiry, &ear->expiry_s)) != ATLS_OK ||
        (code = read_time(d, c->nbf, "nbf", &ear->has_not_before, &ear->not_before_s)) != ATLS_OK)
        return code;
    if (!issued)
        return malformed(d, "iat", "is absent");
    if (ear->has_expiry && ear->expiry_s < ear->issued_at_s)
        return malformed(d, "exp", "is before iat");
    return ATLS_OK;
}

static enum atls_code read_nonce(const struct decoder *d, struct atls_reader *r)
{
    struct atls_ear *ear = d->ear;
    struct atls_bytes nonce;

    if (!atls_cbor_get_bytes(r, &nonce) || nonce.len < 8 || nonce.len > 64)
        return malformed(d, "eat_nonce", "is no byte string of 8..64 octets");
    if (ear->nonce_count == ATLS_EAR_NONCES_MAX)
        return malformed(d, "eat_nonce", "is an array of too many");
    return keep(d, nonce, &ear->nonces[ear->nonce_count++]);
}

static enum atls_code read_nonces(const struct decoder *d, const struct claims *c)
{
    struct atls_reader r = atls_reader_init(c->nonce);
    struct atls_cbor_iter array;
    enum atls_code code;

    if (c->nonce.ptr == NULL)
        return ATLS_OK;
    if (!atls_cbor_enter_array(&r, &array))
        return read_nonce(d, &r);
    while (atls_cbor_more(&r, &array))
        if ((code = read_nonce(d, &r)) != ATLS_OK)
            return code;
    return d->ear->nonce_count >= 2 ? ATLS_OK
                                    : malformed(d, "eat_nonce", "is an array of fewer than 2");
}

/* {0: developer, 1: build}. */
static enum atls_code read_verifier(const struct decoder *d, const struct claims *c)
{
    struct atls_reader r = atls_reader_init(c->ear[ATLS_EAR_VERIFIER]);
    struct atls_bytes members[2] = {{NULL, 0}, {NULL, 0}}, value;
    struct atls_cbor_iter map;
    enum atls_code code;

    if (!atls_cbor_enter_map(&r, &map))
        return malformed(d, name_of(ATLS_EAR_VERIFIER), "is absent or no map");
    while (atls_cbor_more(&r, &map)) {
        struct atls_reader key = r;
        int64_t label = -1;

        if (!atls_cbor_skip(&r) || !atls_cbor_get_item(&r, &value))
            return malformed(d, name_of(ATLS_EAR_VERIFIER), "is truncated");
        if (atls_cbor_get_int(&key, &label) && (label == 0 || label == 1))
            members[label] = value;
    }
    if ((code = keep_text(d, members[0], "developer", &d->ear->developer)) != ATLS_OK)
        return code;
    return keep_text(d, members[1], "build", &d->ear->build);
}

/* Octets up to -03, a CMW record in -04. */
static enum atls_code read_raw_evidence(const struct decoder *d, const struct claims *c)
{
    struct atls_bytes item = c->ear[ATLS_EAR_RAW_EVIDENCE], octets;
    struct atls_ear *ear = d->ear;
    const char *type;
    struct atls_cmw cmw;
    enum atls_code code;

    if (item.ptr == NULL)
        return ATLS_OK;
    if (ear->version < ATLS_EAR_04)
        return get_bytes(item, &octets)
                   ? keep(d, octets, &ear->raw_evidence)
                   : malformed(d, name_of(ATLS_EAR_RAW_EVIDENCE), "is no byte string");
    if ((code = atls_cmw_decode(item, &ear->arena, &cmw, d->err)) != ATLS_OK)
        return code;
    if (cmw.kind != ATLS_CMW_RECORD)
        return malformed(d, name_of(ATLS_EAR_RAW_EVIDENCE), "is a CMW, but no record");
    if (cmw.type.is_text && (code = keep(d, cmw.type.text, &ear->raw_evidence_type)) != ATLS_OK)
        return code;
    if (!cmw.type.is_text && (type = atls_cmw_media_type(cmw.type.content_format)) != NULL)
        ear->raw_evidence_type = atls_bytes_of(type, strlen(type));
    return keep(d, cmw.value, &ear->raw_evidence);
}

static enum atls_code read_id(const struct decoder *d, const struct claims *c)
{
    struct atls_bytes id;

    if (c->cti.ptr == NULL)
        return ATLS_OK;
    return get_bytes(c->cti, &id) ? keep(d, id, &d->ear->id)
                                  : malformed(d, "cti", "is no byte string");
}

/* Since -03: label -> labels, none of the lists empty. */
static enum atls_code check_topology(const struct decoder *d, const struct claims *c)
{
    struct atls_reader r = atls_reader_init(c->ear[ATLS_EAR_TOPOLOGY]);
    const char *name = name_of(ATLS_EAR_TOPOLOGY);
    struct atls_cbor_iter map, list;
    struct atls_bytes label;
    size_t entries = 0;

    if (c->ear[ATLS_EAR_TOPOLOGY].ptr == NULL || d->ear->version < ATLS_EAR_03)
        return ATLS_OK;
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(d, name, "is no map");
    for (; atls_cbor_more(&r, &map); entries++) {
        size_t labels = 0;

        if (!atls_cbor_get_text(&r, &label) || !atls_cbor_enter_array(&r, &list))
            return malformed(d, name, "has an entry that is no text with a list");
        for (; atls_cbor_more(&r, &list); labels++)
            if (!atls_cbor_get_text(&r, &label))
                return malformed(d, name, "names a submodule that is no text");
        if (labels == 0)
            return malformed(d, name, "has an empty list of submodules");
    }
    return entries != 0 ? ATLS_OK : malformed(d, name, "is empty");
}

static enum atls_code read_tier(const struct decoder *d, struct atls_bytes item,
                                enum atls_tier *out)
{
    int64_t number;

    if (get_int(item, &number) &&
        (number == ATLS_TIER_NONE || number == ATLS_TIER_AFFIRMING || number == ATLS_TIER_WARNING ||
         number == ATLS_TIER_CONTRAINDICATED)) {
        *out = (enum atls_tier)number;
        return ATLS_OK;
    }
    return malformed(d, name_of(ATLS_EAR_STATUS), "is none of 0, 2, 32, 96");
}

static enum atls_code read_vector(const struct decoder *d, const struct claims *c,
                                  struct atls_ear_appraisal *a)
{
    struct atls_reader r = atls_reader_init(c->ear[ATLS_EAR_VECTOR]);
    const char *name = name_of(ATLS_EAR_VECTOR);
    struct atls_cbor_iter map;

    if (c->ear[ATLS_EAR_VECTOR].ptr == NULL)
        return ATLS_OK;
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(d, name, "is no map");
    while (atls_cbor_more(&r, &map)) {
        int64_t claim, value;

        if (!atls_cbor_get_int(&r, &claim) || claim < 0 || claim >= ATLS_TRUST_CLAIMS)
            return malformed(d, name, "has a key that is no claim of it");
        if (!atls_cbor_get_int(&r, &value) || value < INT8_MIN || value > INT8_MAX)
            return malformed(d, atls_trust_claim_name((enum atls_trust_claim)claim),
                             "is no integer of -128..127");
        a->has_vector = true;
        a->trust[claim] = (int8_t)value;
        if (!atls_tier_allows(atls_tier_of((int)value), a->status))
            return malformed(d, name_of(ATLS_EAR_STATUS), "is better than the vector allows");
    }
    return a->has_vector ? ATLS_OK : malformed(d, name, "is empty");
}

/* One text up to -02, a list of at least one since. */
static enum atls_code read_policies(const struct decoder *d, const struct claims *c,
                                    struct atls_ear_appraisal *a)
{
    struct atls_bytes item = c->ear[ATLS_EAR_POLICY], id;
    const char *name = name_of(ATLS_EAR_POLICY);
    struct atls_reader r = atls_reader_init(item);
    struct atls_cbor_iter array;
    enum atls_code code;

    if (item.ptr == NULL)
        return ATLS_OK;
    if (d->ear->version < ATLS_EAR_03) {
        a->policy_count = 1;
        return keep_text(d, item, name, &a->policy_ids[0]);
    }
    if (!atls_cbor_enter_array(&r, &array))
        return malformed(d, name, "is no list");
    while (atls_cbor_more(&r, &array)) {
        if (!atls_cbor_get_text(&r, &id) || id.len == 0)
            return malformed(d, name, "has an entry that is no text");
        if (a->policy_count == ATLS_EAR_POLICIES_MAX)
            return atls_fail(d->err, ATLS_E_LIMIT, "EAR \"%s\": more than %d policies", name,
                             ATLS_EAR_POLICIES_MAX);
        if ((code = keep(d, id, &a->policy_ids[a->policy_count++])) != ATLS_OK)
            return code;
    }
    return a->policy_count != 0 ? ATLS_OK : malformed(d, name, "is empty");
}

/* {"akpub": bytes}; one library writes the number 0 in place of the name. */
static enum atls_code read_key(const struct decoder *d, const struct claims *c,
                               struct atls_ear_appraisal *a)
{
    struct atls_bytes item = c->ear[ATLS_EAR_KEY_ATTESTATION];
    struct atls_reader r = atls_reader_init(item);
    struct atls_bytes value, key = {NULL, 0}, algorithm, bits;
    struct atls_cbor_iter map;
    const char *rule;

    if (item.ptr == NULL)
        return ATLS_OK;
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(d, name_of(ATLS_EAR_KEY_ATTESTATION), "is no map");
    while (atls_cbor_more(&r, &map)) {
        struct atls_reader ahead = r;
        struct atls_bytes text = {NULL, 0};
        int64_t label = -1;

        if (!atls_cbor_skip(&r) || !atls_cbor_get_item(&r, &value))
            return malformed(d, name_of(ATLS_EAR_KEY_ATTESTATION), "is truncated");
        if (!atls_cbor_get_int(&ahead, &label) && !atls_cbor_get_text(&ahead, &text))
            continue;
        if (label != 0 && !atls_bytes_equal_text(text, "akpub"))
            continue;
        if (key.ptr != NULL || !get_bytes(value, &key))
            return malformed(d, "akpub", "is no byte string, or is there twice");
    }
    if (key.ptr == NULL)
        return malformed(d, name_of(ATLS_EAR_KEY_ATTESTATION), "has no \"akpub\"");
    rule = atls_tlv_split_spki(key, &algorithm, &bits);
    return rule == NULL ? keep(d, key, &a->key) : malformed(d, "akpub", rule);
}

static enum atls_code read_value(const struct decoder *d, struct atls_reader *r, unsigned int depth,
                                 struct atls_ear_value *out);

/* Text as it is, a number as its digits; other keys have no place in a tree of names. */
static enum atls_code read_key_of_member(const struct decoder *d, struct atls_reader *r,
                                         const char **out)
{
    struct atls_bytes key, copy;
    char digits[24];
    int64_t number;
    uint8_t *text;

    if (atls_cbor_get_int(r, &number)) {
        snprintf(digits, sizeof digits, "%" PRId64, number);
        key = atls_bytes_of(digits, strlen(digits));
    } else if (!atls_cbor_get_text(r, &key) || (key.len != 0 && memchr(key.ptr, 0, key.len))) {
        return malformed(d, "claims", "have a key that is neither a number nor text");
    }
    if ((text = atls_arena_alloc(&d->ear->arena, key.len + 1, 1)) == NULL)
        return no_memory(d);
    copy = atls_bytes_of(text, key.len);
    if (key.len != 0)
        memcpy(text, key.ptr, copy.len);
    *out = (const char *)text;
    return ATLS_OK;
}

/* Elements of the container that r has entered, without moving the caller's reader. */
static size_t count_elements(struct atls_reader r, struct atls_cbor_iter it, bool is_map)
{
    size_t count = 0;

    while (atls_cbor_more(&r, &it)) {
        if (!atls_cbor_skip(&r) || (is_map && !atls_cbor_skip(&r)))
            break;
        count++;
    }
    return count;
}

static bool is_repeated(const struct atls_ear_value *object)
{
    const struct atls_ear_value *last = &object->items[object->count - 1];

    for (size_t i = 0; i + 1 < object->count; i++)
        if (strcmp(object->items[i].key, last->key) == 0)
            return true;
    return false;
}

static enum atls_code read_container(const struct decoder *d, struct atls_reader *r, bool is_map,
                                     unsigned int depth, struct atls_ear_value *out)
{
    struct atls_cbor_iter it;
    size_t count;
    enum atls_code code;

    if (depth == ATLS_EAR_VALUE_DEPTH_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "EAR: claims nest deeper than %d levels",
                         ATLS_EAR_VALUE_DEPTH_MAX);
    if (is_map ? !atls_cbor_enter_map(r, &it) : !atls_cbor_enter_array(r, &it))
        return malformed(d, "claims", "are truncated");
    out->kind = is_map ? ATLS_EAR_VALUE_OBJECT : ATLS_EAR_VALUE_ARRAY;
    count = count_elements(*r, it, is_map);
    if (is_map && count > MEMBERS_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "EAR: a map of %zu claims, want at most %d", count,
                         MEMBERS_MAX);
    out->items = atls_arena_alloc(&d->ear->arena, count, sizeof *out->items);
    if (out->items == NULL)
        return no_memory(d);
    while (atls_cbor_more(r, &it)) {
        struct atls_ear_value *item = &out->items[out->count++];

        if (is_map && (code = read_key_of_member(d, r, &item->key)) != ATLS_OK)
            return code;
        if (is_map && is_repeated(out))
            return malformed(d, item->key[0] == '\0' ? "claims" : item->key,
                             "is there as a number and as text");
        if ((code = read_value(d, r, depth + 1, item)) != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* IEEE 754 half, single or double precision (RFC 8949 section 3.3). */
static double float_of(struct atls_bytes item)
{
    uint64_t bits = 0;
    uint32_t low;
    double wide;
    float single;

    for (size_t i = 1; i < item.len; i++)
        bits = bits << 8 | item.ptr[i];
    low = (uint32_t)bits;
    if (item.len == 9) {
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    }
    if (item.len == 3) { /* to single precision: subnormal numbers by a multiplication */
        uint32_t sign = (low & 0x8000) << 16, magnitude = low & 0x7fff;

        if (magnitude >= 0x7c00)
            low = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
        else if (magnitude >= 0x400)
            low = sign | ((magnitude << 13) + 0x38000000);
        else
            return (sign != 0 ? -1.0 : 1.0) * magnitude / 16777216.0;
    }
    memcpy(&single, &low, sizeof single);
    return (double)single;
}

/* Of major type 7: what JSON has no notion of is null. */
static void read_simple(struct atls_bytes item, struct atls_ear_value *out)
{
    uint8_t info = item.ptr[0] & 0x1f;

    out->kind = ATLS_EAR_VALUE_NULL;
    if (info == 20 || info == 21) {
        out->kind = ATLS_EAR_VALUE_BOOL;
        out->u.boolean = info == 21;
    } else if (info >= 25) {
        out->kind = ATLS_EAR_VALUE_REAL;
        out->u.real = float_of(item);
    }
}

static enum atls_code read_number(const struct decoder *d, struct atls_reader *r,
                                  struct atls_ear_value *out)
{
    out->kind = ATLS_EAR_VALUE_INT;
    if (atls_cbor_get_int(r, &out->u.integer))
        return ATLS_OK;
    out->kind = ATLS_EAR_VALUE_UINT;
    return atls_cbor_get_uint(r, &out->u.large)
               ? ATLS_OK
               : malformed(d, "claims", "have a number below -2^63");
}

/* depth: levels of containers around it, at most ATLS_EAR_VALUE_DEPTH_MAX. */
static enum atls_code read_value(const struct decoder *d, struct atls_reader *r, unsigned int depth,
                                 struct atls_ear_value *out)
{
    enum atls_cbor_type type = ATLS_CBOR_SIMPLE;
    struct atls_bytes bytes;
    uint64_t tag;

    while (atls_cbor_get_tag(r, &tag))
        ;
    if (!atls_cbor_peek(r, &type))
        return malformed(d, "claims", "are truncated");
    switch (type) {
    case ATLS_CBOR_UINT:
    case ATLS_CBOR_NINT:
        return read_number(d, r, out);
    case ATLS_CBOR_TEXT:
    case ATLS_CBOR_BYTES:
        out->kind = type == ATLS_CBOR_TEXT ? ATLS_EAR_VALUE_TEXT : ATLS_EAR_VALUE_BYTES;
        if (type == ATLS_CBOR_TEXT ? !atls_cbor_get_text(r, &bytes)
                                   : !atls_cbor_get_bytes(r, &bytes))
            return malformed(d, "claims", "are truncated");
        return keep(d, bytes, &out->bytes);
    case ATLS_CBOR_ARRAY:
    case ATLS_CBOR_MAP:
        return read_container(d, r, type == ATLS_CBOR_MAP, depth, out);
    case ATLS_CBOR_TAG:
    case ATLS_CBOR_SIMPLE:
    default:
        if (!atls_cbor_get_item(r, &bytes))
            return malformed(d, "claims", "are truncated");
        read_simple(bytes, out);
        return ATLS_OK;
    }
}

/* Claims of a maker may be anything before -04: what is no map is then none of ours. */
static enum atls_code read_claim_map(const struct decoder *d, const struct claims *c,
                                     enum atls_ear_claim claim, struct atls_ear_value *out)
{
    struct atls_reader r = atls_reader_init(c->ear[claim]), ahead = r;
    struct atls_cbor_iter map;

    if (c->ear[claim].ptr == NULL)
        return ATLS_OK;
    if (atls_cbor_enter_map(&ahead, &map) && atls_cbor_more(&ahead, &map))
        return read_value(d, &r, 0, out);
    if (d->ear->version < ATLS_EAR_04)
        return ATLS_OK;
    return malformed(d, name_of(claim), "is no map with members");
}

static enum atls_code read_appraisal(const struct decoder *d, struct atls_bytes name,
                                     struct atls_bytes item, struct atls_ear_appraisal *a)
{
    enum atls_ear_version version = d->ear->version;
    char shown[64];
    struct claims c;
    enum atls_code code;
    uint8_t *text;

    atls_escape(name, shown, sizeof shown);
    if (name.len != 0 && memchr(name.ptr, 0, name.len) != NULL)
        return malformed(d, shown, "has a NUL in its name");
    if ((text = atls_arena_alloc(&d->ear->arena, name.len + 1, 1)) == NULL)
        return no_memory(d);
    if (name.len != 0)
        memcpy(text, name.ptr, name.len);
    a->name = atls_bytes_of(text, name.len);
    if ((code = split(d, item, shown, &c)) != ATLS_OK ||
        (code = read_tier(d, c.ear[ATLS_EAR_STATUS], &a->status)) != ATLS_OK ||
        (code = read_vector(d, &c, a)) != ATLS_OK || (code = read_policies(d, &c, a)) != ATLS_OK ||
        (code = read_claim_map(d, &c, atls_ear_attester_claims_of(version), &a->attester_claims)) !=
            ATLS_OK ||
        (code = read_claim_map(d, &c, atls_ear_verifier_claims_of(version), &a->verifier_claims)) !=
            ATLS_OK)
        return code;
    return read_key(d, &c, a);
}

static enum atls_code read_submods(const struct decoder *d, const struct claims *c)
{
    struct atls_reader r = atls_reader_init(c->submods);
    struct atls_ear *ear = d->ear;
    struct atls_cbor_iter map;
    struct atls_bytes name, item;
    enum atls_code code;

    if (!atls_cbor_enter_map(&r, &map))
        return malformed(d, "submods", "is absent or no map");
    ear->submods = atls_arena_alloc(&ear->arena, ATLS_EAR_SUBMODS_MAX, sizeof *ear->submods);
    if (ear->submods == NULL)
        return no_memory(d);
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_text(&r, &name) || !atls_cbor_get_item(&r, &item))
            return malformed(d, "submods", "has a label that is no text");
        if (ear->submod_count == ATLS_EAR_SUBMODS_MAX)
            return atls_fail(d->err, ATLS_E_LIMIT, "EAR: more than %d submodules",
                             ATLS_EAR_SUBMODS_MAX);
        code = read_appraisal(d, name, item, &ear->submods[ear->submod_count]);
        if (code != ATLS_OK)
            return code;
        ear->submod_count++;
    }
    return ear->submod_count != 0 ? ATLS_OK : malformed(d, "submods", "is empty");
}

/* Since -03 there may be an overall status: not better than the worst submodule, or none. */
static enum atls_code check_overall_status(const struct decoder *d, const struct claims *c)
{
    struct atls_bytes item = c->ear[ATLS_EAR_STATUS];
    struct atls_ear *ear = d->ear;
    enum atls_code code;

    if (item.ptr == NULL)
        return ATLS_OK;
    if (ear->version < ATLS_EAR_03)
        return malformed(d, name_of(ATLS_EAR_STATUS), "stands outside a submodule");
    if ((code = read_tier(d, item, &ear->status)) != ATLS_OK)
        return code;
    ear->has_status = true;
    for (size_t i = 0; i < ear->submod_count; i++)
        if (ear->status != ATLS_TIER_NONE && !atls_tier_allows(ear->submods[i].status, ear->status))
            return malformed(d, name_of(ATLS_EAR_STATUS), "is better than the worst submodule");
    return ATLS_OK;
}

static enum atls_code read_root(const struct decoder *d, struct atls_bytes in)
{
    struct claims c;
    enum atls_code code;

    if ((code = split(d, in, "claims set", &c)) != ATLS_OK ||
        (code = read_profile(d, &c)) != ATLS_OK || (code = read_times(d, &c)) != ATLS_OK ||
        (code = read_nonces(d, &c)) != ATLS_OK || (code = read_verifier(d, &c)) != ATLS_OK ||
        (code = read_raw_evidence(d, &c)) != ATLS_OK || (code = read_id(d, &c)) != ATLS_OK ||
        (code = check_topology(d, &c)) != ATLS_OK || (code = read_submods(d, &c)) != ATLS_OK)
        return code;
    return check_overall_status(d, &c);
}

enum atls_code atls_ear_cbor_decode(struct atls_bytes in, struct atls_ear *out,
                                    struct atls_err *err)
{
    struct atls_ear ear;
    struct decoder d = {&ear, err};
    enum atls_code code;

    memset(&ear, 0, sizeof ear);
    if (in.len == 0 || in.len > ATLS_EAR_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "EAR: %zu bytes, want 1..%d", in.len, ATLS_EAR_MAX);
    if ((code = atls_cbor_check(in, ATLS_CBOR_INDEFINITE, err)) != ATLS_OK)
        return code;
    ear.arena = atls_arena_init(ATLS_EAR_ARENA_MAX);
    code = read_root(&d, in);
    if (code != ATLS_OK) {
        atls_ear_clear(&ear);
        return code;
    }
    *out = ear;
    return ATLS_OK;
}
