/* Connections of the demonstration: two ends in this process over a socket pair, real TLS between
 * them, and who may sit at the server's end or in the middle. */
#ifndef ATLS_APP_DEMO_LINK_H
#define ATLS_APP_DEMO_LINK_H

#include <openssl/ssl.h>

#include <atls/config.h>
#include <atls/openssl.h>

#include "demo_lab.h"

#define LINK_DATA_LEN (1024 * 1024)

/* One end that keeps the rules. */
struct link_side {
    struct atls_config *config;
    SSL_CTX *tls;
};

struct link;

/* Whoever sits at the server's end of fd; runs on a thread of its own, does not close fd. */
typedef void link_server(struct link *link, int fd);

struct link {
    struct link_side server, client;
    link_server *serve;         /* NULL: a server that keeps the rules */
    struct atls_bytes recorded; /* what replaying servers replay */
    SSL_CTX *plain;             /* of servers that are no attested ones (link_plain) */
    SSL_SESSION *ticket;        /* the client resumes this session; or NULL */
    /* Called on the client's thread after the first exchange; then the server must attest again. */
    enum atls_code (*between)(void *arg, struct atls_err *err);
    void *arg;

    /* What came of it. */
    struct atls_err server_err, client_err;
    bool data_moved;       /* LINK_DATA_LEN bytes arrived whole: the digests agree */
    uint32_t attestations; /* of the server by the client */
    char server_peer[160], client_peer[160]; /* whom each side attested */
};

/* Runs one connection to its end. */
void link_run(struct link *link);

/* Servers that do not keep the rules. */
link_server link_in_the_middle; /* passes frames between the client and the true server */
link_server link_replay;        /* says again what a true server said on an earlier connection */
link_server link_early_data;    /* sends data before it has attested itself */
link_server link_plain;         /* speaks TLS as link->plain does, and nothing of attestation */
link_server link_passes_on;     /* flavour pre: shows the true server's certificate, has its key (of
                                   link->plain), and passes everything on */

/* Has link->plain give a ticket to a client of its own, for link->ticket. */
ATLS_MUST_CHECK enum atls_code link_take_ticket(struct link *link, struct atls_err *err);

/* Connects to the true server as a client that keeps the rules, and records all it says. *out is
 * the caller's to clear. */
ATLS_MUST_CHECK enum atls_code link_record(struct link *link, struct atls_buf *out,
                                           struct atls_err *err);

#endif
