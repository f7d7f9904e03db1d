/* Manifests and their parts as JSON for people. */
#ifndef ATLS_STORE_CORIM_JSON_H
#define ATLS_STORE_CORIM_JSON_H

#include <atls/bytes.h>

#include "core/json_writer.h"
#include "wire/corim.h"
#include "wire/cots.h"

enum store_corim_part { STORE_PART_CORIM, STORE_PART_COMID, STORE_PART_COTS, STORE_PART_COTL };

/* A manifest, or a tag of one alone: the map, its tag (506 to 508) on it, or the tag on a byte
 * string that holds it. flags are those of atls_corim_decode_with. Text as atls_corim_to_json says;
 * nothing is verified. Errors: those of the decoders. */
ATLS_MUST_CHECK enum atls_code store_corim_part_json(struct atls_bytes in,
                                                     enum store_corim_part part, unsigned int flags,
                                                     struct atls_buf *out, struct atls_err *err);

/* Members of an open object, or elements of an open array. */
void store_json_put_id(struct atls_json *j, const char *key, const struct atls_corim_id *id);
void store_json_put_identifier(struct atls_json *j, const char *key, struct atls_bytes item);
void store_json_put_environment(struct atls_json *j, const char *key,
                                const struct atls_environment *e);
void store_json_put_digests(struct atls_json *j, const char *key, const struct atls_digest *digests,
                            size_t count);
/* The triples of a CoMID, each kind that is there as one member. */
void store_json_put_triples(struct atls_json *j, const struct atls_comid *m);

#endif
