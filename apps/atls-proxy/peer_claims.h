/* What is known of an attested peer, as values for headers and logs. Bounded and printable, so that
 * nothing that a peer says reaches further than its own value. */
#ifndef PROXY_PEER_CLAIMS_H
#define PROXY_PEER_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/session.h>

#include "proxy_header.h"

#define CLAIMS_MAX       16
#define CLAIMS_VALUE_MAX 128 /* bytes of a value, escaped */
/* Bytes of a PROXY header that claims may need, so that the rest always fits. */
#define CLAIMS_ROOM 3072

/* Whether paths may be asked for: 1 to 128 bytes of visible ASCII without "=" and without an empty
 * name between dots, none twice, and all of them together, with the longest values, within
 * CLAIMS_ROOM. NULL: yes; otherwise a static text says what is wrong. */
const char *claims_wrong_with(const char *const *paths, size_t count);

struct claims_wanted {
    const char *const *paths; /* good ones: "submods.TPM.ear_status" */
    size_t count;
    bool ear, key; /* digests */
};

struct claims {
    /* Status of the result, as atls_tier_name has it; "refused": it is not accepted, and goes on
     * only where refusing is switched off; "none": there is no result, as of a peer that may go
     * without, or one whose status that is (evidence tells them apart). */
    const char *verdict;
    const char *flavour, *binding, *freshness; /* "" when not known */
    char evidence[64];                         /* "tpm"; "" */
    char instance[2 * 64 + 1];                 /* hexadecimal; "" */
    char ear[65], key[65];                     /* SHA-256, hexadecimal; "" */
    uint8_t instance_bytes[64], ear_bytes[32], key_bytes[32];
    size_t instance_len;
    /* Those of the wanted that the result has, in the order of paths, which names borrow. */
    size_t count;
    struct proxy_header_claim at[CLAIMS_MAX];
    char values[CLAIMS_MAX][CLAIMS_VALUE_MAX + 1];
};

/* Fills *out, which must not be moved; peer may go. A path leads through members of objects and, by
 * numbers from 0, elements of arrays; "\." is a dot in a name. Texts are as they are, numbers and
 * others as JSON. What is no printable ASCII, "%", and a space at either end are percent-encoded.
 * A value of over CLAIMS_VALUE_MAX bytes is left out, never cut. Errors: ATLS_E_NOMEM (also where a
 * result is too large for JSON). */
ATLS_MUST_CHECK enum atls_code claims_of(const struct atls_peer *peer,
                                         const struct claims_wanted *wanted, struct claims *out,
                                         struct atls_err *err);
/* For proxy_header_write; borrows from claims. */
struct proxy_header_attestation claims_for_header(const struct claims *claims);

#endif
