/* What the decoders of EAT claims sets in CBOR and in JSON share: the table of claims, and the
 * rules that do not depend on the notation. Not for others. */
#ifndef ATLS_WIRE_EAT_CLAIMS_H
#define ATLS_WIRE_EAT_CLAIMS_H

#include "wire/cbor.h"
#include "wire/eat.h"

enum atls_eat_form {
    ATLS_EAT_FORM_OWN,   /* a reader of its own */
    ATLS_EAT_FORM_TEXT,  /* struct atls_bytes */
    ATLS_EAT_FORM_BYTES, /* struct atls_bytes, least..most of them; base64url in JSON */
    ATLS_EAT_FORM_TIME,  /* struct atls_eat_number */
    ATLS_EAT_FORM_UINT,  /* struct atls_eat_number */
    ATLS_EAT_FORM_BOOL,  /* struct atls_eat_number */
    ATLS_EAT_FORM_NAMED, /* struct atls_eat_number, least..most; a name in JSON */
};

struct atls_eat_row {
    int64_t key;
    const char *name;
    enum atls_eat_form form;
    size_t offset; /* in struct atls_eat_claims */
    size_t least, most;
    const char *(*name_of)(uint64_t value);
};

const struct atls_eat_row *atls_eat_row_by_key(int64_t key);
const struct atls_eat_row *atls_eat_row_by_name(struct atls_bytes name);

struct atls_eat_decoder {
    struct atls_arena *arena;
    struct atls_err *err;
};

enum atls_code atls_eat_malformed(const struct atls_eat_decoder *d, const char *where,
                                  const char *rule);
enum atls_code atls_eat_limit(const struct atls_eat_decoder *d, const char *where, size_t most);
/* count zeroed elements of size bytes, or NULL with the error set; count is at most one of the
 * limits of wire/eat.h. */
void *atls_eat_list(const struct atls_eat_decoder *d, size_t count, size_t size);

/* Content octets of an object identifier: arcs complete and in shortest form. */
bool atls_eat_oid_valid(struct atls_bytes oid);
/* Where the numbers of algorithms are from. */
enum atls_eat_registry { ATLS_EAT_COSE, ATLS_EAT_NAMED_INFORMATION };
/* False for no digest, or one of another length than an algorithm that is known here has. */
bool atls_eat_digest_fits(const struct atls_eat_digest *digest, enum atls_eat_registry registry);

/* One level of a claims set in CBOR; r stands before it, depth is its own. */
enum atls_code atls_eat_read_claims(const struct atls_eat_decoder *d, struct atls_reader *r,
                                    unsigned int depth, struct atls_eat_claims *out);
/* One claim whose form is ATLS_EAT_FORM_OWN, other than submods. */
enum atls_code atls_eat_read_own(const struct atls_eat_decoder *d, struct atls_reader *r,
                                 const struct atls_eat_row *row, struct atls_eat_claims *out);
enum atls_code atls_eat_read_submods(const struct atls_eat_decoder *d, struct atls_reader *r,
                                     unsigned int depth, struct atls_eat_claims *out);
enum atls_code atls_eat_read_version(const struct atls_eat_decoder *d, struct atls_reader *r,
                                     const char *where, struct atls_eat_version *out);
enum atls_code atls_eat_read_digest(const struct atls_eat_decoder *d, struct atls_reader *r,
                                    enum atls_eat_registry registry, struct atls_eat_digest *out);
/* Kind of the nested token that out->token is, by its tag; who has the keys opens it. */
enum atls_code atls_eat_classify_token(const struct atls_eat_decoder *d,
                                       struct atls_eat_submod *out);
/* A number or a text. */
bool atls_eat_get_label(struct atls_reader *r, struct atls_eat_label *out);

/* A list being walked, its elements (or pairs) counted first: they may be of indefinite number. */
struct atls_eat_walk {
    const char *where;
    bool is_map;
    size_t least, most;
    struct atls_cbor_iter iter;
    size_t count;
};
enum atls_code atls_eat_enter(const struct atls_eat_decoder *d, struct atls_reader *r,
                              struct atls_eat_walk *walk);

#endif
