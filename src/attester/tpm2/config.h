/* What the URI of a TPM says. */
#ifndef ATLS_ATTESTER_TPM2_CONFIG_H
#define ATLS_ATTESTER_TPM2_CONFIG_H

#include <stdbool.h>

#include <tss2/tss2_tpm2_types.h>

#include <atls/bytes.h>

#include "attester/uri.h"

#define ATLS_TPM2_BANKS_MAX 4  /* sha1, sha256, sha384, sha512 */
#define ATLS_TPM2_PCRS_MAX  24 /* the PC Client platform has as many; three bytes of bitmap */

/* Owned; immutable once read. */
struct atls_tpm2_config {
    struct atls_uri uri;       /* what the strings below borrow from */
    const char *tcti;          /* NULL: the default search of tpm2-tss */
    bool simulator;            /* nobody else starts it */
    bool release;              /* close the connection between operations */
    TPM2_HANDLE ak, aik;       /* 0: none named */
    TPML_PCR_SELECTION pcrs;   /* banks ascending by algorithm, three bytes of bitmap each */
    const char *event_log;     /* NULL: none */
    const char *ima_log;       /* NULL: none */
    const char *hcl_report;    /* NULL: none; empty: the NV index */
    const char *tdx_quote;     /* NULL: none */
    const char *collateral;    /* NULL: none */
    TPM2B_AUTH hierarchy_auth; /* owner and endorsement */
};

/* rest: what follows "tpm2:" (atls/tpm2.h). Errors: ATLS_E_CONFIG names the option and what it
 * wants; ATLS_E_IO, ATLS_E_LIMIT (file of hierarchy-auth), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tpm2_config_read(const char *rest, struct atls_tpm2_config *out,
                                                     struct atls_err *err);
void atls_tpm2_config_clear(struct atls_tpm2_config *config); /* wiped */

#endif
