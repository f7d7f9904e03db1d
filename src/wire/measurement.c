#include "wire/measurement.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/corim_items.h"

/* Keys of one list: a triple that names more is not about one environment. */
#define KEYS_MAX 64
/* Opaque identifiers (tag 560): long enough for every digest and device id. */
#define OPAQUE_MAX 1024

/* clang-format off */
static const struct atls_named_hash named_hashes[] = {
    {1, "sha-256", 32, ATLS_HASH_SHA256},
    {2, "sha-256-128", 16, ATLS_HASH_NONE},
    {3, "sha-256-120", 15, ATLS_HASH_NONE},
    {4, "sha-256-96", 12, ATLS_HASH_NONE},
    {5, "sha-256-64", 8, ATLS_HASH_NONE},
    {6, "sha-256-32", 4, ATLS_HASH_NONE},
    {7, "sha-384", 48, ATLS_HASH_SHA384},
    {8, "sha-512", 64, ATLS_HASH_SHA512},
    {9, "sha3-224", 28, ATLS_HASH_NONE},
    {10, "sha3-256", 32, ATLS_HASH_NONE},
    {11, "sha3-384", 48, ATLS_HASH_NONE},
    {12, "sha3-512", 64, ATLS_HASH_NONE},
};
/* clang-format on */
#define NAMED_HASHES (sizeof named_hashes / sizeof named_hashes[0])

const char *atls_hash_name(enum atls_hash hash)
{
    static const char *const names[] = {
        [ATLS_HASH_NONE] = "",         [ATLS_HASH_SHA1] = "sha1",     [ATLS_HASH_SHA256] = "sha256",
        [ATLS_HASH_SHA384] = "sha384", [ATLS_HASH_SHA512] = "sha512",
    };

    return names[hash];
}

const struct atls_named_hash *atls_named_hash_by_number(int64_t number)
{
    for (size_t i = 0; i < NAMED_HASHES; i++)
        if (named_hashes[i].number == number)
            return &named_hashes[i];
    return NULL;
}

const struct atls_named_hash *atls_named_hash_by_name(struct atls_bytes name)
{
    for (size_t i = 0; i < NAMED_HASHES; i++)
        if (atls_bytes_equal_text(name, named_hashes[i].name))
            return &named_hashes[i];
    return NULL;
}

const struct atls_named_hash *atls_named_hash_of(enum atls_hash hash)
{
    for (size_t i = 0; i < NAMED_HASHES && hash != ATLS_HASH_NONE; i++)
        if (named_hashes[i].hash == hash)
            return &named_hashes[i];
    return NULL;
}

/* What one tag of a type choice holds. */
enum content { CONTENT_BYTES, CONTENT_TEXT, CONTENT_THUMBPRINT, CONTENT_COSE_KEY };

struct choice {
    uint64_t tag;
    enum content content;
    size_t min, max; /* length of CONTENT_BYTES */
};

/* clang-format off */
static const struct choice class_choices[] = {
    {ATLS_TAG_OID, CONTENT_BYTES, 1, 255},
    {ATLS_TAG_UUID, CONTENT_BYTES, 16, 16},
    {ATLS_TAG_BYTES, CONTENT_BYTES, 1, OPAQUE_MAX},
    {0},
};
static const struct choice instance_choices[] = {
    {ATLS_TAG_UEID, CONTENT_BYTES, 7, 33},
    {ATLS_TAG_UUID, CONTENT_BYTES, 16, 16},
    {ATLS_TAG_BYTES, CONTENT_BYTES, 1, OPAQUE_MAX},
    {ATLS_TAG_PKIX_KEY, CONTENT_TEXT, 0, 0},
    {ATLS_TAG_PKIX_CERT, CONTENT_TEXT, 0, 0},
    {ATLS_TAG_KEY_THUMB, CONTENT_THUMBPRINT, 0, 0},
    {ATLS_TAG_COSE_KEY, CONTENT_COSE_KEY, 0, 0},
    {ATLS_TAG_CERT_THUMB, CONTENT_THUMBPRINT, 0, 0},
    {ATLS_TAG_CERT_DER, CONTENT_BYTES, 1, SIZE_MAX},
    {0},
};
static const struct choice group_choices[] = {
    {ATLS_TAG_UUID, CONTENT_BYTES, 16, 16},
    {ATLS_TAG_BYTES, CONTENT_BYTES, 1, OPAQUE_MAX},
    {0},
};
static const struct choice mkey_choices[] = {
    {ATLS_TAG_OID, CONTENT_BYTES, 1, 255},
    {ATLS_TAG_UUID, CONTENT_BYTES, 16, 16},
    {0},
};
static const struct choice key_choices[] = {
    {ATLS_TAG_PKIX_KEY, CONTENT_TEXT, 0, 0},
    {ATLS_TAG_PKIX_CERT, CONTENT_TEXT, 0, 0},
    {ATLS_TAG_PKIX_PATH, CONTENT_TEXT, 0, 0},
    {ATLS_TAG_KEY_THUMB, CONTENT_THUMBPRINT, 0, 0},
    {ATLS_TAG_COSE_KEY, CONTENT_COSE_KEY, 0, 0},
    {ATLS_TAG_CERT_THUMB, CONTENT_THUMBPRINT, 0, 0},
    {ATLS_TAG_BYTES, CONTENT_BYTES, 1, OPAQUE_MAX},
    {ATLS_TAG_PATH_THUMB, CONTENT_THUMBPRINT, 0, 0},
    {ATLS_TAG_CERT_DER, CONTENT_BYTES, 1, SIZE_MAX},
    {0},
};
/* clang-format on */

/* True when in is one item with all that it contains: then no walk below runs into its end. */
static bool is_item(struct atls_bytes in)
{
    struct atls_reader r = atls_reader_init(in);

    return atls_cbor_skip(&r) && atls_reader_done(&r);
}

bool atls_tagged_bytes(struct atls_bytes in, uint64_t *out_tag, struct atls_bytes *out_content)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes content;
    uint64_t tag;

    if (!atls_cbor_get_tag(&r, &tag) || !atls_cbor_get_bytes(&r, &content) || !atls_reader_done(&r))
        return false;
    *out_tag = tag;
    *out_content = content;
    return true;
}

/* hash-entry: [algorithm by number or name, digest]. name is of an algorithm that has no number. */
static enum atls_code get_digest(struct atls_reader *r, const char *member, struct atls_digest *out,
                                 struct atls_bytes *name, struct atls_err *err)
{
    const struct atls_named_hash *row;
    struct atls_digest d = {ATLS_HASH_NONE, ATLS_NAMED_HASH_TEXT, {NULL, 0}};
    struct atls_cbor_iter pair;

    *name = atls_bytes_of(NULL, 0);
    if (!atls_cbor_enter_array(r, &pair) || pair.left != 2)
        return atls_corim_malformed(err, member, "a digest is not [algorithm, bytes]");
    if (atls_cbor_get_int(r, &d.named_information)) {
        row = atls_named_hash_by_number(d.named_information);
    } else {
        if (!atls_cbor_get_text(r, name))
            return atls_corim_malformed(err, member,
                                        "digest algorithm is neither a number nor a name");
        if ((row = atls_named_hash_by_name(*name)) != NULL)
            d.named_information = row->number;
    }
    if (!atls_cbor_get_bytes(r, &d.value) || d.value.len == 0)
        return atls_corim_malformed(err, member, "a digest is not a non-empty byte string");
    if (row != NULL && d.value.len != row->len)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "CoRIM %s: digest of %zu bytes, %s has %zu", member, d.value.len,
                                row->name, row->len);
    if (row != NULL)
        d.hash = row->hash;
    *out = d;
    return ATLS_OK;
}

/* True when entry number count names the algorithm of an earlier one. */
static bool is_repeated(const struct atls_digest *digests, const struct atls_bytes *names,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (digests[i].named_information == digests[count].named_information &&
            (digests[i].named_information != ATLS_NAMED_HASH_TEXT ||
             atls_bytes_equal(names[i], names[count])))
            return true;
    return false;
}

enum atls_code atls_corim_get_digest(struct atls_reader *r, const char *member,
                                     struct atls_digest *out, struct atls_err *err)
{
    struct atls_bytes name;

    return get_digest(r, member, out, &name, err);
}

enum atls_code atls_corim_get_digests(struct atls_reader *r, struct atls_corim_list *list,
                                      struct atls_digest **out, size_t *out_count,
                                      struct atls_err *err)
{
    /* The registry has fewer rows: more entries name one twice or are unknown to everybody. */
    enum { DIGESTS_MAX = 32 };
    struct atls_digest digests[DIGESTS_MAX], *copy;
    struct atls_bytes names[DIGESTS_MAX];
    enum atls_code code;
    size_t count = 0;

    if (!atls_cbor_enter_array(r, &list->iter) || list->iter.left == 0)
        return atls_corim_malformed(err, list->member, "digests are not a non-empty list");
    if (list->iter.left > DIGESTS_MAX)
        return atls_corim_malformed(err, list->member, "more digests than there are algorithms");
    while (atls_cbor_more(r, &list->iter)) {
        if ((code = get_digest(r, list->member, &digests[count], &names[count], err)) != ATLS_OK)
            return code;
        if (is_repeated(digests, names, count))
            return atls_corim_malformed(err, list->member, "two digests of one algorithm");
        count++;
    }
    if ((copy = atls_arena_alloc(list->arena, count, sizeof *copy)) == NULL)
        return atls_corim_no_memory(err);
    memcpy(copy, digests, count * sizeof *copy);
    *out = copy;
    *out_count = count;
    return ATLS_OK;
}

/* A manifest is public: nobody's private key may be in it, nor be taken for a public one. */
static bool holds_private_key(struct atls_bytes pem)
{
    static const char label[] = "PRIVATE KEY-----";
    const size_t len = sizeof label - 1;

    for (size_t i = 0; pem.len >= len && i <= pem.len - len; i++)
        if (memcmp(pem.ptr + i, label, len) == 0)
            return true;
    return false;
}

/* Content of a tag: writes what a struct atls_corim_key has. */
static enum atls_code get_content(struct atls_bytes item, const struct choice *choice,
                                  const char *member, struct atls_bytes *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(item);
    struct atls_digest digest;
    struct atls_bytes name;
    enum atls_cbor_type type;
    enum atls_code code;

    switch (choice->content) {
    case CONTENT_BYTES:
        if (!atls_cbor_get_bytes(&r, out) || out->len < choice->min || out->len > choice->max)
            return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                    "CoRIM %s: tag %llu is not on a byte string of legal length",
                                    member, (unsigned long long)choice->tag);
        break;
    case CONTENT_TEXT:
        if (!atls_cbor_get_text(&r, out) || out->len == 0)
            return atls_corim_malformed(err, member, "tag of a PEM text is not on text");
        if (holds_private_key(*out))
            return atls_corim_malformed(err, member, "PEM text holds a private key");
        break;
    case CONTENT_THUMBPRINT:
        if ((code = get_digest(&r, member, &digest, &name, err)) != ATLS_OK)
            return code;
        *out = item;
        break;
    case CONTENT_COSE_KEY:
    default:
        if (!atls_cbor_peek(&r, &type) || (type != ATLS_CBOR_MAP && type != ATLS_CBOR_ARRAY) ||
            !atls_cbor_skip(&r))
            return atls_corim_malformed(err, member, "tag 558 is not on a COSE_Key or COSE_KeySet");
        *out = item;
        break;
    }
    return atls_reader_done(&r) ? ATLS_OK
                                : atls_corim_malformed(err, member, "content is too long");
}

/* One item of a type choice. */
static enum atls_code get_choice(struct atls_bytes item, const struct choice *choices,
                                 const char *member, struct atls_corim_key *out,
                                 struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(item);
    uint64_t tag;

    if (!atls_cbor_get_tag(&r, &tag))
        return atls_corim_malformed(err, member, "not tagged");
    if (tag == ATLS_TAG_OLD_IMPLEMENTATION_ID || tag == ATLS_TAG_OLD_REFERENCE_ID)
        return atls_corim_unsupported(err, member, "tag 600 or 601 of old PSA manifests");
    for (; choices->tag != 0; choices++) {
        if (choices->tag != tag)
            continue;
        out->tag = tag;
        return get_content(atls_bytes_of(item.ptr + r.pos, item.len - r.pos), choices, member,
                           &out->content, err);
    }
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                            "CoRIM %s: tag %llu is not one of its choices", member,
                            (unsigned long long)tag);
}

/* An item of a type choice that is kept as encoded. */
static enum atls_code get_identifier(struct atls_reader *r, const struct choice *choices,
                                     const char *member, struct atls_bytes *out,
                                     struct atls_err *err)
{
    struct atls_corim_key ignored;
    enum atls_code code;

    if (!atls_cbor_get_item(r, out))
        return atls_corim_malformed(err, member, "missing");
    if ((code = get_choice(*out, choices, member, &ignored, err)) != ATLS_OK)
        return code;
    return ATLS_OK;
}

enum { CLASS_ID, CLASS_VENDOR, CLASS_MODEL, CLASS_LAYER, CLASS_INDEX };

/* class-map. */
static enum atls_code get_class(struct atls_reader *r, struct atls_environment *e,
                                struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;
    bool ok = true;

    if (!atls_cbor_enter_map(r, &map) || map.left == 0)
        return atls_corim_malformed(err, "class", "not a non-empty map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key))
            return atls_corim_unsupported(err, "class", "member with a key that is not an integer");
        switch (key) {
        case CLASS_ID:
            if ((code = get_identifier(r, class_choices, "class-id", &e->class_id, err)) != ATLS_OK)
                return code;
            break;
        case CLASS_VENDOR:
            ok = atls_cbor_get_text(r, &e->vendor);
            break;
        case CLASS_MODEL:
            ok = atls_cbor_get_text(r, &e->model);
            break;
        case CLASS_LAYER:
            ok = e->has_layer = atls_cbor_get_uint(r, &e->layer);
            break;
        case CLASS_INDEX:
            ok = e->has_index = atls_cbor_get_uint(r, &e->index);
            break;
        default:
            return atls_corim_unsupported(err, "class", "unknown member");
        }
        if (!ok)
            return atls_corim_malformed(err, "class", "member of the wrong type");
    }
    return ATLS_OK;
}

enum { ENVIRONMENT_CLASS, ENVIRONMENT_INSTANCE, ENVIRONMENT_GROUP };

enum atls_code atls_environment_decode(struct atls_bytes in, struct atls_environment *out,
                                       struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_environment e;
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    memset(&e, 0, sizeof e);
    if (!is_item(in))
        return atls_corim_malformed(err, "environment", "truncated, or trailing bytes");
    if (!atls_cbor_enter_map(&r, &map) || map.left == 0)
        return atls_corim_malformed(err, "environment", "not a non-empty map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            return atls_corim_unsupported(err, "environment",
                                          "member with a key that is not an integer");
        switch (key) {
        case ENVIRONMENT_CLASS:
            code = get_class(&r, &e, err);
            break;
        case ENVIRONMENT_INSTANCE:
            code = get_identifier(&r, instance_choices, "instance", &e.instance, err);
            break;
        case ENVIRONMENT_GROUP:
            code = get_identifier(&r, group_choices, "group", &e.group, err);
            break;
        default:
            return atls_corim_unsupported(err, "environment", "unknown member");
        }
        if (code != ATLS_OK)
            return code;
    }
    *out = e;
    return ATLS_OK;
}

enum atls_code atls_corim_keys_decode(struct atls_bytes in, struct atls_arena *arena,
                                      struct atls_corim_key **out, size_t *out_count,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_corim_key *keys;
    struct atls_cbor_iter list;
    struct atls_bytes item;
    enum atls_code code;
    size_t count = 0;

    if (!is_item(in))
        return atls_corim_malformed(err, "keys", "truncated, or trailing bytes");
    if (!atls_cbor_enter_array(&r, &list) || list.left == 0)
        return atls_corim_malformed(err, "keys", "not a non-empty list");
    if (list.left > KEYS_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM keys: %llu, at most %d are taken",
                         (unsigned long long)list.left, KEYS_MAX);
    if ((keys = atls_arena_alloc(arena, (size_t)list.left, sizeof *keys)) == NULL)
        return atls_corim_no_memory(err);
    while (atls_cbor_more(&r, &list)) {
        if (!atls_cbor_get_item(&r, &item))
            return atls_corim_malformed(err, "keys", "truncated");
        if ((code = get_choice(item, key_choices, "key", &keys[count++], err)) != ATLS_OK)
            return code;
    }
    *out = keys;
    *out_count = count;
    return ATLS_OK;
}

enum atls_code atls_corim_get_mkey(struct atls_reader *r, struct atls_mkey *out,
                                   struct atls_err *err)
{
    struct atls_corim_key tagged;
    struct atls_bytes item;
    enum atls_code code;

    if (atls_cbor_get_uint(r, &out->number)) {
        out->kind = ATLS_MKEY_UINT;
        return ATLS_OK;
    }
    if (atls_cbor_get_text(r, &out->bytes)) {
        out->kind = ATLS_MKEY_TEXT;
        return ATLS_OK;
    }
    if (!atls_cbor_get_item(r, &item))
        return atls_corim_malformed(err, "mkey", "missing");
    if ((code = get_choice(item, mkey_choices, "mkey", &tagged, err)) != ATLS_OK)
        return code;
    out->kind = tagged.tag == ATLS_TAG_UUID ? ATLS_MKEY_UUID : ATLS_MKEY_OID;
    out->bytes = tagged.content;
    return ATLS_OK;
}

enum { MEASUREMENT_MKEY, MEASUREMENT_MVAL, MEASUREMENT_AUTHORIZED_BY };

/* measurement-map */
static enum atls_code get_measurement(struct atls_reader *r, struct atls_arena *arena,
                                      struct atls_measurement *out, struct atls_err *err)
{
    struct atls_cbor_iter map;
    struct atls_bytes item;
    enum atls_code code;
    bool has_mval = false;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "measurement", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key))
            return atls_corim_unsupported(err, "measurement",
                                          "member with a key that is not an integer");
        switch (key) {
        case MEASUREMENT_MKEY:
            code = atls_corim_get_mkey(r, &out->mkey, err);
            break;
        case MEASUREMENT_MVAL:
            has_mval = true;
            code = atls_corim_get_mval(r, arena, &out->mval, err);
            break;
        case MEASUREMENT_AUTHORIZED_BY:
            if (!atls_cbor_get_item(r, &item))
                return atls_corim_malformed(err, "authorized-by", "missing");
            code = atls_corim_keys_decode(item, arena, &out->authorized_by,
                                          &out->authorized_by_count, err);
            break;
        default:
            return atls_corim_unsupported(err, "measurement", "unknown member");
        }
        if (code != ATLS_OK)
            return code;
    }
    return has_mval ? ATLS_OK : atls_corim_malformed(err, "measurement", "has no values");
}

enum atls_code atls_measurements_decode(struct atls_bytes in, struct atls_arena *arena,
                                        struct atls_measurement **out, size_t *out_count,
                                        struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_measurement *measurements;
    struct atls_cbor_iter list;
    enum atls_code code;
    size_t count = 0;

    if (!is_item(in))
        return atls_corim_malformed(err, "measurements", "truncated, or trailing bytes");
    if (!atls_cbor_enter_array(&r, &list) || list.left == 0)
        return atls_corim_malformed(err, "measurements", "not a non-empty list");
    if (list.left > ATLS_CORIM_MEASUREMENTS_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM measurements: %llu, at most %d are taken",
                         (unsigned long long)list.left, ATLS_CORIM_MEASUREMENTS_MAX);
    if ((measurements = atls_arena_alloc(arena, (size_t)list.left, sizeof *measurements)) == NULL)
        return atls_corim_no_memory(err);
    while (atls_cbor_more(&r, &list))
        if ((code = get_measurement(&r, arena, &measurements[count++], err)) != ATLS_OK)
            return code;
    *out = measurements;
    *out_count = count;
    return ATLS_OK;
}
