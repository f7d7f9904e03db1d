/* Replay of IMA measurement logs: the entries that lead to a quoted PCR 10 count, nothing after. */
#ifndef ATLS_EVIDENCE_IMA_LOG_H
#define ATLS_EVIDENCE_IMA_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"

#define ATLS_IMA_PCR 10

/* Of the entries that count. */
struct atls_ima_summary {
    size_t entries;
    size_t
        violations; /* files that were open for writing while they were measured, or the reverse */
};

/* Replays a log from zero until the running value of PCR 10 is the quoted one. Each entry is
 * extended with the bank's hash of its template data, a violation with ones; the SHA-1 template
 * hash of each entry must fit. A log may have grown since the quote; what follows is not looked at.
 * Errors: ATLS_E_DECODE (malformed), ATLS_E_LIMIT, ATLS_E_NOMEM; ATLS_E_EVIDENCE with reason
 * ima-log-mismatch (no entries lead there, a template hash does not fit); ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_ima_log_verify(struct atls_bytes log, enum atls_hash bank,
                                                   struct atls_bytes quoted,
                                                   struct atls_ima_summary *out,
                                                   struct atls_err *err);

#endif
