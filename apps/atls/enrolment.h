/* The device's half of enrolment, as atls enrol and atls demo need it. */
#ifndef ATLS_APP_ENROLMENT_H
#define ATLS_APP_ENROLMENT_H

#include <atls/enrol.h>
#include <atls/tpm2.h>

#include "cli.h"

/* What an operator says of the machine. */
struct enrolment_class {
    const char *uuid;           /* NULL: none */
    const char *vendor, *model; /* may be NULL */
    /* Its attestation key for the manifest: where it is on file, by the name that it has there, and
     * how the manifest writes that name ("ueid" or "bytes"); NULL: none. */
    struct atls_store *key_store;
    const char *key_instance, *instance_form;
};

/* Both halves in one process: the TPM's AK is in the store afterwards. out_instance gets its UEID
 * in hex. */
ATLS_MUST_CHECK enum atls_code enrolment_run(struct atls_tpm2_enrolment *tpm,
                                             struct atls_store *store,
                                             const struct enrolment_class *machine,
                                             bool allow_untrusted_ek, char out_instance[80],
                                             struct atls_err *err);
/* A manifest (CoRIM) of the PCRs as they are now, and of the key if one is named, named after id.
 */
ATLS_MUST_CHECK enum atls_code enrolment_manifest(struct atls_tpm2_enrolment *tpm, const char *id,
                                                  const struct enrolment_class *machine,
                                                  struct atls_buf *out, struct atls_err *err);

#endif
