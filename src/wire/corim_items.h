/* Parts that the sources of CoRIM share: errors, and getters that change nothing on failure. Not
 * for other modules. */
#ifndef ATLS_WIRE_CORIM_ITEMS_H
#define ATLS_WIRE_CORIM_ITEMS_H

#include "core/arena.h"
#include "core/reader.h"
#include "wire/cbor.h"
#include "wire/corim.h"
#include "wire/measurement.h"

#define ATLS_TAG_EPOCH_TIME 1
/* Tags of old PSA manifests: known, so that the refusal can say what they are. */
#define ATLS_TAG_OLD_IMPLEMENTATION_ID 600
#define ATLS_TAG_OLD_REFERENCE_ID      601

/* "CoRIM member: rule" with ATLS_E_DECODE, with ATLS_E_UNSUPPORTED; ATLS_E_NOMEM. */
enum atls_code atls_corim_malformed(struct atls_err *err, const char *member, const char *rule);
enum atls_code atls_corim_unsupported(struct atls_err *err, const char *member, const char *what);
enum atls_code atls_corim_no_memory(struct atls_err *err);
/* Puts the number of a record in front of an error inside it. */
enum atls_code atls_corim_in_record(struct atls_err *err, enum atls_code code, const char *kind,
                                    size_t index);

/* A list under way in an array of the arena. */
struct atls_corim_list {
    const char *member; /* for errors */
    struct atls_arena *arena;
    struct atls_cbor_iter iter;
};
/* Enters a list that is not empty, of at most ATLS_CORIM_TRIPLES_MAX elements, and allocates an
 * array of as many elements of size bytes. */
ATLS_MUST_CHECK enum atls_code atls_corim_open_list(struct atls_reader *r,
                                                    struct atls_corim_list *list, size_t size,
                                                    void **out, struct atls_err *err);

/* Text that is not empty, or 16 bytes of UUID. */
ATLS_MUST_CHECK bool atls_corim_get_id(struct atls_reader *r, struct atls_corim_id *out);
/* #6.32 text */
ATLS_MUST_CHECK bool atls_corim_get_uri(struct atls_reader *r, struct atls_bytes *out);

enum atls_code atls_corim_check_window(const struct atls_corim_validity *v, const char *member,
                                       struct atls_err *err);
/* {? 0: not-before, 1: not-after} */
ATLS_MUST_CHECK enum atls_code atls_corim_get_validity(struct atls_reader *r,
                                                       struct atls_corim_validity *out,
                                                       struct atls_err *err);
/* [+ {0: name, ? 1: reg-id, 2: roles}] */
ATLS_MUST_CHECK enum atls_code atls_corim_get_entities(struct atls_reader *r,
                                                       struct atls_arena *arena,
                                                       struct atls_corim_entity **out,
                                                       size_t *out_count, struct atls_err *err);
/* {0: id, ? 1: version} */
ATLS_MUST_CHECK enum atls_code atls_corim_get_tag_identity(struct atls_reader *r,
                                                           struct atls_tag_identity *out,
                                                           struct atls_err *err);

/* digests-type: [+ hash-entry], no algorithm twice. */
ATLS_MUST_CHECK enum atls_code atls_corim_get_digests(struct atls_reader *r,
                                                      struct atls_corim_list *list,
                                                      struct atls_digest **out, size_t *out_count,
                                                      struct atls_err *err);
/* One hash-entry. */
ATLS_MUST_CHECK enum atls_code atls_corim_get_digest(struct atls_reader *r, const char *member,
                                                     struct atls_digest *out, struct atls_err *err);
ATLS_MUST_CHECK enum atls_code atls_corim_get_mkey(struct atls_reader *r, struct atls_mkey *out,
                                                   struct atls_err *err);
/* measurement-values-map */
ATLS_MUST_CHECK enum atls_code atls_corim_get_mval(struct atls_reader *r, struct atls_arena *arena,
                                                   struct atls_mval *out, struct atls_err *err);

/* How the parts of one CoMID are decoded. */
struct atls_comid_context {
    struct atls_arena *arena;
    struct atls_comid *comid;
    size_t triples; /* all of them count against one limit */
};
/* triples-map */
ATLS_MUST_CHECK enum atls_code
atls_comid_get_triples(struct atls_reader *r, struct atls_comid_context *c, struct atls_err *err);

/* Forms that a CoMID is freed from before it is decoded. */
enum atls_corim_renewal {
    ATLS_CORIM_RENEW_NOTHING,
    /* Deprecated tags of PSA: 560(id) for 600(id); for an mkey of 601({? 1: label, ? 4: version,
     * 5: signer-id}) the text "psa.software-component", and name, version and cryptokeys in the
     * values. */
    ATLS_CORIM_RENEW_PSA,
    /* Host data of SEV-SNP (mkey 642) that stands under the algorithm of a longer digest: a raw
     * value. */
    ATLS_CORIM_RENEW_SNP,
};
/* Writes a CoMID anew in the arena. Errors: ATLS_E_DECODE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_corim_renew(struct atls_bytes comid,
                                                enum atls_corim_renewal forms,
                                                struct atls_arena *arena, struct atls_bytes *out,
                                                struct atls_err *err);

#endif
