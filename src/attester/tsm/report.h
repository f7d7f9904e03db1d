/* One report of a confidential machine: asked of the kernel, over again where that may help, and
 * looked at before anybody sees it.
 *
 * Nothing is shared between two calls, so that any number of threads may be inside: each has an
 * entry of its own in configfs, and drivers order what their firmware cannot do at once. */
#ifndef ATLS_ATTESTER_TSM_REPORT_H
#define ATLS_ATTESTER_TSM_REPORT_H

#include <atls/log.h>

#include "attester/bundle.h"
#include "attester/tsm/config.h"
#include "attester/tsm/kernel.h"

/* Evidence with everything in it has to fit in ATLS_CMW_DATA_MAX. */
#define ATLS_TSM_BLOB_MAX 65536

/* Owned: cleared by atls_tsm_blobs_clear. */
struct atls_tsm_blobs {
    const struct atls_tsm_provider *provider;
    struct atls_buf outblob;
    struct atls_buf auxblob;  /* empty: none */
    struct atls_buf manifest; /* of the service that was asked; empty: none */
};
void atls_tsm_blobs_clear(struct atls_tsm_blobs *blobs); /* zeroed ones are fine */

/* What may help after a failure. */
enum atls_tsm_again {
    ATLS_TSM_PERMANENT = 0, /* nothing */
    ATLS_TSM_LATER,         /* waiting */
    ATLS_TSM_AT_ONCE,       /* another entry: this one was not ours alone */
};

struct atls_tsm_call;
/* One attempt. On failure call->again says more. */
typedef enum atls_code atls_tsm_source(struct atls_tsm_call *call, struct atls_tsm_blobs *out,
                                       struct atls_err *err);

struct atls_tsm_call {
    const struct atls_tsm_kernel *kernel;
    const struct atls_tsm_config *config;
    const struct atls_log *log;
    const uint8_t *challenge; /* ATLS_QUOTE_CHALLENGE_LEN bytes */
    const struct atls_tsm_provider *provider;
    const char *device;  /* of the ioctl sources */
    int64_t deadline_ms; /* on the kernel's clock */
    enum atls_tsm_again again;
    int sys_errno; /* of the last system call that failed */
};

atls_tsm_source atls_tsm_configfs, atls_tsm_sev_device, atls_tsm_tdx_device;

/* Attempts through source until one succeeds: transient failures with growing pauses until
 * config->deadline_ms is over, mixed-up entries three times. *out carries the challenge. Errors:
 * ATLS_E_DEVICE (permanent failure; another provider than expected), ATLS_E_CONFIG (an option that
 * this kernel cannot do), ATLS_E_TIMEOUT (still busy at the deadline), ATLS_E_LIMIT (a blob too
 * large), ATLS_E_NOMEM, ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_tsm_report_make(struct atls_tsm_call *call,
                                                    atls_tsm_source *source,
                                                    struct atls_tsm_blobs *out,
                                                    struct atls_err *err);

/* Which provider serves the configfs directory; makes an entry for that and removes it.
 * *out_absent: there is no directory, or no driver behind it; then the code is an error too. */
ATLS_MUST_CHECK enum atls_code atls_tsm_configfs_provider(struct atls_tsm_call *call,
                                                          const struct atls_tsm_provider **out,
                                                          bool *out_absent, struct atls_err *err);

/* Records that a system call failed, in words for its errno, and sets call->again. Errors:
 * ATLS_E_DEVICE, ATLS_E_NOMEM, ATLS_E_LIMIT, as the errno says. */
enum atls_code atls_tsm_fail(struct atls_tsm_call *call, int sys_errno, const char *what,
                             const char *path, struct atls_err *err);

/* True when evidence of this provider carries challenge where it must. */
bool atls_tsm_carries(const struct atls_tsm_provider *provider, struct atls_bytes evidence,
                      struct atls_bytes challenge);

/* The quote in a response of a quote generation service, without the length in front. Errors:
 * ATLS_E_DEVICE (an error of the service), ATLS_E_DECODE (not exactly a response). */
ATLS_MUST_CHECK enum atls_code atls_tsm_qgs_response(struct atls_bytes in, struct atls_bytes *out,
                                                     struct atls_err *err);

#endif
