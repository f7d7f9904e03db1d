/* Simulated confidential machines of the demonstration: atls-tee-sim makes them and mounts their
 * reports, one at each side, each of a hardware maker of its own. */
#ifndef ATLS_APP_DEMO_MACHINE_H
#define ATLS_APP_DEMO_MACHINE_H

#include <atls/store.h>

#include "demo_lab.h"

/* Makes a machine and mounts its reports; options (NULL-terminated) are those of
 * "atls-tee-sim init". Its attester brings its maker's documents along. Errors: ATLS_E_DEVICE (the
 * simulator, FUSE), ATLS_E_IO. */
ATLS_MUST_CHECK enum atls_code machine_make(struct lab *lab, int device,
                                            const char *const options[], struct atls_err *err);
/* Changes it ("debug=yes"); the mount and its maker obey at once. */
ATLS_MUST_CHECK enum atls_code machine_order(const struct lab *lab, int device, const char *order,
                                             struct atls_err *err);
/* The store trusts the machine's maker, or knows its key. */
ATLS_MUST_CHECK enum atls_code machine_trust(const struct lab *lab, int device,
                                             struct atls_store *store, struct atls_err *err);
/* The store takes what the maker publishes now. */
ATLS_MUST_CHECK enum atls_code machine_publish(const struct lab *lab, int device,
                                               struct atls_store *store, struct atls_err *err);

#endif
