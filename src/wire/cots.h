/* Concise trust anchor stores (CoTS, tag 507 of a CoRIM; draft-ietf-rats-concise-ta-stores).
 * Views borrow from the input, arrays live in the arena; immutable once decoded. Pure codec:
 * whether a certificate parses is the crypto layer's to say, and nothing becomes an anchor by being
 * here. */
#ifndef ATLS_WIRE_COTS_H
#define ATLS_WIRE_COTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "wire/corim.h"

enum atls_cots_format {
    ATLS_COTS_CERTIFICATE = 0,       /* X.509, DER */
    ATLS_COTS_TRUST_ANCHOR_INFO = 1, /* RFC 5914 TrustAnchorInfo, DER */
    ATLS_COTS_SPKI = 2,              /* SubjectPublicKeyInfo, DER */
};

struct atls_cots_anchor {
    enum atls_cots_format format;
    struct atls_bytes der;
};

/* What a store is for; a selection by nothing selects everything. */
struct atls_cots_environment {
    bool has_environment;
    struct atls_environment environment; /* key 1 */
    struct atls_bytes environment_item;
    struct atls_bytes swid; /* key 2, encoded; .ptr NULL when absent */
    struct atls_bytes name; /* key 3, name of the store; .ptr NULL when absent */
};

/* A list of claims, each encoded as a member of an EAT claims set: key and value. */
struct atls_cots_claims {
    struct atls_bytes item; /* the encoded list; .ptr NULL when absent */
    size_t count;
};

struct atls_cots {
    struct atls_bytes language; /* .ptr NULL when absent */
    bool has_id, has_version;
    struct atls_corim_id id;
    uint64_t version;
    struct atls_cots_environment *environments; /* none: every environment */
    size_t environment_count;
    struct atls_bytes *purposes; /* "eat", "corim", ...; none: any */
    size_t purpose_count;
    struct atls_cots_claims permitted, excluded;
    struct atls_cots_anchor *anchors; /* at least one */
    size_t anchor_count;
    struct atls_bytes *certificates; /* of CAs, DER: candidates for a path */
    size_t certificate_count;
};

/* Decodes one concise-ta-store-map (untagged) that fills in exactly. Errors: ATLS_E_DECODE
 * (malformed, member unknown), ATLS_E_UNSUPPORTED (format, environment member), ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_cots_decode(struct atls_bytes in, struct atls_arena *arena,
                                                struct atls_cots *out, struct atls_err *err);

/* True when the store may be used for purpose, "eat" for one: it names it, or names none. */
bool atls_cots_serves(const struct atls_cots *cots, const char *purpose);

#endif
