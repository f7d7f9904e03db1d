/* What must have been signed, and what the KAT must say, profile by profile. */
#include "testlib.h"

#include <string.h>

#include "bind/batch.h"
#include "bind/binder.h"
#include "evidence/answer.h"
#include "pki.h"

static const uint8_t binder[48] = "binder of the connection, as long as SHA-384 is";

struct fixture {
    struct atls_private_key *aik, *other;
    struct atls_buf kat, second, member; /* two KATs of the AIK, the first in a batch of both */
    struct atls_batch_tree *tree;
    struct atls_bundle bundle;
    struct atls_evidence_request request;
};

static struct atls_bytes spki_of(const struct atls_private_key *key)
{
    return atls_key_spki(atls_private_key_public(key));
}

static struct atls_buf make_kat(const struct atls_private_key *aik, struct atls_bytes nonce)
{
    struct atls_writer w = atls_writer_init(4096);
    struct atls_buf out = ATLS_BUF_INIT;
    struct atls_cose_key key;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_cose_key_from_spki(spki_of(aik), &key, &err), ATLS_OK, &err);
    test_assert_code(atls_kat_encode(nonce, &key, &w, &err), ATLS_OK, &err);
    test_assert_code(atls_writer_finish(&w, &out, &err), ATLS_OK, &err);
    return out;
}

static void make_batch(struct fixture *f)
{
    const struct atls_bytes kats[] = {atls_buf_bytes(&f->kat), atls_buf_bytes(&f->second)};
    struct atls_writer w = atls_writer_init(4096);

    assert_int_equal(atls_batch_tree_new(kats, 2, &f->tree, NULL), ATLS_OK);
    atls_batch_tree_put(f->tree, 0, kats[0], &w);
    assert_int_equal(atls_writer_finish(&w, &f->member, NULL), ATLS_OK);
}

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){.aik = NULL};
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &f->aik, NULL), ATLS_OK);
    assert_int_equal(atls_private_key_generate(ATLS_KEY_P256, &f->other, NULL), ATLS_OK);
    f->kat = make_kat(f->aik, atls_bytes_of(binder, 32));
    f->second = make_kat(f->aik, atls_bytes_of(binder + 16, 32));
    make_batch(f);
    f->request.binder = atls_bytes_of(binder, 32);
    f->request.aik_spki = spki_of(f->aik);
    f->bundle.pat = atls_cmw_record("application/x", f->request.binder, 0);
}

static void fixture_close(struct fixture *f)
{
    atls_private_key_free(f->aik);
    atls_private_key_free(f->other);
    atls_buf_clear(&f->kat);
    atls_buf_clear(&f->second);
    atls_buf_clear(&f->member);
    atls_batch_tree_free(f->tree);
}

static void use_kat(struct fixture *f)
{
    f->bundle.kat = atls_cmw_record_cf(267, atls_buf_bytes(&f->kat), ATLS_CMW_EVIDENCE);
}

static void use_batch(struct fixture *f)
{
    f->bundle.kat =
        atls_cmw_record(ATLS_TYPE_KAT_BATCH, atls_buf_bytes(&f->member), ATLS_CMW_EVIDENCE);
}

static void use_bare(struct fixture *f)
{
    f->bundle.kat = (struct atls_cmw){.value = {NULL, 0}};
}

static struct atls_answer expect(struct fixture *f, enum atls_evidence_profile profile,
                                 const uint8_t *challenge, size_t len)
{
    struct atls_answer answer;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_answer_expect(&f->bundle, &f->request, &answer, &err), ATLS_OK, &err);
    assert_int_equal(answer.profile, profile);
    test_assert_bytes(atls_bytes_of(answer.challenge, answer.len), atls_bytes_of(challenge, len));
    assert_true(atls_answer_matches(&answer, atls_bytes_of(challenge, len)));
    assert_false(atls_answer_matches(&answer, atls_bytes_of(challenge, len - 1)));
    return answer;
}

static void assert_accepts(struct fixture *f, const struct atls_answer *answer)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;

    test_assert_code(atls_answer_accept(answer, &f->request, &spki, &err), ATLS_OK, &err);
    test_assert_bytes(atls_buf_bytes(&spki), f->request.aik_spki);
    atls_buf_clear(&spki);
}

static void each_profile_has_its_challenge(void **state)
{
    uint8_t challenge[ATLS_HASH_MAX], hash[ATLS_HASH_MAX];
    struct atls_answer answer;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    use_kat(&f);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA512, atls_buf_bytes(&f.kat), challenge, NULL),
                     ATLS_OK);
    answer = expect(&f, ATLS_PROFILE_KAT, challenge, 64);
    assert_accepts(&f, &answer);
    use_batch(&f);
    answer = expect(&f, ATLS_PROFILE_BATCH, atls_batch_tree_challenge(f.tree).ptr, 64);
    assert_accepts(&f, &answer);
    use_bare(&f);
    assert_int_equal(atls_hash_one(ATLS_HASH_SHA256, f.request.aik_spki, hash, NULL), ATLS_OK);
    memcpy(challenge, binder, 32);
    memcpy(challenge + 32, hash, 32);
    answer = expect(&f, ATLS_PROFILE_BARE, challenge, 64);
    assert_accepts(&f, &answer);
    f.request.binder = atls_bytes_of(binder, 48);
    memcpy(challenge, binder, 48);
    memset(challenge + 48, 0, 16);
    answer = expect(&f, ATLS_PROFILE_BARE, challenge, 64);
    assert_accepts(&f, &answer);
    fixture_close(&f);
}

/* A Verifier that serves others: the KAT names the key, the bare profile has none. */
static void without_a_key(void **state)
{
    struct atls_buf spki = ATLS_BUF_INIT;
    struct atls_answer answer;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    f.request.scope = ATLS_EVIDENCE_KEY_UNKNOWN;
    f.request.aik_spki = atls_bytes_of(NULL, 0);
    use_batch(&f);
    answer = expect(&f, ATLS_PROFILE_BATCH, atls_batch_tree_challenge(f.tree).ptr, 64);
    assert_int_equal(atls_answer_accept(&answer, &f.request, &spki, NULL), ATLS_OK);
    test_assert_bytes(atls_buf_bytes(&spki), spki_of(f.aik));
    atls_buf_clear(&spki);
    use_bare(&f);
    f.request.binder = atls_bytes_of(binder, 11);
    answer = expect(&f, ATLS_PROFILE_BARE, binder, 11);
    assert_int_equal(atls_answer_accept(&answer, &f.request, &spki, NULL), ATLS_OK);
    assert_int_equal(spki.len, 0);
    fixture_close(&f);
}

static void lies_about_connection_and_key(void **state)
{
    static void (*const uses[])(struct fixture * f) = {use_kat, use_batch};
    struct atls_answer answer;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    for (size_t i = 0; i < 2; i++) {
        struct atls_buf spki = ATLS_BUF_INIT;
        struct atls_err err = ATLS_ERR_INIT;

        uses[i](&f);
        assert_int_equal(atls_answer_expect(&f.bundle, &f.request, &answer, NULL), ATLS_OK);
        f.request.binder = atls_bytes_of(binder + 16, 32); /* that of the other leaf */
        test_assert_code(atls_answer_accept(&answer, &f.request, &spki, &err), ATLS_E_EVIDENCE,
                         &err);
        assert_int_equal(err.reason, ATLS_REASON_NONCE_MISMATCH);
        f.request.binder = atls_bytes_of(binder, 32);
        f.request.aik_spki = spki_of(f.other);
        test_assert_code(atls_answer_accept(&answer, &f.request, &spki, &err), ATLS_E_EVIDENCE,
                         &err);
        assert_int_equal(err.reason, ATLS_REASON_KEY_BINDING_MISMATCH);
        f.request.aik_spki = spki_of(f.aik);
        assert_null(spki.ptr);
    }
    fixture_close(&f);
}

static void malformed_path(void **state)
{
    struct atls_answer answer = {.len = 77};
    struct atls_err err = ATLS_ERR_INIT;
    struct fixture f;

    (void)state;
    fixture_open(&f);
    f.member.ptr[0] ^= 1;
    use_batch(&f);
    test_assert_code(atls_answer_expect(&f.bundle, &f.request, &answer, &err), ATLS_E_DECODE, &err);
    assert_int_equal(err.reason, ATLS_REASON_BATCH_PATH);
    assert_int_equal(answer.len, 77);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_profile_has_its_challenge),
        cmocka_unit_test(without_a_key),
        cmocka_unit_test(lies_about_connection_and_key),
        cmocka_unit_test(malformed_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
