/* What requests are answered from: one immutable generation per reading of the configuration, with
 * the tenants' stores, issuers and credentials. Stores, and with them the sessions, live on from
 * one generation to the next.
 *
 * A store that cannot be reached, or that has no key yet, does not keep the daemon from starting:
 * that tenant answers 503, and upkeep tries again. */
#ifndef VERIFIERD_STATE_H
#define VERIFIERD_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <atls/issuer.h>
#include <atls/policy.h>
#include <atls/store.h>

#include "config.h"

struct shared_store; /* a store that is open, or to be opened */

struct token {
    const char *name;
    uint8_t sha256[32];
};

struct tenant {
    const struct config_tenant *config;
    struct shared_store *shared;
    struct atls_policy *policy;           /* or NULL */
    _Atomic(struct atls_issuer *) issuer; /* read it by tenant_issuer */
    pthread_mutex_t making;               /* held while it is made */
    atomic_llong tried_ms;                /* when that was tried last, monotonic; 0: never */
    struct token tokens[CONFIG_CLIENTS_MAX];
    size_t token_count;
    struct atls_buf anchors;     /* PEM */
    struct atls_buf signer_spki; /* DER */
    char *accept_json;           /* media types of evidence as a JSON array; NULL before there is
                                    an issuer, see tenant_accept */
    char *accept_header;         /* the same as one header */
    atomic_bool ready;           /* by the last upkeep */
    char not_ready[200];         /* why; one writer, read under the state's lock */
};

struct generation {
    struct config *config;
    struct tenant *tenants; /* config->tenant_count */
    unsigned number;
    atomic_uint refs;
    atomic_bool retired; /* a newer one is there: connections end after their answer */
};

/* Opens what config names; takes config on success. With strict (--check-config) everything has to
 * be there, and stores are only read; without, a store that cannot be reached or has no key waits
 * for upkeep. Errors: those of the libraries, "tenant NAME: ..." before the message. */
ATLS_MUST_CHECK enum atls_code generation_new(struct config *config, bool strict,
                                              struct generation **out, struct atls_err *err);
struct generation *generation_ref(struct generation *g);
void generation_unref(struct generation *g); /* NULL is fine */

/* NULL when it is not open yet. */
struct atls_store *tenant_store(const struct tenant *t);
/* NULL when there are no keys or no trust anchors yet; looks for them, though not too often. */
struct atls_issuer *tenant_issuer(struct tenant *t);
/* Has the next tenant_issuer look at once: the store has got something new. */
void tenant_changed(struct tenant *t);
/* Media types of evidence as a JSON array. */
const char *tenant_accept(const struct tenant *t);
/* Opens, pings and sweeps all stores of a generation; makes issuers that are missing. May block as
 * long as databases do. One thread at a time. */
void generation_upkeep(struct generation *g, int64_t now_s);
/* Copies why a tenant is not ready, "" when it is. */
void tenant_why(struct tenant *t, char *out, size_t size);

int64_t now_wall_s(void);
int64_t now_ms(void); /* monotonic */
int64_t now_us(void); /* monotonic */

#endif
