/* The demonstration's state, shared by its preparation (demo.c) and its cases (demo_cases.c). */
#ifndef ATLS_APP_DEMO_H
#define ATLS_APP_DEMO_H

#include <openssl/ssl.h>

#include <atls/attester.h>
#include <atls/policy.h>
#include <atls/store.h>
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

struct demo_tee; /* demo_tee.c */

struct demo {
    const struct cli *cli;
    const struct demo_tee *tee; /* of the machines; NULL: they have TPMs */
    struct lab lab;
    struct demo_service service;
    struct atls_attester *attesters[LAB_DEVICES];
    struct atls_passport *passports[LAB_DEVICES];
    struct atls_verifier *verifier; /* local */
    struct atls_verifier *remote[DEMO_TOPOLOGIES];
    struct atls_verifier *fresh; /* DEMO_PASSPORT: results that answer this connection's binder */
    struct atls_policy *policy;
    enum atls_flavour flavour; /* of the cases that run */
    enum atls_freshness freshness;
    bool connecting;  /* the lab is ready */
    size_t good, bad; /* checks that came out as they should, and not */
};

/* Prints one line: what was checked, how it came out, and why. */
void demo_report(struct demo *demo, bool good, const char *what, const char *detail);
/* The same of what a flavour is known not to stop: as expected when it went through. */
void demo_report_gap(struct demo *demo, bool through, const char *what, const char *detail);
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
    bool secret_binder;             /* intra */
};
ATLS_MUST_CHECK enum atls_code demo_config(const struct demo *demo, const struct demo_config *want,
                                           struct atls_config **out, struct atls_err *err);
/* Who appraises in a topology, by the flavour that runs: NULL is the one in this process. */
struct atls_verifier *demo_verifier_of(const struct demo *demo, enum demo_topology topology);
/* A verifier over a store of the lab, by path; rules as verifiers take them, or NULL. */
ATLS_MUST_CHECK enum atls_code demo_verifier(const char *store, const char *const *rules,
                                             struct atls_verifier **out, struct atls_err *err);
/* Opens a device's attester, with a certificate that the identity CA issues for its key. */
ATLS_MUST_CHECK enum atls_code demo_open_attester(struct demo *demo, int device,
                                                  struct atls_err *err);

/* What one case opened; all of it is given back when the case ends. */
struct bench {
    struct demo *demo;
    const void *arg; /* of the case */
    struct atls_attester *attester;
    struct atls_verifier *verifier;
    struct atls_policy *policy;
    struct atls_config *server, *client;
    SSL_CTX *server_tls, *client_tls;
    struct atls_buf recorded; /* what link.recorded borrows from */
    struct link link;
};
/* Opens both ends: configurations and contexts. */
ATLS_MUST_CHECK enum atls_code demo_open_ends(struct bench *bench, const struct demo_config *server,
                                              const struct demo_config *client,
                                              struct atls_err *err);
void demo_clear_bench(struct bench *bench);
/* The usual ends: a server with bench->attester (or the true one), a client that requires it, with
 * bench->verifier and bench->policy where these are set. */
ATLS_MUST_CHECK enum atls_code demo_usual_ends(struct bench *bench, struct atls_err *err);
/* Opens the ends of a case. */
typedef enum atls_code demo_prepare(struct bench *bench, struct atls_err *err);

enum demo_judge { DEMO_BY_CLIENT, DEMO_BY_SERVER };

/* A connection that must be refused. */
struct demo_case {
    const char *what;
    demo_prepare *prepare;
    enum demo_judge judge;    /* who must refuse */
    enum atls_code want_code; /* ATLS_OK: whatever */
    enum atls_reason want;
    const char *names; /* what the message must name, or NULL */
};
/* Runs one that must work: the server attests itself. */
void demo_run_accepted(struct demo *demo, const char *what, demo_prepare *prepare);
/* Runs one; arg is bench->arg. */
void demo_run_case(struct demo *demo, const struct demo_case *tampered, const void *arg);

void demo_run_cases(struct demo *demo, const struct demo_case *cases, size_t count);
/* A new store at path that holds what the lab's holds; *out is the caller's to close. */
ATLS_MUST_CHECK enum atls_code demo_copy_store(const struct demo *demo, const char *path,
                                               struct atls_store **out, struct atls_err *err);

/* Ways to prepare a case that any attester is good for. */
demo_prepare demo_other_binder; /* evidence made for another connection */
demo_prepare demo_old_evidence; /* evidence of an earlier connection */
demo_prepare demo_other_key;    /* evidence beside a key that is not its own */
demo_prepare demo_relayed;      /* a man in the middle */
demo_prepare demo_replayed;     /* an authenticator of an earlier connection */
demo_prepare demo_tamper_pcr;
demo_prepare demo_tls12; /* a server that speaks TLS 1.2 only */
demo_prepare demo_plain; /* a server that speaks TLS 1.3 and nothing of attestation */
demo_prepare demo_does_not_attest;
demo_prepare demo_client_does_not_attest;
demo_prepare demo_equal_keys;
demo_prepare demo_soft_not_asked_for;
demo_prepare demo_soft_evidence;
demo_prepare demo_wrong_name;
demo_prepare demo_passport_of_another;
demo_prepare demo_changed_before; /* PCR 7 was extended */

/* Runs the cases of a flavour: the good ones, then the tampered ones (of flavour post). */
void demo_run_good(struct demo *demo);
void demo_run_tampered(struct demo *demo);
/* A machine that changes, in flavour post; PCR 7 is extended then. */
void demo_run_changed(struct demo *demo);

/* --flavour: "post", "intra", "pre" or "all". */
struct demo_flavours {
    bool run[ATLS_FLAVOUR_PRE + 1];
};
bool demo_flavours_find(const char *name, struct demo_flavours *out);
/* Runs all cases of these, machines with TPMs. */
void demo_flavours_run(struct demo *demo, const struct demo_flavours *flavours);

/* The machines of --tee: NULL when there is no such technology. */
const struct demo_tee *demo_tee_find(const char *name);
/* Starts them and makes demo->lab.store. Errors name the step. */
ATLS_MUST_CHECK enum atls_code demo_tee_prepare(struct demo *demo, struct atls_err *err);
/* What must be refused, and a policy that names its machines. */
void demo_tee_run(struct demo *demo);

#endif
