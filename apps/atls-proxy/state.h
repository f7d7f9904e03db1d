/* What connections are made from: one immutable generation per reading of the configuration, with
 * attesters, verifiers, policies and TLS contexts opened. Attesters, verifiers and policies whose
 * configuration and files did not change live on from one generation to the next; open connections
 * are judged by those of the newest (judge.h).
 *
 * A link keeps a reference to the generation it began in, until its ends are freed. */
#ifndef PROXY_STATE_H
#define PROXY_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <openssl/ssl.h>

#include <atls/config.h>

#include "config.h"
#include "judge.h"
#include "link.h"
#include "metrics.h"

struct generation;

/* An attested end. */
struct state_side {
    const struct config_side *config;
    struct atls_config *attested; /* NULL: this end is plain */
    SSL_CTX *tls;                 /* prepared for it, with the name that the peer must have */
    struct judge *judge;          /* NULL: nothing is required of the peer */
    struct opened_verifier *verifier;
    struct opened_policy *policy;
    _Atomic uint64_t asked; /* judge_turn at which links were asked to attest again */
};

/* What counts over generations: of the routes of one name. */
struct state_tally {
    struct state_tally *next;
    unsigned refs; /* under the state's lock */
    char name[64];
    atomic_llong open; /* connections */
};

struct state_route {
    struct generation *generation;
    const struct config_route *config;
    struct state_side side[2]; /* by enum link_side_number */
    struct state_tally *tally;
    struct metrics_route *metrics;
    struct link_route link;
    struct link_hooks hooks; /* of link; set by hooks_set */
};

/* A listener of this generation. */
struct state_door {
    struct generation *generation;
    const struct config_listener *config;
    struct state_route *routes[CONFIG_SHARE_MAX]; /* config->route_count */
    struct link_source source;                    /* its functions are set by hooks_set */
};

/* A file as it was when it was read. */
struct state_file {
    const char *path; /* of the configuration */
    bool is_store;    /* its content changes, and another file in its place counts only */
    bool there;
    struct stat stat;
};

struct opened_attester {
    const struct config_attester *config;
    struct atls_attester *attester;
    struct atls_passport *passport; /* or NULL */
    struct metrics_part *metrics;
    atomic_bool proven; /* has made evidence */
};
struct opened_verifier {
    const struct config_verifier *config;
    struct atls_verifier *verifier;
    struct metrics_part *metrics;
    bool counts;                 /* has a generation (atls_verifier_generation) */
    _Atomic uint64_t generation; /* that connections are judged by, or asked again for */
};
struct opened_policy {
    const struct config_policy *config; /* NULL: the built-in one */
    struct atls_policy *policy;
};

/* A configuration, which several generations may have. */
struct state_config {
    atomic_uint refs;
    struct config *config;
};

struct generation {
    struct generation *next; /* of those that are there, under the state's lock */
    struct state_config *shared;
    const struct config *config;
    struct opened_attester *attesters; /* in the configuration's order, as are the next */
    struct opened_verifier *verifiers;
    struct opened_policy *policies; /* and behind them the built-in one */
    struct state_route *routes;
    struct state_door *doors;
    struct state_file *files;
    size_t file_count;
    unsigned number;
    atomic_uint refs;
};

/* Opens what config names; takes config on success. before: the generation that runs, whose objects
 * are taken over where they are the same; or NULL. Blocks, one thread at a time. Errors: those of
 * the libraries, with "FILE:LINE: ..." before the message. */
ATLS_MUST_CHECK enum atls_code generation_new(struct config *config, struct generation *before,
                                              struct generation **out, struct atls_err *err);
/* The same configuration once more, with its files as they are now. */
ATLS_MUST_CHECK enum atls_code generation_renew(struct generation *before, struct generation **out,
                                                struct atls_err *err);
/* It is the one from now on: its verifiers and policies judge open connections of earlier ones,
 * too, as soon as these attest again. */
void generation_commit(struct generation *g);
struct generation *generation_ref(struct generation *g);
/* NULL is fine. Never blocks: what nobody has any more waits for generation_bury. */
void generation_unref(struct generation *g);
/* Frees those that nobody has any more. Blocks. */
void generation_bury(void);
/* For each that somebody has, newest first; a reference is held meanwhile. */
void generation_each(void (*visit)(void *arg, struct generation *g), void *arg);

struct state_stale {
    uint64_t sum;    /* is another when any file is */
    time_t latest_s; /* when the last of those that are others was written */
};
/* Whether a file that its objects were made of is there, and another now: the path of the first, or
 * NULL. Blocks. */
const char *generation_stale(const struct generation *g, struct state_stale *out);

#endif
