/* The verifier service of the demonstration: atls-verifierd as a process of its own, over HTTPS on
 * the loopback, with the lab's store. */
#ifndef ATLS_APP_DEMO_SERVICE_H
#define ATLS_APP_DEMO_SERVICE_H

#include <sys/types.h>

#include "demo_lab.h"

struct demo_service {
    pid_t pid;              /* 0: not running */
    char url[64];           /* "https://localhost:PORT" */
    char ca_file[LAB_PATH]; /* who vouches for its certificate */
};

/* Makes a signing key in the store, a certificate of the identity CA, and starts the daemon: the
 * one beside this program, or of $ATLS_VERIFIERD, or of the PATH. It is there for requests when
 * this returns: it inherits the listening socket. Errors: ATLS_E_IO, those of store and lab. */
ATLS_MUST_CHECK enum atls_code demo_service_start(const struct lab *lab, struct demo_service *out,
                                                  struct atls_err *err);
/* Ends it and waits for that. */
void demo_service_stop(struct demo_service *service);

#endif
