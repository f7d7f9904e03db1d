/* One end of a link: a socket, plain or with attested TLS. Sockets are non-blocking and watched
 * edge-triggered, once, for all their life: an end remembers what it was told. One thread, that of
 * its loop. */
#ifndef PROXY_END_H
#define PROXY_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <atls/openssl.h>

#include "loop.h"

enum end_state {
    END_NONE = 0, /* no socket */
    END_DIALLING, /* connect(2) is under way */
    END_SHAKING,  /* TLS handshake */
    END_GATED,    /* attestation; or the right to send was withdrawn */
    END_OPEN,     /* data may move */
    END_FAILED,   /* err says why */
};

/* What came of reading or writing. */
enum end_moved {
    END_MOVED = 0,
    END_BLOCKED, /* ready is called when it is worth trying again */
    END_ENDED,   /* reading: the peer's data have ended; writing: the peer takes no more */
    END_BROKEN,  /* err says why */
};

/* What leaves a TLS end: records gathered for fewer system calls. */
struct end_output {
    uint8_t *buffer; /* of the loop; NULL when empty */
    size_t start, end;
    bool last; /* what tells the peer of the end may use the reserve */
};

struct end {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer linger;
    void (*ready)(struct end *end);  /* something may go on */
    void (*closed)(struct end *end); /* of end_close */
    void *arg;
    enum end_state state;
    bool readable, writable; /* not known to be otherwise */
    bool hung_up;            /* reset, or both directions closed */
    SSL *ssl;                /* NULL: plain */
    struct atls_openssl *conn;
    bool framed;     /* one direction can end alone, or the other way round for raw streams */
    bool wants_job;  /* conn has jobs to give out */
    bool read_ended; /* the peer's data have ended and were read */
    bool said_end;   /* ours have */
    bool opened;     /* has been open */
    bool buffered;   /* TLS may hold data that the socket no longer has */
    struct end_output out;
    struct atls_err err;
    uint64_t received, sent; /* application data, bytes */
};

/* An end over a socket, which it takes over (also on failure). Plain: open at once, or when it is
 * connected. Errors: ATLS_E_IO, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code end_open(struct end *end, struct loop *loop, int fd, bool dialling,
                                        struct atls_err *err);
/* Attested TLS over an open end; peer_name NULL: server side. Errors: ATLS_E_NOMEM, ATLS_E_TLS,
 * those of atls_openssl_new. */
ATLS_MUST_CHECK enum atls_code end_secure(struct end *end, SSL_CTX *ctx, struct atls_config *config,
                                          bool server, const char *peer_name, struct atls_err *err);

/* Goes on with what is not data: connect, handshake, attestation, frames, deadlines, output. */
void end_step(struct end *end);
/* What reads data, and what writes data; ENDED and BROKEN stay. *out_len is set for MOVED. Of a
 * TLS end, LOOP_BUFFER_HEADROOM bytes before buf are overwritten, and after MOVED with less than
 * len or BLOCKED the next call must bring the same data that was not taken. */
enum end_moved end_read(struct end *end, uint8_t *buf, size_t len, size_t *out_len);
enum end_moved end_write(struct end *end, uint8_t *buf, size_t len, size_t *out_len);
/* Sends what was gathered; what the socket does not take now goes out later. */
void end_flush(struct end *end);
/* Whether everything that was written is with the kernel. */
bool end_flushed(const struct end *end);
/* Whether our end can be told without the peer's: not in raw mode of flavour post. */
bool end_can_half_close(const struct end *end);
/* Our data end here; behind them the peer is told. */
void end_shut(struct end *end);

/* When end_step must be called at the latest, of loop_now_ms; INT64_MAX: never. */
int64_t end_deadline_ms(const struct end *end);
/* Gives back what only busy ends need. */
void end_rest(struct end *end);

/* Tells the peer, which gets a moment to read it: closed is called on a later turn, or in this
 * call when there is nothing to wait for. */
void end_close(struct end *end);
/* At once, without telling anybody; a reset when abort. closed is not called. */
void end_free(struct end *end, bool abort);

#endif
