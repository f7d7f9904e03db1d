/* Batches: trees as another implementation makes them (tests/vectors/batch), and every way of
 * bending a path leads to another challenge or is refused. */
#include "testlib.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bind/batch.h"
#include "failing_alloc.h"
#include "wire/cbor.h"

static enum atls_code decode_copy(struct atls_bytes in, struct atls_batch_path *out,
                                  struct atls_err *err)
{
    struct atls_buf copy; /* so that a sanitizer sees a read beyond the end */
    enum atls_code code;

    test_assert_code(atls_buf_copy(&copy, in, NULL), ATLS_OK, NULL);
    code = atls_batch_path_decode(atls_buf_bytes(&copy), out, err);
    atls_buf_clear(&copy);
    return code;
}

static struct atls_buf hex_of(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));

    assert_non_null(text);
    return test_unhex(text);
}

/* ---- recorded trees ---- */

/* KAT number i of tests/vectors/batch; kept in storage. */
static struct atls_bytes recorded_kat(size_t i, uint8_t storage[3 + 32 + 251])
{
    char text[16];
    uint8_t digest[ATLS_HASH_MAX];
    int len = snprintf(text, sizeof text, "KAT %zu", i);

    assert_int_equal(
        atls_hash_one(ATLS_HASH_SHA256, atls_bytes_of(text, (size_t)len), digest, NULL), ATLS_OK);
    memcpy(storage, "\xd9\x02\x59", 3);
    memcpy(storage + 3, digest, 32);
    memset(storage + 35, 0, 251);
    return atls_bytes_of(storage, 35 + i % 251);
}

static struct atls_batch_tree *recorded_tree(size_t count)
{
    uint8_t(*storage)[3 + 32 + 251] = calloc(count, sizeof *storage);
    struct atls_bytes *kats = calloc(count, sizeof *kats);
    struct atls_batch_tree *tree;
    struct atls_err err = ATLS_ERR_INIT;

    assert_non_null(storage);
    assert_non_null(kats);
    for (size_t i = 0; i < count; i++)
        kats[i] = recorded_kat(i, storage[i]);
    test_assert_code(atls_batch_tree_new(kats, count, &tree, &err), ATLS_OK, &err);
    free(storage);
    free(kats);
    return tree;
}

static void check_member(const struct atls_batch_tree *tree, const json_t *v,
                         struct atls_bytes challenge, size_t depth)
{
    struct atls_buf kat = hex_of(v, "kat"), member = hex_of(v, "member");
    struct atls_writer w = atls_writer_init(4096);
    size_t index = (size_t)json_integer_value(json_object_get(v, "index"));
    struct atls_batch_path path;
    struct atls_err err = ATLS_ERR_INIT;
    uint8_t out[ATLS_BATCH_HASH_LEN];

    atls_batch_tree_put(tree, index, atls_buf_bytes(&kat), &w);
    test_assert_bytes(atls_writer_bytes(&w), atls_buf_bytes(&member));
    test_assert_code(atls_batch_path_decode(atls_buf_bytes(&member), &path, &err), ATLS_OK, &err);
    test_assert_bytes(path.kat, atls_buf_bytes(&kat));
    assert_int_equal(path.index, index);
    assert_int_equal(path.depth, depth);
    test_assert_code(atls_batch_challenge(&path, out, &err), ATLS_OK, &err);
    test_assert_bytes(atls_bytes_of(out, sizeof out), challenge);
    atls_writer_clear(&w);
    atls_buf_clear(&kat);
    atls_buf_clear(&member);
}

static void recorded_trees(void **state)
{
    struct atls_buf text = test_vector("batch/cases.json");
    json_t *root = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    size_t members = 0;

    (void)state;
    assert_non_null(root);
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *v = json_array_get(root, i), *list = json_object_get(v, "members");
        struct atls_buf challenge = hex_of(v, "challenge");
        struct atls_batch_tree *tree =
            recorded_tree((size_t)json_integer_value(json_object_get(v, "count")));

        test_assert_bytes(atls_batch_tree_challenge(tree), atls_buf_bytes(&challenge));
        for (size_t j = 0; j < json_array_size(list); j++)
            check_member(tree, json_array_get(list, j), atls_buf_bytes(&challenge),
                         (size_t)json_integer_value(json_object_get(v, "depth")));
        members += json_array_size(list);
        atls_buf_clear(&challenge);
        atls_batch_tree_free(tree);
    }
    assert_int_equal(members, 1 + 2 + 3 + 4 + 5 + 8 + 9);
    json_decref(root);
    atls_buf_clear(&text);
}

/* ---- bent paths ---- */

/* The path of KAT 5 of a tree over 8, which a row bends. */
struct bent {
    struct atls_batch_path path;
    struct atls_bytes other_kat;  /* of leaf 4, the sibling */
    struct atls_bytes others[10]; /* siblings of leaf 6 */
    uint8_t scratch[ATLS_BATCH_HASH_LEN + 1];
};

static void is_whole(struct bent *b)
{
    (void)b;
}

static void has_another_kat(struct bent *b)
{
    b->path.kat = b->other_kat;
}

static void has_another_index(struct bent *b)
{
    b->path.index = 4;
}

static void has_the_path_of_another(struct bent *b)
{
    memcpy(b->path.siblings, b->others, sizeof b->path.siblings);
    b->path.index = 6;
}

static void has_siblings_in_another_order(struct bent *b)
{
    struct atls_bytes first = b->path.siblings[0];

    b->path.siblings[0] = b->path.siblings[1];
    b->path.siblings[1] = first;
}

static void is_shorter(struct bent *b)
{
    b->path.depth--;
    b->path.index = 1;
}

static void is_longer(struct bent *b)
{
    b->path.siblings[b->path.depth++] = b->path.siblings[0];
}

/* The left half of the tree as if it were a leaf: what its node hashes, in place of a KAT. */
static void has_a_node_for_a_leaf(struct bent *b)
{
    static uint8_t below[2 * ATLS_BATCH_HASH_LEN];

    memcpy(below, b->path.siblings[0].ptr, ATLS_BATCH_HASH_LEN);
    memcpy(below + ATLS_BATCH_HASH_LEN, b->path.siblings[1].ptr, ATLS_BATCH_HASH_LEN);
    b->path.kat = atls_bytes_of(below, sizeof below);
    b->path.index >>= 1;
    b->path.depth--;
    memmove(b->path.siblings, b->path.siblings + 1, 2 * sizeof b->path.siblings[0]);
}

static void has_one_bit_changed(struct bent *b)
{
    memcpy(b->scratch, b->path.siblings[2].ptr, ATLS_BATCH_HASH_LEN);
    b->scratch[ATLS_BATCH_HASH_LEN - 1] ^= 1;
    b->path.siblings[2] = atls_bytes_of(b->scratch, ATLS_BATCH_HASH_LEN);
}

static const struct {
    const char *name;
    void (*bend)(struct bent *b);
    bool same;
} bends[] = {
    {"the path itself", is_whole, true},
    {"the KAT of another leaf", has_another_kat, false},
    {"the index of another leaf", has_another_index, false},
    {"path and index of another leaf", has_the_path_of_another, false},
    {"siblings in another order", has_siblings_in_another_order, false},
    {"a shorter path", is_shorter, false},
    {"a longer path", is_longer, false},
    {"a node for a leaf", has_a_node_for_a_leaf, false},
    {"one bit of a sibling", has_one_bit_changed, false},
};

/* What leaf index of tree carries, in w. */
static struct atls_batch_path path_of(const struct atls_batch_tree *tree, size_t index,
                                      struct atls_bytes kat, struct atls_writer *w)
{
    struct atls_batch_path path;
    struct atls_err err = ATLS_ERR_INIT;

    atls_batch_tree_put(tree, index, kat, w);
    test_assert_code(atls_batch_path_decode(atls_writer_bytes(w), &path, &err), ATLS_OK, &err);
    return path;
}

static void bent_paths_lead_elsewhere(void **state)
{
    struct atls_batch_tree *tree = recorded_tree(8);
    uint8_t storage[3][3 + 32 + 251];
    const struct atls_bytes kat5 = recorded_kat(5, storage[0]), kat4 = recorded_kat(4, storage[1]),
                            kat6 = recorded_kat(6, storage[2]);
    struct atls_writer w5 = atls_writer_init(4096), w6 = atls_writer_init(4096);
    const struct atls_batch_path five = path_of(tree, 5, kat5, &w5),
                                 six = path_of(tree, 6, kat6, &w6);

    (void)state;
    for (size_t i = 0; i < sizeof bends / sizeof bends[0]; i++) {
        struct bent b = {.path = five, .other_kat = kat4};
        uint8_t out[ATLS_BATCH_HASH_LEN];

        memcpy(b.others, six.siblings, sizeof b.others);
        bends[i].bend(&b);
        assert_int_equal(atls_batch_challenge(&b.path, out, NULL), ATLS_OK);
        if (atls_bytes_equal(atls_bytes_of(out, sizeof out), atls_batch_tree_challenge(tree)) !=
            bends[i].same)
            fail_msg("%s: leads to the %s challenge", bends[i].name,
                     bends[i].same ? "wrong" : "same");
    }
    atls_writer_clear(&w5);
    atls_writer_clear(&w6);
    atls_batch_tree_free(tree);
}

/* The same root under another depth is another challenge. */
static void depth_is_part_of_the_challenge(void **state)
{
    const struct atls_bytes kat = HEX("\xd9\x02\x59");
    const struct atls_batch_path path = {.kat = kat};
    uint8_t leaf[ATLS_HASH_MAX] = {0}, want[ATLS_HASH_MAX], out[ATLS_BATCH_HASH_LEN];
    const struct atls_bytes leaf_parts[] = {HEX("\0"), HEX("\0\0\0\0"), kat};
    struct atls_bytes parts[] = {HEX("\x02"), HEX("atls batch 1"), HEX("\0"),
                                 atls_bytes_of(leaf, sizeof leaf)};

    (void)state;
    assert_int_equal(atls_batch_challenge(&path, out, NULL), ATLS_OK);
    assert_int_equal(atls_hash_parts(ATLS_HASH_SHA512, leaf_parts, 3, leaf, NULL), ATLS_OK);
    assert_int_equal(atls_hash_parts(ATLS_HASH_SHA512, parts, 4, want, NULL), ATLS_OK);
    assert_memory_equal(out, want, sizeof out);
    parts[2] = atls_bytes_of("\x01", 1);
    assert_int_equal(atls_hash_parts(ATLS_HASH_SHA512, parts, 4, want, NULL), ATLS_OK);
    assert_memory_not_equal(out, want, sizeof out);
}

/* The same KAT twice: two leaves, and neither path serves the other's index. */
static void a_kat_twice_has_two_leaves(void **state)
{
    const struct atls_bytes kats[] = {HEX("one"), HEX("one")};
    struct atls_writer w = atls_writer_init(4096);
    struct atls_batch_tree *tree;
    struct atls_batch_path path;
    uint8_t out[ATLS_BATCH_HASH_LEN];

    (void)state;
    assert_int_equal(atls_batch_tree_new(kats, 2, &tree, NULL), ATLS_OK);
    path = path_of(tree, 1, kats[1], &w);
    assert_int_equal(atls_batch_challenge(&path, out, NULL), ATLS_OK);
    test_assert_bytes(atls_batch_tree_challenge(tree), atls_bytes_of(out, sizeof out));
    path.index = 0;
    assert_int_equal(atls_batch_challenge(&path, out, NULL), ATLS_OK);
    assert_memory_not_equal(atls_batch_tree_challenge(tree).ptr, out, sizeof out);
    atls_writer_clear(&w);
    atls_batch_tree_free(tree);
}

/* ---- the codec ---- */

#define SIBLING                                                                                    \
    "5840"                                                                                         \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                             \
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define TEN_SIBLINGS SIBLING SIBLING SIBLING SIBLING SIBLING SIBLING SIBLING SIBLING SIBLING SIBLING

static const struct {
    const char *name, *hex;
    bool good;
} forms[] = {
    {"no siblings, one byte of KAT", "8341aa0080", true},
    {"one sibling, left", "8341aa0081" SIBLING, true},
    {"one sibling, right", "8341aa0181" SIBLING, true},
    {"ten siblings, the last leaf", "8341aa1903ff8a" TEN_SIBLINGS, true},
    {"ten siblings, beyond the last leaf", "8341aa1904008a" TEN_SIBLINGS, false},
    {"eleven siblings", "8341aa008b" TEN_SIBLINGS SIBLING, false},
    {"index 1 without siblings", "8341aa0180", false},
    {"index 2 with one sibling", "8341aa0281" SIBLING, false},
    {"index of 2^32, its low bits in range", "8341aa1b000000010000000081" SIBLING, false},
    {"negative index", "8341aa2081" SIBLING, false},
    {"index in two bytes where one does", "8341aa180181" SIBLING, false},
    {"empty KAT", "83400080", false},
    {"KAT as text", "8361610080", false},
    {"two members", "8241aa00", false},
    {"four members", "8441aa008000", false},
    {"map", "a341aa0080", false},
    {"indefinite array", "9f41aa0080ff", false},
    {"indefinite siblings", "8341aa009fff", false},
    {"sibling of 63 bytes",
     "8341aa0081583f"
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e",
     false},
    {"sibling of 65 bytes",
     "8341aa00815841"
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40",
     false},
    {"sibling as a number", "8341aa008100", false},
    {"tagged", "c18341aa0080", false},
    {"trailing byte", "8341aa008000", false},
    {"empty", "", false},
};

static void forms_of_the_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct atls_buf in = test_unhex(forms[i].hex);
        struct atls_batch_path path = {.index = 77};
        struct atls_err err = ATLS_ERR_INIT;
        enum atls_code code = decode_copy(atls_buf_bytes(&in), &path, &err);

        print_message("%s\n", forms[i].name);
        test_assert_code(code, forms[i].good ? ATLS_OK : ATLS_E_DECODE, &err);
        if (!forms[i].good) {
            assert_int_equal(err.reason, ATLS_REASON_BATCH_PATH);
            assert_int_equal(path.index, 77); /* written on success only */
        }
        atls_buf_clear(&in);
    }
}

static void truncations_are_refused(void **state)
{
    struct atls_buf in = test_unhex("8341aa1903ff8a" TEN_SIBLINGS);
    struct atls_batch_path path;

    (void)state;
    for (size_t len = 0; len < in.len; len++)
        assert_int_equal(decode_copy(atls_bytes_of(in.ptr, len), &path, NULL), ATLS_E_DECODE);
    assert_int_equal(decode_copy(atls_buf_bytes(&in), &path, NULL), ATLS_OK);
    atls_buf_clear(&in);
}

/* ---- limits ---- */

static void counts_have_limits(void **state)
{
    static struct atls_bytes kats[ATLS_BATCH_MAX + 1];
    struct atls_batch_tree *tree = NULL;
    struct atls_err err = ATLS_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof kats / sizeof kats[0]; i++)
        kats[i] = atls_bytes_of("kat", 3);
    test_assert_code(atls_batch_tree_new(kats, 0, &tree, &err), ATLS_E_USAGE, &err);
    test_assert_code(atls_batch_tree_new(kats, ATLS_BATCH_MAX + 1, &tree, &err), ATLS_E_USAGE,
                     &err);
    assert_null(tree);
    test_assert_code(atls_batch_tree_new(kats, ATLS_BATCH_MAX, &tree, &err), ATLS_OK, &err);
    atls_batch_tree_free(tree);
    tree = NULL;
    kats[1] = atls_bytes_of(NULL, 0);
    test_assert_code(atls_batch_tree_new(kats, 2, &tree, &err), ATLS_E_USAGE, &err);
    assert_null(tree);
    atls_batch_tree_free(NULL);
}

/* libcrypto without memory: an error, never a tree or a challenge. */
static void memory_runs_out(void **state)
{
    const struct atls_bytes kats[] = {HEX("one"), HEX("two"), HEX("three")};
    bool happened = true;

    (void)state;
    for (size_t n = 0; happened; n++) {
        struct atls_batch_tree *tree = NULL;
        enum atls_code code;

        test_failing_alloc_arm(n);
        code = atls_batch_tree_new(kats, 3, &tree, NULL);
        happened = test_failing_alloc_disarm();
        assert_int_equal(code == ATLS_OK, tree != NULL);
        assert_int_equal(code == ATLS_OK, !happened);
        atls_batch_tree_free(tree);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_trees),
        cmocka_unit_test(bent_paths_lead_elsewhere),
        cmocka_unit_test(depth_is_part_of_the_challenge),
        cmocka_unit_test(a_kat_twice_has_two_leaves),
        cmocka_unit_test(forms_of_the_member),
        cmocka_unit_test(truncations_are_refused),
        cmocka_unit_test(counts_have_limits),
        cmocka_unit_test(memory_runs_out),
    };

    test_failing_alloc_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
