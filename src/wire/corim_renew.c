/* Manifests of older or careless tools in the form that their profile has today. */
#include <string.h>

#include <atls/limits.h>

#include "core/err.h"
#include "core/writer.h"
#include "wire/cbor.h"
#include "wire/corim_items.h"

#define PSA_COMPONENT "psa.software-component"
/* mkey and length of the field of an attestation report. */
#define SNP_HOST_DATA     642
#define SNP_HOST_DATA_LEN 32

/* 601({? 1: label, ? 4: version, 5: signer-id}) */
struct reference_id {
    struct atls_bytes label, version, signer_id; /* .ptr NULL when absent */
};

/* One measurement-map in pieces. */
struct old_measurement {
    struct reference_id id;
    struct atls_bytes values;        /* content of the mval map */
    uint64_t value_count;            /* pairs in it */
    struct atls_bytes authorized_by; /* encoded; .ptr NULL when absent */
};

static bool get_reference_id(struct atls_reader *r, struct reference_id *out)
{
    struct atls_cbor_iter map;
    uint64_t tag;
    int64_t key;
    bool ok;

    if (!atls_cbor_get_tag(r, &tag) || tag != ATLS_TAG_OLD_REFERENCE_ID ||
        !atls_cbor_enter_map(r, &map))
        return false;
    while (atls_cbor_more(r, &map)) {
        ok = atls_cbor_get_int(r, &key) && (key == 1   ? atls_cbor_get_text(r, &out->label)
                                            : key == 4 ? atls_cbor_get_text(r, &out->version)
                                            : key == 5 ? atls_cbor_get_bytes(r, &out->signer_id)
                                                       : false);
        if (!ok)
            return false;
    }
    return out->signer_id.ptr != NULL;
}

/* The values may not say already what the reference id says. */
static bool get_values(struct atls_reader *r, struct old_measurement *out)
{
    struct atls_cbor_iter map;
    int64_t key;
    size_t start;

    if (!atls_cbor_enter_map(r, &map))
        return false;
    start = r->pos;
    out->value_count = map.left;
    while (atls_cbor_more(r, &map))
        if (!atls_cbor_get_int(r, &key) || key == 0 || key == 11 || key == 13 || !atls_cbor_skip(r))
            return false;
    out->values = atls_bytes_of(r->in.ptr + start, r->pos - start);
    return true;
}

static bool get_old_measurement(struct atls_reader *r, struct old_measurement *out)
{
    struct atls_cbor_iter map;
    int64_t key;
    bool ok;

    memset(out, 0, sizeof *out);
    if (!atls_cbor_enter_map(r, &map))
        return false;
    while (atls_cbor_more(r, &map)) {
        ok = atls_cbor_get_int(r, &key) && (key == 0   ? get_reference_id(r, &out->id)
                                            : key == 1 ? get_values(r, out)
                                            : key == 2 ? atls_cbor_get_item(r, &out->authorized_by)
                                                       : false);
        if (!ok)
            return false;
    }
    return out->id.signer_id.ptr != NULL && out->values.ptr != NULL;
}

static void put_measurement(struct atls_writer *w, const struct old_measurement *m)
{
    const struct reference_id *id = &m->id;

    atls_cbor_put_map(w, m->authorized_by.ptr != NULL ? 3 : 2);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_text(w, PSA_COMPONENT);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, m->value_count + 1 + (id->version.ptr != NULL) + (id->label.ptr != NULL));
    if (id->version.ptr != NULL) {
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_map(w, 1);
        atls_cbor_put_uint(w, 0);
        atls_cbor_put_text_bytes(w, id->version);
    }
    atls_put_bytes(w, m->values);
    if (id->label.ptr != NULL) {
        atls_cbor_put_uint(w, 11);
        atls_cbor_put_text_bytes(w, id->label);
    }
    atls_cbor_put_uint(w, 13);
    atls_cbor_put_array(w, 1);
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, id->signer_id);
    if (m->authorized_by.ptr != NULL) {
        atls_cbor_put_uint(w, 2);
        atls_put_bytes(w, m->authorized_by);
    }
}

/* True when a map has key 0 with tag 601. */
static bool is_old_measurement(struct atls_reader r)
{
    struct atls_cbor_iter map;
    uint64_t tag;
    int64_t key;

    if (!atls_cbor_enter_map(&r, &map))
        return false;
    while (atls_cbor_more(&r, &map)) {
        if (!atls_cbor_get_int(&r, &key))
            return false;
        if (key == 0 && atls_cbor_get_tag(&r, &tag))
            return tag == ATLS_TAG_OLD_REFERENCE_ID;
        if (!atls_cbor_skip(&r))
            return false;
    }
    return false;
}

/* {0: 642, 1: {2: [[7, 32 bytes]]}}: host data of SEV-SNP, which is no digest, as if it were one of
 * SHA-384. */
static bool get_host_data(struct atls_reader r, struct atls_bytes *out)
{
    enum { SHA_384 = 7 };
    struct atls_cbor_iter measurement, values, list, pair;
    uint64_t mkey, key, algorithm;

    return atls_cbor_enter_map(&r, &measurement) && measurement.left == 2 &&
           atls_cbor_get_uint(&r, &key) && key == 0 && atls_cbor_get_uint(&r, &mkey) &&
           mkey == SNP_HOST_DATA && atls_cbor_get_uint(&r, &key) && key == 1 &&
           atls_cbor_enter_map(&r, &values) && values.left == 1 && atls_cbor_get_uint(&r, &key) &&
           key == 2 && atls_cbor_enter_array(&r, &list) && list.left == 1 &&
           atls_cbor_enter_array(&r, &pair) && pair.left == 2 &&
           atls_cbor_get_uint(&r, &algorithm) && algorithm == SHA_384 &&
           atls_cbor_get_bytes(&r, out) && out->len == SNP_HOST_DATA_LEN;
}

/* {0: 642, 1: {4: 560(bytes)}} */
static void put_host_data(struct atls_writer *w, struct atls_bytes bytes)
{
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_uint(w, SNP_HOST_DATA);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 4);
    atls_cbor_put_tag(w, ATLS_TAG_BYTES);
    atls_cbor_put_bytes(w, bytes);
}

/* A copy under way. */
struct copy {
    struct atls_writer w;
    enum atls_corim_renewal forms;
};

static bool copy_item(struct atls_reader *r, struct copy *c, unsigned int depth);

static bool copy_map(struct atls_reader *r, struct copy *c, unsigned int depth)
{
    struct old_measurement measurement;
    struct atls_bytes key, host_data;
    struct atls_cbor_iter map;

    if (c->forms == ATLS_CORIM_RENEW_SNP && get_host_data(*r, &host_data)) {
        put_host_data(&c->w, host_data);
        return atls_cbor_skip(r);
    }
    if (c->forms == ATLS_CORIM_RENEW_PSA && is_old_measurement(*r)) {
        if (!get_old_measurement(r, &measurement))
            return false;
        put_measurement(&c->w, &measurement);
        return true;
    }
    if (!atls_cbor_enter_map(r, &map))
        return false;
    atls_cbor_put_map(&c->w, map.left);
    while (atls_cbor_more(r, &map)) {
        if (!atls_cbor_get_item(r, &key))
            return false;
        atls_put_bytes(&c->w, key);
        if (!copy_item(r, c, depth + 1))
            return false;
    }
    return true;
}

static bool copy_array(struct atls_reader *r, struct copy *c, unsigned int depth)
{
    struct atls_cbor_iter array;

    if (!atls_cbor_enter_array(r, &array))
        return false;
    atls_cbor_put_array(&c->w, array.left);
    while (atls_cbor_more(r, &array))
        if (!copy_item(r, c, depth + 1))
            return false;
    return true;
}

/* Old tools also wrote an implementation-id as text of as many octets. */
static bool copy_tag(struct atls_reader *r, struct copy *c, unsigned int depth)
{
    struct atls_bytes text;
    uint64_t tag;

    if (!atls_cbor_get_tag(r, &tag))
        return false;
    if (tag != ATLS_TAG_OLD_IMPLEMENTATION_ID || c->forms != ATLS_CORIM_RENEW_PSA) {
        atls_cbor_put_tag(&c->w, tag);
        return copy_item(r, c, depth + 1);
    }
    atls_cbor_put_tag(&c->w, ATLS_TAG_BYTES);
    if (!atls_cbor_get_text(r, &text))
        return copy_item(r, c, depth + 1);
    atls_cbor_put_bytes(&c->w, text);
    return true;
}

/* Recursion ends at the depth that atls_cbor_check allows. */
static bool copy_item(struct atls_reader *r, struct copy *c, unsigned int depth)
{
    enum atls_cbor_type type;
    struct atls_bytes item;

    if (depth > ATLS_CBOR_DEPTH_MAX || !atls_cbor_peek(r, &type))
        return false;
    if (type == ATLS_CBOR_MAP)
        return copy_map(r, c, depth);
    if (type == ATLS_CBOR_ARRAY)
        return copy_array(r, c, depth);
    if (type == ATLS_CBOR_TAG)
        return copy_tag(r, c, depth);
    if (!atls_cbor_get_item(r, &item))
        return false;
    atls_put_bytes(&c->w, item);
    return true;
}

enum atls_code atls_corim_renew(struct atls_bytes comid, enum atls_corim_renewal forms,
                                struct atls_arena *arena, struct atls_bytes *out,
                                struct atls_err *err)
{
    struct copy c = {atls_writer_init((size_t)2 * ATLS_CORIM_MAX), forms};
    struct atls_reader r = atls_reader_init(comid);
    enum atls_code code;

    if ((code = atls_cbor_check(comid, 0, err)) != ATLS_OK)
        return code;
    if (!copy_item(&r, &c, 0))
        code = atls_corim_malformed(err, "old PSA reference id",
                                    "not {? 1: label, ? 4: version, 5: signer-id}, or the values "
                                    "have a name, version or keys of their own");
    else if (c.w.failed != ATLS_OK || !atls_arena_copy(arena, atls_writer_bytes(&c.w), out))
        code = atls_corim_no_memory(err);
    atls_writer_clear(&c.w);
    return code;
}
