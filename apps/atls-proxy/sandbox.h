/* What the process gives up once its sockets are bound: its user, and what a relay never needs.
 * While it has one thread: later ones inherit. */
#ifndef PROXY_SANDBOX_H
#define PROXY_SANDBOX_H

#include "config.h"

/* Becomes config's user and group with the user's other groups, for good, and gains no privilege
 * again. Nothing but the last when no user is named. Errors: ATLS_E_CONFIG with what is missing. */
ATLS_MUST_CHECK enum atls_code sandbox_become(const struct config *config, struct atls_err *err);

/* Files (Landlock): nothing is executed, and written only where stores, sockets, devices and
 * temporary files are. System calls (seccomp): a list of those that a relay has no use for fails
 * with EPERM. As far as the kernel can; what it cannot is logged. Errors: ATLS_E_IO. */
ATLS_MUST_CHECK enum atls_code sandbox_enter(const struct config *config, struct atls_err *err);

#endif
