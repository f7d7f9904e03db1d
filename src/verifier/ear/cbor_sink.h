/* A result as a CBOR claims set. */
#ifndef ATLS_VERIFIER_EAR_CBOR_SINK_H
#define ATLS_VERIFIER_EAR_CBOR_SINK_H

#include "core/writer.h"
#include "verifier/result.h"

/* Writes the claims set (definite lengths, shortest heads): registered claims by number, the rest
 * by text; bytes as byte strings. Failures stick to w. */
void atls_result_put_cbor(struct atls_writer *w, const struct atls_result *r,
                          const struct atls_result_form *form);

#endif
