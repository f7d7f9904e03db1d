/* What the claims sets of PSA (RFC 9783) and CCA tokens have in common: security lifecycle,
 * software components, and the way in which both are read. */
#ifndef ATLS_WIRE_ARM_CLAIMS_H
#define ATLS_WIRE_ARM_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/reader.h"
#include "wire/cose.h"

/* Software components of one token: a dozen is what platforms have. */
#define ATLS_ARM_COMPONENTS_MAX 64

#define ATLS_ARM_IMPLEMENTATION_ID_LEN 32
#define ATLS_ARM_INSTANCE_ID_LEN       33 /* first octet 01 */

/* Senders are small: heads of CBOR may be longer than they need be, in wrapper, envelope, claims
 * and keys alike (atls_cbor_shorten); signatures and hashes are over the bytes as they stand. */
#define ATLS_ARM_DEPTH_MAX 8 /* arrays, maps and tags inside each other */

/* The high octet of the lifecycle claim; the low one is the implementation's to use. */
enum atls_arm_lifecycle {
    ATLS_ARM_LIFECYCLE_UNKNOWN = 0x00,
    ATLS_ARM_LIFECYCLE_ASSEMBLY_AND_TEST = 0x10,
    ATLS_ARM_LIFECYCLE_ROT_PROVISIONING = 0x20,
    ATLS_ARM_LIFECYCLE_SECURED = 0x30,
    ATLS_ARM_LIFECYCLE_NON_ROT_DEBUG = 0x40,
    ATLS_ARM_LIFECYCLE_RECOVERABLE_DEBUG = 0x50,
    ATLS_ARM_LIFECYCLE_DECOMMISSIONED = 0x60,
};

/* False for a value between the ranges. */
bool atls_arm_lifecycle_of(uint64_t value, enum atls_arm_lifecycle *out);
/* Static; "unknown", "secured" ... */
const char *atls_arm_lifecycle_name(enum atls_arm_lifecycle lifecycle);

/* Names of the named information registry that the profiles allow. */
enum atls_arm_hash { ATLS_ARM_SHA256 = 32, ATLS_ARM_SHA384 = 48, ATLS_ARM_SHA512 = 64 };
bool atls_arm_hash_of(struct atls_bytes name, enum atls_arm_hash *out);
const char *atls_arm_hash_name(enum atls_arm_hash hash);

/* Text that is absent has .ptr NULL. */
struct atls_arm_component {
    struct atls_bytes type;
    struct atls_bytes value; /* 32, 48 or 64 bytes */
    struct atls_bytes version;
    struct atls_bytes signer_id; /* 32, 48 or 64 bytes */
    struct atls_bytes algorithm; /* text as it stands */
};

/* The rest is for wire/psa.c and wire/cca.c. */

/* True for 32, 48 and 64 bytes. */
bool atls_arm_is_hash(struct atls_bytes bytes);

struct atls_arm_decoder {
    const char *what; /* "PSA token" ... */
    struct atls_arena *arena;
    struct atls_err *err;
};
enum atls_code atls_arm_malformed(const struct atls_arm_decoder *d, const char *claim,
                                  const char *rule);
/* Of a required claim: missing-claim when item is absent, else malformed, "is not " and want. */
enum atls_code atls_arm_refuse(const struct atls_arm_decoder *d, struct atls_bytes item,
                               const char *claim, const char *want);

/* The envelope: COSE_Sign1 with tag 18 and payload. Errors: as
 * atls_cose_sign1_decode_of_any_width. */
enum atls_code atls_arm_open(const struct atls_arm_decoder *d, struct atls_bytes in,
                             struct atls_cose_sign1 *out);

/* The document with shortest heads, checked. */
enum atls_code atls_arm_shorten(const struct atls_arm_decoder *d, struct atls_bytes in,
                                struct atls_bytes *out);

/* Splits a claims set, of which atls_arm_shorten has made in: the item of keys[i], as encoded, goes
 * to items[i]; .ptr NULL where absent. Other keys are ignored. */
enum atls_code atls_arm_split(const struct atls_arm_decoder *d, struct atls_bytes in,
                              const int64_t *keys, struct atls_bytes *items, size_t count);

/* Typed content of an item; false for an absent one and for another type. */
bool atls_arm_bytes(struct atls_bytes item, struct atls_bytes *out);
bool atls_arm_text(struct atls_bytes item, struct atls_bytes *out); /* not empty */
bool atls_arm_int(struct atls_bytes item, int64_t *out);

/* Claims of one type in both tokens; required ones. */
enum atls_code atls_arm_read_ids(const struct atls_arm_decoder *d, struct atls_bytes implementation,
                                 struct atls_bytes instance, struct atls_bytes out[static 2]);
enum atls_code atls_arm_read_lifecycle(const struct atls_arm_decoder *d, struct atls_bytes item,
                                       uint16_t *out_value, enum atls_arm_lifecycle *out);
enum atls_code atls_arm_read_components(const struct atls_arm_decoder *d, struct atls_bytes item,
                                        struct atls_arm_component **out, size_t *out_count);
/* Not 0, of 32 bits: negative for callers outside the secure world. */
enum atls_code atls_arm_read_client_id(const struct atls_arm_decoder *d, struct atls_bytes item,
                                       int32_t *out);
/* Absent, or text that is not empty. */
enum atls_code atls_arm_read_service(const struct atls_arm_decoder *d, struct atls_bytes item,
                                     struct atls_bytes *out);

#endif
