/* Jobs of a session: authenticators of ours to be made, authenticators of the peer to be judged. */
#ifndef ATLS_FLAVOUR_POST_JOB_H
#define ATLS_FLAVOUR_POST_JOB_H

#include <atls/ea.h>
#include <atls/session.h>

#include "flavour/base/job.h"

enum atls_post_job_type { ATLS_JOB_ATTEST = 1, ATLS_JOB_APPRAISE = 2 };

struct atls_post_job {
    struct atls_job base;
    enum atls_post_job_type type;
    uint32_t id; /* of the request */
    enum atls_hash hash;
    uint8_t exported[32]; /* first half of the binder (bind/binder.h) */

    /* ATLS_JOB_ATTEST */
    struct atls_ea_answer *answer;
    enum atls_signature scheme;
    uint32_t frame_max;              /* largest frame that the peer takes */
    struct atls_proof proof;         /* but for the binder */
    struct atls_attester_call *call; /* evidence under way, or NULL */

    /* ATLS_JOB_APPRAISE */
    struct atls_ea_validation *validation;
    enum atls_role role;      /* ours */
    char *peer_name;          /* or NULL */
    struct atls_buf tls_spki; /* of the peer's TLS leaf */
    struct atls_buf known;    /* AIK of an earlier acceptance on this connection; or empty */

    /* What is judged (appraise), what was made (attest). */
    struct atls_buf authenticator;

    /* Outcome beside that of base. */
    uint16_t refusal;           /* code for the peer when base.code is not ATLS_OK */
    struct atls_result *result; /* as soon as there is one, also when it was refused */
    struct atls_buf spki, certificate;
};

/* A job of config (gets a reference of its own); freed by atls_job_free. NULL: out of memory. */
struct atls_post_job *atls_post_job_new(enum atls_post_job_type type, struct atls_config *config);

#endif
