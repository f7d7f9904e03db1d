/* HELLO of the carrier atls/1 and lists of names in it (docs/carrier.md, "HELLO"): a pure codec.
 * Every function may be called from any thread. */
#ifndef ATLS_FLAVOUR_POST_HELLO_H
#define ATLS_FLAVOUR_POST_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/limits.h>

#include "core/writer.h"

#define ATLS_HELLO_VERSION         1
#define ATLS_HELLO_FRAME_MAX_LEAST 65536

enum atls_hello_flag {
    ATLS_HELLO_ATTESTS = 1,
    ATLS_HELLO_REQUIRES = 2,
    ATLS_HELLO_RAW = 4,
    ATLS_HELLO_REQUIRES_SELF = 8,
    ATLS_HELLO_BINDER_ECHO = 16, /* only results that echo the binder are taken */
};

/* Names of results that a peer may carry as a passport. */
#define ATLS_RESULT_EAR_JWT "ear+jwt"
#define ATLS_RESULT_EAR_CWT "ear+cwt"

/* Parameters that hold a list of names. */
enum atls_hello_names {
    ATLS_NAMES_EVIDENCE_OFFERED = 0,
    ATLS_NAMES_EVIDENCE_ACCEPTED = 1,
    ATLS_NAMES_PROFILES = 2, /* taken, and shown where there is no other list */
    ATLS_NAMES_INNER_PROTOCOLS = 3,
    ATLS_NAMES_RESULTS_OFFERED = 4,
    ATLS_NAMES_RESULTS_ACCEPTED = 5,
    ATLS_NAMES_PROFILES_OFFERED = 6,
    ATLS_NAMES_COUNT = 7,
};

struct atls_hello {
    uint8_t flags;
    struct atls_bytes names[ATLS_NAMES_COUNT]; /* encoded Name lists, checked; empty: absent */
    uint32_t frame_max;                        /* largest body that the sender takes */
};

/* Decodes the body of a HELLO; out borrows from it. Errors: ATLS_E_DECODE (malformed, undefined
 * flags, requires-self without attests), ATLS_E_UNSUPPORTED with reason no-common-parameters
 * (another version). */
ATLS_MUST_CHECK enum atls_code atls_hello_decode(struct atls_bytes body, struct atls_hello *out,
                                                 struct atls_err *err);
/* Appends a HELLO frame. */
void atls_hello_put(struct atls_writer *w, const struct atls_hello *hello);

/* Walks a checked list: takes the first name off *list; false at its end. */
ATLS_MUST_CHECK bool atls_names_next(struct atls_bytes *list, struct atls_bytes *out_name);
bool atls_names_contain(struct atls_bytes list, struct atls_bytes name);
/* The first name of preferred that is in other, too; empty when there is none. */
struct atls_bytes atls_names_common(struct atls_bytes preferred, struct atls_bytes other);
/* Appends one name: 1..255 bytes, otherwise the writer fails. */
void atls_name_put(struct atls_writer *w, const char *name);

#endif
