/* The state of one connection, and what its parts (connection.c, stage.c) share. */
#ifndef ATLS_TLS_OPENSSL_CONNECTION_H
#define ATLS_TLS_OPENSSL_CONNECTION_H

#include <atls/openssl.h>

#include "flavour/base/config.h"
#include "tls/openssl/flavour.h"

struct atls_openssl {
    SSL *ssl;
    struct atls_config *config;       /* referenced */
    char *peer_name;                  /* or NULL */
    struct atls_handshake *handshake; /* of the SSL; NULL with flavour post */
    struct atls_session *session;     /* NULL until the handshake is finished */
    int64_t handshake_deadline_ms;
    int64_t looked_ms;  /* when input was last looked for */
    bool write_blocked; /* output waits for the socket */
    bool blocking;
    bool end_due, end_said; /* close_notify, behind the output: our data have ended */
    bool broken;            /* TLS failed: nothing more can be said over it */
    struct atls_err error;  /* why */
    int fd, fd_flags;       /* of a blocking connection */
};

int64_t atls_connection_now_ms(const struct atls_openssl *c);

/* ---- what came of a call of OpenSSL ---- */

enum io { IO_DONE, IO_WANT_READ, IO_WANT_WRITE, IO_WANT_JOB, IO_END, IO_FAILED };

/* Before the call. */
void atls_io_begin(void);
/* Judges its return value; err is set for IO_FAILED only, and then the session has ended. */
enum io atls_io_judge(struct atls_openssl *c, int returned, const char *what, struct atls_err *err);

/* ---- the handshake ---- */

/* Prepares c->ssl for the flavour. Errors: as atls_openssl_attach. */
ATLS_MUST_CHECK enum atls_code atls_connection_attach(struct atls_openssl *c, struct atls_err *err);
/* Goes as far as it can; a blocking connection runs jobs here. ATLS_OK: c->session is there, or
 * *want says what to wait for. */
ATLS_MUST_CHECK enum atls_code
atls_connection_handshake(struct atls_openssl *c, enum atls_want *want, struct atls_err *err);

#endif
