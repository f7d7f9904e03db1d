#include "wire/cots.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/corim_items.h"

/* Purposes and claims of one store: its own documentation names a handful. */
#define PURPOSES_MAX 64

static enum atls_code malformed(struct atls_err *err, const char *member, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "CoTS %s: %s", member, rule);
}

static enum atls_code unsupported(struct atls_err *err, const char *member, const char *what)
{
    return atls_fail(err, ATLS_E_UNSUPPORTED, "CoTS %s: %s", member, what);
}

enum { ENVIRONMENT_MAP = 1, ENVIRONMENT_SWID = 2, ENVIRONMENT_NAME = 3 };

/* {? 1: environment, ? 2: abbreviated CoSWID, ? 3: name} */
static enum atls_code get_environment(struct atls_reader *r, struct atls_cots_environment *out,
                                      struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_cbor_type type;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return malformed(err, "environment", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key))
            return malformed(err, "environment", "key is not an integer");
        switch (key) {
        case ENVIRONMENT_MAP:
            if (!atls_cbor_get_item(r, &out->environment_item))
                return malformed(err, "environment", "truncated");
            out->has_environment = true;
            code = atls_environment_decode(out->environment_item, &out->environment, err);
            if (code != ATLS_OK)
                return atls_err_prefix(err, code, "CoTS");
            break;
        case ENVIRONMENT_SWID:
            if (!atls_cbor_peek(r, &type) || type != ATLS_CBOR_MAP ||
                !atls_cbor_get_item(r, &out->swid))
                return malformed(err, "environment", "CoSWID is not a map");
            break;
        case ENVIRONMENT_NAME:
            if (!atls_cbor_get_text(r, &out->name) || out->name.len == 0)
                return malformed(err, "environment", "name is not a text with letters");
            break;
        default:
            return unsupported(err, "environment", "unknown member");
        }
    }
    return ATLS_OK;
}

static bool is_empty_list(struct atls_reader *r)
{
    struct atls_reader ahead = *r;
    struct atls_cbor_iter list;

    if (!atls_cbor_enter_array(&ahead, &list) || list.left != 0)
        return false;
    *r = ahead;
    return true;
}

static enum atls_code get_environments(struct atls_reader *r, struct atls_arena *arena,
                                       struct atls_cots *out, struct atls_err *err)
{
    struct atls_corim_list list = {.member = "environments", .arena = arena};
    enum atls_code code;
    void *array;

    if (is_empty_list(r))
        return ATLS_OK;
    if ((code = atls_corim_open_list(r, &list, sizeof *out->environments, &array, err)) != ATLS_OK)
        return code;
    out->environments = array;
    for (; atls_cbor_more(r, &list.iter); out->environment_count++)
        if ((code = get_environment(r, &out->environments[out->environment_count], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code get_purposes(struct atls_reader *r, struct atls_arena *arena,
                                   struct atls_cots *out, struct atls_err *err)
{
    struct atls_corim_list list = {.member = "purposes", .arena = arena};
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(r, &list, sizeof *out->purposes, &array, err)) != ATLS_OK)
        return code;
    if (list.iter.left > PURPOSES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoTS purposes: at most %d are taken", PURPOSES_MAX);
    out->purposes = array;
    while (atls_cbor_more(r, &list.iter)) {
        struct atls_bytes *purpose = &out->purposes[out->purpose_count++];

        if (!atls_cbor_get_text(r, purpose) || purpose->len == 0)
            return malformed(err, "purposes", "not a text with letters");
    }
    return ATLS_OK;
}

/* A list that is not empty, kept as encoded. */
static enum atls_code get_claims(struct atls_reader *r, const char *member,
                                 struct atls_cots_claims *out, struct atls_err *err)
{
    struct atls_reader inner;
    struct atls_cbor_iter list;

    if (!atls_cbor_get_item(r, &out->item))
        return malformed(err, member, "truncated");
    inner = atls_reader_init(out->item);
    if (!atls_cbor_enter_array(&inner, &list) || list.left == 0)
        return malformed(err, member, "not a non-empty list");
    out->count = (size_t)list.left;
    return ATLS_OK;
}

/* [format, bytes] */
static enum atls_code get_anchor(struct atls_reader *r, struct atls_cots_anchor *out,
                                 struct atls_err *err)
{
    struct atls_cbor_iter pair;
    uint64_t format;

    if (!atls_cbor_enter_array(r, &pair) || pair.left != 2 || !atls_cbor_get_uint(r, &format) ||
        !atls_cbor_get_bytes(r, &out->der) || out->der.len == 0)
        return malformed(err, "trust anchor", "not [format, bytes]");
    switch (format) {
    case ATLS_COTS_CERTIFICATE:
        out->format = ATLS_COTS_CERTIFICATE;
        return ATLS_OK;
    case ATLS_COTS_TRUST_ANCHOR_INFO:
        out->format = ATLS_COTS_TRUST_ANCHOR_INFO;
        return ATLS_OK;
    case ATLS_COTS_SPKI:
        out->format = ATLS_COTS_SPKI;
        return ATLS_OK;
    default:
        return unsupported(err, "trust anchor",
                           "format is none of 0 (certificate), 1 (TrustAnchorInfo), 2 (key)");
    }
}

static enum atls_code get_anchors(struct atls_reader *r, struct atls_arena *arena,
                                  struct atls_cots *out, struct atls_err *err)
{
    struct atls_corim_list list = {.member = "trust anchors", .arena = arena};
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(r, &list, sizeof *out->anchors, &array, err)) != ATLS_OK)
        return code;
    out->anchors = array;
    for (; atls_cbor_more(r, &list.iter); out->anchor_count++)
        if ((code = get_anchor(r, &out->anchors[out->anchor_count], err)) != ATLS_OK)
            return atls_corim_in_record(err, code, "trust anchor", out->anchor_count);
    return ATLS_OK;
}

static enum atls_code get_certificates(struct atls_reader *r, struct atls_arena *arena,
                                       struct atls_cots *out, struct atls_err *err)
{
    struct atls_corim_list list = {.member = "CA certificates", .arena = arena};
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(r, &list, sizeof *out->certificates, &array, err)) != ATLS_OK)
        return code;
    out->certificates = array;
    while (atls_cbor_more(r, &list.iter)) {
        struct atls_bytes *certificate = &out->certificates[out->certificate_count++];

        if (!atls_cbor_get_bytes(r, certificate) || certificate->len == 0)
            return malformed(err, "CA certificates", "not a byte string with content");
    }
    return ATLS_OK;
}

/* {0: [+ [format, bytes]], ? 1: [+ bytes]} */
static enum atls_code get_keys(struct atls_reader *r, struct atls_arena *arena,
                               struct atls_cots *out, struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return malformed(err, "keys", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return malformed(err, "keys", "unknown member");
        code = key == 0 ? get_anchors(r, arena, out, err) : get_certificates(r, arena, out, err);
        if (code != ATLS_OK)
            return code;
    }
    return out->anchors != NULL ? ATLS_OK : malformed(err, "keys", "has no trust anchors");
}

enum {
    COTS_LANGUAGE,
    COTS_IDENTITY,
    COTS_ENVIRONMENTS,
    COTS_PURPOSES,
    COTS_PERMITTED,
    COTS_EXCLUDED,
    COTS_KEYS
};

static enum atls_code get_identity(struct atls_reader *r, struct atls_cots *out,
                                   struct atls_err *err)
{
    struct atls_tag_identity identity;
    enum atls_code code;

    if ((code = atls_corim_get_tag_identity(r, &identity, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "CoTS");
    out->has_id = true;
    out->id = identity.id;
    out->has_version = identity.has_version;
    out->version = identity.version;
    return ATLS_OK;
}

static enum atls_code get_member(struct atls_reader *r, int64_t key, struct atls_arena *arena,
                                 struct atls_cots *out, struct atls_err *err)
{
    switch (key) {
    case COTS_LANGUAGE:
        return atls_cbor_get_text(r, &out->language) ? ATLS_OK
                                                     : malformed(err, "language", "not text");
    case COTS_IDENTITY:
        return get_identity(r, out, err);
    case COTS_ENVIRONMENTS:
        return get_environments(r, arena, out, err);
    case COTS_PURPOSES:
        return get_purposes(r, arena, out, err);
    case COTS_PERMITTED:
        return get_claims(r, "permitted claims", &out->permitted, err);
    case COTS_EXCLUDED:
        return get_claims(r, "excluded claims", &out->excluded, err);
    case COTS_KEYS:
        return get_keys(r, arena, out, err);
    default:
        return unsupported(err, "map", "unknown member");
    }
}

enum atls_code atls_cots_decode(struct atls_bytes in, struct atls_arena *arena,
                                struct atls_cots *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    bool has_environments = false;
    struct atls_cbor_iter map;
    struct atls_cots store;
    enum atls_code code;
    int64_t key;

    memset(&store, 0, sizeof store);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "CoTS");
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(err, "map", "not a map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            return malformed(err, "map", "key is not an integer");
        if ((code = get_member(&r, key, arena, &store, err)) != ATLS_OK)
            return code;
        has_environments = has_environments || key == COTS_ENVIRONMENTS;
    }
    if (!has_environments)
        return malformed(err, "map", "has no environments");
    if (store.anchors == NULL)
        return malformed(err, "map", "has no keys");
    *out = store;
    return ATLS_OK;
}

bool atls_cots_serves(const struct atls_cots *cots, const char *purpose)
{
    for (size_t i = 0; i < cots->purpose_count; i++)
        if (atls_bytes_equal_text(cots->purposes[i], purpose))
            return true;
    return cots->purpose_count == 0;
}
