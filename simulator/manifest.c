#include "simulator/manifest.h"

#include "core/writer.h"
#include "wire/cbor.h"
#include "wire/corim.h"

#define MANIFEST_MAX (64 * 1024)
#define CLASS_ID_MAX 512
#define TAG_URI      32

/* Members of a measurement-values-map (draft-ietf-rats-corim). */
enum value {
    VALUE_VERSION = 0,
    VALUE_DIGESTS = 2,
    VALUE_RAW = 4,
    VALUE_NAME = 11,
    VALUE_KEYS = 13
};

static void put_digest(struct atls_writer *w, struct atls_bytes digest)
{
    /* Numbers of the registry of named information. */
    unsigned int hash = digest.len == 32 ? 1 : digest.len == 48 ? 7 : 8;

    atls_cbor_put_uint(w, VALUE_DIGESTS);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    atls_cbor_put_uint(w, hash);
    atls_cbor_put_bytes(w, digest);
}

static void put_tagged(struct atls_writer *w, struct atls_bytes bytes)
{
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, bytes);
}

static void put_values(struct atls_writer *w, const struct atls_sim_reference *r)
{
    atls_cbor_put_map(w, (uint64_t)(r->version != NULL) + (r->digest.len != 0) + (r->raw.len != 0) +
                             (r->component != NULL) + (r->signer_id.len != 0));
    if (r->version != NULL) {
        atls_cbor_put_uint(w, VALUE_VERSION);
        atls_cbor_put_map(w, 1);
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_text(w, r->version);
    }
    if (r->digest.len != 0)
        put_digest(w, r->digest);
    if (r->raw.len != 0) {
        atls_cbor_put_uint(w, VALUE_RAW);
        put_tagged(w, r->raw);
    }
    if (r->component != NULL) {
        atls_cbor_put_uint(w, VALUE_NAME);
        atls_cbor_put_text(w, r->component);
    }
    if (r->signer_id.len != 0) {
        atls_cbor_put_uint(w, VALUE_KEYS);
        atls_cbor_put_array(w, 1);
        put_tagged(w, r->signer_id);
    }
}

static void put_environment(struct atls_writer *w, const struct atls_sim_manifest *m)
{
    atls_cbor_put_map(w, m->instance.len != 0 ? 2 : 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_put_bytes(w, m->class_id);
    if (m->instance.len != 0) {
        atls_cbor_put_uint(w, 1);
        atls_cbor_put_tag(w, ATLS_TAG_UEID);
        atls_cbor_put_bytes(w, m->instance);
    }
}

static void put_references(struct atls_writer *w, const struct atls_sim_manifest *m)
{
    atls_cbor_put_uint(w, (uint64_t)ATLS_TRIPLE_REFERENCE);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    put_environment(w, m);
    atls_cbor_put_array(w, m->reference_count);
    for (size_t i = 0; i < m->reference_count; i++) {
        atls_cbor_put_map(w, 2);
        atls_cbor_put_uint(w, 0);
        if (m->references[i].name != NULL)
            atls_cbor_put_text(w, m->references[i].name);
        else
            atls_cbor_put_uint(w, m->references[i].number);
        atls_cbor_put_uint(w, 1);
        put_values(w, &m->references[i]);
    }
}

static void put_key(struct atls_writer *w, const struct atls_sim_manifest *m)
{
    atls_cbor_put_uint(w, (uint64_t)ATLS_TRIPLE_ATTEST_KEY);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    put_environment(w, m);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_PKIX_KEY);
    atls_cbor_put_text_bytes(w, m->key_pem);
}

static void put_comid(struct atls_writer *w, const struct atls_sim_manifest *m)
{
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_text(w, m->id);
    atls_cbor_put_uint(w, 4);
    atls_cbor_put_map(w, 1);
    if (m->key_pem.len != 0)
        put_key(w, m);
    else
        put_references(w, m);
}

enum atls_code atls_sim_manifest_make(const struct atls_sim_manifest *manifest,
                                      struct atls_buf *out, struct atls_err *err)
{
    struct atls_writer comid = atls_writer_init(MANIFEST_MAX), w = atls_writer_init(MANIFEST_MAX);

    put_comid(&comid, manifest);
    atls_cbor_put_tag(&w, ATLS_TAG_CORIM);
    atls_cbor_put_map(&w, manifest->profile != NULL ? 3 : 2);
    atls_cbor_put_uint(&w, 0);
    atls_cbor_put_text(&w, manifest->id);
    atls_cbor_put_uint(&w, 1);
    atls_cbor_put_array(&w, 1);
    atls_cbor_put_tag(&w, ATLS_TAG_COMID);
    atls_cbor_put_bytes(&w, atls_writer_bytes(&comid));
    if (manifest->profile != NULL) {
        atls_cbor_put_uint(&w, 3);
        atls_cbor_put_tag(&w, TAG_URI);
        atls_cbor_put_text(&w, manifest->profile);
    }
    if (comid.failed != ATLS_OK)
        w.failed = comid.failed;
    atls_writer_clear(&comid);
    return atls_writer_finish(&w, out, err);
}

enum atls_code atls_sim_class_id(uint64_t tag, struct atls_bytes bytes, struct atls_buf *out,
                                 struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(CLASS_ID_MAX);

    atls_cbor_put_tag(&w, tag);
    atls_cbor_put_bytes(&w, bytes);
    return atls_writer_finish(&w, out, err);
}
