/* What Linux's configfs-tsm gave, as one CBOR map: "application/vnd.veraison.tsm-report+cbor".
 *
 *     {"auxblob"?: bytes, "outblob": bytes, "provider": text,
 *      "service"?: {"manifestblob": bytes, "service_provider": text}}
 *
 * The platform token ("pat") of SNP and TDX in our bundle, and their whole evidence in the bare
 * profile. Members stand in any order, each once; nothing else may stand there. Pure codec. */
#ifndef ATLS_WIRE_TSM_H
#define ATLS_WIRE_TSM_H

#include "core/reader.h"
#include "core/writer.h"

#define ATLS_TYPE_TSM_REPORT "application/vnd.veraison.tsm-report+cbor"

#define ATLS_TSM_PROVIDER_SNP "sev_guest"
#define ATLS_TSM_PROVIDER_TDX "tdx_guest"
#define ATLS_TSM_PROVIDER_CCA "arm_cca_guest"

struct atls_tsm_report {
    struct atls_bytes
        provider; /* text; a newline at its end, as the file has it, is not part of it */
    struct atls_bytes outblob;                    /* not empty */
    struct atls_bytes auxblob;                    /* .ptr NULL: absent */
    struct atls_bytes manifest, service_provider; /* .ptr NULL: absent */
};

/* *out borrows from in and is written on success only. Errors: ATLS_E_DECODE (malformed). */
ATLS_MUST_CHECK enum atls_code
atls_tsm_report_decode(struct atls_bytes in, struct atls_tsm_report *out, struct atls_err *err);
/* Writes members in deterministic order (RFC 8949 section 4.2.1). */
void atls_tsm_report_put(struct atls_writer *w, const struct atls_tsm_report *report);

/* True when in is a report of this provider: for telling technologies apart, nothing more. */
bool atls_tsm_report_is(struct atls_bytes in, const char *provider);

#endif
