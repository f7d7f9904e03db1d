#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/corim_items.h"

/* {0: id, 1: rel}, rel 0 supplements, 1 replaces */
static enum atls_code get_link(struct atls_reader *r, struct atls_comid_link *out,
                               struct atls_err *err)
{
    bool has_id = false, has_relation = false, ok;
    struct atls_cbor_iter map;
    int64_t key, relation = 0;

    if (!atls_cbor_enter_map(r, &map))
        return atls_corim_malformed(err, "linked-tags", "not a map");
    while (atls_cbor_more(r, &map)) {
        ok = atls_cbor_get_int(r, &key) &&
             (key == 0   ? (has_id = atls_corim_get_id(r, &out->id))
              : key == 1 ? (has_relation = atls_cbor_get_int(r, &relation) &&
                                           (relation == ATLS_COMID_SUPPLEMENTS ||
                                            relation == ATLS_COMID_REPLACES))
                         : false);
        if (!ok)
            return atls_corim_malformed(err, "linked-tags",
                                        "member is unknown or of the wrong type");
    }
    if (!has_id || !has_relation)
        return atls_corim_malformed(err, "linked-tags", "has no id or no relation");
    out->relation = relation == ATLS_COMID_REPLACES ? ATLS_COMID_REPLACES : ATLS_COMID_SUPPLEMENTS;
    return ATLS_OK;
}

static enum atls_code get_links(struct atls_reader *r, struct atls_comid_context *c,
                                struct atls_err *err)
{
    struct atls_corim_list list = {.member = "linked-tags", .arena = c->arena};
    struct atls_comid *m = c->comid;
    enum atls_code code;
    void *array;

    if ((code = atls_corim_open_list(r, &list, sizeof *m->links, &array, err)) != ATLS_OK)
        return code;
    m->links = array;
    for (; atls_cbor_more(r, &list.iter); m->link_count++) {
        if ((code = get_link(r, &m->links[m->link_count], err)) != ATLS_OK)
            return code;
        m->replaces = m->replaces || m->links[m->link_count].relation == ATLS_COMID_REPLACES;
    }
    return ATLS_OK;
}

static enum atls_code get_identity(struct atls_reader *r, struct atls_comid *m,
                                   struct atls_err *err)
{
    struct atls_tag_identity identity;
    enum atls_code code;

    if ((code = atls_corim_get_tag_identity(r, &identity, err)) != ATLS_OK)
        return code;
    m->id = identity.id;
    m->has_version = identity.has_version;
    m->version = identity.version;
    return ATLS_OK;
}

enum { COMID_LANGUAGE, COMID_IDENTITY, COMID_ENTITIES, COMID_LINKED_TAGS, COMID_TRIPLES };

static enum atls_code get_member(struct atls_reader *r, int64_t key, struct atls_comid_context *c,
                                 struct atls_err *err)
{
    struct atls_comid *m = c->comid;
    struct atls_bytes language;

    switch (key) {
    case COMID_LANGUAGE:
        return atls_cbor_get_text(r, &language) ? ATLS_OK
                                                : atls_corim_malformed(err, "language", "not text");
    case COMID_IDENTITY:
        return get_identity(r, m, err);
    case COMID_ENTITIES:
        return atls_corim_get_entities(r, c->arena, &m->entities, &m->entity_count, err);
    case COMID_LINKED_TAGS:
        return get_links(r, c, err);
    case COMID_TRIPLES:
        return atls_comid_get_triples(r, c, err);
    default:
        m->unknown_members++;
        return atls_cbor_skip(r) ? ATLS_OK : atls_corim_malformed(err, "CoMID", "truncated");
    }
}

enum atls_code atls_comid_decode(struct atls_bytes in, struct atls_arena *arena,
                                 struct atls_comid *out, struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_comid m;
    struct atls_comid_context context = {arena, &m, 0};
    struct atls_cbor_iter map;
    enum atls_code code;
    int64_t key;

    memset(&m, 0, sizeof m);
    if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK)
        return code;
    if (!atls_cbor_enter_map(&r, &map))
        return atls_corim_malformed(err, "CoMID", "not a map");
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            return atls_corim_malformed(err, "CoMID", "key is not an integer");
        if ((code = get_member(&r, key, &context, err)) != ATLS_OK)
            return code;
    }
    if (m.id.text.ptr == NULL && m.id.uuid.ptr == NULL)
        return atls_corim_malformed(err, "CoMID", "has no tag-identity");
    if (m.others == NULL)
        return atls_corim_malformed(err, "CoMID", "has no triples");
    *out = m;
    return ATLS_OK;
}
