#include "wire/corim.h"

#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/corim_items.h"
#include "wire/cots.h"

/* Memory that one manifest may take decoded: a measurement of 10 bytes takes 32 times as much, and
 * an honest one has a digest. */
#define DECODED_MAX ((size_t)32 * ATLS_CORIM_MAX)

/* One manifest under way. The tags are decoded last, because their form depends on the profile. */
struct context {
    struct atls_corim *corim;
    unsigned int flags;
    struct atls_bytes tags; /* the encoded list */
};

/* ---- tags ---- */

enum { COTL_IDENTITY, COTL_TAGS, COTL_VALIDITY };

static enum atls_code get_cotl_tags(struct atls_reader *r, struct atls_arena *arena,
                                    struct atls_cotl *out, struct atls_err *err)
{
    struct atls_corim_list list = {.member = "tags-list", .arena = arena};
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(r, &list, sizeof *out->tags, &array, err)) != ATLS_OK)
        return code;
    out->tags = array;
    for (; atls_cbor_more(r, &list.iter); out->tag_count++)
        if ((code = atls_corim_get_tag_identity(r, &out->tags[out->tag_count], err)) != ATLS_OK)
            return atls_corim_in_record(err, code, "tag of the list", out->tag_count);
    return ATLS_OK;
}

enum atls_code atls_cotl_decode(struct atls_bytes in, struct atls_arena *arena,
                                struct atls_cotl *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_cbor_iter map;
    struct atls_cotl list;
    enum atls_code code;
    int64_t key;

    memset(&list, 0, sizeof list);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_enter_map(&r, &map))
        return atls_corim_malformed(err, "CoTL", "not a map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key) || key < COTL_IDENTITY || key > COTL_VALIDITY)
            return atls_corim_unsupported(err, "CoTL", "unknown member");
        code = key == COTL_IDENTITY ? atls_corim_get_tag_identity(&r, &list.identity, err)
               : key == COTL_TAGS   ? get_cotl_tags(&r, arena, &list, err)
                                    : atls_corim_get_validity(&r, &list.validity, err);
        if (code != ATLS_OK)
            return atls_err_prefix(err, code, "CoTL");
    }
    if ((list.identity.id.text.ptr == NULL && list.identity.id.uuid.ptr == NULL) ||
        list.tags == NULL || !list.validity.has_not_after)
        return atls_corim_malformed(err, "CoTL", "has no tag-identity, no tags or no validity");
    *out = list;
    return ATLS_OK;
}

static enum atls_corim_renewal renewal(const struct context *c)
{
    struct atls_bytes profile = c->corim->profile_uri;

    if ((c->flags & ATLS_CORIM_LEGACY) != 0 ||
        atls_bytes_equal_text(profile, ATLS_CORIM_OLD_PSA_PROFILE))
        return ATLS_CORIM_RENEW_PSA;
    return atls_bytes_equal_text(profile, ATLS_CORIM_SNP_PROFILE) ? ATLS_CORIM_RENEW_SNP
                                                                  : ATLS_CORIM_RENEW_NOTHING;
}

static enum atls_code get_comid(const struct context *c, struct atls_corim_tag *out,
                                struct atls_err *err)
{
    struct atls_arena *arena = &c->corim->arena;
    enum atls_code code;

    if ((out->comid = atls_arena_alloc(arena, 1, sizeof *out->comid)) == NULL)
        return atls_corim_no_memory(err);
    if (renewal(c) != ATLS_CORIM_RENEW_NOTHING &&
        (code = atls_corim_renew(out->content, renewal(c), arena, &out->content, err)) != ATLS_OK)
        return code;
    return atls_comid_decode(out->content, arena, out->comid, err);
}

static enum atls_code get_content(const struct context *c, struct atls_corim_tag *out,
                                  struct atls_err *err)
{
    struct atls_arena *arena = &c->corim->arena;

    switch (out->number) {
    case ATLS_TAG_COMID:
        return get_comid(c, out, err);
    case ATLS_TAG_COTS:
        if ((out->cots = atls_arena_alloc(arena, 1, sizeof *out->cots)) == NULL)
            return atls_corim_no_memory(err);
        return atls_cots_decode(out->content, arena, out->cots, err);
    case ATLS_TAG_COTL:
        if ((out->cotl = atls_arena_alloc(arena, 1, sizeof *out->cotl)) == NULL)
            return atls_corim_no_memory(err);
        return atls_cotl_decode(out->content, arena, out->cotl, err);
    case ATLS_TAG_COSWID:
        return atls_cbor_check(out->content, 0, err);
    default:
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "CoRIM tags: %llu is no kind of tag that is known",
                         (unsigned long long)out->number);
    }
}

/* One tag: #6.505..508(bytes); of old tools bytes that hold #6.505..508 and the content. */
static enum atls_code get_tag(struct atls_reader *r, const struct context *c,
                              struct atls_corim_tag *out, struct atls_err *err)
{
    struct atls_reader inner;

    if (atls_cbor_get_tag(r, &out->number)) {
        if (!atls_cbor_get_bytes(r, &out->content))
            return atls_corim_malformed(err, "tags", "not a tagged byte string");
        return get_content(c, out, err);
    }
    if ((c->flags & ATLS_CORIM_LEGACY) == 0 || !atls_cbor_get_bytes(r, &out->content))
        return atls_corim_malformed(err, "tags", "not a tagged byte string");
    inner = atls_reader_init(out->content);
    if (!atls_cbor_get_tag(&inner, &out->number))
        return atls_corim_malformed(err, "tags", "byte string without a tag inside");
    out->content = atls_bytes_of(out->content.ptr + inner.pos, out->content.len - inner.pos);
    return get_content(c, out, err);
}

static enum atls_code get_tags(const struct context *c, struct atls_err *err)
{
    struct atls_corim *corim = c->corim;
    struct atls_corim_list list = {.member = "tags", .arena = &corim->arena};
    struct atls_reader r = atls_reader_init(c->tags);
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(&r, &list, sizeof *corim->tags, &array, err)) != ATLS_OK)
        return code;
    corim->tags = array;
    for (; atls_cbor_more(&r, &list.iter); corim->tag_count++)
        if ((code = get_tag(&r, c, &corim->tags[corim->tag_count], err)) != ATLS_OK)
            return atls_corim_in_record(err, code, "tag", corim->tag_count);
    return ATLS_OK;
}

/* ---- the map ---- */

/* One URI, or a list of them. */
static enum atls_code get_hrefs(struct atls_reader *r, struct atls_arena *arena,
                                struct atls_corim_locator *out, struct atls_err *err)
{
    struct atls_corim_list list = {.member = "dependent-rims", .arena = arena};
    struct atls_bytes one;
    enum atls_code code;
    void *array;

    if (atls_corim_get_uri(r, &one)) {
        if ((out->hrefs = atls_arena_alloc(arena, 1, sizeof *out->hrefs)) == NULL)
            return atls_corim_no_memory(err);
        out->hrefs[out->href_count++] = one;
        return ATLS_OK;
    }
    if ((code = atls_corim_open_list(r, &list, sizeof *out->hrefs, &array, err)) != ATLS_OK)
        return code;
    out->hrefs = array;
    while (atls_cbor_more(r, &list.iter))
        if (!atls_corim_get_uri(r, &out->hrefs[out->href_count++]))
            return atls_corim_malformed(err, "dependent-rims", "href is not a URI (tag 32)");
    return ATLS_OK;
}

/* One hash-entry, or a list of them: the first element tells. */
static enum atls_code get_thumbprints(struct atls_reader *r, struct atls_arena *arena,
                                      struct atls_corim_locator *out, struct atls_err *err)
{
    struct atls_corim_list list = {.member = "dependent-rims", .arena = arena};
    struct atls_reader ahead = *r;
    struct atls_cbor_iter first;
    enum atls_cbor_type type;

    if (atls_cbor_enter_array(&ahead, &first) && atls_cbor_peek(&ahead, &type) &&
        type == ATLS_CBOR_ARRAY)
        return atls_corim_get_digests(r, &list, &out->thumbprints, &out->thumbprint_count, err);
    if ((out->thumbprints = atls_arena_alloc(arena, 1, sizeof *out->thumbprints)) == NULL)
        return atls_corim_no_memory(err);
    out->thumbprint_count = 1;
    return atls_corim_get_digest(r, list.member, out->thumbprints, err);
}

/* {0: href, ? 1: thumbprint} */
static enum atls_code get_locator(struct atls_reader *r, struct atls_arena *arena,
                                  struct atls_corim_locator *out, struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "dependent-rims", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return atls_corim_malformed(err, "dependent-rims", "unknown member");
        code = key == 0 ? get_hrefs(r, arena, out, err) : get_thumbprints(r, arena, out, err);
        if (code != ATLS_OK)
            return code;
    }
    return out->href_count != 0 ? ATLS_OK
                                : atls_corim_malformed(err, "dependent-rims", "has no href");
}

static enum atls_code get_dependent_rims(struct atls_reader *r, struct atls_corim *c,
                                         struct atls_err *err)
{
    struct atls_corim_list list = {.member = "dependent-rims", .arena = &c->arena};
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(r, &list, sizeof *c->dependents, &array, err)) != ATLS_OK)
        return code;
    c->dependents = array;
    for (; atls_cbor_more(r, &list.iter); c->dependent_rims++)
        if ((code = get_locator(r, &c->arena, &c->dependents[c->dependent_rims], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

/* #6.32 URI or #6.111 OID */
static enum atls_code get_profile(struct atls_reader *r, const struct context *context,
                                  struct atls_err *err)
{
    struct atls_corim *c = context->corim;
    struct atls_reader inner;
    struct atls_bytes oid;
    uint64_t tag;

    if (!atls_cbor_get_item(r, &c->profile))
        return atls_corim_malformed(err, "profile", "missing");
    inner = atls_reader_init(c->profile);
    if (atls_corim_get_uri(&inner, &c->profile_uri) ||
        (atls_tagged_bytes(c->profile, &tag, &oid) && tag == ATLS_TAG_OID && oid.len != 0))
        return ATLS_OK;
    if ((context->flags & ATLS_CORIM_LEGACY) != 0 && atls_cbor_get_text(&inner, &c->profile_uri))
        return ATLS_OK;
    return atls_corim_malformed(err, "profile", "neither a URI (tag 32) nor an OID (tag 111)");
}

enum {
    CORIM_ID,
    CORIM_TAGS,
    CORIM_DEPENDENT_RIMS,
    CORIM_PROFILE,
    CORIM_VALIDITY,
    CORIM_ENTITIES,
};

static enum atls_code get_corim_member(struct atls_reader *r, int64_t key, struct context *context,
                                       struct atls_err *err)
{
    struct atls_corim *c = context->corim;

    switch (key) {
    case CORIM_ID:
        return atls_corim_get_id(r, &c->id)
                   ? ATLS_OK
                   : atls_corim_malformed(err, "id", "neither text nor a UUID");
    case CORIM_TAGS:
        return atls_cbor_get_item(r, &context->tags)
                   ? ATLS_OK
                   : atls_corim_malformed(err, "tags", "truncated");
    case CORIM_DEPENDENT_RIMS:
        return get_dependent_rims(r, c, err);
    case CORIM_PROFILE:
        return get_profile(r, context, err);
    case CORIM_VALIDITY:
        return atls_corim_get_validity(r, &c->validity, err);
    case CORIM_ENTITIES:
        return atls_corim_get_entities(r, &c->arena, &c->entities, &c->entity_count, err);
    default:
        c->unknown_members++;
        return atls_cbor_skip(r) ? ATLS_OK : atls_corim_malformed(err, "map", "truncated");
    }
}

static enum atls_code check_signers(const struct atls_corim *c, struct atls_err *err)
{
    enum { ROLE_MANIFEST_SIGNER = 2 };
    size_t signers = 0;

    for (size_t i = 0; i < c->entity_count; i++)
        signers += c->entities[i].roles >> ROLE_MANIFEST_SIGNER & 1;
    return signers <= 1 ? ATLS_OK
                        : atls_corim_malformed(err, "entities", "more than one manifest signer");
}

static enum atls_code decode_corim(struct atls_bytes in, struct context *c, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_corim *corim = c->corim;
    struct atls_cbor_iter map;
    enum atls_code code;
    uint64_t tag;
    int64_t key;
    bool tagged;

    if (in.len > ATLS_CORIM_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM: %zu bytes, at most %d are taken", in.len,
                         ATLS_CORIM_MAX);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    tagged = atls_cbor_get_tag(&r, &tag);
    if ((tagged ? tag != ATLS_TAG_CORIM : (c->flags & ATLS_CORIM_LEGACY) == 0) ||
        !atls_cbor_enter_map(&r, &map))
        return atls_corim_malformed(err, "map", "not tag 501 on a map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            return atls_corim_malformed(err, "map", "key is not an integer");
        if ((code = get_corim_member(&r, key, c, err)) != ATLS_OK)
            return code;
    }
    if (corim->id.text.ptr == NULL && corim->id.uuid.ptr == NULL)
        return atls_corim_malformed(err, "map", "has no id");
    if (c->tags.ptr == NULL)
        return atls_corim_malformed(err, "map", "has no tags");
    if ((code = check_signers(corim, err)) != ATLS_OK)
        return code;
    return get_tags(c, err);
}

enum atls_code atls_corim_decode_with(struct atls_bytes in, unsigned int flags,
                                      struct atls_corim *out, struct atls_err *err)
{
    struct atls_corim c;
    struct context context = {&c, flags, {NULL, 0}};
    enum atls_code code;

    memset(&c, 0, sizeof c);
    c.arena = atls_arena_init(DECODED_MAX);
    if ((code = decode_corim(in, &context, err)) != ATLS_OK) {
        atls_arena_clear(&c.arena);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

enum atls_code atls_corim_decode(struct atls_bytes in, struct atls_corim *out, struct atls_err *err)
{
    return atls_corim_decode_with(in, 0, out, err);
}

void atls_corim_clear(struct atls_corim *corim)
{
    atls_arena_clear(&corim->arena);
    memset(corim, 0, sizeof *corim);
}
