/* A directory of collateral, NAME-SUBJECT.EXTENSION as evidence/collateral.h has it, that somebody
 * keeps fresh ("atls collateral fetch"). Files are read when evidence is made, so that a file that
 * was replaced is taken at once. What is missing or about to expire is said in the log, once for
 * each version of a file; evidence is made all the same, since a verifier may have its own.
 *
 * Any thread. */
#ifndef ATLS_ATTESTER_TSM_COLLATERAL_H
#define ATLS_ATTESTER_TSM_COLLATERAL_H

#include <atls/log.h>

#include "attester/bundle.h"
#include "attester/tsm/report.h"

struct atls_tsm_collateral;

/* scheme (static) is the attester that speaks in messages; log is copied. Errors: ATLS_E_CONFIG (no
 * directory there), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_tsm_collateral_new(const char *scheme, const char *directory,
                                                       const struct atls_log *log,
                                                       struct atls_tsm_collateral **out,
                                                       struct atls_err *err);
void atls_tsm_collateral_free(struct atls_tsm_collateral *c); /* NULL is fine */

/* Adds to quote->endorsements what vouches for the machine that made blobs: provider and outblob,
 * and of SNP auxblob. Errors: ATLS_E_NOMEM.
 */
ATLS_MUST_CHECK enum atls_code atls_tsm_collateral_attach(struct atls_tsm_collateral *c,
                                                          const struct atls_tsm_blobs *blobs,
                                                          struct atls_quote *quote,
                                                          struct atls_err *err);

#endif
