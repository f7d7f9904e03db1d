/* The certificate table that goes with an SNP report (GHCB specification, extended guest request):
 * rows of GUID, offset and length, ended by a row of zeros, then the certificates. wire/snp.h reads
 * it; here it is cut out of the room that the hypervisor was given. */
#ifndef ATLS_ATTESTER_TSM_TABLE_H
#define ATLS_ATTESTER_TSM_TABLE_H

#include <stdbool.h>

#include <atls/bytes.h>

/* The table without what lies behind its last certificate; empty when it has none. *out borrows.
 * False: malformed. */
ATLS_MUST_CHECK bool atls_tsm_table_trim(struct atls_bytes room, struct atls_bytes *out);

#endif
