/* Lists of names, encoded as Name lists are (docs/carrier.md, "HELLO"): one length byte and 1 to
 * 255 bytes each. What a configuration offers and accepts. Every function may be called from any
 * thread. */
#ifndef ATLS_FLAVOUR_BASE_NAMES_H
#define ATLS_FLAVOUR_BASE_NAMES_H

#include <stdbool.h>

#include <atls/bytes.h>

#include "core/writer.h"

/* Names of results that a peer may carry as a passport. */
#define ATLS_RESULT_EAR_JWT "ear+jwt"
#define ATLS_RESULT_EAR_CWT "ear+cwt"

/* What has a list of names. */
enum atls_names {
    ATLS_NAMES_EVIDENCE_OFFERED = 0,
    ATLS_NAMES_EVIDENCE_ACCEPTED = 1,
    ATLS_NAMES_PROFILES = 2, /* taken, and shown where there is no other list */
    ATLS_NAMES_INNER_PROTOCOLS = 3,
    ATLS_NAMES_RESULTS_OFFERED = 4,
    ATLS_NAMES_RESULTS_ACCEPTED = 5,
    ATLS_NAMES_PROFILES_OFFERED = 6,
    ATLS_NAMES_COUNT = 7,
};

/* Walks a checked list: takes the first name off *list; false at its end. */
ATLS_MUST_CHECK bool atls_names_next(struct atls_bytes *list, struct atls_bytes *out_name);
bool atls_names_contain(struct atls_bytes list, struct atls_bytes name);
/* The first name of preferred that is in other, too; empty when there is none. */
struct atls_bytes atls_names_common(struct atls_bytes preferred, struct atls_bytes other);
/* Appends one name: 1..255 bytes, otherwise the writer fails. */
void atls_name_put(struct atls_writer *w, const char *name);

#endif
