/* CoRIM, signed and unsigned, in today's form and that of old tools, checked against its profile; a
 * bare CoMID and a bare CoTL. What was decoded once is decoded again from the views that were
 * handed out, and must say the same. */
#include <stdlib.h>

#include <atls/limits.h>

#include "core/reader.h"
#include "wire/corim.h"
#include "wire/corim_profile.h"
#include "wire/cots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_measurements(const struct atls_measurement *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct atls_mval *v = &list[i].mval;

        must(v->present != 0);
        must(((v->present & ATLS_MVAL_DIGESTS) != 0) == (v->digest_count != 0));
        must(((v->present & ATLS_MVAL_KEYS) != 0) == (v->key_count != 0));
        must(((v->present & ATLS_MVAL_REGISTERS) != 0) == (v->register_count != 0));
        must(((v->present & ATLS_MVAL_EXTENSIONS) != 0) == (v->extension_count != 0));
        must(v->mask.ptr == NULL || v->mask.len == v->raw.len);
        must(!v->range.has_least || !v->range.has_most || v->range.least <= v->range.most);
        must((list[i].authorized_by != NULL) == (list[i].authorized_by_count != 0));
    }
}

static void check_reference(const struct atls_corim_reference *ref)
{
    struct atls_arena arena = atls_arena_init((size_t)1 << 25);
    struct atls_environment e;
    struct atls_measurement *again;
    size_t count;

    must(atls_environment_decode(ref->environment_item, &e, NULL) == ATLS_OK);
    must(atls_bytes_equal(e.class_id, ref->environment.class_id));
    must(atls_measurements_decode(ref->measurements_item, &arena, &again, &count, NULL) == ATLS_OK);
    must(count == ref->count && again[0].mval.present == ref->measurements[0].mval.present);
    check_measurements(ref->measurements, ref->count);
    atls_arena_clear(&arena);
}

static void check_ects(const struct atls_corim_ect *ects, size_t count)
{
    must(count > 0);
    for (size_t i = 0; i < count; i++)
        check_measurements(ects[i].measurements, ects[i].count);
}

static void check_keys(const struct atls_corim_attest_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        must(keys[i].count > 0 && keys[i].keys[0].tag != 0);
        must(keys[i].conditional ==
             (keys[i].mkey.kind != ATLS_MKEY_NONE || keys[i].authorized_by_count != 0));
    }
}

static void check_series(const struct atls_corim_series *s)
{
    check_measurements(s->condition.measurements, s->condition.count);
    must(s->entry_count > 0);
    for (size_t i = 0; i < s->entry_count; i++) {
        must(s->entries[i].selection_count > 0 && s->entries[i].addition_count > 0);
        check_measurements(s->entries[i].selection, s->entries[i].selection_count);
        check_measurements(s->entries[i].addition, s->entries[i].addition_count);
    }
}

static void check_comid(const struct atls_comid *m)
{
    must(m->id.text.ptr != NULL || m->id.uuid.len == 16);
    for (size_t i = 0; i < m->reference_count; i++)
        check_reference(&m->references[i]);
    for (size_t i = 0; i < m->endorsed_count; i++)
        check_ects(&m->endorsed[i].ect, 1);
    check_keys(m->identities, m->identity_count);
    check_keys(m->attest_keys, m->attest_key_count);
    for (size_t i = 0; i < m->domain_count; i++)
        must(m->domains[i].member_count > 0 && m->domains[i].item.len > 0);
    for (size_t i = 0; i < m->series_count; i++)
        check_series(&m->series[i]);
    for (size_t i = 0; i < m->conditional_count; i++) {
        check_ects(m->conditionals[i].conditions, m->conditionals[i].condition_count);
        check_ects(m->conditionals[i].additions, m->conditionals[i].addition_count);
    }
}

static void check_corim(const struct atls_corim *corim)
{
    const struct atls_corim_profile *profile = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    must(corim->tag_count > 0);
    for (size_t i = 0; i < corim->tag_count; i++) {
        if (corim->tags[i].comid != NULL)
            check_comid(corim->tags[i].comid);
        must(corim->tags[i].cots == NULL || corim->tags[i].cots->anchor_count > 0);
        must(corim->tags[i].cotl == NULL || corim->tags[i].cotl->tag_count > 0);
    }
    must((atls_corim_profile_check(corim, &profile, &err) == ATLS_OK) == (profile != NULL));
    must((err.code == ATLS_OK) == (profile != NULL));
}

static void decode(struct atls_bytes in, unsigned int flags)
{
    struct atls_bytes chain[ATLS_CHAIN_MAX];
    struct atls_corim_envelope envelope;
    struct atls_corim corim;
    size_t count;

    if (atls_corim_envelope_decode_with(in, flags, &envelope, NULL) != ATLS_OK)
        return;
    must(!envelope.is_signed || envelope.signer.len > 0);
    must(flags != 0 || !envelope.is_untagged);
    if (envelope.sign1.x5chain.ptr != NULL &&
        atls_corim_x5chain_decode(envelope.sign1.x5chain, chain, &count, NULL) == ATLS_OK)
        must(count > 0 && count <= ATLS_CHAIN_MAX);
    if (atls_corim_decode_with(envelope.manifest, flags, &corim, NULL) != ATLS_OK)
        return;
    check_corim(&corim);
    atls_corim_clear(&corim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct atls_arena arena = atls_arena_init((size_t)1 << 25);
    struct atls_comid comid;
    struct atls_cotl cotl;

    decode(in, 0);
    decode(in, ATLS_CORIM_LEGACY);
    if (atls_comid_decode(in, &arena, &comid, NULL) == ATLS_OK)
        check_comid(&comid);
    if (atls_cotl_decode(in, &arena, &cotl, NULL) == ATLS_OK)
        must(cotl.tag_count > 0 && cotl.validity.has_not_after);
    atls_arena_clear(&arena);
    return 0;
}
