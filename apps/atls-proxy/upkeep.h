/* What has to be looked at again and again, and may wait for disks, devices and services: threads
 * beside the workers. */
#ifndef PROXY_UPKEEP_H
#define PROXY_UPKEEP_H

#include <stdbool.h>

#include "state.h"

#define UPKEEP_WHY_MAX 400

/* The threads, with generation (referenced) to look after. Errors: ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code upkeep_start(struct generation *g, struct atls_err *err);
/* Looks after this one from now on, at once. */
void upkeep_set(struct generation *g);
/* Ends the threads, after what they are doing. Nothing is done when they never began. */
void upkeep_end(void);

/* Any thread. Whether every attester has made evidence and every verifier can be reached, as of the
 * last look; out (NULL is fine): why not. */
bool upkeep_ready(char out[UPKEEP_WHY_MAX]);
/* The same apart. */
void upkeep_parts(bool *out_attesters, bool *out_verifiers);
/* True once after a file was seen to have changed, which out names. */
bool upkeep_found_file(char out[256]);
/* When stores and files were looked at last, of now_ms: a thread that hangs is seen by this. A
 * device or a service that hangs is no reason to start again. */
int64_t upkeep_at_ms(void);

#endif
