/* What keeper.c and its jobs (job.c) tell each other. */
#ifndef ATLS_FLAVOUR_PRE_KEEPER_H
#define ATLS_FLAVOUR_PRE_KEEPER_H

#include "flavour/pre/pre.h"

/* Profiles that every relying party takes which names none. */
#define ATLS_PRE_PROFILES ((unsigned int)ATLS_PROFILE_KAT | (unsigned int)ATLS_PROFILE_BATCH)

/* As atls_pre_make_job_new, for a keeper, which is told what comes of it, at the latest when the
 * job is freed. */
ATLS_MUST_CHECK enum atls_code atls_pre_keeper_job_new(struct atls_pre_keeper *keeper,
                                                       struct atls_config *config,
                                                       struct atls_job **out, struct atls_err *err);
/* The chain in use (new reference) when it holds this CMW and is not yet old; NULL otherwise: then
 * another has to be made. */
struct atls_pre_chain *atls_pre_keeper_same(struct atls_pre_keeper *k, struct atls_bytes cmw);
/* A job of the keeper has ended; chain NULL: it failed, or never ran. Takes cmw over. */
void atls_pre_keeper_settle(struct atls_pre_keeper *k, struct atls_pre_chain *chain,
                            struct atls_buf *cmw);
/* Of certificates of ours. */
uint32_t atls_pre_lifetime_s(const struct atls_config *config);

#endif
