/* Which collateral endorses one piece of evidence. Read from evidence that this machine itself just
 * made, to choose files with: nothing is verified. */
#ifndef ATLS_ATTESTER_TSM_NEEDS_H
#define ATLS_ATTESTER_TSM_NEEDS_H

#include "attester/tsm/report.h"
#include "evidence/collateral.h"

#define ATLS_TSM_NEEDS_MAX 8

struct atls_tsm_need {
    enum atls_collateral_kind kind;
    char subject[ATLS_COLLATERAL_SUBJECT_MAX + 1];
    bool optional; /* evidence is complete without it */
};

struct atls_tsm_needs {
    struct atls_tsm_need items[ATLS_TSM_NEEDS_MAX];
    size_t count;
};

/* What a report of SNP needs: its VEK, unless the table has it, the certificate above and the
 * revocation list of its product line. A version 2 report does not say its line; then the table's
 * VEK does, or guess (may be NULL) names one. False: the line is not known. */
ATLS_MUST_CHECK bool atls_tsm_snp_needs(struct atls_bytes evidence, struct atls_bytes table,
                                        const char *guess, struct atls_tsm_needs *out);
/* What a TDX quote needs: TCB info of its FMSPC, QE identity, lists and their chains. False: there
 * is no PCK certificate in it that would say so. */
ATLS_MUST_CHECK bool atls_tsm_tdx_needs(struct atls_bytes quote, struct atls_tsm_needs *out);

#endif
