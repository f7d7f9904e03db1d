/* Batch attestation: one platform token over a tree of key attestation tokens (KATs), so that one
 * slow quote serves every connection that waited for it, each still fresh and bound
 * (docs/batch.md).
 *
 *     leaf      = SHA-512(00 || index, 4 bytes || KAT as encoded)
 *     node      = SHA-512(01 || left || right)
 *     challenge = SHA-512(02 || "atls batch 1" || depth, 1 byte || root)
 *
 * A tree of depth d has 2^d leaves, d at most ATLS_BATCH_DEPTH_MAX; places that no KAT takes hold
 * SHA-512(03 || index, 4 bytes). The first bytes keep the four apart, and apart from SHA-512 of a
 * KAT, which begins d9. Pure functions, any thread. */
#ifndef ATLS_BIND_BATCH_H
#define ATLS_BIND_BATCH_H

#include <stdint.h>

#include "core/reader.h"
#include "core/writer.h"
#include "crypto/crypto.h"

#define ATLS_BATCH_HASH_LEN  64
#define ATLS_BATCH_DEPTH_MAX 10
#define ATLS_BATCH_MAX       (1 << ATLS_BATCH_DEPTH_MAX) /* KATs of one token */

/* Media type of the "kat" member of a bundle that carries one:
 *     [KAT (bytes), index, [* sibling of 64 bytes, from the leaf upwards]]
 * The number of siblings is the depth. */
#define ATLS_TYPE_KAT_BATCH "application/vnd.libatls.kat-batch+cbor"

struct atls_batch_path {
    struct atls_bytes kat; /* as encoded, not empty; borrows */
    uint32_t index;
    size_t depth;
    struct atls_bytes siblings[ATLS_BATCH_DEPTH_MAX]; /* borrow */
};

/* Exactly as above, definite lengths, index below 2^depth. Borrows from in. Errors: ATLS_E_DECODE
 * with reason batch-path. */
ATLS_MUST_CHECK enum atls_code
atls_batch_path_decode(struct atls_bytes in, struct atls_batch_path *out, struct atls_err *err);
/* The challenge that the platform token must hold. Errors: ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_batch_challenge(const struct atls_batch_path *path,
                                                    uint8_t out[ATLS_BATCH_HASH_LEN],
                                                    struct atls_err *err);

/* The attester's side: a tree over count KATs, 1..ATLS_BATCH_MAX, which are read here only. A KAT
 * that is there twice has two leaves, which differ by their index. Errors: ATLS_E_USAGE (count, an
 * empty KAT), ATLS_E_NOMEM, ATLS_E_CRYPTO. */
struct atls_batch_tree; /* immutable once built, share freely */
ATLS_MUST_CHECK enum atls_code atls_batch_tree_new(const struct atls_bytes *kats, size_t count,
                                                   struct atls_batch_tree **out,
                                                   struct atls_err *err);
void atls_batch_tree_free(struct atls_batch_tree *tree); /* NULL is fine */
/* Borrows from tree: ATLS_BATCH_HASH_LEN bytes. */
struct atls_bytes atls_batch_tree_challenge(const struct atls_batch_tree *tree);
/* Writes the member of the KAT at index, which is below count. Errors stick to the writer. */
void atls_batch_tree_put(const struct atls_batch_tree *tree, size_t index, struct atls_bytes kat,
                         struct atls_writer *w);

#endif
