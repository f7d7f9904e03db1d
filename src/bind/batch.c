#include "bind/batch.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "wire/cbor.h"

/* First bytes of what is hashed: no leaf is a node, and neither is a challenge. */
static const uint8_t leaf_prefix = 0x00, node_prefix = 0x01, challenge_prefix = 0x02,
                     empty_prefix = 0x03;
#define CHALLENGE_LABEL "atls batch 1"

struct hash {
    uint8_t data[ATLS_BATCH_HASH_LEN];
};

_Static_assert(ATLS_BATCH_HASH_LEN == ATLS_HASH_MAX, "SHA-512 fills what a digest may take");

static struct atls_bytes bytes_of(const struct hash *h)
{
    return atls_bytes_of(h->data, sizeof h->data);
}

static void put_index(uint8_t out[4], uint32_t index)
{
    out[0] = (uint8_t)(index >> 24);
    out[1] = (uint8_t)(index >> 16);
    out[2] = (uint8_t)(index >> 8);
    out[3] = (uint8_t)index;
}

/* kat empty: a place that none takes. */
static enum atls_code hash_leaf(uint32_t index, struct atls_bytes kat, struct hash *out,
                                struct atls_err *err)
{
    uint8_t number[4];
    const struct atls_bytes parts[] = {
        atls_bytes_of(kat.len != 0 ? &leaf_prefix : &empty_prefix, 1),
        atls_bytes_of(number, sizeof number),
        kat,
    };

    put_index(number, index);
    return atls_hash_parts(ATLS_HASH_SHA512, parts, kat.len != 0 ? 3 : 2, out->data, err);
}

static enum atls_code hash_node(struct atls_bytes left, struct atls_bytes right, struct hash *out,
                                struct atls_err *err)
{
    const struct atls_bytes parts[] = {atls_bytes_of(&node_prefix, 1), left, right};

    return atls_hash_parts(ATLS_HASH_SHA512, parts, 3, out->data, err);
}

static enum atls_code hash_challenge(size_t depth, const struct hash *root, uint8_t *out,
                                     struct atls_err *err)
{
    const uint8_t number = (uint8_t)depth; /* at most ATLS_BATCH_DEPTH_MAX */
    const struct atls_bytes parts[] = {
        atls_bytes_of(&challenge_prefix, 1),
        atls_bytes_of(CHALLENGE_LABEL, strlen(CHALLENGE_LABEL)),
        atls_bytes_of(&number, 1),
        bytes_of(root),
    };

    return atls_hash_parts(ATLS_HASH_SHA512, parts, 4, out, err);
}

/* ---- the Verifier's side ---- */

static bool get_array(struct atls_reader *r, uint64_t *out_count)
{
    struct atls_cbor_iter it;

    if (!atls_cbor_enter_array(r, &it) || it.indefinite)
        return false;
    *out_count = it.left;
    return true;
}

static bool get_path(struct atls_reader *r, struct atls_batch_path *path)
{
    uint64_t members, index, depth;

    if (!get_array(r, &members) || members != 3 || !atls_cbor_get_bytes(r, &path->kat) ||
        path->kat.len == 0 || !atls_cbor_get_uint(r, &index) || !get_array(r, &depth) ||
        depth > ATLS_BATCH_DEPTH_MAX || index >= UINT64_C(1) << depth)
        return false;
    path->index = (uint32_t)index;
    path->depth = (size_t)depth;
    for (size_t i = 0; i < path->depth; i++)
        if (!atls_cbor_get_bytes(r, &path->siblings[i]) ||
            path->siblings[i].len != ATLS_BATCH_HASH_LEN)
            return false;
    return true;
}

enum atls_code atls_batch_path_decode(struct atls_bytes in, struct atls_batch_path *out,
                                      struct atls_err *err)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_batch_path path = {.index = 0};

    if (!get_path(&r, &path) || !atls_reader_done(&r))
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_BATCH_PATH,
                                "batch: malformed near byte %zu of %zu, want [KAT, index below "
                                "2^depth, at most %d siblings of %d bytes]",
                                r.pos, in.len, ATLS_BATCH_DEPTH_MAX, ATLS_BATCH_HASH_LEN);
    *out = path;
    return ATLS_OK;
}

enum atls_code atls_batch_challenge(const struct atls_batch_path *path,
                                    uint8_t out[ATLS_BATCH_HASH_LEN], struct atls_err *err)
{
    struct hash node;
    enum atls_code code = hash_leaf(path->index, path->kat, &node, err);

    for (size_t i = 0; code == ATLS_OK && i < path->depth; i++) {
        const struct hash below = node;
        const bool is_right = (path->index >> i & 1) != 0;

        code = hash_node(is_right ? path->siblings[i] : bytes_of(&below),
                         is_right ? bytes_of(&below) : path->siblings[i], &node, err);
    }
    return code == ATLS_OK ? hash_challenge(path->depth, &node, out, err) : code;
}

/* ---- the Attester's side ---- */

struct atls_batch_tree {
    size_t depth;
    struct hash challenge;
    struct hash nodes[]; /* 1 is the root, those below i are 2i and 2i+1; 0 is not used */
};

static enum atls_code fill(struct atls_batch_tree *tree, const struct atls_bytes *kats,
                           size_t count, struct atls_err *err)
{
    const size_t leaves = (size_t)1 << tree->depth;
    enum atls_code code = ATLS_OK;

    for (size_t i = 0; code == ATLS_OK && i < leaves; i++)
        code = hash_leaf((uint32_t)i, i < count ? kats[i] : atls_bytes_of(NULL, 0),
                         &tree->nodes[leaves + i], err);
    for (size_t i = leaves - 1; code == ATLS_OK && i > 0; i--)
        code = hash_node(bytes_of(&tree->nodes[2 * i]), bytes_of(&tree->nodes[2 * i + 1]),
                         &tree->nodes[i], err);
    if (code == ATLS_OK)
        code = hash_challenge(tree->depth, &tree->nodes[1], tree->challenge.data, err);
    return code;
}

enum atls_code atls_batch_tree_new(const struct atls_bytes *kats, size_t count,
                                   struct atls_batch_tree **out, struct atls_err *err)
{
    struct atls_batch_tree *tree;
    size_t depth = 0;
    enum atls_code code;

    if (count == 0 || count > ATLS_BATCH_MAX)
        return atls_fail(err, ATLS_E_USAGE, "batch: %zu KATs, want 1 to %d", count, ATLS_BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        if (kats[i].len == 0)
            return atls_fail(err, ATLS_E_USAGE, "batch: KAT %zu is empty", i);
    while ((size_t)1 << depth < count)
        depth++;
    if ((tree = malloc(sizeof *tree + ((size_t)2 << depth) * sizeof tree->nodes[0])) == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "batch: out of memory");
    tree->depth = depth;
    if ((code = fill(tree, kats, count, err)) != ATLS_OK) {
        atls_batch_tree_free(tree);
        return code;
    }
    *out = tree;
    return ATLS_OK;
}

void atls_batch_tree_free(struct atls_batch_tree *tree)
{
    free(tree);
}

struct atls_bytes atls_batch_tree_challenge(const struct atls_batch_tree *tree)
{
    return bytes_of(&tree->challenge);
}

void atls_batch_tree_put(const struct atls_batch_tree *tree, size_t index, struct atls_bytes kat,
                         struct atls_writer *w)
{
    size_t node = ((size_t)1 << tree->depth) + index;

    atls_cbor_put_array(w, 3);
    atls_cbor_put_bytes(w, kat);
    atls_cbor_put_uint(w, index);
    atls_cbor_put_array(w, tree->depth);
    for (; node > 1; node /= 2)
        atls_cbor_put_bytes(w, bytes_of(&tree->nodes[node ^ 1]));
}
