/* Environments and measurements: the vocabulary that CoRIM manifests, the store and evidence share
 * (draft-ietf-rats-corim sections 5.1.4 and 7; an "environment-claims tuple" is one environment with
 * its measurements). Everything borrows from the decoded document or its arena. */
#ifndef ATLS_WIRE_MEASUREMENT_H
#define ATLS_WIRE_MEASUREMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/crypto.h>

/* Members are the encoded CBOR items with their tags (deterministic encoding, so that equality is
 * equality of bytes); .ptr NULL when absent. */
struct atls_environment {
    struct atls_bytes class_id; /* tags 111, 37, 560 */
    struct atls_bytes vendor;   /* text content, not the item */
    struct atls_bytes model;
    bool has_layer, has_index;
    uint64_t layer, index;
    struct atls_bytes instance; /* tags 550, 37, 560, 554.. */
    struct atls_bytes group;    /* tags 37, 560 */
};

enum atls_mkey_kind { ATLS_MKEY_NONE, ATLS_MKEY_UINT, ATLS_MKEY_TEXT, ATLS_MKEY_OID, ATLS_MKEY_UUID };

struct atls_mkey {
    enum atls_mkey_kind kind;
    uint64_t number;
    struct atls_bytes bytes; /* text, OID content octets, 16 bytes of UUID */
};

struct atls_digest {
    enum atls_hash hash; /* normalised; NONE for an algorithm we do not know */
    int64_t named_information; /* IANA number; 1 sha-256, 7 sha-384, 8 sha-512 */
    struct atls_bytes value;
};

enum atls_mval_present {
    ATLS_MVAL_VERSION = 1 << 0,
    ATLS_MVAL_SVN = 1 << 1,
    ATLS_MVAL_MIN_SVN = 1 << 2,
    ATLS_MVAL_DIGESTS = 1 << 3,
    ATLS_MVAL_FLAGS = 1 << 4,
    ATLS_MVAL_RAW = 1 << 5,
    ATLS_MVAL_NAME = 1 << 6,
    ATLS_MVAL_OTHER = 1 << 7, /* a member that this build does not compare: such a value never matches */
};

struct atls_mval {
    unsigned int present; /* enum atls_mval_present */
    struct atls_bytes version;
    uint64_t svn;
    struct atls_digest *digests;
    size_t digest_count;
    unsigned int flags_known, flags; /* bit n: member n of the flags map */
    struct atls_bytes raw, mask;     /* mask .ptr NULL: all ones */
    struct atls_bytes name;
};

struct atls_measurement {
    struct atls_mkey mkey;
    struct atls_mval mval;
};

#endif
