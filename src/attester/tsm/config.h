/* Options of "tsm:[DIR][?option=value...]" (docs/attesters.md). */
#ifndef ATLS_ATTESTER_TSM_CONFIG_H
#define ATLS_ATTESTER_TSM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/tsm/kernel.h"
#include "attester/uri.h"
#include "core/reader.h"

#define ATLS_TSM_DIRECTORY     "/sys/kernel/config/tsm/report"
#define ATLS_TSM_DIRECTORY_MAX 255
#define ATLS_TSM_PATH_MAX      (ATLS_TSM_DIRECTORY_MAX + 128)

/* One kind of machine, by what the kernel calls its provider. */
struct atls_tsm_provider {
    const char *name;       /* "sev_guest" */
    const char *technology; /* "snp" */
};
extern const struct atls_tsm_provider atls_tsm_snp, atls_tsm_tdx, atls_tsm_cca;
/* NULL when there is none of that name. */
const struct atls_tsm_provider *atls_tsm_provider_by_name(struct atls_bytes name);

/* Strings borrow from uri. */
struct atls_tsm_config {
    struct atls_uri uri;
    const char *directory;
    bool directory_given;
    const char *device;                       /* NULL: configfs, unless there is none */
    const struct atls_tsm_provider *provider; /* the only one to take; NULL: whichever is there */
    const char *privlevel;                    /* decimal; NULL: the lowest that the kernel allows */
    const char *service, *service_guid, *service_version; /* NULL: the hardware itself */
    struct atls_tsm_qgs qgs;
    const char *aik;        /* file; NULL: a fresh key */
    const char *collateral; /* directory; NULL: none */
    const char *event_log;  /* file, TDX; NULL: none */
    int64_t deadline_ms;    /* of one report, all attempts together */
};

/* Errors: ATLS_E_CONFIG naming the option, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tsm_config_parse(const char *rest, struct atls_tsm_config *out,
                                                     struct atls_err *err);
void atls_tsm_config_clear(struct atls_tsm_config *config); /* zeroed ones are fine */

/* A decimal number of digits alone, at most max. */
bool atls_tsm_parse_number(struct atls_bytes text, uint64_t max, uint64_t *out);

#endif
