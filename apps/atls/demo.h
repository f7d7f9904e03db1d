/* The demonstration's state, shared by its preparation (demo.c) and its cases (demo_cases.c). */
#ifndef ATLS_APP_DEMO_H
#define ATLS_APP_DEMO_H

#include <openssl/ssl.h>

#include <atls/attester.h>
#include <atls/policy.h>
#include <atls/verifier.h>

#include "cli.h"
#include "demo_lab.h"
#include "demo_link.h"
#include "demo_service.h"

/* Who appraises what the peer shows (RFC 9334 section 5). */
enum demo_topology {
    DEMO_LOCAL,    /* a verifier in the process of the relying party */
    DEMO_SERVICE,  /* background check: a service, over HTTPS */
    DEMO_PASSPORT, /* the attester asked the service before, and shows its result */
    DEMO_TOPOLOGIES
};

struct demo {
    const struct cli *cli;
    struct lab lab;
    struct demo_service service;
    struct atls_attester *attesters[LAB_DEVICES];
    struct atls_passport *passports[LAB_DEVICES];
    struct atls_verifier *verifier; /* local */
    struct atls_verifier *remote[DEMO_TOPOLOGIES];
    struct atls_policy *policy;
    SSL_CTX *server_tls, *client_tls;
    size_t good, bad; /* checks that came out as they should, and not */
};

/* Prints one line: what was checked, how it came out, and why. */
void demo_report(struct demo *demo, bool good, const char *what, const char *detail);
/* A title above some lines. */
void demo_title(const struct demo *demo, const char *title);
/* False once a signal asked the demonstration to stop. */
bool demo_goes_on(void);

/* Options of a configuration; zeros are the usual. */
struct demo_config {
    struct atls_attester *attester; /* ours, or NULL */
    bool require_peer;
    struct atls_verifier *verifier; /* NULL: the demonstration's */
    struct atls_policy *policy;     /* NULL: the built-in one */
    struct atls_passport *passport; /* of the attester, or NULL */
    bool soft;                      /* software evidence is negotiated, too */
};
ATLS_MUST_CHECK enum atls_code demo_config(const struct demo *demo, const struct demo_config *want,
                                           struct atls_config **out, struct atls_err *err);
/* A verifier over a store of the lab, by path. */
ATLS_MUST_CHECK enum atls_code demo_verifier(const char *store, struct atls_verifier **out,
                                             struct atls_err *err);

/* Runs the cases: the good ones, then the tampered ones. */
void demo_run_good(struct demo *demo);
void demo_run_tampered(struct demo *demo);

#endif
