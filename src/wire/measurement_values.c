/* measurement-values-map: each getter consumes exactly one item. */
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/corim_items.h"

struct mval_context {
    struct atls_arena *arena;
    struct atls_mval *mval;
};

typedef enum atls_code mval_get(struct atls_reader *r, const struct mval_context *c,
                                struct atls_err *err);

/* A version scheme: an integer or a name, kept as encoded. */
static bool get_scheme(struct atls_reader *r, struct atls_bytes *out)
{
    enum atls_cbor_type type;

    return atls_cbor_peek(r, &type) &&
           (type == ATLS_CBOR_UINT || type == ATLS_CBOR_NINT || type == ATLS_CBOR_TEXT) &&
           atls_cbor_get_item(r, out);
}

/* {0: text, ?1: scheme} */
static enum atls_code get_version(struct atls_reader *r, const struct mval_context *c,
                                  struct atls_err *err)
{
    struct atls_cbor_iter map;
    bool found = false;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "version", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return atls_corim_malformed(err, "version", "unknown member");
        if (key == 0 ? !(found = atls_cbor_get_text(r, &c->mval->version))
                     : !get_scheme(r, &c->mval->version_scheme))
            return atls_corim_malformed(err, "version", "member of the wrong type");
    }
    if (!found)
        return atls_corim_malformed(err, "version", "has no text");
    c->mval->present |= ATLS_MVAL_VERSION;
    return ATLS_OK;
}

/* uint, 552(uint) exact, 553(uint) minimum. */
static enum atls_code get_svn(struct atls_reader *r, const struct mval_context *c,
                              struct atls_err *err)
{
    enum atls_mval_present kind = ATLS_MVAL_SVN;
    uint64_t tag;

    if (atls_cbor_get_tag(r, &tag)) {
        if (tag != ATLS_TAG_SVN && tag != ATLS_TAG_MIN_SVN)
            return atls_corim_malformed(err, "svn", "tag is neither 552 nor 553");
        if (tag == ATLS_TAG_MIN_SVN)
            kind = ATLS_MVAL_MIN_SVN;
    }
    if (!atls_cbor_get_uint(r, &c->mval->svn))
        return atls_corim_malformed(err, "svn", "not an unsigned integer");
    c->mval->present |= kind;
    return ATLS_OK;
}

static enum atls_code get_mval_digests(struct atls_reader *r, const struct mval_context *c,
                                       struct atls_err *err)
{
    struct atls_corim_list list = {.member = "digests", .arena = c->arena};

    c->mval->present |= ATLS_MVAL_DIGESTS;
    return atls_corim_get_digests(r, &list, &c->mval->digests, &c->mval->digest_count, err);
}

static enum atls_code get_flags(struct atls_reader *r, const struct mval_context *c,
                                struct atls_err *err)
{
    /* Members 0..10 are defined. */
    enum { FLAG_LAST = 10 };
    struct atls_cbor_iter map;
    uint64_t key;
    bool value;

    if (!atls_cbor_enter_map(r, &map) || map.left == 0)
        return atls_corim_malformed(err, "flags", "not a non-empty map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_uint(r, &key) || key > FLAG_LAST)
            return atls_corim_unsupported(err, "flags", "unknown member");
        if (!atls_cbor_get_bool(r, &value))
            return atls_corim_malformed(err, "flags", "a flag is neither true nor false");
        c->mval->flags_known |= 1u << key;
        c->mval->flags |= (unsigned int)value << key;
    }
    c->mval->present |= ATLS_MVAL_FLAGS;
    return ATLS_OK;
}

/* 560 bytes, 563 [value, mask], or bare bytes as old data has it. */
static enum atls_code get_raw(struct atls_reader *r, const struct mval_context *c,
                              struct atls_err *err)
{
    struct atls_cbor_iter pair;
    uint64_t tag = ATLS_TAG_BYTES;
    bool ok;

    if (atls_cbor_get_tag(r, &tag) && tag != ATLS_TAG_BYTES && tag != ATLS_TAG_MASKED_RAW)
        return atls_corim_malformed(err, "raw-value", "tag is neither 560 nor 563");
    if (tag == ATLS_TAG_MASKED_RAW)
        ok = atls_cbor_enter_array(r, &pair) && pair.left == 2 &&
             atls_cbor_get_bytes(r, &c->mval->raw) && atls_cbor_get_bytes(r, &c->mval->mask);
    else
        ok = atls_cbor_get_bytes(r, &c->mval->raw);
    if (!ok)
        return atls_corim_malformed(err, "raw-value", "not bytes, nor [value, mask]");
    c->mval->present |= ATLS_MVAL_RAW;
    return ATLS_OK;
}

/* The mask of a raw value as a member of its own: deprecated, still in use. */
static enum atls_code get_mask(struct atls_reader *r, const struct mval_context *c,
                               struct atls_err *err)
{
    if (c->mval->mask.ptr != NULL || !atls_cbor_get_bytes(r, &c->mval->mask))
        return atls_corim_malformed(err, "raw-value mask", "not bytes, or a second one");
    return ATLS_OK;
}

static enum atls_code get_name(struct atls_reader *r, const struct mval_context *c,
                               struct atls_err *err)
{
    if (!atls_cbor_get_text(r, &c->mval->name))
        return atls_corim_malformed(err, "name", "not text");
    c->mval->present |= ATLS_MVAL_NAME;
    return ATLS_OK;
}

/* A string of one of two lengths. */
static bool get_address(struct atls_reader *r, size_t short_len, size_t long_len,
                        struct atls_bytes *out)
{
    return atls_cbor_get_bytes(r, out) && (out->len == short_len || out->len == long_len);
}

static enum atls_code get_mac(struct atls_reader *r, const struct mval_context *c,
                              struct atls_err *err)
{
    if (!get_address(r, 6, 8, &c->mval->mac))
        return atls_corim_malformed(err, "mac-addr", "not 6 or 8 bytes");
    c->mval->present |= ATLS_MVAL_MAC;
    return ATLS_OK;
}

static enum atls_code get_ip(struct atls_reader *r, const struct mval_context *c,
                             struct atls_err *err)
{
    if (!get_address(r, 4, 16, &c->mval->ip))
        return atls_corim_malformed(err, "ip-addr", "not 4 or 16 bytes");
    c->mval->present |= ATLS_MVAL_IP;
    return ATLS_OK;
}

static enum atls_code get_serial(struct atls_reader *r, const struct mval_context *c,
                                 struct atls_err *err)
{
    if (!atls_cbor_get_text(r, &c->mval->serial))
        return atls_corim_malformed(err, "serial-number", "not text");
    c->mval->present |= ATLS_MVAL_SERIAL;
    return ATLS_OK;
}

static enum atls_code get_ueid(struct atls_reader *r, const struct mval_context *c,
                               struct atls_err *err)
{
    enum { UEID_MIN = 7, UEID_MAX = 33 };

    if (!atls_cbor_get_bytes(r, &c->mval->ueid) || c->mval->ueid.len < UEID_MIN ||
        c->mval->ueid.len > UEID_MAX)
        return atls_corim_malformed(err, "ueid", "not 7 to 33 bytes");
    c->mval->present |= ATLS_MVAL_UEID;
    return ATLS_OK;
}

static enum atls_code get_uuid(struct atls_reader *r, const struct mval_context *c,
                               struct atls_err *err)
{
    if (!get_address(r, 16, 16, &c->mval->uuid))
        return atls_corim_malformed(err, "uuid", "not 16 bytes");
    c->mval->present |= ATLS_MVAL_UUID;
    return ATLS_OK;
}

static enum atls_code get_cryptokeys(struct atls_reader *r, const struct mval_context *c,
                                     struct atls_err *err)
{
    struct atls_bytes item;

    if (!atls_cbor_get_item(r, &item))
        return atls_corim_malformed(err, "cryptokeys", "missing");
    c->mval->present |= ATLS_MVAL_KEYS;
    return atls_corim_keys_decode(item, c->arena, &c->mval->keys, &c->mval->key_count, err);
}

/* {+ (uint or text) => digests} */
static enum atls_code get_registers(struct atls_reader *r, const struct mval_context *c,
                                    struct atls_err *err)
{
    struct atls_integrity_register *registers;
    struct atls_cbor_iter map;
    enum atls_code code;
    size_t count = 0;

    if (!atls_cbor_enter_map(r, &map) || map.left == 0)
        return atls_corim_malformed(err, "integrity registers", "not a non-empty map");
    if (map.left > ATLS_CORIM_MEASUREMENTS_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM integrity registers: at most %d are taken",
                         ATLS_CORIM_MEASUREMENTS_MAX);
    if ((registers = atls_arena_alloc(c->arena, (size_t)map.left, sizeof *registers)) == NULL)
        return atls_corim_no_memory(err);
    while (atls_cbor_more(r, &map)) {
        struct atls_integrity_register *one = &registers[count++];
        struct atls_corim_list list = {.member = "integrity registers", .arena = c->arena};

        if (!atls_cbor_get_uint(r, &one->number) && !atls_cbor_get_text(r, &one->name))
            return atls_corim_malformed(err, list.member, "id is neither a number nor text");
        if ((code = atls_corim_get_digests(r, &list, &one->digests, &one->digest_count, err)) !=
            ATLS_OK)
            return code;
    }
    c->mval->registers = registers;
    c->mval->register_count = count;
    c->mval->present |= ATLS_MVAL_REGISTERS;
    return ATLS_OK;
}

/* One end of a range; has_end false for null. */
static bool get_range_end(struct atls_reader *r, int64_t *end, bool *has_end)
{
    *has_end = atls_cbor_get_int(r, end);
    return *has_end || atls_cbor_get_null(r);
}

/* int, or 564([min or null, max or null]). */
static enum atls_code get_range(struct atls_reader *r, const struct mval_context *c,
                                struct atls_err *err)
{
    struct atls_int_range range = {false, true, true, 0, 0};
    struct atls_cbor_iter pair;
    uint64_t tag;

    if (atls_cbor_get_int(r, &range.least)) {
        range.most = range.least;
    } else {
        if (!atls_cbor_get_tag(r, &tag) || tag != ATLS_TAG_INT_RANGE ||
            !atls_cbor_enter_array(r, &pair) || pair.left != 2 ||
            !get_range_end(r, &range.least, &range.has_least) ||
            !get_range_end(r, &range.most, &range.has_most))
            return atls_corim_malformed(err, "int-range", "neither an integer nor 564([min, max])");
        if (range.has_least && range.has_most && range.least > range.most)
            return atls_corim_malformed(err, "int-range", "least is above most");
        range.is_range = true;
    }
    c->mval->range = range;
    c->mval->present |= ATLS_MVAL_INT_RANGE;
    return ATLS_OK;
}

/* measurement-values-map; another number is of a profile, a text of nobody. */
static const struct {
    int64_t key;
    mval_get *get;
} mval_members[] = {
    {0, get_version}, {1, get_svn},   {2, get_mval_digests}, {3, get_flags},      {4, get_raw},
    {5, get_mask},    {6, get_mac},   {7, get_ip},           {8, get_serial},     {9, get_ueid},
    {10, get_uuid},   {11, get_name}, {13, get_cryptokeys},  {14, get_registers}, {15, get_range},
};

static enum atls_code get_mval_member(struct atls_reader *r, const struct mval_context *c,
                                      struct atls_err *err)
{
    struct atls_mval *m = c->mval;
    struct atls_bytes item;
    int64_t key;

    if (!atls_cbor_get_int(r, &key)) {
        if (!atls_cbor_get_text(r, &item) || !atls_cbor_skip(r))
            return atls_corim_malformed(err, "mval", "key is neither an integer nor text");
        m->present |= ATLS_MVAL_OTHER;
        return ATLS_OK;
    }
    for (size_t i = 0; i < sizeof mval_members / sizeof mval_members[0]; i++)
        if (mval_members[i].key == key)
            return mval_members[i].get(r, c, err);
    if (!atls_cbor_get_item(r, &item))
        return atls_corim_malformed(err, "mval", "truncated");
    m->extensions[m->extension_count].key = key;
    m->extensions[m->extension_count++].item = item;
    m->present |= ATLS_MVAL_EXTENSIONS;
    return ATLS_OK;
}

/* Room for as many extensions as the map has members of another number than the base ones. */
static enum atls_code reserve_extensions(struct atls_reader r, struct atls_cbor_iter map,
                                         const struct mval_context *c, struct atls_err *err)
{
    enum { BASE_LAST = 15 };
    size_t count = 0;
    int64_t key;

    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            key = atls_cbor_skip(&r) ? 0 : -1;
        if (!atls_cbor_skip(&r))
            return atls_corim_malformed(err, "mval", "truncated");
        count += key < 0 || key == 12 || key > BASE_LAST;
    }
    if (count != 0 && (c->mval->extensions =
                           atls_arena_alloc(c->arena, count, sizeof *c->mval->extensions)) == NULL)
        return atls_corim_no_memory(err);
    return ATLS_OK;
}

enum atls_code atls_corim_get_mval(struct atls_reader *r, struct atls_arena *arena,
                                   struct atls_mval *out, struct atls_err *err)
{
    const struct mval_context context = {arena, out};
    struct atls_cbor_iter map;
    enum atls_code code;

    if (!atls_cbor_enter_map(r, &map) || map.left == 0)
        return atls_corim_malformed(err, "mval", "not a non-empty map");
    if ((code = reserve_extensions(*r, map, &context, err)) != ATLS_OK)
        return code;
    while (atls_cbor_more(r, &map))
        if ((code = get_mval_member(r, &context, err)) != ATLS_OK)
            return code;
    if (out->mask.ptr != NULL && (out->raw.ptr == NULL || out->mask.len != out->raw.len))
        return atls_corim_malformed(err, "raw-value", "mask is not as long as the value");
    return ATLS_OK;
}
