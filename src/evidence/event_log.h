/* Replay of TCG event logs: an event is believed only as far as the replay leads to quoted PCR
 * values, and only the part of it that its digest covers. */
#ifndef ATLS_EVIDENCE_EVENT_LOG_H
#define ATLS_EVIDENCE_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "wire/tpm.h"

/* Values that one bank has after the events of a log. */
struct atls_replay {
    enum atls_hash bank;
    uint32_t extended; /* bit n: the log extends PCR n */
    uint8_t values[ATLS_TPM_PCRS_MAX][ATLS_HASH_MAX];
};

/* Replays a whole log into one bank: PCRs start as zeros, 17 to 22 as ones, PCR 0 as
 * StartupLocality says. Errors: ATLS_E_DECODE (malformed), ATLS_E_LIMIT; ATLS_E_EVIDENCE with
 * reason event-log-mismatch (no digests of this bank; StartupLocality out of place), ATLS_E_CRYPTO.
 */
ATLS_MUST_CHECK enum atls_code atls_event_log_replay(struct atls_bytes log, enum atls_hash bank,
                                                     struct atls_replay *out, struct atls_err *err);

enum atls_secure_boot {
    ATLS_SECURE_BOOT_UNKNOWN = 0, /* the log does not say, or PCR 7 is not quoted */
    ATLS_SECURE_BOOT_DISABLED,
    ATLS_SECURE_BOOT_ENABLED,
};

/* What a log that was verified says of the boot. */
struct atls_boot_summary {
    size_t events;
    enum atls_secure_boot secure_boot;
};

/* Checks a log against the quoted values of one bank, whose digest in the quote was checked: the
 * replay equals every quoted PCR that the log extends, and all quoted ones of 0 to 7, which
 * firmware must account for; each quoted PCR of 0 to 7 has exactly one separator; variables that
 * PCR 7 holds before its separator are covered by their digests, and SecureBoot is there at most
 * once. Errors: ATLS_E_DECODE (malformed), ATLS_E_LIMIT, ATLS_E_EVIDENCE (event-log-mismatch),
 * ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_event_log_verify(struct atls_bytes log,
                                                     const struct atls_tpm_pcr_values *quoted,
                                                     struct atls_boot_summary *out,
                                                     struct atls_err *err);

#endif
