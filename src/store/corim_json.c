#include "store/corim_json.h"

#include <string.h>

#include <atls/corim.h>
#include <atls/limits.h>

#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/corim_profile.h"

/* Text is larger than what it shows. */
#define TEXT_MAX ((size_t)16 * ATLS_CORIM_MAX)
/* Memory that a tag alone may take decoded. */
#define DECODED_MAX ((size_t)32 * ATLS_CORIM_MAX)

static void put_text(struct atls_json *j, const char *key, struct atls_bytes text)
{
    if (text.ptr != NULL)
        atls_json_put_text(j, key, text);
}

static void put_validity(struct atls_json *j, const struct atls_corim_validity *v)
{
    if (v->has_not_before)
        atls_json_put_int(j, "not-before", v->not_before_s);
    if (v->has_not_after)
        atls_json_put_int(j, "not-after", v->not_after_s);
}

static void put_entities(struct atls_json *j, const struct atls_corim_entity *entities,
                         size_t count)
{
    if (count == 0)
        return;
    atls_json_open_array(j, "entities");
    for (size_t i = 0; i < count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_text(j, "name", entities[i].name);
        put_text(j, "reg-id", entities[i].reg_id);
        atls_json_open_array(j, "roles");
        for (unsigned int role = 0; role < 64; role++)
            if ((entities[i].roles >> role & 1) != 0)
                atls_json_put_uint(j, NULL, role);
        atls_json_close(j);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_links(struct atls_json *j, const struct atls_comid *m)
{
    if (m->link_count == 0)
        return;
    atls_json_open_array(j, "linked-tags");
    for (size_t i = 0; i < m->link_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_string(j, "relation",
                             m->links[i].relation == ATLS_COMID_REPLACES ? "replaces"
                                                                         : "supplements");
        store_json_put_id(j, "id", &m->links[i].id);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_comid(struct atls_json *j, const struct atls_comid *m)
{
    store_json_put_id(j, "id", &m->id);
    if (m->has_version)
        atls_json_put_uint(j, "version", m->version);
    put_entities(j, m->entities, m->entity_count);
    put_links(j, m);
    store_json_put_triples(j, m);
}

static void put_tag_identity(struct atls_json *j, const struct atls_tag_identity *identity)
{
    store_json_put_id(j, "id", &identity->id);
    if (identity->has_version)
        atls_json_put_uint(j, "version", identity->version);
}

static void put_cotl(struct atls_json *j, const struct atls_cotl *list)
{
    put_tag_identity(j, &list->identity);
    put_validity(j, &list->validity);
    atls_json_open_array(j, "tags-list");
    for (size_t i = 0; i < list->tag_count; i++) {
        atls_json_open_object(j, NULL);
        put_tag_identity(j, &list->tags[i]);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_cots_environment(struct atls_json *j, const struct atls_cots_environment *e)
{
    atls_json_open_object(j, NULL);
    if (e->has_environment)
        store_json_put_environment(j, "environment", &e->environment);
    if (e->swid.ptr != NULL)
        atls_json_put_hex(j, "coswid-cbor", e->swid);
    put_text(j, "name", e->name);
    atls_json_close(j);
}

static void put_cots_claims(struct atls_json *j, const char *key,
                            const struct atls_cots_claims *claims)
{
    if (claims->item.ptr != NULL)
        atls_json_put_hex(j, key, claims->item);
}

static void put_cots_keys(struct atls_json *j, const struct atls_cots *c)
{
    static const char *const formats[] = {"certificate", "trust-anchor-info", "public-key"};

    atls_json_open_array(j, "trust-anchors");
    for (size_t i = 0; i < c->anchor_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_string(j, "format", formats[c->anchors[i].format]);
        atls_json_put_hex(j, "der", c->anchors[i].der);
        atls_json_close(j);
    }
    atls_json_close(j);
    if (c->certificate_count == 0)
        return;
    atls_json_open_array(j, "ca-certificates");
    for (size_t i = 0; i < c->certificate_count; i++)
        atls_json_put_hex(j, NULL, c->certificates[i]);
    atls_json_close(j);
}

static void put_cots(struct atls_json *j, const struct atls_cots *c)
{
    put_text(j, "language", c->language);
    if (c->has_id)
        store_json_put_id(j, "id", &c->id);
    if (c->has_version)
        atls_json_put_uint(j, "version", c->version);
    atls_json_open_array(j, "environments");
    for (size_t i = 0; i < c->environment_count; i++)
        put_cots_environment(j, &c->environments[i]);
    atls_json_close(j);
    if (c->purpose_count != 0) {
        atls_json_open_array(j, "purposes");
        for (size_t i = 0; i < c->purpose_count; i++)
            atls_json_put_text(j, NULL, c->purposes[i]);
        atls_json_close(j);
    }
    put_cots_claims(j, "permitted-claims-cbor", &c->permitted);
    put_cots_claims(j, "excluded-claims-cbor", &c->excluded);
    put_cots_keys(j, c);
}

static void put_tag(struct atls_json *j, const struct atls_corim_tag *tag)
{
    atls_json_open_object(j, NULL);
    if (tag->comid != NULL) {
        atls_json_put_string(j, "kind", "comid");
        put_comid(j, tag->comid);
    } else if (tag->cots != NULL) {
        atls_json_put_string(j, "kind", "cots");
        put_cots(j, tag->cots);
    } else if (tag->cotl != NULL) {
        atls_json_put_string(j, "kind", "cotl");
        put_cotl(j, tag->cotl);
    } else {
        atls_json_put_string(j, "kind", "coswid");
        atls_json_put_uint(j, "bytes", tag->content.len);
    }
    atls_json_close(j);
}

static void put_signed(struct atls_json *j, const struct atls_corim_envelope *e)
{
    struct atls_bytes certificates[ATLS_CHAIN_MAX];
    size_t count;

    atls_json_open_object(j, "signed");
    atls_json_put_text(j, "signer", e->signer);
    put_text(j, "signer-uri", e->signer_uri);
    atls_json_put_int(j, "cose-alg", e->sign1.alg);
    if (e->sign1.kid.ptr != NULL)
        atls_json_put_hex(j, "kid", e->sign1.kid);
    put_validity(j, &e->validity);
    if (e->sign1.x5chain.ptr != NULL &&
        atls_corim_x5chain_decode(e->sign1.x5chain, certificates, &count, NULL) == ATLS_OK) {
        atls_json_open_array(j, "x5chain");
        for (size_t i = 0; i < count; i++)
            atls_json_put_hex(j, NULL, certificates[i]);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_dependents(struct atls_json *j, const struct atls_corim *c)
{
    if (c->dependent_rims == 0)
        return;
    atls_json_open_array(j, "dependent-rims");
    for (size_t i = 0; i < c->dependent_rims; i++) {
        const struct atls_corim_locator *one = &c->dependents[i];

        atls_json_open_object(j, NULL);
        atls_json_open_array(j, "href");
        for (size_t k = 0; k < one->href_count; k++)
            atls_json_put_text(j, NULL, one->hrefs[k]);
        atls_json_close(j);
        if (one->thumbprints != NULL)
            store_json_put_digests(j, "thumbprint", one->thumbprints, one->thumbprint_count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_profile(struct atls_json *j, const struct atls_corim *c)
{
    const struct atls_corim_profile *profile = atls_corim_profile_find(c->profile);

    if (c->profile_uri.ptr != NULL)
        atls_json_put_text(j, "profile", c->profile_uri);
    else
        store_json_put_identifier(j, "profile", c->profile);
    if (profile == NULL)
        atls_json_put_null(j, "profile-name");
    else if (profile->scheme != ATLS_CORIM_SCHEME_NONE)
        atls_json_put_string(j, "profile-name", profile->name);
}

static void put_corim(struct atls_json *j, const struct atls_corim_envelope *e,
                      const struct atls_corim *c)
{
    if (e->is_signed)
        put_signed(j, e);
    store_json_put_id(j, "id", &c->id);
    put_profile(j, c);
    put_validity(j, &c->validity);
    put_entities(j, c->entities, c->entity_count);
    put_dependents(j, c);
    atls_json_open_array(j, "tags");
    for (size_t i = 0; i < c->tag_count; i++)
        put_tag(j, &c->tags[i]);
    atls_json_close(j);
}

static enum atls_code corim_json(struct atls_bytes in, unsigned int flags, struct atls_json *j,
                                 struct atls_err *err)
{
    struct atls_corim_envelope e;
    struct atls_corim c;
    enum atls_code code;

    if ((code = atls_corim_envelope_decode_with(in, flags, &e, err)) != ATLS_OK ||
        (code = atls_corim_decode_with(e.manifest, flags, &c, err)) != ATLS_OK)
        return code;
    put_corim(j, &e, &c);
    atls_corim_clear(&c);
    return ATLS_OK;
}

/* What a tag of a manifest holds, when it stands alone. */
static struct atls_bytes unwrap(struct atls_bytes in, uint64_t number)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_bytes content;
    uint64_t tag;

    if (!atls_cbor_get_tag(&r, &tag) || tag != number)
        return in;
    content = atls_bytes_of(in.ptr + r.pos, in.len - r.pos);
    return atls_cbor_get_bytes(&r, &content) && !atls_reader_done(&r) ? in : content;
}

static enum atls_code tag_json(struct atls_bytes in, enum store_corim_part part,
                               struct atls_json *j, struct atls_err *err)
{
    struct atls_arena arena = atls_arena_init(DECODED_MAX);
    enum atls_code code;
    struct atls_comid comid;
    struct atls_cots cots;
    struct atls_cotl cotl;

    if (part == STORE_PART_COMID) {
        code = atls_comid_decode(unwrap(in, ATLS_TAG_COMID), &arena, &comid, err);
        if (code == ATLS_OK)
            put_comid(j, &comid);
    } else if (part == STORE_PART_COTS) {
        code = atls_cots_decode(unwrap(in, ATLS_TAG_COTS), &arena, &cots, err);
        if (code == ATLS_OK)
            put_cots(j, &cots);
    } else {
        code = atls_cotl_decode(unwrap(in, ATLS_TAG_COTL), &arena, &cotl, err);
        if (code == ATLS_OK)
            put_cotl(j, &cotl);
    }
    atls_arena_clear(&arena);
    return code;
}

enum atls_code store_corim_part_json(struct atls_bytes in, enum store_corim_part part,
                                     unsigned int flags, struct atls_buf *out, struct atls_err *err)
{
    struct atls_json j = atls_json_init(TEXT_MAX);
    enum atls_code code;

    j.pretty = true;
    atls_json_open_object(&j, NULL);
    /* Nothing was: say so where it will be read. */
    atls_json_put_bool(&j, "verified", false);
    code = part == STORE_PART_CORIM ? corim_json(in, flags, &j, err) : tag_json(in, part, &j, err);
    if (code != ATLS_OK) {
        atls_json_clear(&j);
        return code;
    }
    atls_json_close(&j);
    return atls_json_finish(&j, out, err);
}

enum atls_code atls_corim_to_json(struct atls_bytes corim, struct atls_buf *out,
                                  struct atls_err *err)
{
    return store_corim_part_json(corim, STORE_PART_CORIM, 0, out, err);
}
