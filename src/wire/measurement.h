/* Environments and measurements: the vocabulary that CoRIM manifests, the store and evidence share
 * (draft-ietf-rats-corim sections 5.1.4 and 7; an "environment-claims tuple" is one environment
 * with its measurements). Everything borrows from the decoded document or its arena. */
#ifndef ATLS_WIRE_MEASUREMENT_H
#define ATLS_WIRE_MEASUREMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/crypto.h>

#include "core/arena.h"

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

enum atls_mkey_kind {
    ATLS_MKEY_NONE,
    ATLS_MKEY_UINT,
    ATLS_MKEY_TEXT,
    ATLS_MKEY_OID,
    ATLS_MKEY_UUID
};

struct atls_mkey {
    enum atls_mkey_kind kind;
    uint64_t number;
    struct atls_bytes bytes; /* text, OID content octets, 16 bytes of UUID */
};

/* Number of a digest algorithm that has only a name, and not one of the registry. */
#define ATLS_NAMED_HASH_TEXT INT64_MIN

struct atls_digest {
    enum atls_hash hash;       /* normalised; NONE for an algorithm we do not know */
    int64_t named_information; /* IANA number: 1 sha-256, 7 sha-384, 8 sha-512; or _TEXT */
    struct atls_bytes value;
};

/* A $crypto-key-type-choice. */
struct atls_corim_key {
    uint64_t tag; /* 554..562 */
    struct atls_bytes
        content; /* characters of 554..556, bytes of 560 and 562, else the encoded item */
};

/* One entry of the integrity registers (mval 14). */
struct atls_integrity_register {
    struct atls_bytes name; /* .ptr NULL: the id is number */
    uint64_t number;
    struct atls_digest *digests;
    size_t digest_count;
};

/* An integer (least and most are it), or a range with or without bounds (tag 564). */
struct atls_int_range {
    bool is_range;
    bool has_least, has_most; /* false: null, no bound */
    int64_t least, most;
};

/* A member of the values map with a number that the base specification does not define. */
struct atls_mval_extension {
    int64_t key;            /* negative, or a number that a profile defines */
    struct atls_bytes item; /* as encoded */
};

/* Whoever compares must refuse what holds a bit that it does not compare. */
enum atls_mval_present {
    ATLS_MVAL_VERSION = 1 << 0,
    ATLS_MVAL_SVN = 1 << 1,
    ATLS_MVAL_MIN_SVN = 1 << 2,
    ATLS_MVAL_DIGESTS = 1 << 3,
    ATLS_MVAL_FLAGS = 1 << 4,
    ATLS_MVAL_RAW = 1 << 5,
    ATLS_MVAL_NAME = 1 << 6,
    /* A member that nobody can compare (a key that is text): such a value never matches. */
    ATLS_MVAL_OTHER = 1 << 7,
    ATLS_MVAL_MAC = 1 << 8,
    ATLS_MVAL_IP = 1 << 9,
    ATLS_MVAL_SERIAL = 1 << 10,
    ATLS_MVAL_UEID = 1 << 11,
    ATLS_MVAL_UUID = 1 << 12,
    ATLS_MVAL_KEYS = 1 << 13,
    ATLS_MVAL_REGISTERS = 1 << 14,
    ATLS_MVAL_INT_RANGE = 1 << 15,
    ATLS_MVAL_EXTENSIONS = 1 << 16, /* known to the profile, or the value never matches */
};

struct atls_mval {
    unsigned int present; /* enum atls_mval_present */
    struct atls_bytes version;
    struct atls_bytes version_scheme; /* encoded integer or text; .ptr NULL when absent */
    uint64_t svn;
    struct atls_digest *digests;
    size_t digest_count;
    unsigned int flags_known, flags; /* bit n: member n of the flags map */
    struct atls_bytes raw, mask;     /* mask .ptr NULL: all ones */
    struct atls_bytes mac;           /* 6 or 8 bytes */
    struct atls_bytes ip;            /* 4 or 16 bytes */
    struct atls_bytes serial;        /* text */
    struct atls_bytes ueid;          /* 7..33 bytes */
    struct atls_bytes uuid;          /* 16 bytes */
    struct atls_bytes name;
    struct atls_corim_key *keys;
    size_t key_count;
    struct atls_integrity_register *registers; /* ids differ */
    size_t register_count;
    struct atls_int_range range;
    struct atls_mval_extension *extensions; /* keys differ */
    size_t extension_count;
};

struct atls_measurement {
    struct atls_mkey mkey;
    struct atls_mval mval;
    struct atls_corim_key *authorized_by; /* keys that must have spoken; NULL when none is named */
    size_t authorized_by_count;
};

/* What people and policies call a hash, "sha256" for one; "" for ATLS_HASH_NONE. Static. */
const char *atls_hash_name(enum atls_hash hash);

/* A row of the IANA registry "Named Information Hash Algorithm". */
struct atls_named_hash {
    int64_t number;
    const char *name;    /* "sha-256" */
    size_t len;          /* of a digest in bytes */
    enum atls_hash hash; /* NONE: length known, computation not */
};
const struct atls_named_hash *atls_named_hash_by_number(int64_t number);       /* or NULL */
const struct atls_named_hash *atls_named_hash_by_name(struct atls_bytes name); /* or NULL */
const struct atls_named_hash *atls_named_hash_of(enum atls_hash hash); /* NULL for NONE, SHA-1 */

/* CBOR tags of the vocabulary. */
enum atls_corim_item_tag {
    ATLS_TAG_URI = 32,
    ATLS_TAG_UUID = 37,
    ATLS_TAG_OID = 111,
    ATLS_TAG_UEID = 550,
    ATLS_TAG_SVN = 552,
    ATLS_TAG_MIN_SVN = 553,
    ATLS_TAG_PKIX_KEY = 554,  /* text, PEM SubjectPublicKeyInfo */
    ATLS_TAG_PKIX_CERT = 555, /* text, PEM certificate */
    ATLS_TAG_PKIX_PATH = 556, /* text, PEM certificates, leaf first */
    ATLS_TAG_KEY_THUMB = 557, /* [alg, digest], as are 559 and 561 */
    ATLS_TAG_COSE_KEY = 558,  /* COSE_Key or COSE_KeySet */
    ATLS_TAG_CERT_THUMB = 559,
    ATLS_TAG_BYTES = 560,
    ATLS_TAG_PATH_THUMB = 561,
    ATLS_TAG_CERT_DER = 562,
    ATLS_TAG_MASKED_RAW = 563, /* [value, mask] */
    ATLS_TAG_INT_RANGE = 564,  /* [min or null, max or null] */
};

/* The functions below decode one encoded item that fills in exactly and is part of a document that
 * atls_cbor_check accepted. Results borrow from in, arrays live in the arena. Errors: ATLS_E_DECODE
 * (malformed) naming the member, ATLS_E_UNSUPPORTED (deprecated tags 600 and 601, a member of an
 * environment or measurement that is not known: dropping it would widen what matches),
 * ATLS_E_LIMIT, ATLS_E_NOMEM. */

/* environment-map: at least one of class, instance and group; UUID 16 bytes, UEID 7..33. */
ATLS_MUST_CHECK enum atls_code
atls_environment_decode(struct atls_bytes in, struct atls_environment *out, struct atls_err *err);
/* [+ measurement-map], at most ATLS_CORIM_MEASUREMENTS_MAX. Digest lists are not empty, name no
 * algorithm twice, and digests of known algorithms have their length; a mask is as long as its
 * value; the least of a range is not above its most. */
ATLS_MUST_CHECK enum atls_code atls_measurements_decode(struct atls_bytes in,
                                                        struct atls_arena *arena,
                                                        struct atls_measurement **out,
                                                        size_t *out_count, struct atls_err *err);
/* [+ $crypto-key-type-choice], at most 64. Whether PEM text parses is the crypto layer's to say. */
ATLS_MUST_CHECK enum atls_code atls_corim_keys_decode(struct atls_bytes in,
                                                      struct atls_arena *arena,
                                                      struct atls_corim_key **out,
                                                      size_t *out_count, struct atls_err *err);
/* Tag number and content of one encoded item that is a tagged byte string: UUID, UEID, OID, bytes.
 * False when it is something else; then nothing is written. */
ATLS_MUST_CHECK bool atls_tagged_bytes(struct atls_bytes in, uint64_t *out_tag,
                                       struct atls_bytes *out_content);

#endif
