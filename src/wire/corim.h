/* Reference manifests: CoRIM and CoMID (draft-ietf-rats-corim), unsigned and in a COSE_Sign1.
 *
 *     atls_corim_envelope_decode(in, &envelope, err);    what is signed, by whose name, until when
 *     (verify envelope.sign1 when envelope.is_signed)
 *     atls_corim_decode(envelope.manifest, &corim, err);
 *
 * Every kind of triple is decoded but the links to CoSWID tags, which are carried as encoded. Pure
 * codec: profiles are wire/corim_profile.h's, signatures and time the store's. Definite lengths
 * only. Views borrow from the input (or from the arena, where deprecated forms were written anew),
 * arrays live in the arena of struct atls_corim; immutable once decoded, share freely. */
#ifndef ATLS_WIRE_CORIM_H
#define ATLS_WIRE_CORIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "core/arena.h"
#include "core/writer.h"
#include "wire/corim_triples.h"
#include "wire/cose.h"
#include "wire/measurement.h"

#define ATLS_CORIM_CONTENT_TYPE    "application/rim+cbor"
#define ATLS_CORIM_TPM_PROFILE     "tag:github.com/parallaxsecond,2023-03-03:tpm"
#define ATLS_CORIM_OLD_PSA_PROFILE "http://arm.com/psa/iot/1"
#define ATLS_CORIM_SNP_PROFILE     "tag:amd.com,2024:snp-corim-profile"

enum atls_corim_tag_number {
    ATLS_TAG_CORIM = 501,
    ATLS_TAG_COSWID = 505,
    ATLS_TAG_COMID = 506,
    ATLS_TAG_COTS = 507,
    ATLS_TAG_COTL = 508,
};

/* COSE header labels of a signed CoRIM. */
enum atls_corim_label {
    ATLS_CORIM_LABEL_META = 8,
    ATLS_CORIM_LABEL_CWT_CLAIMS = 15,
    ATLS_CORIM_LABEL_X5CHAIN = 33,
    ATLS_CORIM_LABEL_PAYLOAD_HASH = 258, /* to 260: hash envelope */
    ATLS_CORIM_LABEL_PAYLOAD_LOCATION = 260,
};

/* Seconds since 1970. Without not-after there is no limit. */
struct atls_corim_validity {
    bool has_not_before, has_not_after;
    int64_t not_before_s, not_after_s;
};

/* Either text or 16 bytes of UUID; the other .ptr is NULL. */
struct atls_corim_id {
    struct atls_bytes text;
    struct atls_bytes uuid;
};

struct atls_tag_identity {
    struct atls_corim_id id;
    bool has_version;
    uint64_t version;
};

struct atls_corim_entity {
    struct atls_bytes name;
    struct atls_bytes reg_id; /* URI; .ptr NULL when absent */
    uint64_t roles;           /* bit n: role n, for n < 64 */
};

struct atls_corim_reference {
    struct atls_bytes environment_item; /* as encoded */
    struct atls_bytes measurements_item;
    struct atls_environment environment;
    struct atls_measurement *measurements;
    size_t count;
};

/* Triples of another kind: the encoded list. */
struct atls_corim_other {
    int64_t kind;
    struct atls_bytes list;
    size_t count;
};

enum atls_comid_relation { ATLS_COMID_SUPPLEMENTS = 0, ATLS_COMID_REPLACES = 1 };

struct atls_comid_link {
    struct atls_corim_id id;
    enum atls_comid_relation relation;
};

struct atls_comid {
    struct atls_corim_id id;
    bool has_version;
    uint64_t version;
    bool replaces; /* a linked tag says that this one replaces another */
    struct atls_comid_link *links;
    size_t link_count;
    struct atls_corim_entity *entities;
    size_t entity_count;
    struct atls_corim_reference *references;
    size_t reference_count;
    struct atls_corim_attest_key *attest_keys;
    size_t attest_key_count;
    struct atls_corim_attest_key *identities;
    size_t identity_count;
    struct atls_corim_endorsed *endorsed;
    size_t endorsed_count;
    struct atls_corim_series *series;
    size_t series_count;
    struct atls_corim_conditional *conditionals;
    size_t conditional_count;
    struct atls_corim_domain *domains; /* of both kinds, in their order in the tag */
    size_t domain_count;
    struct atls_corim_other *others; /* CoSWID links, and kinds that are not known */
    size_t other_count;
    size_t unknown_members;
};

/* CoTL (tag 508): the tags that go active together, or none of them, while it is valid. */
struct atls_cotl {
    struct atls_tag_identity identity;
    struct atls_tag_identity *tags; /* without a version: any */
    size_t tag_count;
    struct atls_corim_validity validity;
};

struct atls_cots; /* wire/cots.h */

struct atls_corim_tag {
    uint64_t number;           /* 505..508 */
    struct atls_bytes content; /* what the byte string holds */
    struct atls_comid *comid;  /* 506; else NULL */
    struct atls_cots *cots;    /* 507; else NULL */
    struct atls_cotl *cotl;    /* 508; else NULL */
};

/* A manifest that this one needs: never fetched. */
struct atls_corim_locator {
    struct atls_bytes *hrefs; /* URIs */
    size_t href_count;
    struct atls_digest *thumbprints; /* NULL when absent */
    size_t thumbprint_count;
};

struct atls_corim {
    struct atls_arena arena;
    struct atls_corim_id id;
    struct atls_bytes profile;     /* as encoded; .ptr NULL when absent */
    struct atls_bytes profile_uri; /* .ptr NULL when absent or an OID */
    struct atls_corim_validity validity;
    struct atls_corim_entity *entities;
    size_t entity_count;
    struct atls_corim_tag *tags;
    size_t tag_count;
    struct atls_corim_locator *dependents;
    size_t dependent_rims;  /* number of dependents */
    size_t unknown_members; /* of the top map: a profile may define some */
};

struct atls_corim_envelope {
    bool is_signed;
    bool is_untagged;           /* legacy: no tag 501 in front */
    struct atls_bytes manifest; /* tag 501 and what it holds */
    /* When signed: */
    struct atls_cose_sign1 sign1;
    struct atls_bytes signer;     /* name, not empty; nobody's until the signature is verified */
    struct atls_bytes signer_uri; /* .ptr NULL when absent */
    struct atls_corim_validity validity; /* of the signature */
};

/* Forms of manifests that are taken on request only. */
enum atls_corim_flags {
    /* What an old tool wrote: the payload of a signature without tag 501, tags as bare byte strings
     * that hold their tag, a profile that is bare text, and tags 600 and 601 whatever the profile.
     */
    ATLS_CORIM_LEGACY = 1,
};

/* Tells the forms apart (unsigned; COSE_Sign1; either inside tags 500 and 502 of old tools, which
 * are dropped) and decodes the headers of a signed one: content type, signer and window from
 * corim-meta or CWT claims, which must agree when both are there. Does not look into the manifest.
 * *out borrows from in. Errors: ATLS_E_DECODE (malformed), ATLS_E_UNSUPPORTED (hash envelope,
 * detached payload, untagged payload of old tools), ATLS_E_LIMIT (more than ATLS_CORIM_MAX bytes).
 */
ATLS_MUST_CHECK enum atls_code atls_corim_envelope_decode(struct atls_bytes in,
                                                          struct atls_corim_envelope *out,
                                                          struct atls_err *err);
/* The same with flags (enum atls_corim_flags). */
ATLS_MUST_CHECK enum atls_code atls_corim_envelope_decode_with(struct atls_bytes in,
                                                               unsigned int flags,
                                                               struct atls_corim_envelope *out,
                                                               struct atls_err *err);

/* Decodes an unsigned CoRIM (tag 501) that fills in exactly. *out is the caller's to clear. Under
 * the older profile of PSA (ATLS_CORIM_OLD_PSA_PROFILE) the deprecated tags 600 and 601 are written
 * anew as the current one has them; elsewhere they are refused. Under that of SEV-SNP host data
 * (mkey 642) that stands under a digest algorithm becomes a raw value. Errors: ATLS_E_DECODE
 * (malformed) saying where, ATLS_E_UNSUPPORTED (see wire/measurement.h; an unknown kind of tag),
 * ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_corim_decode(struct atls_bytes in, struct atls_corim *out,
                                                 struct atls_err *err);
/* The same with flags (enum atls_corim_flags). */
ATLS_MUST_CHECK enum atls_code atls_corim_decode_with(struct atls_bytes in, unsigned int flags,
                                                      struct atls_corim *out, struct atls_err *err);
void atls_corim_clear(struct atls_corim *corim);

/* Decodes one CoMID map (untagged) into arena. Errors as above. */
ATLS_MUST_CHECK enum atls_code atls_comid_decode(struct atls_bytes in, struct atls_arena *arena,
                                                 struct atls_comid *out, struct atls_err *err);
/* Decodes one CoTL map (untagged) into arena. Errors as above. */
ATLS_MUST_CHECK enum atls_code atls_cotl_decode(struct atls_bytes in, struct atls_arena *arena,
                                                struct atls_cotl *out, struct atls_err *err);

/* Certificates of an x5chain item (label 33: one byte string, or a list), leaf first, as views;
 * out has room for ATLS_CHAIN_MAX. Errors: ATLS_E_DECODE, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_corim_x5chain_decode(struct atls_bytes item,
                                                         struct atls_bytes *out, size_t *out_count,
                                                         struct atls_err *err);

/* What the protected header of a signed CoRIM says. */
struct atls_corim_header {
    int64_t alg;              /* of COSE */
    struct atls_bytes signer; /* name */
    struct atls_corim_validity validity;
    const struct atls_bytes *x5chain; /* certificates, DER, leaf first */
    size_t x5chain_count;             /* 0: no x5chain */
};
/* Writes it: alg, content type, corim-meta and CWT claims of one signer name and window, x5chain.
 */
void atls_corim_put_protected(struct atls_writer *w, const struct atls_corim_header *header);

#endif
