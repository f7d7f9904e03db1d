/* The attester "tsm" over a kernel that tests can play; programs use atls_tsm_attester. */
#ifndef ATLS_ATTESTER_TSM_TSM_H
#define ATLS_ATTESTER_TSM_TSM_H

#include <atls/attester.h>

#include "attester/tsm/kernel.h"

/* As the open of struct atls_attester_ops; kernel outlives the attester. */
ATLS_MUST_CHECK enum atls_code atls_tsm_open(const struct atls_tsm_kernel *kernel, const char *rest,
                                             const struct atls_attester_options *options,
                                             void **out_self, struct atls_err *err);

#endif
