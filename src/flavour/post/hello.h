/* HELLO of the carrier atls/1 (docs/carrier.md, "HELLO"): a pure codec. Every function may be
 * called from any thread. */
#ifndef ATLS_FLAVOUR_POST_HELLO_H
#define ATLS_FLAVOUR_POST_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/limits.h>

#include "core/writer.h"
#include "flavour/base/names.h"

#define ATLS_HELLO_VERSION         1
#define ATLS_HELLO_FRAME_MAX_LEAST 65536

enum atls_hello_flag {
    ATLS_HELLO_ATTESTS = 1,
    ATLS_HELLO_REQUIRES = 2,
    ATLS_HELLO_RAW = 4,
    ATLS_HELLO_REQUIRES_SELF = 8,
    ATLS_HELLO_BINDER_ECHO = 16, /* only results that echo the binder are taken */
};

struct atls_hello {
    uint8_t flags;
    struct atls_bytes names[ATLS_NAMES_COUNT]; /* encoded Name lists, checked; empty: absent */
    uint32_t frame_max;                        /* largest body that the sender takes */
    bool optional; /* what ATLS_HELLO_REQUIRES asks for may be declined */
};

/* Decodes the body of a HELLO; out borrows from it. Errors: ATLS_E_DECODE (malformed, undefined
 * flags, requires-self without attests, optional without requires), ATLS_E_UNSUPPORTED with reason
 * no-common-parameters (another version). */
ATLS_MUST_CHECK enum atls_code atls_hello_decode(struct atls_bytes body, struct atls_hello *out,
                                                 struct atls_err *err);
/* Appends a HELLO frame. */
void atls_hello_put(struct atls_writer *w, const struct atls_hello *hello);

#endif
