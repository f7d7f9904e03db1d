#include "wire/corim.h"

#include <stdio.h>
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "wire/cbor.h"

#define TAG_EPOCH_TIME       1
#define TAG_OLD_CORIM        500
#define TAG_OLD_SIGNED_CORIM 502
#define TAG_COSE_SIGN1       18

/* Memory that one manifest may take decoded: a measurement is 20 times its shortest encoding. */
#define DECODED_MAX ((size_t)32 * ATLS_CORIM_MAX)

static enum atls_code malformed(struct atls_err *err, const char *member, const char *rule)
{
    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "CoRIM %s: %s", member,
                            rule);
}

static enum atls_code unsupported(struct atls_err *err, const char *member, const char *what)
{
    return atls_fail(err, ATLS_E_UNSUPPORTED, "CoRIM %s: %s", member, what);
}

/* An array of the arena for the elements of a list that is not empty, or an error. */
static enum atls_code open_list(struct atls_reader *r, const char *member, struct atls_arena *arena,
                                size_t size, struct atls_cbor_iter *list, void **out,
                                struct atls_err *err)
{
    if (!atls_cbor_enter_array(r, list) || list->left == 0)
        return malformed(err, member, "not a non-empty list");
    if (list->left > ATLS_CORIM_TRIPLES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM %s: %llu, at most %d are taken", member,
                         (unsigned long long)list->left, ATLS_CORIM_TRIPLES_MAX);
    if ((*out = atls_arena_alloc(arena, (size_t)list->left, size)) == NULL)
        return atls_fail(err, ATLS_E_NOMEM,
                         "CoRIM: out of memory, or larger decoded than is taken");
    return ATLS_OK;
}

/* Text or a UUID. */
static bool get_id(struct atls_reader *r, struct atls_corim_id *out)
{
    struct atls_corim_id id = {{NULL, 0}, {NULL, 0}};

    if (atls_cbor_get_text(r, &id.text) ? id.text.len == 0
                                        : !atls_cbor_get_bytes(r, &id.uuid) || id.uuid.len != 16)
        return false;
    *out = id;
    return true;
}

/* #6.32 text */
static bool get_uri(struct atls_reader *r, struct atls_bytes *out)
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

    if (!atls_cbor_get_tag(&ahead, &tag) || tag != TAG_EPOCH_TIME ||
        !atls_cbor_get_int(&ahead, out))
        return false;
    *r = ahead;
    return true;
}

static enum atls_code check_window(const struct atls_corim_validity *v, const char *member,
                                   struct atls_err *err)
{
    if (v->has_not_before && v->has_not_after && v->not_after_s < v->not_before_s)
        return malformed(err, member, "ends before it begins");
    return ATLS_OK;
}

/* {? 0: not-before, 1: not-after} */
static enum atls_code get_validity(struct atls_reader *r, struct atls_corim_validity *out,
                                   struct atls_err *err)
{
    struct atls_corim_validity v = {false, false, 0, 0};
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return malformed(err, "validity", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return malformed(err, "validity", "unknown member");
        if (key == 0 ? !(v.has_not_before = get_time(r, &v.not_before_s))
                     : !(v.has_not_after = get_time(r, &v.not_after_s)))
            return malformed(err, "validity", "not an epoch time in whole seconds (tag 1)");
    }
    if (!v.has_not_after)
        return malformed(err, "validity", "has no not-after");
    if ((code = check_window(&v, "validity", err)) != ATLS_OK)
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
        return malformed(err, "entity", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key))
            return malformed(err, "entity", "key is not an integer");
        switch (key) {
        case 0:
            ok = atls_cbor_get_text(r, &out->name);
            break;
        case 1:
            ok = get_uri(r, &out->reg_id);
            break;
        case 2:
            ok = has_roles = get_roles(r, &out->roles);
            break;
        default:
            ok = atls_cbor_skip(r);
            break;
        }
        if (!ok)
            return malformed(err, "entity", "member of the wrong type or empty");
    }
    if (out->name.ptr == NULL || !has_roles)
        return malformed(err, "entity", "has no name or no role");
    return ATLS_OK;
}

static enum atls_code get_entities(struct atls_reader *r, struct atls_arena *arena,
                                   struct atls_corim_entity **out, size_t *out_count,
                                   struct atls_err *err)
{
    struct atls_cbor_iter list;
    enum atls_code code;
    void *array;

    if ((code = open_list(r, "entities", arena, sizeof **out, &list, &array, err)) != ATLS_OK)
        return code;
    *out = array;
    while (atls_cbor_more(r, &list))
        if ((code = get_entity(r, &(*out)[(*out_count)++], err)) != ATLS_OK)
            return code;
    return ATLS_OK;
}

/* ---- CoMID ---- */

/* Puts the number of a record in front of an error inside it. */
static enum atls_code in_record(struct atls_err *err, enum atls_code code, const char *kind,
                                size_t index)
{
    char prefix[48];

    snprintf(prefix, sizeof prefix, "%s %zu", kind, index);
    return atls_err_prefix(err, code, prefix);
}

/* [environment, [+ measurement]] */
static enum atls_code get_reference(struct atls_reader *r, struct atls_arena *arena,
                                    struct atls_corim_reference *out, struct atls_err *err)
{
    struct atls_cbor_iter record;
    enum atls_code code;

    if (!atls_cbor_enter_array(r, &record) || record.left != 2 ||
        !atls_cbor_get_item(r, &out->environment_item) ||
        !atls_cbor_get_item(r, &out->measurements_item))
        return malformed(err, "triple", "not [environment, measurements]");
    if ((code = atls_environment_decode(out->environment_item, &out->environment, err)) != ATLS_OK)
        return code;
    return atls_measurements_decode(out->measurements_item, arena, &out->measurements, &out->count,
                                    err);
}

/* [environment, [+ key], ? conditions] */
static enum atls_code get_attest_key(struct atls_reader *r, struct atls_arena *arena,
                                     struct atls_corim_attest_key *out, struct atls_err *err)
{
    struct atls_cbor_iter record, conditions;
    struct atls_bytes keys;
    enum atls_code code;

    if (!atls_cbor_enter_array(r, &record) || record.left < 2 || record.left > 3 ||
        !atls_cbor_get_item(r, &out->environment_item) || !atls_cbor_get_item(r, &keys))
        return malformed(err, "triple",
                         "not [environment, keys] or [environment, keys, conditions]");
    out->conditional = record.left == 3;
    if ((code = atls_environment_decode(out->environment_item, &out->environment, err)) !=
            ATLS_OK ||
        (code = atls_corim_keys_decode(keys, arena, &out->keys, &out->count, err)) != ATLS_OK)
        return code;
    if (!out->conditional)
        return ATLS_OK;
    if (!atls_cbor_enter_map(r, &conditions) || conditions.left == 0)
        return malformed(err, "triple", "conditions are not a non-empty map");
    while (atls_cbor_more(r, &conditions))
        if (!atls_cbor_skip(r) || !atls_cbor_skip(r))
            return malformed(err, "triple", "truncated conditions");
    return ATLS_OK;
}

/* State of one CoMID: all of its triples count against one limit. */
struct comid_context {
    struct atls_arena *arena;
    struct atls_comid *comid;
    size_t triples;
};

static enum atls_code count_triples(struct comid_context *c, size_t count, struct atls_err *err)
{
    c->triples += count;
    if (c->triples > ATLS_CORIM_TRIPLES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM triples: more than %d in one tag",
                         ATLS_CORIM_TRIPLES_MAX);
    return ATLS_OK;
}

static enum atls_code get_references(struct atls_reader *r, struct comid_context *c,
                                     struct atls_err *err)
{
    struct atls_comid *m = c->comid;
    struct atls_cbor_iter list;
    enum atls_code code;
    void *array;

    if ((code = open_list(r, "reference triples", c->arena, sizeof *m->references, &list, &array,
                          err)) != ATLS_OK ||
        (code = count_triples(c, (size_t)list.left, err)) != ATLS_OK)
        return code;
    m->references = array;
    for (; atls_cbor_more(r, &list); m->reference_count++)
        if ((code = get_reference(r, c->arena, &m->references[m->reference_count], err)) != ATLS_OK)
            return in_record(err, code, "reference triple", m->reference_count);
    return ATLS_OK;
}

static enum atls_code get_attest_keys(struct atls_reader *r, struct comid_context *c,
                                      struct atls_err *err)
{
    struct atls_comid *m = c->comid;
    struct atls_cbor_iter list;
    enum atls_code code;
    void *array;

    if ((code = open_list(r, "attest-key triples", c->arena, sizeof *m->attest_keys, &list, &array,
                          err)) != ATLS_OK ||
        (code = count_triples(c, (size_t)list.left, err)) != ATLS_OK)
        return code;
    m->attest_keys = array;
    for (; atls_cbor_more(r, &list); m->attest_key_count++)
        if ((code = get_attest_key(r, c->arena, &m->attest_keys[m->attest_key_count], err)) !=
            ATLS_OK)
            return in_record(err, code, "attest-key triple", m->attest_key_count);
    return ATLS_OK;
}

static enum atls_code get_other(struct atls_reader *r, struct comid_context *c, int64_t kind,
                                struct atls_err *err)
{
    struct atls_corim_other *other = &c->comid->others[c->comid->other_count];
    struct atls_reader inner;
    struct atls_cbor_iter list;

    if (!atls_cbor_get_item(r, &other->list))
        return malformed(err, "triples", "truncated");
    inner = atls_reader_init(other->list);
    if (!atls_cbor_enter_array(&inner, &list) || list.left == 0)
        return malformed(err, "triples", "not a non-empty list");
    other->kind = kind;
    other->count = (size_t)list.left;
    c->comid->other_count++;
    return count_triples(c, other->count, err);
}

/* triples-map */
static enum atls_code get_triples(struct atls_reader *r, struct comid_context *c,
                                  struct atls_err *err)
{
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t kind;

    if (!atls_cbor_enter_map(r, &map) || map.left == 0)
        return malformed(err, "triples", "not a non-empty map");
    if (map.left > ATLS_CORIM_TRIPLES_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM triples: too many kinds");
    c->comid->others = atls_arena_alloc(c->arena, (size_t)map.left, sizeof *c->comid->others);
    if (c->comid->others == NULL)
        return atls_fail(err, ATLS_E_NOMEM,
                         "CoRIM: out of memory, or larger decoded than is taken");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &kind))
            return malformed(err, "triples", "kind is not an integer");
        switch (kind) {
        case ATLS_TRIPLE_REFERENCE:
            code = get_references(r, c, err);
            break;
        case ATLS_TRIPLE_ATTEST_KEY:
            code = get_attest_keys(r, c, err);
            break;
        default:
            code = get_other(r, c, kind, err);
            break;
        }
        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* {0: id, ? 1: version} */
static enum atls_code get_tag_identity(struct atls_reader *r, struct atls_comid *m,
                                       struct atls_err *err)
{
    struct atls_cbor_iter map;
    bool has_id = false;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return malformed(err, "tag-identity", "not a map");
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_int(r, &key) || key < 0 || key > 1)
            return malformed(err, "tag-identity", "unknown member");
        if (key == 0 ? !(has_id = get_id(r, &m->id))
                     : !(m->has_version = atls_cbor_get_uint(r, &m->version)))
            return malformed(err, "tag-identity",
                             "id is neither text nor a UUID, or version no number");
    }
    return has_id ? ATLS_OK : malformed(err, "tag-identity", "has no id");
}

/* [+ {0: id, 1: rel}], rel 0 supplements, 1 replaces */
static enum atls_code get_linked_tags(struct atls_reader *r, struct atls_comid *m,
                                      struct atls_err *err)
{
    struct atls_cbor_iter list, map;
    struct atls_corim_id id;
    int64_t key, rel = 0;
    bool ok;

    if (!atls_cbor_enter_array(r, &list) || list.left == 0)
        return malformed(err, "linked-tags", "not a non-empty list");
    while (atls_cbor_more(r, &list)) {
        bool has_id = false, has_rel = false;

        if (!atls_cbor_enter_map(r, &map))
            return malformed(err, "linked-tags", "not a map");
        while (atls_cbor_more(r, &map)) {
            ok = atls_cbor_get_int(r, &key) &&
                 (key == 0   ? (has_id = get_id(r, &id))
                  : key == 1 ? (has_rel = atls_cbor_get_int(r, &rel) && (rel == 0 || rel == 1))
                             : false);
            if (!ok)
                return malformed(err, "linked-tags", "member is unknown or of the wrong type");
        }
        if (!has_id || !has_rel)
            return malformed(err, "linked-tags", "has no id or no relation");
        m->replaces = m->replaces || rel == 1;
    }
    return ATLS_OK;
}

enum { COMID_LANGUAGE, COMID_IDENTITY, COMID_ENTITIES, COMID_LINKED_TAGS, COMID_TRIPLES };

static enum atls_code get_comid_member(struct atls_reader *r, int64_t key, struct comid_context *c,
                                       struct atls_err *err)
{
    struct atls_comid *m = c->comid;
    struct atls_bytes language;

    switch (key) {
    case COMID_LANGUAGE:
        return atls_cbor_get_text(r, &language) ? ATLS_OK : malformed(err, "language", "not text");
    case COMID_IDENTITY:
        return get_tag_identity(r, m, err);
    case COMID_ENTITIES:
        return get_entities(r, c->arena, &m->entities, &m->entity_count, err);
    case COMID_LINKED_TAGS:
        return get_linked_tags(r, m, err);
    case COMID_TRIPLES:
        return get_triples(r, c, err);
    default:
        m->unknown_members++;
        return atls_cbor_skip(r) ? ATLS_OK : malformed(err, "CoMID", "truncated");
    }
}

enum atls_code atls_comid_decode(struct atls_bytes in, struct atls_arena *arena,
                                 struct atls_comid *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_comid m;
    struct comid_context context = {arena, &m, 0};
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    memset(&m, 0, sizeof m);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_enter_map(&r, &map))
        return malformed(err, "CoMID", "not a map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            return malformed(err, "CoMID", "key is not an integer");
        if ((code = get_comid_member(&r, key, &context, err)) != ATLS_OK)
            return code;
    }
    if (m.id.text.ptr == NULL && m.id.uuid.ptr == NULL)
        return malformed(err, "CoMID", "has no tag-identity");
    if (m.others == NULL)
        return malformed(err, "CoMID", "has no triples");
    *out = m;
    return ATLS_OK;
}

/* ---- CoRIM ---- */

/* One tag: #6.505..508(bytes). */
static enum atls_code get_tag(struct atls_reader *r, struct atls_arena *arena,
                              struct atls_corim_tag *out, struct atls_err *err)
{
    if (!atls_cbor_get_tag(r, &out->number) || !atls_cbor_get_bytes(r, &out->content))
        return malformed(err, "tags", "not a tagged byte string");
    switch (out->number) {
    case ATLS_TAG_COMID:
        out->comid = atls_arena_alloc(arena, 1, sizeof *out->comid);
        if (out->comid == NULL)
            return atls_fail(err, ATLS_E_NOMEM,
                             "CoRIM: out of memory, or larger decoded than is taken");
        return atls_comid_decode(out->content, arena, out->comid, err);
    case ATLS_TAG_COSWID:
    case ATLS_TAG_COTS:
    case ATLS_TAG_COTL:
        return atls_cbor_check(out->content, 0, err);
    default:
        return atls_fail(err, ATLS_E_UNSUPPORTED,
                         "CoRIM tags: %llu is no kind of tag that is known",
                         (unsigned long long)out->number);
    }
}

static enum atls_code get_tags(struct atls_reader *r, struct atls_corim *c, struct atls_err *err)
{
    struct atls_cbor_iter list;
    enum atls_code code;
    void *array;

    if ((code = open_list(r, "tags", &c->arena, sizeof *c->tags, &list, &array, err)) != ATLS_OK)
        return code;
    c->tags = array;
    for (; atls_cbor_more(r, &list); c->tag_count++)
        if ((code = get_tag(r, &c->arena, &c->tags[c->tag_count], err)) != ATLS_OK)
            return in_record(err, code, "tag", c->tag_count);
    return ATLS_OK;
}

/* [+ {0: URI, ? 1: thumbprint}]: counted, never fetched. */
static enum atls_code get_dependent_rims(struct atls_reader *r, struct atls_corim *c,
                                         struct atls_err *err)
{
    struct atls_cbor_iter list;
    enum atls_cbor_type type;

    if (!atls_cbor_enter_array(r, &list) || list.left == 0)
        return malformed(err, "dependent-rims", "not a non-empty list");
    c->dependent_rims = (size_t)list.left;
    while (atls_cbor_more(r, &list))
        if (!atls_cbor_peek(r, &type) || type != ATLS_CBOR_MAP || !atls_cbor_skip(r))
            return malformed(err, "dependent-rims", "not a map");
    return ATLS_OK;
}

/* #6.32 URI or #6.111 OID */
static enum atls_code get_profile(struct atls_reader *r, struct atls_corim *c, struct atls_err *err)
{
    struct atls_reader inner;
    struct atls_bytes oid;
    uint64_t tag;

    if (!atls_cbor_get_item(r, &c->profile))
        return malformed(err, "profile", "missing");
    inner = atls_reader_init(c->profile);
    if (get_uri(&inner, &c->profile_uri) ||
        (atls_tagged_bytes(c->profile, &tag, &oid) && tag == ATLS_TAG_OID && oid.len != 0))
        return ATLS_OK;
    return malformed(err, "profile", "neither a URI (tag 32) nor an OID (tag 111)");
}

enum {
    CORIM_ID,
    CORIM_TAGS,
    CORIM_DEPENDENT_RIMS,
    CORIM_PROFILE,
    CORIM_VALIDITY,
    CORIM_ENTITIES,
};

static enum atls_code get_corim_member(struct atls_reader *r, int64_t key, struct atls_corim *c,
                                       struct atls_err *err)
{
    switch (key) {
    case CORIM_ID:
        return get_id(r, &c->id) ? ATLS_OK : malformed(err, "id", "neither text nor a UUID");
    case CORIM_TAGS:
        return get_tags(r, c, err);
    case CORIM_DEPENDENT_RIMS:
        return get_dependent_rims(r, c, err);
    case CORIM_PROFILE:
        return get_profile(r, c, err);
    case CORIM_VALIDITY:
        return get_validity(r, &c->validity, err);
    case CORIM_ENTITIES:
        return get_entities(r, &c->arena, &c->entities, &c->entity_count, err);
    default:
        c->unknown_members++;
        return atls_cbor_skip(r) ? ATLS_OK : malformed(err, "map", "truncated");
    }
}

static enum atls_code check_signers(const struct atls_corim *c, struct atls_err *err)
{
    enum { ROLE_MANIFEST_SIGNER = 2 };
    size_t signers = 0;

    for (size_t i = 0; i < c->entity_count; i++)
        signers += c->entities[i].roles >> ROLE_MANIFEST_SIGNER & 1;
    return signers <= 1 ? ATLS_OK : malformed(err, "entities", "more than one manifest signer");
}

static enum atls_code decode_corim(struct atls_bytes in, struct atls_corim *c, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_cbor_iter map;
    enum atls_code code;
    uint64_t tag;
    int64_t key;

    if (in.len > ATLS_CORIM_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM: %zu bytes, at most %d are taken", in.len,
                         ATLS_CORIM_MAX);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_get_tag(&r, &tag) || tag != ATLS_TAG_CORIM || !atls_cbor_enter_map(&r, &map))
        return malformed(err, "map", "not tag 501 on a map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            return malformed(err, "map", "key is not an integer");
        if ((code = get_corim_member(&r, key, c, err)) != ATLS_OK)
            return code;
    }
    if (c->id.text.ptr == NULL && c->id.uuid.ptr == NULL)
        return malformed(err, "map", "has no id");
    if (c->tags == NULL)
        return malformed(err, "map", "has no tags");
    return check_signers(c, err);
}

enum atls_code atls_corim_decode(struct atls_bytes in, struct atls_corim *out, struct atls_err *err)
{
    struct atls_corim c;
    enum atls_code code;

    memset(&c, 0, sizeof c);
    c.arena = atls_arena_init(DECODED_MAX);
    if ((code = decode_corim(in, &c, err)) != ATLS_OK) {
        atls_arena_clear(&c.arena);
        return code;
    }
    *out = c;
    return ATLS_OK;
}

void atls_corim_clear(struct atls_corim *corim)
{
    atls_arena_clear(&corim->arena);
    memset(corim, 0, sizeof *corim);
}

/* ---- signed CoRIM ---- */

/* What corim-meta or CWT claims say about a signature. */
struct signed_by {
    bool present;
    struct atls_bytes name;
    struct atls_bytes uri;
    struct atls_corim_validity validity;
};

/* {0: name, ? 1: URI} */
static bool get_signer(struct atls_reader *r, struct signed_by *out)
{
    struct atls_cbor_iter map;
    int64_t key;

    if (!atls_cbor_enter_map(r, &map))
        return false;
    while (atls_cbor_more(r, &map))
        if (!atls_cbor_get_int(r, &key) || !(key == 0   ? atls_cbor_get_text(r, &out->name)
                                             : key == 1 ? get_uri(r, &out->uri)
                                                        : false))
            return false;
    return out->name.len != 0;
}

/* bstr of {0: signer, ? 1: validity} */
static enum atls_code get_meta(struct atls_reader *r, struct signed_by *out, struct atls_err *err)
{
    struct atls_cbor_iter map;
    struct atls_reader inner;
    struct atls_bytes content;
    enum atls_code code;
    int64_t key;

    if (!atls_cbor_get_bytes(r, &content))
        return malformed(err, "corim-meta", "not a byte string");
    if ((code = atls_cbor_check(content, 0, err)) != ATLS_OK)
        return atls_err_prefix(err, code, "corim-meta");
    inner = atls_reader_init(content);
    if (!atls_cbor_enter_map(&inner, &map))
        return malformed(err, "corim-meta", "not a map");
    while (atls_cbor_more(&inner, &map)) {
        if (!atls_cbor_get_int(&inner, &key) || key < 0 || key > 1)
            return malformed(err, "corim-meta", "unknown member");
        if (key == 0 && !get_signer(&inner, out))
            return malformed(err, "corim-meta", "signer is not {0: name, ? 1: URI}");
        if (key == 1 && (code = get_validity(&inner, &out->validity, err)) != ATLS_OK)
            return code;
    }
    out->present = true;
    return out->name.ptr != NULL ? ATLS_OK : malformed(err, "corim-meta", "has no signer");
}

/* RFC 8392 claims {1: iss, ? 2: sub, ? 4: exp, ? 5: nbf}; others are skipped. */
static enum atls_code get_cwt_claims(struct atls_reader *r, struct signed_by *out,
                                     struct atls_err *err)
{
    struct atls_corim_validity *v = &out->validity;
    struct atls_cbor_iter map;
    bool ok;

    if (!atls_cbor_enter_map(r, &map))
        return malformed(err, "CWT claims", "not a map");
    while (atls_cbor_more(r, &map)) {
        int64_t key = 0;

        ok = atls_cbor_get_int(r, &key) || atls_cbor_skip(r);
        switch (key) {
        case 1:
            ok = ok && atls_cbor_get_text(r, &out->name);
            break;
        case 4:
            ok = ok && (v->has_not_after = atls_cbor_get_int(r, &v->not_after_s));
            break;
        case 5:
            ok = ok && (v->has_not_before = atls_cbor_get_int(r, &v->not_before_s));
            break;
        default:
            ok = ok && atls_cbor_skip(r);
            break;
        }
        if (!ok)
            return malformed(err, "CWT claims", "claim of the wrong type");
    }
    if (out->name.len == 0)
        return malformed(err, "CWT claims", "has no iss");
    out->present = true;
    return check_window(v, "CWT claims", err);
}

/* The labels of a protected header that COSE does not define. */
static enum atls_code get_corim_labels(struct atls_bytes header, struct signed_by *meta,
                                       struct signed_by *cwt, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(header);
    struct atls_cbor_iter map;
    enum atls_code code;
    struct atls_bytes item;

    if (!atls_cbor_enter_map(&r, &map))
        return malformed(err, "protected header", "not a map");
    while (atls_cbor_more(&r, &map)) {
        int64_t label = 0;

        if (!atls_cbor_get_int(&r, &label) && !atls_cbor_skip(&r))
            return malformed(err, "protected header", "truncated");
        if (label >= ATLS_CORIM_LABEL_PAYLOAD_HASH && label <= ATLS_CORIM_LABEL_PAYLOAD_LOCATION)
            return unsupported(err, "signature", "hash envelope (labels 258 to 260)");
        if (label == ATLS_CORIM_LABEL_META)
            code = get_meta(&r, meta, err);
        else if (label == ATLS_CORIM_LABEL_CWT_CLAIMS)
            code = get_cwt_claims(&r, cwt, err);
        else
            code = atls_cbor_get_item(&r, &item) ? ATLS_OK
                                                 : malformed(err, "protected header", "truncated");
        if (code != ATLS_OK)
            return code;
    }
    return ATLS_OK;
}

/* With corim-meta and CWT claims both there: one name, and no end of the window told twice in two
 * ways. */
static bool agree(const struct signed_by *a, const struct signed_by *b)
{
    const struct atls_corim_validity *v = &a->validity, *w = &b->validity;

    return atls_bytes_equal(a->name, b->name) &&
           (!v->has_not_before || !w->has_not_before || v->not_before_s == w->not_before_s) &&
           (!v->has_not_after || !w->has_not_after || v->not_after_s == w->not_after_s);
}

static void merge_window(struct atls_corim_validity *v, const struct atls_corim_validity *other)
{
    if (!v->has_not_before) {
        v->has_not_before = other->has_not_before;
        v->not_before_s = other->not_before_s;
    }
    if (!v->has_not_after) {
        v->has_not_after = other->has_not_after;
        v->not_after_s = other->not_after_s;
    }
}

static enum atls_code decode_signed(struct atls_bytes in, struct atls_corim_envelope *e,
                                    struct atls_err *err)
{
    static const int64_t labels[] = {ATLS_CORIM_LABEL_META, ATLS_CORIM_LABEL_CWT_CLAIMS};
    static const struct atls_cose_labels understood = {labels, sizeof labels / sizeof labels[0]};
    struct signed_by meta, cwt, *first;
    struct atls_reader payload;
    enum atls_code code;
    uint64_t tag;

    memset(&meta, 0, sizeof meta);
    memset(&cwt, 0, sizeof cwt);
    code = atls_cose_sign1_decode_with(in, ATLS_COSE_TAG_REQUIRED, &understood, &e->sign1, err);
    if (code != ATLS_OK)
        return code;
    if ((code = get_corim_labels(e->sign1.protected_header, &meta, &cwt, err)) != ATLS_OK)
        return code;
    if (!e->sign1.has_content_type_text ||
        !atls_bytes_equal_text(e->sign1.content_type_text, ATLS_CORIM_CONTENT_TYPE))
        return malformed(err, "signature", "content type is not " ATLS_CORIM_CONTENT_TYPE);
    if (!meta.present && !cwt.present)
        return malformed(err, "signature", "neither corim-meta nor CWT claims");
    if (meta.present && cwt.present && !agree(&meta, &cwt))
        return malformed(err, "signature", "corim-meta and CWT claims disagree");
    if (e->sign1.detached)
        return unsupported(err, "signature", "detached payload");
    payload = atls_reader_init(e->sign1.payload);
    if (!atls_cbor_get_tag(&payload, &tag) || tag != ATLS_TAG_CORIM)
        return unsupported(err, "signature", "payload is not tag 501 (old tools left the tag out)");
    first = meta.present ? &meta : &cwt;
    e->signer = first->name;
    e->signer_uri = first->uri;
    e->validity = first->validity;
    merge_window(&e->validity, &cwt.validity);
    if ((code = check_window(&e->validity, "signature", err)) != ATLS_OK)
        return code;
    e->manifest = e->sign1.payload;
    e->is_signed = true;
    return ATLS_OK;
}

/* Drops the tags 500 and 502 that old tools put in front. */
static struct atls_bytes unwrap_old(struct atls_bytes in)
{
    struct atls_reader r = atls_reader_init(in);
    uint64_t first, second;

    if (!atls_cbor_get_tag(&r, &first) || first != TAG_OLD_CORIM ||
        !atls_cbor_get_tag(&r, &second) || second != TAG_OLD_SIGNED_CORIM)
        return in;
    return atls_bytes_of(in.ptr + r.pos, in.len - r.pos);
}

enum atls_code atls_corim_envelope_decode(struct atls_bytes in, struct atls_corim_envelope *out,
                                          struct atls_err *err)
{
    struct atls_corim_envelope e;
    struct atls_bytes inner;
    struct atls_reader r;
    enum atls_code code;
    uint64_t tag;

    memset(&e, 0, sizeof e);
    if (in.len > ATLS_CORIM_MAX)
        return atls_fail(err, ATLS_E_LIMIT, "CoRIM: %zu bytes, at most %d are taken", in.len,
                         ATLS_CORIM_MAX);
    inner = unwrap_old(in);
    r = atls_reader_init(inner);
    if (!atls_cbor_get_tag(&r, &tag) || (tag != ATLS_TAG_CORIM && tag != TAG_COSE_SIGN1))
        return malformed(err, "envelope", "neither tag 501 (CoRIM) nor tag 18 (COSE_Sign1)");
    if (tag == TAG_COSE_SIGN1) {
        if ((code = decode_signed(inner, &e, err)) != ATLS_OK)
            return code;
    } else {
        e.manifest = inner;
    }
    *out = e;
    return ATLS_OK;
}

static void put_window(struct atls_writer *w, const struct atls_corim_validity *v)
{
    atls_cbor_put_map(w, (uint64_t)v->has_not_before + 1);
    if (v->has_not_before) {
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_tag(w, TAG_EPOCH_TIME);
        atls_cbor_put_int(w, v->not_before_s);
    }
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_tag(w, TAG_EPOCH_TIME);
    atls_cbor_put_int(w, v->not_after_s);
}

void atls_corim_put_protected(struct atls_writer *w, int64_t alg, struct atls_bytes signer,
                              const struct atls_corim_validity *validity)
{
    struct atls_writer meta = atls_writer_init(w->limit);

    /* A window needs its end (member 1 of the map): a beginning alone stays in the claims. */
    atls_cbor_put_map(&meta, (uint64_t)validity->has_not_after + 1);
    atls_cbor_put_uint(&meta, 0);
    atls_cbor_put_map(&meta, 1);
    atls_cbor_put_uint(&meta, 0);
    atls_cbor_put_text_bytes(&meta, signer);
    if (validity->has_not_after) {
        atls_cbor_put_uint(&meta, 1);
        put_window(&meta, validity);
    }

    atls_cbor_put_map(w, 4);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_int(w, alg);
    atls_cbor_put_uint(w, 3);
    atls_cbor_put_text(w, ATLS_CORIM_CONTENT_TYPE);
    atls_cbor_put_uint(w, ATLS_CORIM_LABEL_META);
    atls_cbor_put_bytes(w, atls_writer_bytes(&meta));
    atls_cbor_put_uint(w, ATLS_CORIM_LABEL_CWT_CLAIMS);
    atls_cbor_put_map(w, 1u + validity->has_not_after + validity->has_not_before);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_text_bytes(w, signer);
    if (validity->has_not_after) {
        atls_cbor_put_uint(w, 4);
        atls_cbor_put_int(w, validity->not_after_s);
    }
    if (validity->has_not_before) {
        atls_cbor_put_uint(w, 5);
        atls_cbor_put_int(w, validity->not_before_s);
    }
    if (w->failed == ATLS_OK)
        w->failed = meta.failed;
    atls_writer_clear(&meta);
}
