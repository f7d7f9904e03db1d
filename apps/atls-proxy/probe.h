/* Whether what a generation opened works: devices, stores, services. Each of these blocks. */
#ifndef PROXY_PROBE_H
#define PROXY_PROBE_H

#include "state.h"

/* Makes evidence for a challenge that nobody asked. Errors: those of atls_attester_evidence. */
ATLS_MUST_CHECK enum atls_code probe_attester(struct opened_attester *a, struct atls_err *err);
/* Whether the verifier's store can be read, or its service says that it is ready. Errors: those of
 * atls_verifier_ping. */
ATLS_MUST_CHECK enum atls_code probe_verifier(const struct opened_verifier *v,
                                              struct atls_err *err);

#endif
