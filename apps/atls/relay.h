/* One attested connection between a socket and the application's descriptors, driven to its end by
 * one thread: handshake, attestation, data both ways, re-attestation. */
#ifndef ATLS_APP_RELAY_H
#define ATLS_APP_RELAY_H

#include <stdatomic.h>

#include <openssl/ssl.h>

#include <atls/openssl.h>

#include "cli.h"

#define RELAY_BUFFER 16384

struct relay_buffer {
    uint8_t data[RELAY_BUFFER];
    size_t start, end;
};

struct relay {
    SSL *ssl; /* the relay's, over a non-blocking socket that is the relay's too */
    int fd;
    struct atls_openssl *conn;
    bool raw;   /* of flavour post: one end for both directions */
    bool plain; /* flavours intra and pre: application data alone; close_notify ends a direction */
    bool attests; /* this side has an attester */

    int from_app;       /* read here and sent to the peer; -1: nothing (more) to send */
    int to_app;         /* what the peer sent goes here; -1: nowhere */
    bool app_is_socket; /* non-blocking, and shut down when the peer has ended */
    bool echo;          /* what the peer sent goes back to it */

    int wake_fd;              /* readable when one of the flags below was set; or -1 */
    atomic_bool reattest_now; /* ask the peer to attest again */
    atomic_bool stop_now;     /* end the connection in order */

    /* Called once the gate has opened, before any data: sets from_app and to_app; or NULL when
     * these are there from the start. */
    enum atls_code (*connect_app)(void *arg, struct relay *relay, struct atls_err *err);
    /* Called when the gate opens and at each later acceptance of the peer. */
    void (*attested)(void *arg, struct relay *relay);
    void *arg;

    struct relay_buffer to_peer, from_peer;
    uint64_t sent, received;
    uint32_t attestations; /* as last told to attested */
    bool opened;
    bool said_end;   /* our end was announced to the peer */
    bool told_app;   /* the peer's end was announced to the application */
    bool app_failed; /* the peer must not take what it got for all there is */
};

/* Runs the connection to its end. ATLS_OK after an orderly one. relay->conn must have been made by
 * atls_openssl_new; it and ssl stay the caller's to free by relay_clear. */
ATLS_MUST_CHECK enum atls_code relay_run(struct relay *relay, struct atls_err *err);
/* Tells the peer as far as it goes, frees connection, TLS and socket. Where the application failed
 * the peer sees a connection that broke, not one that ended. */
void relay_clear(struct relay *relay);

/* Of a peer that shows no attestation, and passed because it may. */
#define RELAY_UNATTESTED "peer: not attested (optional)"
bool relay_peer_is_unattested(const struct relay *relay);
/* What is known of the peer, for people and machines. */
json_t *relay_peer_json(const struct relay *relay);
void relay_print_peer(const struct relay *relay, FILE *stream, const char *indent);
/* ", the client did not ask us to attest", when we could have; else "". Static. */
const char *relay_not_shown(const struct relay *relay);
/* One line without newline: "tpm, instance 01.., affirming". */
void relay_peer_line(const struct relay *relay, char *out, size_t size);

#endif
