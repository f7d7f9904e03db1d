/* Which published documents evidence is verified with: for whoever fetches them beforehand. */
#ifndef ATLS_EVIDENCE_WANTED_H
#define ATLS_EVIDENCE_WANTED_H

#include "evidence/collateral.h"

/* The query is borrowed for the call; what it returns beside ATLS_OK ends it. */
typedef enum atls_code atls_collateral_wanted(void *arg, const struct atls_collateral_query *query,
                                              struct atls_err *err);
/* Tells of every document that verification of this evidence (one CMW, CBOR) asks for. Nothing is
 * verified: evidence may be made so that anything is asked for. None for technologies that need
 * none. Errors: ATLS_E_DECODE, ATLS_E_UNSUPPORTED (unknown-evidence-type), ATLS_E_NOMEM, those of
 * want. */
ATLS_MUST_CHECK enum atls_code atls_evidence_wanted(struct atls_bytes evidence,
                                                    atls_collateral_wanted *want, void *arg,
                                                    struct atls_err *err);

#endif
