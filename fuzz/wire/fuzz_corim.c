/* CoRIM, signed and unsigned, and a bare CoMID. What was decoded once is decoded again from the
 * views that were handed out, and must say the same. */
#include <stdlib.h>

#include "core/reader.h"
#include "wire/corim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_comid(const struct atls_comid *m)
{
    for (size_t i = 0; i < m->reference_count; i++) {
        const struct atls_corim_reference *ref = &m->references[i];
        struct atls_arena arena = atls_arena_init((size_t)1 << 25);
        struct atls_environment e;
        struct atls_measurement *again;
        size_t count;

        must(atls_environment_decode(ref->environment_item, &e, NULL) == ATLS_OK);
        must(atls_bytes_equal(e.class_id, ref->environment.class_id));
        must(atls_measurements_decode(ref->measurements_item, &arena, &again, &count, NULL) ==
             ATLS_OK);
        must(count == ref->count && again[0].mval.present == ref->measurements[0].mval.present);
        atls_arena_clear(&arena);
    }
    for (size_t i = 0; i < m->attest_key_count; i++)
        must(m->attest_keys[i].count > 0 && m->attest_keys[i].keys[0].tag != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_arena arena = atls_arena_init((size_t)1 << 25);
    struct atls_corim_envelope envelope;
    struct atls_corim corim;
    struct atls_comid comid;

    if (atls_corim_envelope_decode(in, &envelope, NULL) == ATLS_OK &&
        atls_corim_decode(envelope.manifest, &corim, NULL) == ATLS_OK) {
        must(!envelope.is_signed || envelope.signer.len > 0);
        must(corim.tag_count > 0);
        for (size_t i = 0; i < corim.tag_count; i++)
            if (corim.tags[i].comid != NULL)
                check_comid(corim.tags[i].comid);
        atls_corim_clear(&corim);
    }
    if (atls_comid_decode(in, &arena, &comid, NULL) == ATLS_OK)
        check_comid(&comid);
    atls_arena_clear(&arena);
    return 0;
}
