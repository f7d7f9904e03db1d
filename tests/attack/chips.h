/* Two genuine SEV-SNP machines of one maker that run the same guest, a Verifier that trusts the
 * maker, and a policy that wants the first of the two: for attacks where only the processor tells
 * machines apart. */
#ifndef ATLS_ATTACK_CHIPS_H
#define ATLS_ATTACK_CHIPS_H

#include <atls/policy.h>
#include <atls/verifier.h>

#include "simulator/amd.h"

struct chips {
    struct atls_sim_amd *amd;
    struct atls_sim_snp machines[2];
    char store[96];
    struct atls_verifier *verifier;
    struct atls_policy *pins_first;
};

/* Its store is a file in folder. */
void chips_open(struct chips *c, const char *folder);
void chips_close(struct chips *c);
/* What a machine says of a key and a binder. The caller clears it. */
struct atls_buf chips_evidence(const struct chips *c, size_t machine, struct atls_bytes binder,
                               struct atls_bytes aik);

#endif
