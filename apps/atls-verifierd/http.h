/* The HTTP side: one libmicrohttpd daemon a listener, all of one generation. */
#ifndef VERIFIERD_HTTP_H
#define VERIFIERD_HTTP_H

#include "request.h"

struct server;

/* Listens for a generation, which it keeps a reference to. Errors: ATLS_E_CONFIG (address,
 * certificate, key), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code server_start(struct service *service, struct generation *generation,
                                            struct server **out, struct atls_err *err);
/* Loads the files that listeners name, without listening. */
ATLS_MUST_CHECK enum atls_code server_check(const struct config *config, struct atls_err *err);
/* Accepts no more connections, except on listeners for operation when those are to stay; what is
 * open gets its answers and is closed behind them. */
void server_retire(struct server *s, bool keep_operation);
/* Also those that wait for a thread of it. */
size_t server_connections(const struct server *s);
/* Closes what is still open and frees. */
void server_stop(struct server *s);
/* Closes connections, of whatever server, that have outlived their time limits. */
void server_expire(void);

#endif
