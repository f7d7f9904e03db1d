#include <string.h>

#include <atls/corim.h>
#include <atls/limits.h>

#include "core/json_writer.h"
#include "core/reader.h"
#include "store/db.h"
#include "wire/corim.h"

/* Text is larger than what it shows. */
#define TEXT_MAX ((size_t)16 * ATLS_CORIM_MAX)

static void put_id(struct atls_json *j, const char *key, const struct atls_corim_id *id)
{
    char uuid[STORE_UUID_TEXT];

    if (id->uuid.ptr != NULL)
        atls_json_put_string(j, key, store_uuid_text(id->uuid.ptr, uuid));
    else
        atls_json_put_text(j, key, id->text);
}

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

/* An identifier: UUID as text, what is a tagged byte string in hexadecimal, else its encoding. */
static void put_identifier(struct atls_json *j, const char *key, struct atls_bytes item)
{
    char uuid[STORE_UUID_TEXT];
    struct atls_bytes content;
    uint64_t tag;

    if (item.ptr == NULL)
        return;
    if (!atls_tagged_bytes(item, &tag, &content))
        atls_json_put_hex(j, key, item);
    else if (tag == ATLS_TAG_UUID && content.len == 16)
        atls_json_put_string(j, key, store_uuid_text(content.ptr, uuid));
    else
        atls_json_put_hex(j, key, content);
}

static void put_environment(struct atls_json *j, const struct atls_environment *e)
{
    atls_json_open_object(j, "environment");
    put_identifier(j, "class", e->class_id);
    put_text(j, "vendor", e->vendor);
    put_text(j, "model", e->model);
    if (e->has_layer)
        atls_json_put_uint(j, "layer", e->layer);
    if (e->has_index)
        atls_json_put_uint(j, "index", e->index);
    put_identifier(j, "instance", e->instance);
    put_identifier(j, "group", e->group);
    atls_json_close(j);
}

static void put_digests(struct atls_json *j, const struct atls_mval *v)
{
    atls_json_open_array(j, "digests");
    for (size_t i = 0; i < v->digest_count; i++) {
        const struct atls_named_hash *named =
            atls_named_hash_by_number(v->digests[i].named_information);

        atls_json_open_object(j, NULL);
        if (named != NULL)
            atls_json_put_string(j, "algorithm", named->name);
        else if (v->digests[i].named_information != ATLS_NAMED_HASH_TEXT)
            atls_json_put_int(j, "algorithm", v->digests[i].named_information);
        else
            atls_json_put_null(j, "algorithm");
        atls_json_put_hex(j, "value", v->digests[i].value);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_flags(struct atls_json *j, const struct atls_mval *v)
{
    static const char *const names[] = {
        "configured",          "secure",           "recovery",  "debug", "replay-protected",
        "integrity-protected", "runtime-measured", "immutable", "tcb",   "confidential",
        "runtime-updatable"};

    atls_json_open_object(j, "flags");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((v->flags_known >> i & 1) != 0)
            atls_json_put_bool(j, names[i], (v->flags >> i & 1) != 0);
    atls_json_close(j);
}

static void put_measurement(struct atls_json *j, const struct atls_measurement *m)
{
    const struct atls_mval *v = &m->mval;

    atls_json_open_object(j, NULL);
    if (m->mkey.kind == ATLS_MKEY_UINT)
        atls_json_put_uint(j, "mkey", m->mkey.number);
    else if (m->mkey.kind == ATLS_MKEY_TEXT)
        atls_json_put_text(j, "mkey", m->mkey.bytes);
    else if (m->mkey.kind != ATLS_MKEY_NONE)
        atls_json_put_hex(j, "mkey", m->mkey.bytes);
    if ((v->present & ATLS_MVAL_VERSION) != 0)
        atls_json_put_text(j, "version", v->version);
    if ((v->present & ATLS_MVAL_SVN) != 0)
        atls_json_put_uint(j, "svn", v->svn);
    if ((v->present & ATLS_MVAL_MIN_SVN) != 0)
        atls_json_put_uint(j, "min-svn", v->svn);
    if ((v->present & ATLS_MVAL_DIGESTS) != 0)
        put_digests(j, v);
    if ((v->present & ATLS_MVAL_FLAGS) != 0)
        put_flags(j, v);
    if ((v->present & ATLS_MVAL_RAW) != 0)
        atls_json_put_hex(j, "raw-value", v->raw);
    if (v->mask.ptr != NULL)
        atls_json_put_hex(j, "raw-value-mask", v->mask);
    if ((v->present & ATLS_MVAL_NAME) != 0)
        atls_json_put_text(j, "name", v->name);
    if ((v->present & ATLS_MVAL_OTHER) != 0)
        atls_json_put_bool(j, "more", true);
    atls_json_close(j);
}

static void put_key(struct atls_json *j, const struct atls_corim_key *key)
{
    atls_json_open_object(j, NULL);
    atls_json_put_uint(j, "tag", key->tag);
    if (key->tag == ATLS_TAG_PKIX_KEY || key->tag == ATLS_TAG_PKIX_CERT ||
        key->tag == ATLS_TAG_PKIX_PATH)
        atls_json_put_text(j, "text", key->content);
    else
        atls_json_put_hex(j, "content", key->content);
    atls_json_close(j);
}

static void put_references(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "reference-triples");
    for (size_t i = 0; i < m->reference_count; i++) {
        atls_json_open_object(j, NULL);
        put_environment(j, &m->references[i].environment);
        atls_json_open_array(j, "measurements");
        for (size_t k = 0; k < m->references[i].count; k++)
            put_measurement(j, &m->references[i].measurements[k]);
        atls_json_close(j);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_attest_keys(struct atls_json *j, const struct atls_comid *m)
{
    atls_json_open_array(j, "attest-key-triples");
    for (size_t i = 0; i < m->attest_key_count; i++) {
        atls_json_open_object(j, NULL);
        put_environment(j, &m->attest_keys[i].environment);
        atls_json_open_array(j, "keys");
        for (size_t k = 0; k < m->attest_keys[i].count; k++)
            put_key(j, &m->attest_keys[i].keys[k]);
        atls_json_close(j);
        if (m->attest_keys[i].conditional)
            atls_json_put_bool(j, "conditional", true);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_comid(struct atls_json *j, const struct atls_comid *m)
{
    put_id(j, "id", &m->id);
    if (m->has_version)
        atls_json_put_uint(j, "version", m->version);
    put_entities(j, m->entities, m->entity_count);
    if (m->reference_count != 0)
        put_references(j, m);
    if (m->attest_key_count != 0)
        put_attest_keys(j, m);
    if (m->other_count == 0)
        return;
    atls_json_open_array(j, "other-triples");
    for (size_t i = 0; i < m->other_count; i++) {
        atls_json_open_object(j, NULL);
        atls_json_put_int(j, "kind", m->others[i].kind);
        atls_json_put_uint(j, "count", m->others[i].count);
        atls_json_close(j);
    }
    atls_json_close(j);
}

static void put_tag(struct atls_json *j, const struct atls_corim_tag *tag)
{
    static const struct {
        uint64_t number;
        const char *name;
    } kinds[] = {{ATLS_TAG_COSWID, "coswid"},
                 {ATLS_TAG_COMID, "comid"},
                 {ATLS_TAG_COTS, "cots"},
                 {ATLS_TAG_COTL, "cotl"}};

    atls_json_open_object(j, NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].number == tag->number)
            atls_json_put_string(j, "kind", kinds[i].name);
    if (tag->comid != NULL)
        put_comid(j, tag->comid);
    else
        atls_json_put_uint(j, "bytes", tag->content.len);
    atls_json_close(j);
}

static void put_corim(struct atls_json *j, const struct atls_corim_envelope *e,
                      const struct atls_corim *c)
{
    atls_json_open_object(j, NULL);
    /* Nothing was: say so where it will be read. */
    atls_json_put_bool(j, "verified", false);
    if (e->is_signed) {
        atls_json_open_object(j, "signed");
        atls_json_put_text(j, "signer", e->signer);
        put_text(j, "signer-uri", e->signer_uri);
        atls_json_put_int(j, "cose-alg", e->sign1.alg);
        put_validity(j, &e->validity);
        atls_json_close(j);
    }
    put_id(j, "id", &c->id);
    if (c->profile_uri.ptr != NULL)
        atls_json_put_text(j, "profile", c->profile_uri);
    else
        put_identifier(j, "profile", c->profile);
    put_validity(j, &c->validity);
    put_entities(j, c->entities, c->entity_count);
    atls_json_open_array(j, "tags");
    for (size_t i = 0; i < c->tag_count; i++)
        put_tag(j, &c->tags[i]);
    atls_json_close(j);
    atls_json_close(j);
}

enum atls_code atls_corim_to_json(struct atls_bytes corim, struct atls_buf *out,
                                  struct atls_err *err)
{
    struct atls_json j = atls_json_init(TEXT_MAX);
    struct atls_corim_envelope e;
    struct atls_corim c;
    enum atls_code code;

    if ((code = atls_corim_envelope_decode(corim, &e, err)) != ATLS_OK ||
        (code = atls_corim_decode(e.manifest, &c, err)) != ATLS_OK)
        return code;
    j.pretty = true;
    put_corim(&j, &e, &c);
    atls_corim_clear(&c);
    return atls_json_finish(&j, out, err);
}
