/* What other modules keep in a chain cache: a hit needs all that a thing was made from. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/certificate.h"

/* Objects whose addresses are scopes. */
static const int scopes[2];

struct counted {
    int references;
    int number;
};

static void *ref(void *thing)
{
    struct counted *c = thing;

    c->references++;
    return c;
}

static void unref(void *thing)
{
    struct counted *c = thing;

    c->references--;
}

static struct atls_cached_thing key_of(const char *tag, const char *a, const char *b)
{
    const struct atls_cached_thing key = {
        .tag = tag,
        .parts = {atls_bytes_of(a, strlen(a)), atls_bytes_of(b, strlen(b))},
        .part_count = 2,
        .scope = &scopes[0],
        .scope_serial = 7,
    };

    return key;
}

static struct atls_chain_cache *new_cache(size_t entries)
{
    struct atls_chain_cache *c = NULL;

    assert_int_equal(atls_chain_cache_new(entries, &c, NULL), ATLS_OK);
    return c;
}

/* True when the thing is there; gives the reference back. */
static bool hits(struct atls_chain_cache *c, const struct atls_cached_thing *key, int64_t time_s)
{
    void *thing = atls_chain_cache_get(c, key, time_s);

    if (thing != NULL)
        unref(thing);
    return thing != NULL;
}

static const char longer[] = "a part that is longer than what is looked at first, by some";

static void a_hit_needs_all_of_it(void **state)
{
    const struct atls_cached_thing key = key_of("tag", "one", longer);
    struct atls_chain_cache *c = new_cache(4);
    struct counted thing = {1, 5}, *found;
    struct atls_cached_thing other;
    char changed[sizeof longer];

    (void)state;
    assert_null(atls_chain_cache_get(c, &key, 15));
    atls_chain_cache_put(c, &key, 10, 20, &thing, ref, unref);
    assert_int_equal(thing.references, 2);
    found = atls_chain_cache_get(c, &key, 15);
    assert_ptr_equal(found, &thing);
    assert_int_equal(thing.references, 3);
    unref(found);
    assert_true(hits(c, &key, 10));
    assert_true(hits(c, &key, 20));
    assert_false(hits(c, &key, 9));
    assert_false(hits(c, &key, 21));

    other = key_of("gat", "one", longer);
    assert_false(hits(c, &other, 15));
    other = key_of("tag", "onf", longer);
    assert_false(hits(c, &other, 15));
    other = key;
    other.part_count = 1;
    assert_false(hits(c, &other, 15));
    other = key;
    other.scope = &scopes[1];
    assert_false(hits(c, &other, 15));
    other = key;
    other.scope_serial = 8;
    assert_false(hits(c, &other, 15));
    for (size_t i = 0; i < sizeof longer - 1; i++) {
        memcpy(changed, longer, sizeof longer);
        changed[i] ^= 1;
        other = key_of("tag", "one", changed);
        assert_false(hits(c, &other, 15));
    }
    /* what moves from one part to the next is another key */
    other = key_of("tag", "on", "e");
    atls_chain_cache_put(c, &other, 10, 20, &thing, ref, unref);
    other = key_of("tag", "one", "");
    assert_false(hits(c, &other, 15));
    assert_true(hits(c, &key, 15));
    atls_chain_cache_free(c);
    assert_int_equal(thing.references, 1);
}

static void the_same_key_is_kept_once(void **state)
{
    const struct atls_cached_thing key = key_of("tag", "one", "two");
    struct atls_chain_cache *c = new_cache(4);
    struct counted first = {1, 1}, second = {1, 2};

    (void)state;
    atls_chain_cache_put(c, &key, 10, 20, &first, ref, unref);
    atls_chain_cache_put(c, &key, 30, 40, &second, ref, unref);
    assert_int_equal(first.references, 1);
    assert_false(hits(c, &key, 15));
    assert_true(hits(c, &key, 35));
    atls_chain_cache_free(c);
    assert_int_equal(second.references, 1);
}

static void the_longest_unused_goes_first(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct counted things[3] = {{1, 0}, {1, 1}, {1, 2}};
    struct atls_chain_cache *c = new_cache(2);
    struct atls_cached_thing keys[3];

    (void)state;
    for (int i = 0; i < 2; i++) {
        keys[i] = key_of("tag", names[i], "");
        atls_chain_cache_put(c, &keys[i], 0, 9, &things[i], ref, unref);
    }
    assert_true(hits(c, &keys[0], 5));
    keys[2] = key_of("tag", names[2], "");
    atls_chain_cache_put(c, &keys[2], 0, 9, &things[2], ref, unref);
    assert_true(hits(c, &keys[0], 5));
    assert_false(hits(c, &keys[1], 5));
    assert_true(hits(c, &keys[2], 5));
    atls_chain_cache_free(c);
    for (int i = 0; i < 3; i++)
        assert_int_equal(things[i].references, 1);
}

static void what_is_not_kept(void **state)
{
    const size_t len = 512 * 1024 + 1;
    struct atls_chain_cache *c = new_cache(2);
    struct counted thing = {1, 0};
    struct atls_cached_thing key = key_of("tag", "one", "two");
    uint8_t *large = calloc(1, len);

    (void)state;
    assert_non_null(large);
    atls_chain_cache_put(NULL, &key, 0, 9, &thing, ref, unref);
    assert_null(atls_chain_cache_get(NULL, &key, 5));
    key.part_count = 9;
    atls_chain_cache_put(c, &key, 0, 9, &thing, ref, unref);
    assert_null(atls_chain_cache_get(c, &key, 5));
    key.part_count = 2;
    key.parts[1] = atls_bytes_of(large, len);
    atls_chain_cache_put(c, &key, 0, 9, &thing, ref, unref);
    assert_false(hits(c, &key, 5));
    key.parts[1].len = len - 4; /* with the other part, just what may be */
    atls_chain_cache_put(c, &key, 0, 9, &thing, ref, unref);
    assert_true(hits(c, &key, 5));
    free(large);
    atls_chain_cache_free(c);
    assert_int_equal(thing.references, 1);
}

static void a_key_of_no_parts(void **state)
{
    const struct atls_cached_thing key = {.tag = "tag"};
    struct atls_chain_cache *c = new_cache(1);
    struct counted thing = {1, 0};

    (void)state;
    atls_chain_cache_put(c, &key, 0, 9, &thing, ref, unref);
    assert_true(hits(c, &key, 5));
    atls_chain_cache_free(c);
}

/* ---- sets ---- */

static struct atls_certificate *certificate(const char *path)
{
    struct atls_buf der = test_vector(path);
    struct atls_certificate *c = NULL;
    size_t count = 0;

    assert_int_equal(atls_certificates_parse(atls_buf_bytes(&der), &c, 1, &count, NULL), ATLS_OK);
    assert_int_equal(count, 1);
    atls_buf_clear(&der);
    return c;
}

static void sets_hold_what_was_added(void **state)
{
    struct atls_certificate *c = certificate("sev-snp/milan-debug/vcek.der");
    struct atls_certificate *other = certificate("sev-snp/aws-vlek/vlek.der");
    struct atls_certificate_set *set = NULL, *second = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    test_assert_code(atls_certificate_set_new(&set, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_set_new(&second, &err), ATLS_OK, &err);
    assert_int_not_equal(atls_certificate_set_serial(set), atls_certificate_set_serial(second));
    assert_int_equal(atls_certificate_set_count(set), 0);
    for (int i = 0; i < 1024; i++)
        test_assert_code(atls_certificate_set_add(set, c, &err), ATLS_OK, &err);
    test_assert_code(atls_certificate_set_add(set, c, &err), ATLS_E_LIMIT, &err);
    assert_int_equal(atls_certificate_set_count(set), 1024);
    assert_ptr_equal(atls_certificate_set_at(set, 1023), c);
    assert_ptr_equal(atls_certificate_set_find(set, atls_certificate_der(c)), c);
    assert_null(atls_certificate_set_find(set, atls_certificate_der(other)));
    assert_ptr_equal(atls_certificate_set_ref(set), set);
    atls_certificate_set_unref(set);
    atls_certificate_unref(c); /* the set has references of its own */
    assert_int_equal(atls_certificate_set_count(set), 1024);
    atls_certificate_set_unref(set);
    atls_certificate_set_unref(second);
    atls_certificate_set_unref(NULL);
    assert_null(atls_certificate_set_ref(NULL));
    atls_certificate_unref(other);
}

static void texts_of_certificates(void **state)
{
    struct atls_buf chain = test_vector("sev-snp/roots/ask_ark_milan.pem");
    struct atls_certificate *list[2];
    struct atls_err err = ATLS_ERR_INIT;
    size_t count = 9;

    (void)state;
    test_assert_code(atls_certificates_parse(atls_buf_bytes(&chain), list, 1, &count, &err),
                     ATLS_E_LIMIT, &err);
    test_assert_code(atls_certificates_parse(atls_buf_bytes(&chain), list, 0, &count, &err),
                     ATLS_E_LIMIT, &err);
    test_assert_code(atls_certificates_parse(atls_bytes_of("\x30\x00", 2), list, 2, &count, &err),
                     ATLS_E_DECODE, &err);
    test_assert_code(atls_certificates_parse(atls_bytes_of("", 0), list, 2, &count, &err),
                     ATLS_E_DECODE, &err);
    assert_int_equal(count, 9);
    atls_buf_clear(&chain);
}

static void one_that_does_not_parse_spoils_all(void **state)
{
    struct atls_buf chain = test_vector("sev-snp/roots/ask_ark_milan.pem"), broken;
    struct atls_certificate *list[3];
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t *both;
    size_t count = 9;

    (void)state;
    assert_int_equal(atls_pem_encode("CERTIFICATE", atls_bytes_of("\x30\x00", 2), &broken, &err),
                     ATLS_OK);
    assert_non_null(both = malloc(chain.len + broken.len));
    memcpy(both, chain.ptr, chain.len);
    memcpy(both + chain.len, broken.ptr, broken.len);
    test_assert_code(
        atls_certificates_parse(atls_bytes_of(both, chain.len + broken.len), list, 3, &count, &err),
        ATLS_E_DECODE, &err);
    assert_int_equal(count, 9);
    free(both);
    atls_buf_clear(&broken);
    atls_buf_clear(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_needs_all_of_it),
        cmocka_unit_test(the_same_key_is_kept_once),
        cmocka_unit_test(the_longest_unused_goes_first),
        cmocka_unit_test(what_is_not_kept),
        cmocka_unit_test(a_key_of_no_parts),
        cmocka_unit_test(sets_hold_what_was_added),
        cmocka_unit_test(texts_of_certificates),
        cmocka_unit_test(one_that_does_not_parse_spoils_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
