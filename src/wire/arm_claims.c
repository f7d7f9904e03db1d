#include "wire/arm_claims.h"

#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"

/* RFC 9783 section 4.4.1; the CCA token has the same. */
enum { COMPONENT_TYPE = 1, COMPONENT_VALUE, COMPONENT_VERSION = 4, COMPONENT_SIGNER_ID };
enum { COMPONENT_ALGORITHM = 6 };

enum atls_code atls_arm_malformed(const struct atls_arm_decoder *d, const char *claim,
                                  const char *rule)
{
    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "%s: %s %s", d->what,
                            claim, rule);
}

enum atls_code atls_arm_refuse(const struct atls_arm_decoder *d, struct atls_bytes item,
                               const char *claim, const char *want)
{
    if (item.ptr == NULL)
        return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MISSING_CLAIM,
                                "%s: %s is absent", d->what, claim);
    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "%s: %s is not %s",
                            d->what, claim, want);
}

enum atls_code atls_arm_shorten(const struct atls_arm_decoder *d, struct atls_bytes in,
                                struct atls_bytes *out)
{
    enum atls_code code = atls_cbor_shorten(in, ATLS_ARM_DEPTH_MAX, d->arena, out, d->err);

    return code == ATLS_OK ? ATLS_OK : atls_err_prefix(d->err, code, d->what);
}

enum atls_code atls_arm_open(const struct atls_arm_decoder *d, struct atls_bytes in,
                             struct atls_cose_sign1 *out)
{
    struct atls_cose_sign1 sign1;
    enum atls_code code;

    if ((code = atls_arm_shorten(d, in, &in)) != ATLS_OK)
        return code;
    code =
        atls_cose_sign1_decode_of_any_width(in, ATLS_COSE_TAG_REQUIRED, d->arena, &sign1, d->err);
    if (code != ATLS_OK)
        return atls_err_prefix(d->err, code, d->what);
    if (sign1.detached)
        return atls_arm_malformed(d, "payload", "is detached");
    *out = sign1;
    return ATLS_OK;
}

bool atls_arm_lifecycle_of(uint64_t value, enum atls_arm_lifecycle *out)
{
    if (value > UINT16_MAX || value >> 8 > ATLS_ARM_LIFECYCLE_DECOMMISSIONED ||
        (value >> 8 & 0x0f) != 0)
        return false;
    *out = (enum atls_arm_lifecycle)(value >> 8);
    return true;
}

const char *atls_arm_lifecycle_name(enum atls_arm_lifecycle lifecycle)
{
    static const char *const names[] = {
        "unknown",       "assembly-and-test", "rot-provisioning", "secured",
        "non-rot-debug", "recoverable-debug", "decommissioned",
    };

    return names[(unsigned int)lifecycle >> 4];
}

static const struct {
    const char *name;
    enum atls_arm_hash hash;
} hashes[] = {
    {"sha-256", ATLS_ARM_SHA256}, {"sha-384", ATLS_ARM_SHA384}, {"sha-512", ATLS_ARM_SHA512}};

bool atls_arm_hash_of(struct atls_bytes name, enum atls_arm_hash *out)
{
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        if (!atls_bytes_equal_text(name, hashes[i].name))
            continue;
        *out = hashes[i].hash;
        return true;
    }
    return false;
}

const char *atls_arm_hash_name(enum atls_arm_hash hash)
{
    return hash == ATLS_ARM_SHA256   ? hashes[0].name
           : hash == ATLS_ARM_SHA384 ? hashes[1].name
                                     : hashes[2].name;
}

bool atls_arm_is_hash(struct atls_bytes bytes)
{
    return bytes.len == 32 || bytes.len == 48 || bytes.len == 64;
}

/* Text, or an integer beyond those that have claims. */
static bool is_other_key(const struct atls_reader *r)
{
    enum atls_cbor_type type;

    return atls_cbor_peek(r, &type) &&
           (type == ATLS_CBOR_UINT || type == ATLS_CBOR_NINT || type == ATLS_CBOR_TEXT);
}

/* The map at r, whose document was checked; see atls_arm_split. */
static enum atls_code split_map(const struct atls_arm_decoder *d, struct atls_reader *r,
                                const int64_t *keys, struct atls_bytes *items, size_t count)
{
    struct atls_cbor_iter map;

    memset(items, 0, count * sizeof *items);
    if (!atls_cbor_enter_map(r, &map))
        return atls_arm_malformed(d, "claims", "are no map");
    while (atls_cbor_more(r, &map)) {
        struct atls_bytes name, value;
        size_t i = count;
        int64_t key = 0;

        if (atls_cbor_get_int(r, &key))
            for (i = 0; i < count && keys[i] != key; i++)
                ;
        else if (!is_other_key(r) || !atls_cbor_get_item(r, &name))
            return atls_arm_malformed(d, "key", "is neither an integer nor text");
        if (!atls_cbor_get_item(r, &value))
            return atls_arm_malformed(d, "claims", "are truncated");
        if (i < count)
            items[i] = value;
    }
    return ATLS_OK;
}

enum atls_code atls_arm_split(const struct atls_arm_decoder *d, struct atls_bytes in,
                              const int64_t *keys, struct atls_bytes *items, size_t count)
{
    struct atls_reader r = atls_reader_init(in);

    return split_map(d, &r, keys, items, count);
}

bool atls_arm_bytes(struct atls_bytes item, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(item);

    return atls_cbor_get_bytes(&r, out);
}

bool atls_arm_text(struct atls_bytes item, struct atls_bytes *out)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_bytes text;

    if (!atls_cbor_get_text(&r, &text) || text.len == 0)
        return false;
    *out = text;
    return true;
}

bool atls_arm_int(struct atls_bytes item, int64_t *out)
{
    struct atls_reader r = atls_reader_init(item);

    return atls_cbor_get_int(&r, out);
}

enum atls_code atls_arm_read_ids(const struct atls_arm_decoder *d, struct atls_bytes implementation,
                                 struct atls_bytes instance, struct atls_bytes out[static 2])
{
    if (!atls_arm_bytes(implementation, &out[0]) || out[0].len != ATLS_ARM_IMPLEMENTATION_ID_LEN)
        return atls_arm_refuse(d, implementation, "implementation id", "of 32 bytes");
    if (!atls_arm_bytes(instance, &out[1]) || out[1].len != ATLS_ARM_INSTANCE_ID_LEN)
        return atls_arm_refuse(d, instance, "instance id", "of 33 bytes");
    if (out[1].ptr[0] != 0x01)
        return atls_arm_malformed(d, "instance id", "does not begin with 01");
    return ATLS_OK;
}

enum atls_code atls_arm_read_lifecycle(const struct atls_arm_decoder *d, struct atls_bytes item,
                                       uint16_t *out_value, enum atls_arm_lifecycle *out)
{
    int64_t value = 0;

    if (!atls_arm_int(item, &value) || value < 0 || !atls_arm_lifecycle_of((uint64_t)value, out))
        return atls_arm_refuse(d, item, "security lifecycle", "a known state");
    *out_value = (uint16_t)value;
    return ATLS_OK;
}

static enum atls_code read_component(const struct atls_arm_decoder *d, struct atls_reader *r,
                                     struct atls_arm_component *out)
{
    static const int64_t keys[] = {COMPONENT_TYPE, COMPONENT_VALUE, COMPONENT_VERSION,
                                   COMPONENT_SIGNER_ID, COMPONENT_ALGORITHM};
    enum { TYPE, VALUE, VERSION, SIGNER_ID, ALGORITHM, MEMBERS };
    const struct {
        unsigned int item;
        struct atls_bytes *out;
    } texts[] = {{TYPE, &out->type}, {VERSION, &out->version}, {ALGORITHM, &out->algorithm}};
    struct atls_bytes items[MEMBERS];
    enum atls_code code = split_map(d, r, keys, items, MEMBERS);

    if (code != ATLS_OK)
        return code;
    if (!atls_arm_bytes(items[VALUE], &out->value) || !atls_arm_is_hash(out->value))
        return atls_arm_refuse(d, items[VALUE], "component's measurement", "of 32, 48 or 64 bytes");
    if (!atls_arm_bytes(items[SIGNER_ID], &out->signer_id) || !atls_arm_is_hash(out->signer_id))
        return atls_arm_refuse(d, items[SIGNER_ID], "component's signer id",
                               "of 32, 48 or 64 bytes");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (items[texts[i].item].ptr != NULL && !atls_arm_text(items[texts[i].item], texts[i].out))
            return atls_arm_malformed(d, "component's type, version or algorithm",
                                      "is no text with content");
    return ATLS_OK;
}

enum atls_code atls_arm_read_components(const struct atls_arm_decoder *d, struct atls_bytes item,
                                        struct atls_arm_component **out, size_t *out_count)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_arm_component *components;
    struct atls_cbor_iter array;
    size_t count = 0;
    enum atls_code code;

    if (!atls_cbor_enter_array(&r, &array) || array.left == 0)
        return atls_arm_refuse(d, item, "software components", "an array of at least 1");
    if (array.left > ATLS_ARM_COMPONENTS_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "%s: %llu software components, want at most %d",
                         d->what, (unsigned long long)array.left, ATLS_ARM_COMPONENTS_MAX);
    components = atls_arena_alloc(d->arena, (size_t)array.left, sizeof *components);
    if (components == NULL)
        return atls_fail(d->err, ATLS_E_NOMEM, "%s: no memory for software components", d->what);
    while (atls_cbor_more(&r, &array))
        if ((code = read_component(d, &r, &components[count++])) != ATLS_OK)
            return code;
    *out = components;
    *out_count = count;
    return ATLS_OK;
}

enum atls_code atls_arm_read_client_id(const struct atls_arm_decoder *d, struct atls_bytes item,
                                       int32_t *out)
{
    int64_t value = 0;

    if (!atls_arm_int(item, &value) || value == 0 || value < INT32_MIN || value > INT32_MAX)
        return atls_arm_refuse(d, item, "client id", "an integer of 32 bits but 0");
    *out = (int32_t)value;
    return ATLS_OK;
}

enum atls_code atls_arm_read_service(const struct atls_arm_decoder *d, struct atls_bytes item,
                                     struct atls_bytes *out)
{
    if (item.ptr != NULL && !atls_arm_text(item, out))
        return atls_arm_malformed(d, "verification service", "is no text with content");
    return ATLS_OK;
}
