#include "wire/corim_items.h"

#include <stdio.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"

enum atls_code atls_corim_malformed(struct atls_err *err, const char *member, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "CoRIM %s: %s", member,
                            rule);
}

enum atls_code atls_corim_unsupported(struct atls_err *err, const char *member, const char *what)
{
    return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM %s: %s", member, what);
}

enum atls_code atls_corim_no_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "CoRIM: out of memory, or larger decoded than is taken");
}

enum atls_code atls_corim_in_record(struct atls_err *err, enum atls_code code, const char *kind,
                                    size_t index)
{
    char prefix[64];

    snprintf(prefix, sizeof prefix, "%s %zu", kind, index);
    return atls_err_prefix(err, code, prefix);
}

enum atls_code atls_corim_open_list(struct atls_reader *r, struct atls_corim_list *list,
                                    size_t size, void **out, struct atls_err *err)
{
    if (!atls_cbor_enter_array(r, &list->iter) || list->iter.left == 0)
        return atls_corim_malformed(err, list->member, "not a non-empty list");
    if (list->iter.left > ATLS_CORIM_TRIPLES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM %s: %llu, at most %d are taken", list->member,
                         (unsigned long long)list->iter.left, ATLS_CORIM_TRIPLES_MAX);
    if ((*out = atls_arena_alloc(list->arena, (size_t)list->iter.left, size)) == NULL)
        return atls_corim_no_memory(err);
    return ATLS_OK;
}

bool atls_corim_get_id(struct atls_reader *r, struct atls_corim_id *out)
{
    struct atls_corim_id id = {{NULL, 0}, {NULL, 0}};

    if (atls_cbor_get_text(r, &id.text) ? id.text.len == 0
                                        : !atls_cbor_get_bytes(r, &id.uuid) || id.uuid.len != 16)
        return false;
    *out = id;
    return true;
}

bool atls_corim_get_uri(struct atls_reader *r, struct atls_bytes *out)
{
    struct atls_reader ahead = *r;
    uint64_t tag;

    if (!atls_cbor_get_tag(&ahead, &tag) || tag != ATLS_TAG_URI || !atls_cbor_get_text(&ahead, out))
        return false;
    *r = ahead;
    return true;
}

/* #6.1 int */
static bool get_time(struct atls_reader *r, int64_t *out)
{
    struct atls_reader ahead = *r;
    uint64_t tag;

    if (!atls_cbor_get_tag(&ahead, &tag) || tag != ATLS_TAG_EPOCH_TIME ||
        !atls_cbor_get_int(&ahead, out))
        return false;
    *r = ahead;
    return true;
}

enum atls_code atls_corim_check_window(const struct atls_corim_validity *v, const char *member,
                                       struct atls_err *err)
{
    if (v->has_not_before && v->has_not_after && v->not_after_s < v->not_before_s)
        return atls_corim_malformed(err, member, "ends before it begins");
    return ATLS_OK;
}

enum atls_code atls_corim_get_validity(struct atls_reader *r, struct atls_corim_validity *out,
                                       struct atls_err *err)
{
    struct atls_corim_validity v = {false, false, 0, 0};
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "validity", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return atls_corim_malformed(err, "validity", "unknown member");
        if (key == 0 ? !(v.has_not_before = get_time(r, &v.not_before_s))
                     : !(v.has_not_after = get_time(r, &v.not_after_s)))
            return atls_corim_malformed(err, "validity",
                                        "not an epoch time in whole seconds (tag 1)");
    }
    if (!v.has_not_after)
        return atls_corim_malformed(err, "validity", "has no not-after");
    if ((code = atls_corim_check_window(&v, "validity", err)) != ATLS_OK)
        return code;
    *out = v;
    return ATLS_OK;
}

static bool get_roles(struct atls_reader *r, uint64_t *out)
{
    struct atls_cbor_iter list;
    int64_t role;

    *out = 0;
    if (!atls_cbor_enter_array(r, &list) || list.left == 0)
        return false;
    while (atls_cbor_more(r, &list)) {
        if (!atls_cbor_get_int(r, &role))
            return false;
        if (role >= 0 && role < 64)
            *out |= UINT64_C(1) << role;
    }
    return true;
}

/* {0: name, ? 1: reg-id, 2: roles} */
static enum atls_code get_entity(struct atls_reader *r, struct atls_corim_entity *out,
                                 struct atls_err *err)
{
    struct atls_cbor_iter map;
    bool has_roles = false;
    int64_t key;
    bool ok;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "entity", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key))
            return atls_corim_malformed(err, "entity", "key is not an integer");
        switch (key) {
        case 0:
            ok = atls_cbor_get_text(r, &out->name);
            break;
        case 1:
            ok = atls_corim_get_uri(r, &out->reg_id);
            break;
        case 2:
            ok = has_roles = get_roles(r, &out->roles);
            break;
        default:
            ok = atls_cbor_skip(r);
            break;
        }
        if (!ok)
            return atls_corim_malformed(err, "entity", "member of the wrong type or empty");
    }
    if (out->name.ptr == NULL || !has_roles)
        return atls_corim_malformed(err, "entity", "has no name or no role");
    return ATLS_OK;
}

enum atls_code atls_corim_get_entities(struct atls_reader *r, struct atls_arena *arena,
                                       struct atls_corim_entity **out, size_t *out_count,
                                       struct atls_err *err)
{
    struct atls_corim_list list = {.member = "entities", .arena = arena};
    struct atls_corim_entity *entities;
    enum atls_code code;
    size_t count = 0;
    void *array;

    if ((code = atls_corim_open_list(r, &list, sizeof *entities, &array, err)) != ATLS_OK)
        return code;
    entities = array;
    while (atls_cbor_more(r, &list.iter))
        if ((code = get_entity(r, &entities[count++], err)) != ATLS_OK)
            return code;
    *out = entities;
    *out_count = count;
    return ATLS_OK;
}

enum atls_code atls_corim_get_tag_identity(struct atls_reader *r, struct atls_tag_identity *out,
                                           struct atls_err *err)
{
    struct atls_tag_identity identity = {{{NULL, 0}, {NULL, 0}}, false, 0};
    struct atls_cbor_iter map;
    bool has_id = false;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "tag-identity", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return atls_corim_malformed(err, "tag-identity", "unknown member");
        if (key == 0 ? !(has_id = atls_corim_get_id(r, &identity.id))
                     : !(identity.has_version = atls_cbor_get_uint(r, &identity.version)))
            return atls_corim_malformed(err, "tag-identity",
                                        "id is neither text nor a UUID, or version no number");
    }
    if (!has_id)
        return atls_corim_malformed(err, "tag-identity", "has no id");
    *out = identity;
    return ATLS_OK;
}
