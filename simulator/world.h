/* A world in a directory: the maker of a machine, with its TEST roots and keys, and one machine.
 *
 *     DIR/world        what it is: technology, product, time of making
 *     DIR/state        orders (simulator/state.h)
 *     DIR/keys/        private keys, for their owner alone
 *     DIR/machine/     certificates and identities
 *     DIR/roots/       what a relying party would have to trust, by its own decision
 *     DIR/reference/   what the machine measures as it was made, whatever was ordered since
 *     DIR/collateral/  what the maker publishes, named as evidence/collateral.h says
 *
 * Everybody who reads DIR/keys makes evidence of this machine. One thread at a time, but for the
 * provider of atls_sim_world_provider. */
#ifndef ATLS_SIMULATOR_WORLD_H
#define ATLS_SIMULATOR_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/bytes.h>

#include "simulator/state.h"
#include "simulator/tree.h"

/* What a world is made as. */
struct atls_sim_setup {
    enum atls_sim_tee tee;
    const char *line;           /* SNP: "milan", "genoa", "turin"; NULL: "genoa" */
    bool vlek;                  /* SNP: the key is the cloud's (VLEK), not the chip's */
    unsigned int rsa_bits;      /* SNP: of the maker's keys; 0: 4096, as AMD's */
    unsigned int quote_version; /* TDX: 4 or 5; 0: 4 */
    int64_t time_s;             /* when certificates begin */
};

struct atls_sim_world;

/* Makes a world in a new or empty directory and opens it. Errors: ATLS_E_CONFIG (setup), ATLS_E_IO
 * (the directory is not empty, too), ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_world_make(const char *directory,
                                                   const struct atls_sim_setup *setup,
                                                   struct atls_sim_world **out,
                                                   struct atls_err *err);
/* Errors: ATLS_E_IO, ATLS_E_CONFIG (no world, or of another version), ATLS_E_DECODE, ATLS_E_CRYPTO,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code
atls_sim_world_open(const char *directory, struct atls_sim_world **out, struct atls_err *err);
void atls_sim_world_free(struct atls_sim_world *world); /* NULL is fine */

enum atls_sim_tee atls_sim_world_tee(const struct atls_sim_world *world);
/* "snp genoa", for people; borrows from world. */
const char *atls_sim_world_name(const struct atls_sim_world *world);
/* Provider as configfs-tsm names it. Static. */
const char *atls_sim_world_provider_name(const struct atls_sim_world *world);

/* The orders as they stand in the directory now. Errors: ATLS_E_IO, ATLS_E_CONFIG, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_world_state(struct atls_sim_world *world,
                                                    struct atls_sim_state *out,
                                                    struct atls_err *err);
/* Takes "name=value" orders, all or none; a running mount sees them. Collateral is not made anew:
 * atls_sim_world_publish does. Errors: as above. */
ATLS_MUST_CHECK enum atls_code atls_sim_world_order(struct atls_sim_world *world,
                                                    const char *const *orders, size_t count,
                                                    struct atls_err *err);
/* Writes roots and collateral as of time_s, in the state ordered. Errors: those of orders,
 * ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_sim_world_publish(struct atls_sim_world *world, int64_t time_s,
                                                      struct atls_err *err);
/* Evidence for a request. *out_errno: how the kernel would fail, EIO for what is none of its
 * failures. *out is the caller's to clear. Errors: ATLS_E_DEVICE (a fault that was ordered, a
 * request that the driver refuses), and all above. */
ATLS_MUST_CHECK enum atls_code atls_sim_world_evidence(struct atls_sim_world *world,
                                                       const struct atls_sim_request *request,
                                                       struct atls_sim_blobs *out, int *out_errno,
                                                       struct atls_err *err);
struct atls_sim_question;
struct atls_sim_answer;
/* What the maker's collateral service answers (simulator/maker.h); *out is the
 * caller's to clear.
 * Errors: ATLS_E_IO, ATLS_E_CONFIG, ATLS_E_CRYPTO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_sim_world_answer(struct atls_sim_world *world,
                                                     const struct atls_sim_question *question,
                                                     struct atls_sim_answer *out,
                                                     struct atls_err *err);
/* For a tree over this world, which outlives the tree. say (may be NULL) gets what went wrong where
 * the tree can but answer EIO; from any thread. */
struct atls_sim_provider atls_sim_world_provider(struct atls_sim_world *world,
                                                 void (*say)(const char *message));

#endif
