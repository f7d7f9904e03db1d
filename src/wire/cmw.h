/* Conceptual Message Wrapper (RFC 9999), CBOR shapes: record, tag, collection. The JSON shapes
 * are in wire/cmw_json.h.
 *
 * Decoding gives a tree in an arena; strings and values borrow from the input. Strict: every
 * rejection of section "reject list" of docs/spec-map.md, rows CMW-1 .. CMW-13.
 *
 *     struct atls_arena arena = atls_arena_init(limit);
 *     struct atls_cmw cmw;
 *
 *     if ((code = atls_cmw_decode(in, &arena, &cmw, err)) == ATLS_OK &&
 *         cmw.kind == ATLS_CMW_RECORD && atls_cmw_type_is(&cmw.type, "application/eat+cwt"))
 *         code = use(cmw.value);
 *     atls_arena_clear(&arena); */
#ifndef ATLS_WIRE_CMW_H
#define ATLS_WIRE_CMW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/writer.h"
#include "wire/cose.h"

enum atls_cmw_kind { ATLS_CMW_RECORD = 1, ATLS_CMW_TAG = 2, ATLS_CMW_COLLECTION = 3 };

/* Indicator bits (RFC 9999). */
enum atls_cmw_ind {
    ATLS_CMW_REFERENCE_VALUES = 1,
    ATLS_CMW_ENDORSEMENTS = 2,
    ATLS_CMW_EVIDENCE = 4,
    ATLS_CMW_ATTESTATION_RESULTS = 8,
    ATLS_CMW_APPRAISAL_POLICY = 16,
    ATLS_CMW_IND_ALL = 31,
};

/* The type of a record: a CoAP content-format, or a Content-Type text. */
struct atls_cmw_type {
    bool is_text;
    uint16_t content_format; /* when not text */
    struct atls_bytes text;  /* when text: as received, grammar checked */
};

struct atls_cmw_label {
    bool is_text;
    int64_t number;
    struct atls_bytes text;
};

struct atls_cmw {
    enum atls_cmw_kind kind;
    struct atls_cmw_type type;         /* record, tag */
    struct atls_bytes value;           /* record, tag; never empty */
    uint32_t ind;                      /* record; 0 when left out */
    struct atls_bytes collection_type; /* __cmwc_t; .ptr NULL when absent */
    struct atls_cmw_entry *entries;    /* collection */
    size_t count;
};

struct atls_cmw_entry {
    struct atls_cmw_label label;
    struct atls_cmw value;
};

/* What the first byte of a message says it is, where the carrier did not (RFC 9999, "Demuxing"). */
enum atls_cmw_shape {
    ATLS_CMW_SHAPE_UNKNOWN = 0,
    ATLS_CMW_SHAPE_JSON_RECORD,
    ATLS_CMW_SHAPE_JSON_COLLECTION,
    ATLS_CMW_SHAPE_CBOR_RECORD,
    ATLS_CMW_SHAPE_CBOR_COLLECTION,
    ATLS_CMW_SHAPE_CBOR_TAG,
    ATLS_CMW_SHAPE_COSE, /* perhaps a signed CMW */
    ATLS_CMW_SHAPE_JWS,  /* perhaps one in compact serialization */
};

enum atls_cmw_shape atls_cmw_sniff(struct atls_bytes in);

/* Decodes any CBOR shape by its first byte (RFC 9999, "Demuxing"); shortest heads only. The tree
 * lives in arena and borrows from in. Errors: ATLS_E_DECODE, ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_cmw_decode(struct atls_bytes in, struct atls_arena *arena,
                                               struct atls_cmw *out, struct atls_err *err);

/* Refuses a tree that no decoder would give, with code; for encoders of other notations. Errors:
 * code alone. */
ATLS_MUST_CHECK enum atls_code atls_cmw_check(const struct atls_cmw *cmw, enum atls_code code,
                                              struct atls_err *err);

/* Writes a tree in CBOR; entries are written in bytewise order of their encoded labels whatever
 * their order in memory; content-format tags when kind is ATLS_CMW_TAG. Errors: ATLS_E_USAGE for a
 * tree that the decoder would refuse, else as the writer. */
ATLS_MUST_CHECK enum atls_code atls_cmw_encode(const struct atls_cmw *cmw, struct atls_writer *w,
                                               struct atls_err *err);

/* Entry of a collection by text label, or NULL. */
const struct atls_cmw *atls_cmw_find(const struct atls_cmw *collection, const char *label);

/* Value of the record that collection (NULL: none) has under label, of this media type; .ptr NULL
 * when there is none. */
struct atls_bytes atls_cmw_find_record(const struct atls_cmw *collection, const char *label,
                                       const char *media_type);

/* The entry that follows after in the bytewise order of encoded labels (RFC 8949 section 4.2.1),
 * the first for NULL; NULL at the end. */
const struct atls_cmw_entry *atls_cmw_next(const struct atls_cmw *collection,
                                           const struct atls_cmw_entry *after);

/* Registered media type of a content-format (IANA CoAP content-formats), or NULL; static. */
const char *atls_cmw_media_type(uint16_t content_format);

/* True when type names media_type: compares type/subtype and parameter names without case,
 * parameter values exactly, unquoting; a content-format matches its registered media type (table of
 * spec: 263 application/eat+cwt, 287 application/pkix-cert ...). media_type may carry parameters,
 * which must then be present with that value; parameters of type that media_type lacks are ignored.
 * A parameter that type has twice matches nothing. */
bool atls_cmw_type_is(const struct atls_cmw_type *type, const char *media_type);

/* True when type has a parameter of that name, whatever its value, or how often. */
bool atls_cmw_type_has(const struct atls_cmw_type *type, const char *name);

/* Grammar of RFC 9110 section 8.3 for a Content-Type. */
bool atls_content_type_valid(struct atls_bytes text);

/* A record with a text type, for building. */
struct atls_cmw atls_cmw_record(const char *media_type, struct atls_bytes value, uint32_t ind);
/* A record with a content-format. */
struct atls_cmw atls_cmw_record_cf(uint16_t content_format, struct atls_bytes value, uint32_t ind);

/* Opens a signed CMW (RFC 9999): a tagged COSE_Sign1 with alg and the content type
 * application/cmw+cbor, as text or 273, in the protected header, and a payload. out->payload is not
 * to be decoded before the signature over it was verified. Borrows from in. Errors: as
 * atls_cose_sign1_decode. */
ATLS_MUST_CHECK enum atls_code
atls_cmw_signed_open(struct atls_bytes in, struct atls_cose_sign1 *out, struct atls_err *err);

/* The value of the X.509 extension id-pe-cmw (1.3.6.1.5.5.7.1.35):
 * CMW ::= CHOICE { json UTF8String, cbor OCTET STRING }. */
struct atls_cmw_x509 {
    bool is_json;
    struct atls_bytes cmw;
};

/* Decodes what extnValue holds; cmw is not decoded further, but its first byte fits the choice.
 * Borrows from in. Errors: ATLS_E_DECODE. */
ATLS_MUST_CHECK enum atls_code atls_cmw_x509_decode(struct atls_bytes in, struct atls_cmw_x509 *out,
                                                    struct atls_err *err);
/* The other way. Errors: ATLS_E_USAGE for a content that does not fit, else as the writer. */
ATLS_MUST_CHECK enum atls_code atls_cmw_x509_encode(const struct atls_cmw_x509 *v,
                                                    struct atls_writer *w, struct atls_err *err);

#endif
