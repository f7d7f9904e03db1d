/* Attestation inside of the handshake (flavours intra and pre): the state of one connection, which
 * hangs on its SSL, where the callbacks of the SSL_CTX find it, and what a flavour does in them.
 *
 *     ClientHello read (server)      client_hello
 *     certificate callback           own_job, own_done       client: after the server's
 * CertificateVerify verification of the peer       peer_job, peer_done     chain received,
 * possession not yet proven handshake finished             finish
 *
 * Slow work is a job. Whoever drives the handshake (handshake stage of struct atls_openssl) gets
 * it where OpenSSL can pause; elsewhere the callback runs it. */
#ifndef ATLS_TLS_OPENSSL_FLAVOUR_H
#define ATLS_TLS_OPENSSL_FLAVOUR_H

#include <openssl/ssl.h>

#include <atls/limits.h>
#include <atls/session.h>

#include "flavour/base/config.h"
#include "flavour/base/job.h"

struct atls_flavour_hooks;

/* Slow work of a callback. */
enum atls_work_state {
    ATLS_WORK_NONE = 0,
    ATLS_WORK_READY = 1, /* job is to be given out */
    ATLS_WORK_OUT = 2,   /* job is with the program */
    ATLS_WORK_BACK = 3,  /* job was run */
    ATLS_WORK_DONE = 4,  /* its outcome was taken; or there was nothing to do */
};
struct atls_work {
    enum atls_work_state state;
    struct atls_job *job; /* owned in READY and BACK */
};

/* One connection. Made by atls_handshake_attach, freed with the SSL. One thread at a time. */
struct atls_handshake {
    SSL *ssl;
    const struct atls_flavour_hooks *hooks;
    struct atls_config *config; /* referenced */
    enum atls_role role;
    char *peer_name; /* or NULL */
    void *own;       /* of the flavour; freed by its hook; NULL once passed */
    bool gives_jobs; /* a struct atls_openssl drives the handshake */
    bool abandoned;  /* no job will come back */
    struct atls_work own_work, peer_work, sign_work;
    bool shown;   /* our attestation went out */
    bool excused; /* the peer's certificate came without attestation, which is optional, and
                     passed what vouches for it instead */
    struct atls_result *result;        /* of the accepted peer, or NULL */
    struct atls_buf spki, certificate; /* of that peer: DER key and end-entity certificate */
    void (*info)(const SSL *ssl, int where, int ret); /* the program's state callback, or NULL */
    /* The program's, of the BIOs that are shut; or NULL. */
    BIO_callback_fn_ex read_callback, write_callback;
    int read_ahead;                   /* as the program had it */
    bool shut;                        /* the SSL, by us, since the handshake ended */
    bool passed;                      /* all post-conditions hold; the SSL is open */
    bool begun, bound;                /* the handshake; random is there */
    uint8_t random[SSL3_RANDOM_SIZE]; /* ours, of the handshake that all this is about */
    struct atls_session *session;     /* once passed, until a struct atls_openssl takes it */
    struct atls_err error;            /* the first failure: nothing succeeds after it */
};

/* The peer as TLS shows it, in verification; everything borrows. */
struct atls_tls_peer {
    struct atls_bytes chain[ATLS_CHAIN_MAX]; /* DER, end entity first, as received */
    size_t chain_len;
    struct atls_bytes spki; /* of chain[0], as it stands there */
    bool verified;          /* X509_verify_cert accepted it; not asked where evidence vouches */
    bool attests;           /* shows attestation, or agreed to; else peer_optional counts */
};

/* A flavour. Hooks that fail set h->error through their caller; all run on the thread that drives
 * the handshake, on 32 KiB of stack under SSL_MODE_ASYNC: no deep calls but in jobs. A hook that is
 * NULL has nothing to do. */
struct atls_flavour_hooks {
    /* Once a context: extensions, callbacks of the flavour's own, key and certificate. */
    enum atls_code (*prepare)(SSL_CTX *ctx, struct atls_config *config, struct atls_err *err);
    /* Makes h->own. Handshake not begun, role known. */
    enum atls_code (*attach)(struct atls_handshake *h, struct atls_err *err);
    void (*free)(void *own); /* NULL is fine */
    /* Server: ClientHello was received whole; SSL_client_hello_get0_ext may be called. Twice after
     * a HelloRetryRequest. */
    enum atls_code (*client_hello)(struct atls_handshake *h, struct atls_err *err);
    /* Our side, in the certificate callback, where both roles can pause. *out NULL: nothing to do.
     * own_done takes over what a job made that has run (job->code may be a failure) before it is
     * freed. Certificate and key may be set on h->ssl in both. */
    enum atls_code (*own_job)(struct atls_handshake *h, struct atls_job **out,
                              struct atls_err *err);
    enum atls_code (*own_done)(struct atls_handshake *h, struct atls_job *job,
                               struct atls_err *err);
    /* The server's own work is not done in the certificate callback: the flavour calls
     * atls_handshake_work where it can be done. */
    bool own_late_on_server;
    /* Client: the server has shown its certificate; nothing is negotiated after that. */
    enum atls_code (*negotiated)(struct atls_handshake *h, struct atls_err *err);
    /* With peer_optional: does the peer attest? chain is empty when it has no certificate. True
     * where it cannot be told. Asked when ClientHello (server) or Certificate (client) was read. */
    bool (*attests)(const struct atls_handshake *h, const struct atls_tls_peer *peer);
    /* The peer, with require_peer alone: a job of atls_judge_job_new; *out NULL: it is refused as
     * not attested. peer_done is called after the job accepted the peer (h->result and the like are
     * set). */
    enum atls_code (*peer_job)(struct atls_handshake *h, const struct atls_tls_peer *peer,
                               struct atls_job **out, struct atls_err *err);
    enum atls_code (*peer_done)(struct atls_handshake *h, struct atls_err *err);
    /* The handshake ended without failure, TLS 1.3, not resumed, no early data, and h->result is
     * there when it is required (or excused): anything else that must hold. Sets h->shown. */
    enum atls_code (*finish)(struct atls_handshake *h, struct atls_err *err);
    /* The alert for a failure. */
    uint8_t (*alert)(const struct atls_err *err);
};
extern const struct atls_flavour_hooks atls_intra_hooks; /* intra.c */
extern const struct atls_flavour_hooks atls_pre_hooks;   /* pre.c */

/* The state that hangs on ssl; NULL when there is none, or when it is of another role than ssl has
 * now. */
struct atls_handshake *atls_handshake_of(const SSL *ssl);
/* The configuration that ssl's context was prepared for (borrowed); NULL: none, or flavour post. */
struct atls_config *atls_handshake_config(const SSL *ssl);
/* A server that need not attest is known by its certificate alone: a client without a name to look
 * for would take anybody's. Errors: ATLS_E_CONFIG. */
ATLS_MUST_CHECK enum atls_code atls_flavour_check_name(SSL *ssl, const struct atls_config *config,
                                                       struct atls_err *err);
/* As atls_openssl_attach. */
ATLS_MUST_CHECK enum atls_code atls_handshake_attach(SSL *ssl, struct atls_config *config,
                                                     const char *peer_name,
                                                     struct atls_handshake **out,
                                                     struct atls_err *err);

/* A handshake begins: an SSL that is used again (SSL_clear) has state of an earlier peer, fails and
 * is shut. */
void atls_handshake_begins(struct atls_handshake *h);

/* Nothing counts any more that was found before. Records the first failure, shows it in OpenSSL's
 * error queue, and gives the alert for it. code is not ATLS_OK. */
uint8_t atls_handshake_fail(struct atls_handshake *h, const struct atls_err *err);

/* How a callback can wait for a job. */
enum atls_pause {
    ATLS_PAUSE_NATIVE = 0, /* by its return value */
    ATLS_PAUSE_ASYNC = 1,  /* only inside of an ASYNC job; otherwise the work is done at once */
};
enum atls_work_outcome { ATLS_WORK_FAILED = -1, ATLS_WORK_PAUSED = 0, ATLS_WORK_READY_NOW = 1 };
/* Our side's work. FAILED: h->error says why. PAUSED (NATIVE only): return to OpenSSL so that it
 * calls again. */
enum atls_work_outcome atls_handshake_work(struct atls_handshake *h, enum atls_pause pause);
/* The peer's: identity, evidence, policy. */
enum atls_work_outcome atls_handshake_judge(struct atls_handshake *h,
                                            const struct atls_tls_peer *peer,
                                            enum atls_pause pause);

/* Inside of an ASYNC job of a handshake that gives jobs: gives out job (taken over, whatever
 * comes), pauses, and has it back when it was run. Errors: ATLS_E_CLOSED (the handshake was given
 * up). */
ATLS_MUST_CHECK enum atls_code atls_handshake_give(struct atls_handshake *h, struct atls_job *job,
                                                   struct atls_job **out_back,
                                                   struct atls_err *err);

/* All post-conditions; opens the SSL and makes h->session. Again after it passed: ATLS_OK. */
ATLS_MUST_CHECK enum atls_code atls_handshake_finish(struct atls_handshake *h,
                                                     struct atls_err *err);

/* ---- what the driver of the handshake does ---- */

/* The job that waits to be given out, NULL when there is none. It is the caller's. */
struct atls_job *atls_handshake_job(struct atls_handshake *h);
bool atls_handshake_job_waits(struct atls_handshake *h);
bool atls_handshake_job_is_out(struct atls_handshake *h);
/* Takes job back; false when it is none of this handshake. */
bool atls_handshake_complete(struct atls_handshake *h, struct atls_job *job);
/* No job will come back: lets a handshake that pauses inside of an ASYNC job run to its (failed)
 * end, which gives its stack back. Call it before the SSL is freed. */
void atls_handshake_abandon(struct atls_handshake *h);

#endif
