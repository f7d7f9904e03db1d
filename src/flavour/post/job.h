/* Slow work of a session, taken out of it: making evidence, appraising evidence. A job owns or
 * references everything that it needs, so that it may run on any thread and outlive its session. */
#ifndef ATLS_FLAVOUR_POST_JOB_H
#define ATLS_FLAVOUR_POST_JOB_H

#include <atls/ea.h>
#include <atls/session.h>

#include "flavour/post/config.h"

enum atls_job_type { ATLS_JOB_ATTEST = 1, ATLS_JOB_APPRAISE = 2 };

struct atls_job {
    enum atls_job_type type;
    struct atls_job *next;            /* in the session's queue */
    const struct atls_session *owner; /* compared, never looked into */
    struct atls_config *config;       /* referenced */
    uint32_t id;                      /* of the request */
    enum atls_hash hash;
    uint8_t exported[32]; /* first half of the binder (bind/binder.h) */

    /* ATLS_JOB_ATTEST */
    struct atls_ea_answer *answer;
    enum atls_signature scheme;
    uint32_t frame_max;              /* largest frame that the peer takes */
    bool shows_result;               /* a result of the passport instead of evidence */
    bool echoes_binder;              /* made for this connection */
    unsigned int profiles;           /* enum atls_evidence_profile: those that the peer takes */
    struct atls_attester_call *call; /* evidence under way, or NULL */

    /* ATLS_JOB_APPRAISE */
    struct atls_ea_validation *validation;
    enum atls_role role;      /* ours */
    char *peer_name;          /* or NULL */
    struct atls_buf tls_spki; /* of the peer's TLS leaf */
    struct atls_buf known;    /* AIK of an earlier acceptance on this connection; or empty */

    /* What is judged (appraise), what was made (attest). */
    struct atls_buf authenticator;

    /* Outcome; a job that never ran has failed. */
    enum atls_code code;
    struct atls_err err;
    uint16_t refusal;           /* code for the peer when code is not ATLS_OK */
    struct atls_result *result; /* as soon as there is one, also when it was refused */
    struct atls_buf spki, certificate;
};

/* A job of config (gets a reference of its own). NULL: out of memory. */
struct atls_job *atls_job_new(enum atls_job_type type, struct atls_config *config);

#endif
