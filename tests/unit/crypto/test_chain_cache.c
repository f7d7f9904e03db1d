#include "testlib.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <atls/limits.h>

#include "crypto/crypto.h"
#include "pki.h"

static struct test_identity root, leaf;

static int setup(void **state)
{
    (void)state;
    root = test_ca("root");
    leaf = test_leaf(&root, "host.example", ATLS_KEY_P256);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_identity_clear(&root);
    test_identity_clear(&leaf);
    return 0;
}

static struct atls_chain_cache *new_cache(size_t entries)
{
    struct atls_chain_cache *c = NULL;

    assert_int_equal(atls_chain_cache_new(entries, &c, NULL), ATLS_OK);
    return c;
}

/* The key that a lookup hands out: one parsed before has one address, compared while still held. */
static bool hits(struct atls_chain_cache *c, const struct atls_bytes *chain, size_t count,
                 const struct atls_chain_check *check, const struct atls_key *held)
{
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    struct atls_err err = ATLS_ERR_INIT;
    bool same;

    test_assert_code(atls_chain_cache_verify(c, chain, count, check, &result, &err), ATLS_OK, &err);
    same = result.key == held;
    atls_chain_result_clear(&result);
    return same;
}

static void a_chain_is_verified_once(void **state)
{
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate));
    struct atls_anchors *same_content = test_anchors(atls_buf_bytes(&root.certificate));
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate),
                                       atls_buf_bytes(&root.certificate)};
    const struct atls_chain_check first = {ATLS_CHAIN_TLS_SERVER, TEST_TIME_S, "host.example",
                                           anchors};
    struct atls_chain_check check;
    struct atls_chain_cache *c = new_cache(8);
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    struct atls_err err = ATLS_ERR_INIT;
    struct atls_key *held;

    (void)state;
    test_assert_code(atls_chain_cache_verify(c, chain, 2, &first, &result, &err), ATLS_OK, &err);
    held = atls_key_ref(result.key);
    atls_chain_result_clear(&result);
    test_assert_code(atls_chain_cache_verify(c, chain, 2, &first, &result, &err), ATLS_OK, &err);
    assert_ptr_equal(result.key, held);
    assert_int_equal(result.not_after_s, TEST_NOT_AFTER_S);
    test_assert_bytes(atls_buf_bytes(&result.anchor), atls_buf_bytes(&root.certificate));
    atls_chain_result_clear(&result);

    /* everything that may change the outcome misses */
    check = first;
    check.purpose = ATLS_CHAIN_TLS_CLIENT;
    assert_false(hits(c, chain, 2, &check, held));
    check = first;
    check.anchors = same_content;
    assert_false(hits(c, chain, 2, &check, held));
    assert_false(hits(c, chain, 1, &first, held));
    check = first;
    check.name = "other.example";
    test_assert_code(atls_chain_cache_verify(c, chain, 2, &check, &result, &err),
                     ATLS_E_CERTIFICATE, &err);
    check = first;
    check.time_s = TEST_TIME_S + 1;
    assert_true(hits(c, chain, 2, &check, held));
    check.time_s = TEST_NOT_AFTER_S;
    assert_true(hits(c, chain, 2, &check, held));
    check.time_s = TEST_NOT_AFTER_S + 1;
    test_assert_code(atls_chain_cache_verify(c, chain, 2, &check, &result, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_EXPIRED);
    check.time_s = TEST_NOT_BEFORE_S - 1; /* before the first success nothing is known */
    test_assert_code(atls_chain_cache_verify(c, chain, 2, &check, &result, &err),
                     ATLS_E_CERTIFICATE, &err);
    assert_int_equal(err.reason, ATLS_REASON_CERTIFICATE_NOT_YET_VALID);
    atls_key_unref(held);
    atls_chain_cache_free(c);
    atls_anchors_unref(anchors);
    atls_anchors_unref(same_content);
}

static void failures_are_not_kept(void **state)
{
    struct atls_anchors *none = NULL;
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    struct atls_chain_check check = {ATLS_CHAIN_TLS_CLIENT, TEST_TIME_S, NULL, NULL};
    struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
    struct atls_chain_cache *c = new_cache(8);
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    assert_int_equal(atls_anchors_new(&none, NULL), ATLS_OK);
    check.anchors = none;
    for (int i = 0; i < 2; i++)
        test_assert_code(atls_chain_cache_verify(c, chain, 1, &check, &result, &err),
                         ATLS_E_CERTIFICATE, &err);
    test_assert_code(atls_chain_cache_verify(c, chain, ATLS_CHAIN_MAX + 1, &check, &result, &err),
                     ATLS_E_CERTIFICATE, &err);
    test_assert_code(atls_chain_cache_verify(c, chain, 0, &check, &result, &err),
                     ATLS_E_CERTIFICATE, &err);
    atls_chain_cache_free(c);
    atls_anchors_unref(none);
}

static void the_least_recently_used_goes_first(void **state)
{
    struct atls_private_key *keys[3] = {NULL};
    struct atls_key *held[3] = {NULL}, *again = NULL;
    struct atls_chain_cache *c = new_cache(2);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(atls_private_key_generate(ATLS_KEY_ED25519, &keys[i], NULL), ATLS_OK);
#define SPKI(i) atls_key_spki(atls_private_key_public(keys[i]))
    assert_int_equal(atls_chain_cache_key(c, SPKI(0), &held[0], NULL), ATLS_OK);
    assert_int_equal(atls_chain_cache_key(c, SPKI(1), &held[1], NULL), ATLS_OK);
    assert_int_equal(atls_chain_cache_key(c, SPKI(0), &again, NULL), ATLS_OK);
    assert_ptr_equal(again, held[0]);
    atls_key_unref(again);
    assert_int_equal(atls_chain_cache_key(c, SPKI(2), &held[2], NULL), ATLS_OK); /* drops 1 */
    assert_int_equal(atls_chain_cache_key(c, SPKI(0), &again, NULL), ATLS_OK);
    assert_ptr_equal(again, held[0]);
    atls_key_unref(again);
    assert_int_equal(atls_chain_cache_key(c, SPKI(1), &again, NULL), ATLS_OK);
    assert_ptr_not_equal(again, held[1]);
    test_assert_bytes(atls_key_spki(again), SPKI(1));
    atls_key_unref(again);
    for (int i = 0; i < 3; i++) {
        atls_key_unref(held[i]);
        atls_private_key_free(keys[i]);
    }
    atls_chain_cache_free(c);
}

static void without_a_cache_everything_works(void **state)
{
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate));
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    const struct atls_chain_check check = {ATLS_CHAIN_TLS_CLIENT, TEST_TIME_S, NULL, anchors};
    struct atls_chain_cache *c = NULL;
    struct atls_key *key = NULL;
    struct atls_bytes spki, junk = HEX("junk");

    (void)state;
    assert_false(hits(NULL, chain, 1, &check, NULL));
    assert_int_equal(atls_certificate_spki(chain[0], &spki, NULL), ATLS_OK);
    assert_int_equal(atls_chain_cache_key(NULL, spki, &key, NULL), ATLS_OK);
    atls_key_unref(key);
    assert_int_equal(atls_chain_cache_new(0, &c, NULL), ATLS_E_USAGE);
    assert_int_equal(atls_chain_cache_new(16385, &c, NULL), ATLS_E_USAGE);
    c = new_cache(1);
    key = NULL;
    assert_int_equal(atls_chain_cache_key(c, junk, &key, NULL), ATLS_E_DECODE);
    assert_null(key);
    atls_chain_cache_free(c);
    atls_chain_cache_free(NULL);
    atls_anchors_unref(anchors);
}

struct work {
    struct atls_chain_cache *cache;
    struct atls_anchors *anchors;
    bool ok;
};

static void *verify_many(void *arg)
{
    struct work *w = arg;
    const struct atls_bytes chain[] = {atls_buf_bytes(&leaf.certificate)};
    const struct atls_bytes spki = atls_key_spki(atls_private_key_public(root.key));

    w->ok = true;
    for (int i = 0; i < 200; i++) {
        const struct atls_chain_check check = {i % 2 == 0 ? ATLS_CHAIN_TLS_CLIENT
                                                          : ATLS_CHAIN_TLS_SERVER,
                                               TEST_TIME_S, "host.example", w->anchors};
        struct atls_chain_result result = {NULL, 0, ATLS_BUF_INIT};
        struct atls_key *key = NULL;

        w->ok = w->ok &&
                atls_chain_cache_verify(w->cache, chain, 1, &check, &result, NULL) == ATLS_OK &&
                atls_chain_cache_key(w->cache, spki, &key, NULL) == ATLS_OK;
        atls_chain_result_clear(&result);
        atls_key_unref(key);
    }
    return NULL;
}

/* Two entries for three contents: eviction all the time. */
static void threads_may_share_it(void **state)
{
    struct atls_anchors *anchors = test_anchors(atls_buf_bytes(&root.certificate));
    struct work work[4];
    pthread_t threads[4];

    (void)state;
    work[0] = (struct work){new_cache(2), anchors, false};
    for (int i = 1; i < 4; i++)
        work[i] = work[0];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_many, &work[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        assert_true(work[i].ok);
    atls_chain_cache_free(work[0].cache);
    atls_anchors_unref(anchors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_is_verified_once),
        cmocka_unit_test(failures_are_not_kept),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(without_a_cache_everything_works),
        cmocka_unit_test(threads_may_share_it),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
