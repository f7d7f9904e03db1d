#include "wire/eat_claims.h"

#include <string.h>

#include "core/err.h"

#define TAG_BUNDLE 602

enum { COMPONENT_ID = 1, COMPONENT_DIGEST = 2, COMPONENT_AUTHORITIES = 3, COMPONENT_FLAGS = 4 };
enum { COMPONENT_RAW = 5 };

bool atls_eat_get_label(struct atls_reader *r, struct atls_eat_label *out)
{
    out->is_text = atls_cbor_get_text(r, &out->text);
    return out->is_text || atls_cbor_get_int(r, &out->number);
}

enum atls_code atls_eat_enter(const struct atls_eat_decoder *d, struct atls_reader *r,
                              struct atls_eat_walk *walk)
{
    struct atls_cbor_iter ahead_iter;
    struct atls_reader ahead;

    if (!(walk->is_map ? atls_cbor_enter_map(r, &walk->iter)
                       : atls_cbor_enter_array(r, &walk->iter)))
        return atls_eat_malformed(d, walk->where, walk->is_map ? "is no map" : "is no array");
    ahead = *r;
    ahead_iter = walk->iter;
    while (atls_cbor_more(&ahead, &ahead_iter)) {
        if (walk->count++ == walk->most)
            return walk->most < ATLS_EAT_LIST_MAX
                       ? atls_eat_malformed(d, walk->where, "has too many elements")
                       : atls_eat_limit(d, walk->where, walk->most);
        if (!atls_cbor_skip(&ahead) || (walk->is_map && !atls_cbor_skip(&ahead)))
            return atls_eat_malformed(d, walk->where, "truncated");
    }
    if (walk->count < walk->least)
        return atls_eat_malformed(d, walk->where, "has too few elements");
    return ATLS_OK;
}

enum atls_code atls_eat_read_digest(const struct atls_eat_decoder *d, struct atls_reader *r,
                                    enum atls_eat_registry registry, struct atls_eat_digest *out)
{
    struct atls_eat_walk walk = {.where = "digest", .least = 2, .most = 2};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &walk.iter) || !atls_eat_get_label(r, &out->algorithm))
        return atls_eat_malformed(d, "digest", "algorithm is neither a number nor a name");
    if (!atls_cbor_more(r, &walk.iter) || !atls_cbor_get_bytes(r, &out->digest))
        return atls_eat_malformed(d, "digest", "is no byte string");
    if (atls_cbor_more(r, &walk.iter) || !atls_eat_digest_fits(out, registry))
        return atls_eat_malformed(d, "digest", "is not as long as its algorithm says");
    return ATLS_OK;
}

enum atls_code atls_eat_classify_token(const struct atls_eat_decoder *d,
                                       struct atls_eat_submod *out)
{
    struct atls_reader r = atls_reader_init(out->token);
    uint64_t tag = 0;

    if (!atls_cbor_get_tag(&r, &tag))
        return atls_eat_malformed(d, "submods", "byte string holds no token with a tag");
    out->kind = tag == TAG_BUNDLE ? ATLS_EAT_SUBMOD_BUNDLE : ATLS_EAT_SUBMOD_CBOR_TOKEN;
    return ATLS_OK;
}

/* **ours**: a bundle without the byte string around it, which the grammar of section 4.2.18.3
 * asks for, is taken too; it says by its tag what it is. */
static enum atls_code read_bare_bundle(const struct atls_eat_decoder *d, struct atls_reader *r,
                                       struct atls_eat_submod *out)
{
    if (!atls_cbor_get_item(r, &out->token))
        return atls_eat_malformed(d, "submods", "truncated");
    if (atls_eat_classify_token(d, out) != ATLS_OK || out->kind != ATLS_EAT_SUBMOD_BUNDLE)
        return atls_eat_malformed(d, "submods", "a tag that is not 602");
    return ATLS_OK;
}

static enum atls_code read_set(const struct atls_eat_decoder *d, struct atls_reader *r,
                               unsigned int depth, struct atls_eat_submod *out)
{
    out->kind = ATLS_EAT_SUBMOD_CLAIMS;
    if ((out->claims = atls_eat_list(d, 1, sizeof *out->claims)) == NULL)
        return ATLS_E_NOMEM;
    return atls_eat_read_claims(d, r, depth + 1, out->claims);
}

static enum atls_code read_submod(const struct atls_eat_decoder *d, struct atls_reader *r,
                                  unsigned int depth, struct atls_eat_submod *out)
{
    enum atls_cbor_type type = ATLS_CBOR_SIMPLE;

    if (!atls_cbor_get_text(r, &out->name))
        return atls_eat_malformed(d, "submods", "name is no text");
    if (!atls_cbor_peek(r, &type))
        return atls_eat_malformed(d, "submods", "truncated");
    switch (type) {
    case ATLS_CBOR_MAP:
        return read_set(d, r, depth, out);
    case ATLS_CBOR_BYTES:
        if (!atls_cbor_get_bytes(r, &out->token))
            return atls_eat_malformed(d, "submods", "truncated");
        return atls_eat_classify_token(d, out);
    case ATLS_CBOR_TEXT:
        out->kind = ATLS_EAT_SUBMOD_JSON_TOKEN;
        if (!atls_cbor_get_text(r, &out->token) || out->token.len == 0)
            return atls_eat_malformed(d, "submods", "text is empty");
        return ATLS_OK;
    case ATLS_CBOR_ARRAY:
        out->kind = ATLS_EAT_SUBMOD_DIGEST;
        return atls_eat_read_digest(d, r, ATLS_EAT_COSE, &out->digest);
    case ATLS_CBOR_TAG:
        return read_bare_bundle(d, r, out);
    case ATLS_CBOR_UINT:
    case ATLS_CBOR_NINT:
    case ATLS_CBOR_SIMPLE:
    default:
        return atls_eat_malformed(d, "submods", "is none of claims set, token, digest and bundle");
    }
}

/* Section 4.2.18. */
enum atls_code atls_eat_read_submods(const struct atls_eat_decoder *d, struct atls_reader *r,
                                     unsigned int depth, struct atls_eat_claims *out)
{
    struct atls_eat_walk walk = {
        .where = "submods", .is_map = true, .least = 1, .most = ATLS_EAT_SUBMODS_MAX};
    enum atls_code code;

    if ((code = atls_eat_enter(d, r, &walk)) != ATLS_OK)
        return code;
    if ((out->submods = atls_eat_list(d, walk.count, sizeof *out->submods)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter))
        if ((code = read_submod(d, r, depth, &out->submods[out->submod_count++])) != ATLS_OK)
            return code;
    return ATLS_OK;
}

static enum atls_code read_component_id(const struct atls_eat_decoder *d, struct atls_reader *r,
                                        struct atls_eat_component *out)
{
    struct atls_eat_walk walk = {.where = "component id", .least = 1, .most = 2};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if (!atls_cbor_more(r, &walk.iter) || !atls_cbor_get_text(r, &out->name))
        return atls_eat_malformed(d, "component id", "name is no text");
    if (!atls_cbor_more(r, &walk.iter))
        return ATLS_OK;
    code = atls_eat_read_version(d, r, "component version", &out->version);
    if (code == ATLS_OK && atls_cbor_more(r, &walk.iter))
        code = atls_eat_malformed(d, "component id", "has too many");
    return code;
}

static enum atls_code read_authorities(const struct atls_eat_decoder *d, struct atls_reader *r,
                                       struct atls_eat_component *out)
{
    struct atls_eat_walk walk = {
        .where = "component authorities", .least = 1, .most = ATLS_EAT_LIST_MAX};
    enum atls_code code = atls_eat_enter(d, r, &walk);

    if (code != ATLS_OK)
        return code;
    if ((out->authorities = atls_eat_list(d, walk.count, sizeof *out->authorities)) == NULL)
        return ATLS_E_NOMEM;
    while (atls_cbor_more(r, &walk.iter)) {
        struct atls_bytes *authority = &out->authorities[out->authority_count++];

        if (!atls_cbor_get_bytes(r, authority) || authority->len == 0)
            return atls_eat_malformed(d, walk.where, "one is no byte string with content");
    }
    return ATLS_OK;
}

static enum atls_code read_component_member(const struct atls_eat_decoder *d, struct atls_reader *r,
                                            struct atls_eat_component *out)
{
    int64_t key = 0;

    if (!atls_cbor_get_int(r, &key))
        return atls_eat_malformed(d, "component", "key is no integer");
    switch (key) {
    case COMPONENT_ID:
        return read_component_id(d, r, out);
    case COMPONENT_DIGEST:
        out->has_digest = true;
        return atls_eat_read_digest(d, r, ATLS_EAT_NAMED_INFORMATION, &out->digest);
    case COMPONENT_AUTHORITIES:
        return read_authorities(d, r, out);
    case COMPONENT_FLAGS:
        if (!atls_cbor_get_bytes(r, &out->flags) || out->flags.len != 8)
            return atls_eat_malformed(d, "component flags", "are no 8 bytes");
        return ATLS_OK;
    case COMPONENT_RAW:
        if (!atls_cbor_get_bytes(r, &out->raw))
            return atls_eat_malformed(d, "component raw measurement", "is no byte string");
        return ATLS_OK;
    default:
        return atls_eat_malformed(d, "component", "key is none of 1 to 5");
    }
}

/* RFC 10013: an id, and the measurement in one of two forms. */
enum atls_code atls_eat_component_decode(struct atls_bytes in, struct atls_arena *arena,
                                         struct atls_eat_component *out, struct atls_err *err)
{
    const struct atls_eat_decoder d = {arena, err};
    struct atls_eat_walk walk = {
        .where = "component", .is_map = true, .least = 2, .most = ATLS_EAT_LIST_MAX};
    struct atls_reader r = atls_reader_init(in);
    struct atls_eat_component component = {.name = {NULL, 0}};
    enum atls_code code;

    if ((code = atls_cbor_check(in, ATLS_CBOR_INDEFINITE, err)) != ATLS_OK ||
        (code = atls_eat_enter(&d, &r, &walk)) != ATLS_OK)
        return code;
    while (atls_cbor_more(&r, &walk.iter))
        if ((code = read_component_member(&d, &r, &component)) != ATLS_OK)
            return code;
    if (component.name.ptr == NULL)
        return atls_eat_malformed(&d, "component", "has no id");
    if (component.has_digest == (component.raw.ptr != NULL))
        return atls_eat_malformed(&d, "component", "has not exactly one measurement");
    *out = component;
    return ATLS_OK;
}
