#include "arm_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include "bind/batch.h"
#include "bind/binder.h"
#include "core/err.h"
#include "simulator/arm.h"
#include "wire/cbor.h"

#define EVIDENCE_MAX (1 << 20)

struct atls_buf test_parsec_tpm_by(const struct atls_private_key *key, struct atls_bytes spki,
                                   struct atls_bytes nonce, uint8_t kid[33])
{
    struct atls_sim_parsec_tpm bundle = {.ak = key, .spki = spki, .nonce = nonce};
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t digest[ATLS_HASH_MAX];

    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, test_arm_spki(key), digest, NULL), ATLS_OK);
    bundle.kid[0] = 0x01;
    memcpy(bundle.kid + 1, digest, 32);
    memcpy(kid, bundle.kid, sizeof bundle.kid);
    test_assert_code(atls_sim_parsec_tpm_bundle(&bundle, &out, &err), ATLS_OK, &err);
    return out;
}

struct atls_bytes test_arm_spki(const struct atls_private_key *key)
{
    return atls_key_spki(atls_private_key_public(key));
}

/* ---- the store ---- */

static bool has_class(const struct test_arm_entry *e, struct atls_bytes class_id)
{
    const uint8_t head[] = {0xd9, 0x02, 0x30, 0x58, 0x20};

    return e->has_class && class_id.len == sizeof head + 32 &&
           memcmp(class_id.ptr, head, sizeof head) == 0 &&
           memcmp(class_id.ptr + sizeof head, e->implementation_id, 32) == 0;
}

static enum atls_code give(const struct test_arm_entry *e, struct atls_attest_key *out,
                           struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(256);
    enum atls_code code;

    if (e->has_class) {
        atls_cbor_put_tag(&w, ATLS_TAG_BYTES);
        atls_cbor_put_bytes(&w, atls_bytes_of(e->implementation_id, 32));
        assert_int_equal(atls_writer_finish(&w, &out->class_id, err), ATLS_OK);
    }
    out->technology = e->technology;
    code = atls_buf_copy(&out->spki, e->spki, err);
    return code != ATLS_OK || e->public_area.ptr == NULL
               ? code
               : atls_buf_copy(&out->public_area, e->public_area, err);
}

static enum atls_code find(const struct test_arm_world *w, const struct atls_bytes *class_id,
                           struct atls_bytes instance, struct atls_attest_key *out,
                           struct atls_err *err)
{
    if (w->broken)
        return atls_fail(err, ATLS_E_IO, "the store is gone");
    for (size_t i = 0; i < w->entry_count; i++)
        if (atls_bytes_equal(instance, atls_bytes_of(w->entries[i].instance, 33)) &&
            (class_id == NULL || has_class(&w->entries[i], *class_id)))
            return give(&w->entries[i], out, err);
    return atls_fail(err, ATLS_E_NOT_FOUND, "not on file");
}

static enum atls_code attest_key(void *arg, struct atls_bytes instance, struct atls_attest_key *out,
                                 struct atls_err *err)
{
    return find(arg, NULL, instance, out, err);
}

static enum atls_code attest_key_of(void *arg, struct atls_bytes class_id,
                                    struct atls_bytes instance, struct atls_attest_key *out,
                                    struct atls_err *err)
{
    return find(arg, &class_id, instance, out, err);
}

void test_arm_enrol(struct test_arm_world *w, const uint8_t *implementation_id,
                    const uint8_t instance[33], struct atls_bytes spki)
{
    struct test_arm_entry *e = &w->entries[w->entry_count++];

    assert_true(w->entry_count <= TEST_ARM_ENTRIES);
    memset(e, 0, sizeof *e);
    e->has_class = implementation_id != NULL;
    if (e->has_class)
        memcpy(e->implementation_id, implementation_id, 32);
    memcpy(e->instance, instance, 33);
    e->technology = w->technology != NULL       ? w->technology
                    : implementation_id != NULL ? "cca"
                                                : "tpm";
    e->spki = spki;
}

void test_other_technologies(const char *own, const char *out[TEST_OTHER_TECHNOLOGIES])
{
    size_t count = 0;

    for (const struct atls_technology *const *t = atls_technologies; *t != NULL; t++)
        if (strcmp((*t)->name, own) != 0) {
            assert_true(count < TEST_OTHER_TECHNOLOGIES - 1);
            out[count++] = (*t)->name;
        }
    assert_int_equal(count, TEST_OTHER_TECHNOLOGIES - 1);
    out[count] = NULL;
}

void test_assert_other_technology(const struct atls_err *err, enum atls_reason want,
                                  const char *own, const char *other)
{
    char says[96];

    if (other == NULL)
        snprintf(says, sizeof says, "is enrolled for no technology, want \"%s\"", own);
    else
        snprintf(says, sizeof says, "is enrolled for \"%s\", want \"%s\"", other, own);
    if (err->reason != want || strstr(err->message, says) == NULL)
        fail_msg("%s: %s, want %s", atls_reason_name(err->reason), err->message, says);
}

/* ---- the world ---- */

static struct atls_private_key *generate(enum atls_key_type type)
{
    struct atls_private_key *key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_private_key_generate(type, &key, &err), ATLS_OK, &err);
    return key;
}

struct test_arm_world *test_arm_world_new(void)
{
    struct test_arm_world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->p256 = generate(ATLS_KEY_P256);
    w->p384 = generate(ATLS_KEY_P384);
    w->p521 = generate(ATLS_KEY_P521);
    w->realm = generate(ATLS_KEY_P384);
    w->aik = generate(ATLS_KEY_P256);
    w->other = generate(ATLS_KEY_P256);
    w->binder_len = 48;
    memset(w->binder, 0xb1, sizeof w->binder);
    return w;
}

void test_arm_world_free(struct test_arm_world *w)
{
    atls_private_key_free(w->p256);
    atls_private_key_free(w->p384);
    atls_private_key_free(w->p521);
    atls_private_key_free(w->realm);
    atls_private_key_free(w->aik);
    atls_private_key_free(w->other);
    free(w);
}

struct atls_evidence_request test_arm_request(struct test_arm_world *w,
                                              enum atls_evidence_scope scope,
                                              struct atls_bytes evidence)
{
    struct atls_evidence_request request = {
        .scope = scope,
        .evidence = evidence,
        .binder = atls_bytes_of(w->binder, w->binder_len),
        .profiles = ATLS_PROFILE_KAT | ATLS_PROFILE_BATCH | ATLS_PROFILE_BARE | ATLS_PROFILE_PARSEC,
        .time_s = 1750000000,
        .source = &w->source,
        .options = &w->options,
    };

    w->source = (struct atls_endorsement_source){.arg = w, .attest_key = attest_key};
    if (!w->knows_no_classes)
        w->source.attest_key_of = attest_key_of;
    w->options.rules = &w->rules;
    if (scope != ATLS_EVIDENCE_KEY_UNKNOWN)
        request.aik_spki = test_arm_spki(w->aik);
    return request;
}

/* ---- evidence ---- */

static struct atls_buf make_kat(const struct test_arm_world *w, struct atls_bytes spki)
{
    struct atls_writer writer = atls_writer_init(EVIDENCE_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_cose_key key;

    test_assert_code(atls_cose_key_from_spki(spki, &key, &err), ATLS_OK, &err);
    test_assert_code(atls_kat_encode(atls_bytes_of(w->binder, w->binder_len), &key, &writer, &err),
                     ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&writer, &out, &err), ATLS_OK, &err);
    return out;
}

static void make_batch(struct test_arm_challenge *c)
{
    const struct atls_bytes kats[] = {atls_bytes_of("first", 5), atls_buf_bytes(&c->member),
                                      atls_bytes_of("third", 5)};
    struct atls_writer w = atls_writer_init(EVIDENCE_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_batch_tree *tree;
    struct atls_buf member = ATLS_BUF_INIT;

    test_assert_code(atls_batch_tree_new(kats, 3, &tree, &err), ATLS_OK, &err);
    memcpy(c->challenge, atls_batch_tree_challenge(tree).ptr, 64);
    atls_batch_tree_put(tree, 1, kats[1], &w);
    test_assert_code(atls_writer_finish(&w, &member, &err), ATLS_OK, &err);
    atls_batch_tree_free(tree);
    atls_buf_clear(&c->member);
    c->member = member;
}

static void make_bare(const struct test_arm_world *w, struct test_arm_challenge *c,
                      struct atls_bytes spki)
{
    if (spki.len != 0) {
        assert_int_equal(atls_binder_bare_challenge(
                             w->binder_len == 48 ? ATLS_HASH_SHA384 : ATLS_HASH_SHA256,
                             atls_bytes_of(w->binder, w->binder_len), spki, c->challenge, NULL),
                         ATLS_OK);
        return;
    }
    memcpy(c->challenge, w->binder, w->binder_len);
    c->len = w->binder_len;
}

struct test_arm_challenge test_arm_challenge(const struct test_arm_world *w,
                                             enum test_arm_form form, struct atls_bytes spki)
{
    struct test_arm_challenge c = {.form = form, .len = 64};

    if (form == TEST_ARM_BARE) {
        make_bare(w, &c, spki);
        return c;
    }
    c.member = make_kat(w, spki.len != 0 ? spki : test_arm_spki(w->aik));
    if (form == TEST_ARM_BATCH)
        make_batch(&c);
    else
        assert_int_equal(
            atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&c.member), c.challenge, NULL), ATLS_OK);
    return c;
}

struct atls_buf test_arm_record(const char *type, struct atls_bytes token)
{
    const struct atls_cmw record = atls_cmw_record(type, token, 0);
    struct atls_writer w = atls_writer_init(EVIDENCE_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;

    test_assert_code(atls_cmw_encode(&record, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

struct atls_buf test_arm_evidence(struct test_arm_challenge *c, const char *type,
                                  struct atls_bytes token)
{
    const struct atls_cmw pat = atls_cmw_record(type, token, 0);
    const struct atls_cmw kat =
        c->form == TEST_ARM_BATCH
            ? atls_cmw_record(ATLS_TYPE_KAT_BATCH, atls_buf_bytes(&c->member), 0)
            : atls_cmw_record_cf(267, atls_buf_bytes(&c->member), 0);
    struct atls_writer w = atls_writer_init(EVIDENCE_MAX);
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_buf out = ATLS_BUF_INIT;

    if (c->form == TEST_ARM_BARE)
        return test_arm_record(type, token);
    test_assert_code(atls_bundle_encode(&kat, &pat, NULL, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    atls_buf_clear(&c->member);
    return out;
}
