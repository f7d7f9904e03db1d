/* The makers' collateral services, from the files of a world: which path means which document.
 *
 * *out has status 404 and is changed on success only; a question that is none of a service stays
 * 404, one with bad arguments is 400. Errors: ATLS_E_IO, ATLS_E_LIMIT, ATLS_E_NOMEM. */
#ifndef ATLS_SIMULATOR_SERVICE_H
#define ATLS_SIMULATOR_SERVICE_H

#include "simulator/maker.h"

/* AMD's key distribution service for the product line ("milan"); chains are machine/vcek-chain.pem
 * and machine/vlek-chain.pem, intermediate and root. */
ATLS_MUST_CHECK enum atls_code atls_sim_kds_answer(const char *folder, const char *line,
                                                   const struct atls_sim_question *question,
                                                   struct atls_sim_answer *out,
                                                   struct atls_err *err);
/* Intel's provisioning certification service, version 4, with the root's list where the caching
 * service (PCCS) and where Intel has it. */
ATLS_MUST_CHECK enum atls_code atls_sim_pcs_answer(const char *folder,
                                                   const struct atls_sim_question *question,
                                                   struct atls_sim_answer *out,
                                                   struct atls_err *err);

#endif
