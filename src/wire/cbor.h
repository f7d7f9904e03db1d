/* Strict CBOR (RFC 8949) on the one reader and writer of core.
 *
 * A document from outside is checked once, whole, by atls_cbor_check: one item, exactly consumed,
 * shortest heads, valid UTF-8, no duplicate map keys, depth and count within limits, no stray
 * breaks, no reserved values. After that the typed getters walk it; they repeat what they need to
 * be safe on unchecked input (bounds, shortest heads), so a walker never depends on the check for
 * memory safety.
 *
 *     struct atls_reader r = atls_reader_init(in);
 *     struct atls_cbor_iter map;
 *     int64_t key;
 *
 *     if ((code = atls_cbor_check(in, 0, err)) != ATLS_OK) return code;
 *     if (!atls_cbor_enter_map(&r, &map)) ...
 *     while (atls_cbor_more(&r, &map)) {
 *         if (!atls_cbor_get_int(&r, &key)) ...
 *         switch (key) { case 10: ok = atls_cbor_get_bytes(&r, &nonce); break;
 *                        default: ok = atls_cbor_skip(&r); }
 *     }
 *
 * Getters return false and change nothing on failure. Everything handed out borrows from the input.
 * Floats are well formed but no structure of ours holds one: they can be skipped, not read. */
#ifndef ATLS_WIRE_CBOR_H
#define ATLS_WIRE_CBOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/reader.h"
#include "core/writer.h"

enum atls_cbor_type {
    ATLS_CBOR_UINT = 0,
    ATLS_CBOR_NINT = 1,
    ATLS_CBOR_BYTES = 2,
    ATLS_CBOR_TEXT = 3,
    ATLS_CBOR_ARRAY = 4,
    ATLS_CBOR_MAP = 5,
    ATLS_CBOR_TAG = 6,
    ATLS_CBOR_SIMPLE = 7, /* bool, null, undefined, other simple values, floats */
};

enum atls_cbor_flags {
    ATLS_CBOR_INDEFINITE = 1, /* accept indefinite-length arrays and maps (strings: never) */
    ATLS_CBOR_SEQUENCE = 2,   /* accept what follows the first item; see atls_cbor_get_item */
};

struct atls_cbor_iter {
    uint64_t left; /* elements of an array, pairs of a map; unused when indefinite */
    bool indefinite;
};

/* True when text is UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
 * U+10FFFF. Empty text is. */
bool atls_utf8_valid(struct atls_bytes text);

/* Checks a whole document as the head of this file says. Errors: ATLS_E_DECODE with the byte
 * offset and the broken rule, ATLS_E_LIMIT (ATLS_CBOR_DEPTH_MAX levels of arrays, maps and tags,
 * ATLS_CBOR_ITEMS_MAX), ATLS_E_NOMEM. Keys are equal when their encodings are. Costs n log n at
 * worst, and allocates only for a map of more than 32 keys that are out of bytewise order. */
ATLS_MUST_CHECK enum atls_code atls_cbor_check(struct atls_bytes in, unsigned int flags,
                                               struct atls_err *err);

/* Type of the next item; false at the end of input or at a break. */
ATLS_MUST_CHECK bool atls_cbor_peek(const struct atls_reader *r, enum atls_cbor_type *type);

ATLS_MUST_CHECK bool atls_cbor_get_uint(struct atls_reader *r, uint64_t *out);
ATLS_MUST_CHECK bool atls_cbor_get_int(struct atls_reader *r, int64_t *out);
ATLS_MUST_CHECK bool atls_cbor_get_bytes(struct atls_reader *r, struct atls_bytes *out);
ATLS_MUST_CHECK bool atls_cbor_get_text(struct atls_reader *r, struct atls_bytes *out); /* UTF-8 */
ATLS_MUST_CHECK bool atls_cbor_get_tag(struct atls_reader *r, uint64_t *out); /* content follows */
ATLS_MUST_CHECK bool atls_cbor_get_bool(struct atls_reader *r, bool *out);
ATLS_MUST_CHECK bool atls_cbor_get_null(struct atls_reader *r);

/* The next complete item with all that it contains, as encoded; iterative, depth-limited. */
ATLS_MUST_CHECK bool atls_cbor_get_item(struct atls_reader *r, struct atls_bytes *out);
ATLS_MUST_CHECK bool atls_cbor_skip(struct atls_reader *r);

/* Enters a container. Then call atls_cbor_more before each element or pair. */
ATLS_MUST_CHECK bool atls_cbor_enter_array(struct atls_reader *r, struct atls_cbor_iter *it);
ATLS_MUST_CHECK bool atls_cbor_enter_map(struct atls_reader *r, struct atls_cbor_iter *it);
/* True when an element or pair follows; false at the end (an indefinite container's break is then
 * consumed) and at the end of input. */
ATLS_MUST_CHECK bool atls_cbor_more(struct atls_reader *r, struct atls_cbor_iter *it);

/* Attestation tokens of small devices may have heads that are longer than they need be (RFC 9783,
 * CCA tokens); what is signed or hashed there are the bytes as they stand. Decoding is by value:
 * this makes the same document with shortest heads, in the arena unless in has them already, and
 * checks it as atls_cbor_check does, so that keys are duplicates when they are equal, whatever
 * their widths. depth_max is at most ATLS_CBOR_DEPTH_MAX. Errors: as atls_cbor_check. */
ATLS_MUST_CHECK enum atls_code atls_cbor_shorten(struct atls_bytes in, size_t depth_max,
                                                 struct atls_arena *arena, struct atls_bytes *out,
                                                 struct atls_err *err);
/* Slices of what was received, for hashes over it: heads of any width, definite lengths only. */
ATLS_MUST_CHECK bool atls_cbor_enter_map_of_any_width(struct atls_reader *r,
                                                      struct atls_cbor_iter *it);
ATLS_MUST_CHECK bool atls_cbor_get_item_of_any_width(struct atls_reader *r, struct atls_bytes *out);

/* Writers: shortest heads, definite lengths. Keys in bytewise order are the caller's to give. */
void atls_cbor_put_uint(struct atls_writer *w, uint64_t v);
void atls_cbor_put_int(struct atls_writer *w, int64_t v);
void atls_cbor_put_bytes(struct atls_writer *w, struct atls_bytes bytes);
void atls_cbor_put_text(struct atls_writer *w, const char *text);
void atls_cbor_put_text_bytes(struct atls_writer *w, struct atls_bytes text);
void atls_cbor_put_array(struct atls_writer *w, uint64_t count);
void atls_cbor_put_map(struct atls_writer *w, uint64_t pairs);
void atls_cbor_put_tag(struct atls_writer *w, uint64_t tag);
void atls_cbor_put_bool(struct atls_writer *w, bool v);
void atls_cbor_put_null(struct atls_writer *w);

#endif
