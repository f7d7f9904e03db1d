/* One end of a link: a socket, plain or with attested TLS. Sockets are non-blocking and watched
 * edge-triggered, once, for all their life: an end remembers what it was told. One thread, that of
 * its loop. */
#ifndef PROXY_END_H
#define PROXY_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/openssl.h>

#include "loop.h"

enum end_state {
    END_NONE = 0, /* no socket */
    END_DIALLING, /* connect(2) is under way */
    END_SHAKING,  /* TLS handshake */
    END_GATED,    /* attestation; or the right to send was withdrawn */
    END_OPEN,     /* data may move */
    END_FAILED,   /* err says why */
    END_CLOSING,  /* the peer is told */
};

/* What came of reading or writing. */
enum end_moved {
    END_MOVED = 0,
    END_BLOCKED, /* ready is called when it is worth trying again, or a job is to be done */
    END_ENDED,   /* reading: the peer's data have ended; writing: the peer takes no more */
    END_BROKEN,  /* err says why */
};

/* Records on their way to the socket, gathered for fewer system calls. */
struct end_output {
    uint8_t *buffer; /* of the loop; NULL when there is nothing in it */
    size_t start, end;
    size_t expected; /* bytes of records that the call under way will still bring, about */
    bool held;       /* the kernel waits for more */
    bool last;       /* what tells of the end may use the reserve */
};

/* One side of a link as its end sees it. */
struct end_security {
    SSL_CTX *ctx;               /* prepared for config */
    struct atls_config *config; /* ctx is for it */
    enum atls_flavour flavour;  /* of config, and raw, too */
    bool raw;
    bool server;
    const char *peer_name; /* of the server, for a client */
};

struct end {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer timer;
    void (*ready)(struct end *end);  /* something may go on */
    void (*closed)(struct end *end); /* after end_close; the end is NONE */
    void *arg;
    enum end_state state;
    bool readable, writable; /* not known to be otherwise */
    bool urgent;             /* urgent data have come, of TCP */
    bool half_closed;        /* the peer's end of the stream is in the socket */
    bool hung_up;            /* reset, or both directions are closed */
    bool reset;
    int broke;    /* errno of what the socket refused; 0: nothing yet */
    bool cut_off; /* TLS was told that the socket has ended or is broken */
    bool cutting; /* closing, to be reset once the peer has our data, at cut_ms at the latest */
    int64_t cut_ms;
    bool raw;         /* one direction cannot end alone */
    bool ends_by_tls; /* our end of data is close_notify */
    bool shaken;      /* the TLS handshake is done */
    bool opened;      /* has been open */
    bool read_ended;  /* the peer's data have ended and were read */
    bool said_end;    /* ours have ended */
    bool shut_due;    /* shutdown(2), behind the output */
    SSL *ssl;         /* NULL: plain */
    struct atls_openssl *conn;
    struct end_output out;
    struct atls_err err;
    uint64_t received, sent; /* data, bytes */
};

/* An end over a non-blocking socket, which it takes over, on failure as well; ready, closed and arg
 * are set, the rest is zeroed. dialling: connect(2) said EINPROGRESS. Errors: ATLS_E_IO. */
ATLS_MUST_CHECK enum atls_code end_open(struct end *end, struct loop *loop, int fd, bool dialling,
                                        struct atls_err *err);
/* Has an open end speak attested TLS. Errors: ATLS_E_NOMEM, ATLS_E_TLS, those of atls_openssl_new;
 * the end is as it was. */
ATLS_MUST_CHECK enum atls_code end_secure(struct end *end, const struct end_security *security,
                                          struct atls_err *err);

/* Goes on with all that is not data: connect, handshake, attestation, frames, deadlines, output.
 * What came of it is the state. True when there are jobs to be had: end_job. */
bool end_step(struct end *end);
/* The next job, or NULL; the caller's to run and to give back. */
struct atls_job *end_job(struct end *end);
void end_complete(struct end *end, struct atls_job *job);

/* How much data is best read or written at once: whole TLS records. */
#define END_BATCH ((size_t)32760)

/* Data, only in state OPEN; *out_len is set with MOVED. end_write may gather: end_flush sends. */
enum end_moved end_read(struct end *end, uint8_t *buf, size_t len, size_t *out_len);
/* The LOOP_BUFFER_HEADROOM bytes before buf are overwritten, and so are bytes that were taken.
 * After BLOCKED, or MOVED with less than len, the same bytes that were not taken must be brought
 * next. */
enum end_moved end_write(struct end *end, uint8_t *buf, size_t len, size_t *out_len);
/* Has the socket take what was gathered; what it does not take goes out later. False: broken. */
bool end_flush(struct end *end);
/* Whether everything that was written is with the kernel. */
bool end_flushed(const struct end *end);
/* Our data end here, and the peer is told, behind them. With a raw end this ends both directions.
 */
void end_shut(struct end *end);

/* When end_step must be called at the latest, of loop_now_ms; INT64_MAX: never. */
int64_t end_deadline_ms(const struct end *end);
/* Gives back memory that only busy ends need, and the result about the peer. */
void end_rest(struct end *end);
/* NULL before the handshake is done, and with plain ends. */
struct atls_session *end_session(const struct end *end);

/* Tells the peer, which gets half a second to read it; then closes the socket. closed is called in
 * the course of this call or later. */
void end_close(struct end *end);
/* The same, but of a stream that broke off: the peer must not take what it got for all of it, nor
 * believe that what it sent was taken. Attested: no CLOSE and no close_notify; plain: a reset.
 * Where our data had ended in order, the peer has time to take them before. */
void end_cut(struct end *end);
/* At once, without telling anybody; closed is not called. Any state. */
void end_free(struct end *end);

#endif
