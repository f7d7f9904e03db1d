/* COSE_Sign1 and COSE_Key (RFC 9052, RFC 9053): codecs only, no cryptography. */
#ifndef ATLS_WIRE_COSE_H
#define ATLS_WIRE_COSE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/reader.h"
#include "core/writer.h"

struct atls_cose_sign1 {
    struct atls_bytes protected_header;   /* content of the bstr, as received; may be empty */
    struct atls_bytes unprotected_header; /* the encoded map */
    struct atls_bytes payload;            /* .ptr NULL with detached true when nil */
    bool detached;
    struct atls_bytes signature;
    int64_t alg;           /* label 1 of the protected header; required */
    struct atls_bytes kid; /* label 4, protected else unprotected; .ptr NULL if absent */
    bool has_content_type_text, has_content_type_uint; /* label 3, protected only */
    struct atls_bytes content_type_text;
    uint64_t content_type_uint;
    struct atls_bytes x5chain; /* label 33, encoded item, either header; .ptr NULL if absent */
};

enum atls_cose_tagging { ATLS_COSE_TAG_REQUIRED, ATLS_COSE_TAG_OPTIONAL, ATLS_COSE_TAG_FORBIDDEN };

/* Decodes a COSE_Sign1 that fills in exactly. Protected header: definite lengths, unique labels,
 * alg present, crit (2) refused unless every label in it is one that we understand (1, 2, 3, 4,
 * 33). A label in both headers is refused. Borrows from in. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED (crit), ATLS_E_LIMIT (more than 32 labels in a header, or as atls_cbor_check).
 */
ATLS_MUST_CHECK enum atls_code atls_cose_sign1_decode(struct atls_bytes in,
                                                      enum atls_cose_tagging tagging,
                                                      struct atls_cose_sign1 *out,
                                                      struct atls_err *err);

/* Labels of a header beyond those of struct atls_cose_sign1. */
struct atls_cose_labels {
    const int64_t *labels;
    size_t count;
};
/* The same for a structure that defines header labels of its own: crit may name those in understood
 * too. The caller reads them out of out->protected_header, and refuses what it cannot process (RFC
 * 9052 section 3.1). */
ATLS_MUST_CHECK enum atls_code
atls_cose_sign1_decode_with(struct atls_bytes in, enum atls_cose_tagging tagging,
                            const struct atls_cose_labels *understood, struct atls_cose_sign1 *out,
                            struct atls_err *err);

/* As atls_cose_sign1_decode, of a sender that need not write shortest heads (atls_cbor_shorten), in
 * the structure or in the protected header; out->protected_header and payload hold the bytes as
 * received. *out borrows from in and arena. Errors also: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_cose_sign1_decode_of_any_width(struct atls_bytes in,
                                                                   enum atls_cose_tagging tagging,
                                                                   struct atls_arena *arena,
                                                                   struct atls_cose_sign1 *out,
                                                                   struct atls_err *err);

/* The octets that are signed: ["Signature1", protected, external_aad, payload] (RFC 9052 section
 * 4.4); an empty protected header enters as a zero-length bstr. */
void atls_cose_put_to_be_signed(struct atls_writer *w, struct atls_bytes protected_header,
                                struct atls_bytes external_aad, struct atls_bytes payload);

/* Writes tag 18 and the four members; unprotected_header is an encoded map, or empty for {}. */
void atls_cose_put_sign1(struct atls_writer *w, struct atls_bytes protected_header,
                         struct atls_bytes unprotected_header, struct atls_bytes payload,
                         struct atls_bytes signature);

enum atls_cose_kty { ATLS_COSE_OKP = 1, ATLS_COSE_EC2 = 2, ATLS_COSE_RSA = 3 };
enum atls_cose_crv {
    ATLS_COSE_P256 = 1,
    ATLS_COSE_P384 = 2,
    ATLS_COSE_P521 = 3,
    ATLS_COSE_ED25519 = 6
};

/* A public COSE_Key. Coordinates exactly as long as the field; y may be compressed (sign bit). */
struct atls_cose_key {
    enum atls_cose_kty kty;
    enum atls_cose_crv crv; /* OKP, EC2 */
    struct atls_bytes x;    /* EC2 x, OKP public key */
    struct atls_bytes y;    /* EC2; .ptr NULL when compressed */
    bool y_is_odd;          /* EC2 compressed */
    struct atls_bytes n, e; /* RSA */
    struct atls_bytes kid;  /* label 2; .ptr NULL if absent */
    int64_t alg;            /* label 3; 0 if absent */
};

/* Decodes a COSE_Key map that fills in exactly; private parts (-4, RSA -3 and below) are refused,
 * unknown labels ignored. Whether the point is on its curve is the crypto layer's to say. Borrows
 * from in. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (key type or curve), ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_cose_key_decode(struct atls_bytes in, struct atls_cose_key *out,
                                                    struct atls_err *err);

/* Writes kty, crv, x, y (or kty, n, e) in deterministic order (RFC 8949 section 4.2.1). */
void atls_cose_put_key(struct atls_writer *w, const struct atls_cose_key *key);

/* SubjectPublicKeyInfo DER <-> COSE_Key: pure encoding, P-256, P-384, P-521, Ed25519, RSA;
 * uncompressed points only in this direction. key borrows from spki. Errors: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED. */
ATLS_MUST_CHECK enum atls_code
atls_cose_key_from_spki(struct atls_bytes spki, struct atls_cose_key *key, struct atls_err *err);
/* DER SubjectPublicKeyInfo of an uncompressed key; RSA with NULL parameters. Errors:
 * ATLS_E_UNSUPPORTED for a compressed point or another key type, ATLS_E_USAGE for members that the
 * decoder would refuse; nothing is written then. */
ATLS_MUST_CHECK enum atls_code
atls_cose_put_spki(struct atls_writer *w, const struct atls_cose_key *key, struct atls_err *err);

#endif
