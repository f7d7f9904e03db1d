/* What a technology is to a world: one row each, in the file of its name. */
#ifndef ATLS_SIMULATOR_MAKER_H
#define ATLS_SIMULATOR_MAKER_H

#include "simulator/state.h"
#include "simulator/tree.h"
#include "simulator/world.h"

/* What is asked of the maker's collateral service (AMD's KDS, Intel's PCS), and its answer. */
struct atls_sim_question {
    const char *path; /* "/vcek/v1/Milan/crl" */
    void *context;
    const char *(*argument)(void *context, const char *name); /* of the query; NULL: absent */
};
struct atls_sim_answer {
    unsigned int status; /* of HTTP */
    const char *type;    /* of body; NULL: no body */
    struct atls_buf body;
    const char *header; /* one more, of that service; NULL: none */
    struct atls_buf value;
};
void atls_sim_answer_clear(struct atls_sim_answer *answer);

struct atls_sim_maker {
    enum atls_sim_tee tee;
    const char *provider;    /* of configfs-tsm */
    size_t inblob_least;     /* shorter ones are EINVAL; ATLS_SIM_INBLOB_MAX is the most */
    unsigned int attributes; /* 1 << enum atls_sim_tree_attribute: those that are always there */
    unsigned int at_a_floor; /* those that are there when privlevel_floor is not 0 */
    /* Makes keys and identity and keeps them in folder. Errors: ATLS_E_CONFIG, ATLS_E_CRYPTO,
     * ATLS_E_IO, ATLS_E_NOMEM. */
    enum atls_code (*make)(const char *folder, const struct atls_sim_setup *setup,
                           struct atls_err *err);
    /* Reads what make kept. Errors: likewise, ATLS_E_DECODE. */
    enum atls_code (*open)(const char *folder, const struct atls_sim_setup *setup, void **out_self,
                           struct atls_err *err);
    void (*close)(void *self); /* NULL is fine */
    /* Evidence of the machine in state; the request's length was looked at. */
    enum atls_code (*evidence)(void *self, const struct atls_sim_state *state,
                               const struct atls_sim_request *request, struct atls_sim_blobs *out,
                               struct atls_err *err);
    /* Writes roots/, reference/ and collateral/ of folder. */
    enum atls_code (*publish)(void *self, const char *folder, const struct atls_sim_state *state,
                              int64_t time_s, struct atls_err *err);
    /* What the service says, from what publish wrote; NULL: this maker has none. *out has status
     * 404 and is changed on success only. */
    enum atls_code (*answer)(void *self, const char *folder,
                             const struct atls_sim_question *question, struct atls_sim_answer *out,
                             struct atls_err *err);
};

extern const struct atls_sim_maker atls_sim_snp_maker, atls_sim_tdx_maker, atls_sim_cca_maker;

#endif
