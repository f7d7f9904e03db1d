#include "conditional.h"

#include "testlib.h"
#include "wire/cbor.h"
#include "wire/corim.h"

#define ANY_INSTANCE_LEN 33

static void put_environment(struct atls_writer *w, const struct test_part *part)
{
    static const uint8_t instance[ANY_INSTANCE_LEN] = {1};

    atls_cbor_put_map(w, 1);
    if (part->class_id.len == 0) {
        atls_cbor_put_uint(w, 1);
        atls_cbor_put_tag(w, ATLS_TAG_UEID);
        atls_cbor_put_bytes(w, atls_bytes_of(instance, sizeof instance));
        return;
    }
    atls_cbor_put_uint(w, 0);
    atls_cbor_put_map(w, 1);
    atls_cbor_put_uint(w, 0);
    atls_put_bytes(w, part->class_id);
}

static void put_measurement(struct atls_writer *w, const struct test_part *part)
{
    atls_cbor_put_map(w, 2);
    atls_cbor_put_uint(w, 0);
    if (part->digest.len == 0)
        atls_cbor_put_text(w, part->mkey);
    else
        atls_cbor_put_uint(w, part->pcr);
    atls_cbor_put_uint(w, 1);
    atls_cbor_put_map(w, 1);
    if (part->digest.len == 0) {
        atls_cbor_put_uint(w, 1); /* svn */
        atls_cbor_put_uint(w, part->svn);
        return;
    }
    atls_cbor_put_uint(w, 2); /* digests */
    atls_cbor_put_array(w, 1);
    atls_cbor_put_array(w, 2);
    atls_cbor_put_uint(w, 1); /* sha-256 */
    atls_cbor_put_bytes(w, part->digest);
}

static void put_parts(struct atls_writer *w, const struct test_part *parts, size_t count)
{
    atls_cbor_put_array(w, count);
    for (size_t i = 0; i < count; i++) {
        atls_cbor_put_array(w, 2);
        put_environment(w, &parts[i]);
        atls_cbor_put_array(w, 1);
        put_measurement(w, &parts[i]);
    }
}

struct atls_buf test_conditional(const char *id, const struct test_part *conditions,
                                 size_t condition_count, const struct test_part *additions,
                                 size_t addition_count)
{
    struct atls_writer comid = atls_writer_init(1 << 16), corim = atls_writer_init(1 << 16);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    atls_cbor_put_map(&comid, 2);
    atls_cbor_put_uint(&comid, 1); /* tag-identity */
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, 0);
    atls_cbor_put_text(&comid, id);
    atls_cbor_put_uint(&comid, 4); /* triples */
    atls_cbor_put_map(&comid, 1);
    atls_cbor_put_uint(&comid, ATLS_TRIPLE_CONDITIONAL);
    atls_cbor_put_array(&comid, 1);
    atls_cbor_put_array(&comid, 2);
    put_parts(&comid, conditions, condition_count);
    put_parts(&comid, additions, addition_count);
    atls_cbor_put_tag(&corim, ATLS_TAG_CORIM);
    atls_cbor_put_map(&corim, 2);
    atls_cbor_put_uint(&corim, 0);
    atls_cbor_put_text(&corim, id);
    atls_cbor_put_uint(&corim, 1);
    atls_cbor_put_array(&corim, 1);
    atls_cbor_put_tag(&corim, ATLS_TAG_COMID);
    atls_cbor_put_bytes(&corim, atls_writer_bytes(&comid));
    atls_writer_clear(&comid);
    test_assert_code(atls_writer_finish(&corim, &out, &err), ATLS_OK, &err);
    return out;
}
