/* One attested connection, post-handshake flavour, without I/O: TLS plaintext in, TLS plaintext out
 * (docs/carrier.md). For OpenSSL programs atls/openssl.h wraps all this.
 *
 *     for (;;) {
 *         switch (atls_session_next(session)) {
 *         case ATLS_NEXT_OUTPUT: write atls_session_output() to TLS,
 *                                atls_session_output_done(); break;
 *         case ATLS_NEXT_JOB:    job = atls_session_job(session);
 *                                atls_job_run(job);   (any thread)
 *                                atls_session_complete(session, job, &err); break;
 *         case ATLS_NEXT_INPUT:  read from TLS, atls_session_input(); break;
 *         case ATLS_NEXT_OPEN:   application data both ways:
 *                                atls_session_read, atls_session_write
 *         case ATLS_NEXT_CLOSED: atls_session_error() says why
 *         }
 *     }
 *
 * One thread at a time per session; jobs excepted, which may run on any thread while the session
 * goes on. A failed call has put CLOSE into the output where the peer can be told: send it, then
 * end TLS. */
#ifndef ATLS_SESSION_H
#define ATLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/config.h>
#include <atls/ea.h>
#include <atls/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero is "unknown", and unknown counts as yes. */
enum atls_answer { ATLS_ANSWER_UNKNOWN = 0, ATLS_ANSWER_NO = 1, ATLS_ANSWER_YES = 2 };

/* What a session needs to know of its TLS connection; bring-your-own TLS library fills it in after
 * the handshake. Everything is copied but arg, which the exporter needs for the session's life. */
struct atls_tls {
    void *arg;
    atls_exporter *exporter;
    enum atls_role role;
    uint16_t version;            /* 0x0304; anything else is refused (tls-version) */
    enum atls_hash hash;         /* of the cipher suite */
    enum atls_answer resumed;    /* must be NO (tls-resumed) */
    enum atls_answer early_data; /* must be NO (tls-early-data) */
    struct atls_bytes
        peer_spki; /* DER, of the peer's TLS leaf; empty unless TLS validated its chain */
};

/* Name of the carrier in ALPN. */
#define ATLS_ALPN "atls/1"

enum atls_next {
    ATLS_NEXT_INPUT = 0,
    ATLS_NEXT_OUTPUT = 1,
    ATLS_NEXT_JOB = 2,
    ATLS_NEXT_OPEN = 3,
    ATLS_NEXT_CLOSED = 4,
};

struct atls_session;
struct atls_job;

/* peer_name: DNS name or IP address that the peer's AIK certificate must carry with
 * ATLS_IDENTITY_PKIX; a client must give it, on a server NULL accepts any name below the anchors. A
 * client's first flight (HELLO, REQUEST) is in the output at once, a server's after the client's
 * HELLO came. Errors: ATLS_E_TLS with reason tls-version, tls-resumed, tls-early-data,
 * identity-mismatch (same-key, and peer_spki is empty); ATLS_E_CONFIG (name missing); ATLS_E_USAGE;
 * ATLS_E_NOMEM; those of the exporter. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_session_new(struct atls_config *config, const struct atls_tls *tls, const char *peer_name,
                 struct atls_session **out, struct atls_err *err);
/* Jobs still running keep what they need; complete is then not called for them: atls_job_free. */
ATLS_API void atls_session_free(struct atls_session *s);

ATLS_API enum atls_next atls_session_next(const struct atls_session *s);
/* True once both sides have what they asked for, and until the session closes or rights are
 * withdrawn. */
ATLS_API bool atls_session_is_open(const struct atls_session *s);

/* Gives plaintext that TLS delivered; *out_consumed <= bytes.len, less when application data waits
 * to be read first: give the rest again after that. Application data is not copied: what
 * atls_session_read shows borrows from bytes, which must stay in place until it was read. Errors
 * close the session. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_session_input(struct atls_session *s,
                                                           struct atls_bytes bytes,
                                                           size_t *out_consumed,
                                                           struct atls_err *err);
/* TLS ended: orderly only after CLOSE (or in raw mode). Errors: ATLS_E_CLOSED on truncation. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_session_input_end(struct atls_session *s,
                                                               struct atls_err *err);

/* For callers that read from TLS piece by piece: how many bytes the session takes next without
 * touching application data; 0 when application data is next (atls_session_data_left) or waits to
 * be read. */
ATLS_API size_t atls_session_input_wanted(const struct atls_session *s);

/* Plaintext to write to TLS; borrows until the next call on s. */
ATLS_API struct atls_bytes atls_session_output(const struct atls_session *s);
ATLS_API void atls_session_output_done(struct atls_session *s, size_t len);
/* Gives back the memory that drained output keeps for the next frame (16 KiB); call it when the
 * connection falls idle. */
ATLS_API void atls_session_trim(struct atls_session *s);

/* The next slow piece of work (making evidence, appraising), or NULL. It is the caller's to run,
 * on any thread, and to complete or free. Several may be out at once. */
ATLS_API struct atls_job *atls_session_job(struct atls_session *s);
ATLS_API void atls_job_run(struct atls_job *job);
/* For event loops, before atls_job_run: true when the job has to wait for the attester. Then ready
 * is called on another thread, once, when atls_job_run will no longer wait; it must be short and
 * only wake whoever is to run the job. False: there is nothing to wait for, run it now.
 * atls_job_free ends the waiting: after it ready is not called, nor still running. */
ATLS_API ATLS_MUST_CHECK bool atls_job_start(struct atls_job *job, void (*ready)(void *arg),
                                             void *arg);
/* Takes the job back (and frees it, whatever comes). A failed appraisal closes the session and
 * returns its error; with ATLS_ON_FAILURE_GATE, once the gate has been open, it closes the gate and
 * returns ATLS_OK: atls_session_is_open says so. Evidence that could not be made is told to the
 * peer (DECLINE) and logged; if the peer then refuses, atls_session_error names that cause. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_session_complete(struct atls_session *s, struct atls_job *job, struct atls_err *err);
ATLS_API void atls_job_free(struct atls_job *job);

/* Application data received, in order; borrows until atls_session_read_done. */
ATLS_API struct atls_bytes atls_session_read(const struct atls_session *s);
ATLS_API void atls_session_read_done(struct atls_session *s, size_t len);
/* Without any copy: so many bytes of application data come next in the TLS stream (SIZE_MAX in raw
 * mode), which the caller may read from TLS straight into a place of its own and report as taken,
 * instead of giving them to atls_session_input. 0 when something else is next. */
ATLS_API size_t atls_session_data_left(const struct atls_session *s);
ATLS_API void atls_session_data_taken(struct atls_session *s, size_t len);
/* Application data to send: *out_accepted <= bytes.len; 0 means that output must drain first.
 * Errors: ATLS_E_USAGE, reason gate-closed, while the gate is closed (the session goes on). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_session_write(struct atls_session *s,
                                                           struct atls_bytes bytes,
                                                           size_t *out_accepted,
                                                           struct atls_err *err);

/* Without any copy: what stands before application data in the TLS stream. */
#define ATLS_SESSION_HEAD_MAX 4
struct atls_session_head {
    uint8_t bytes[ATLS_SESSION_HEAD_MAX];
    size_t len;      /* of bytes; 0 in raw mode */
    size_t data_len; /* how much data must follow it; 0: output must drain first */
};
/* For callers that write their data to TLS from where it is, instead of giving it to
 * atls_session_write: what goes before the first data_len <= len bytes of it, which fill one TLS
 * record at most. Changes nothing: who finds that TLS cannot take both now forgets it, or gives
 * just these bytes to atls_session_write, which then puts the same into the output. Errors: as
 * atls_session_write. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_session_head(const struct atls_session *s, size_t len,
                                                          struct atls_session_head *out,
                                                          struct atls_err *err);

/* Our application data ends here: nothing more can be written. The peer's data goes on, and so does
 * re-attestation, until either side closes. In flavours intra and pre TLS ends the data: of one
 * direction by its close_notify. Errors: ATLS_E_USAGE (the gate is closed, raw mode of flavour
 * post: there the end of TLS is the end of both directions). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_session_end(struct atls_session *s,
                                                         struct atls_err *err);
/* True when the peer has said that its application data has ended, and all of it was read. */
ATLS_API bool atls_session_peer_ended(const struct atls_session *s);

/* Milliseconds of the monotonic clock at which atls_session_tick must be called at the latest;
 * INT64_MAX: no deadline. */
ATLS_API int64_t atls_session_deadline_ms(const struct atls_session *s);
/* Looks at the clock: passes deadlines (errors close the session), starts interval re-attestation.
 */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_session_tick(struct atls_session *s,
                                                          struct atls_err *err);

/* Asks the peer to attest again now (policy or store changed, an operator's wish). Data keeps
 * flowing until the answer or answer_timeout_ms. While an answer is awaited, one more request
 * follows it. Errors: ATLS_E_USAGE (gate never opened, raw mode, we do not require the peer, or it
 * passed unattested), ATLS_E_CLOSED. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_session_reattest(struct atls_session *s,
                                                              struct atls_err *err);
/* Orderly end: CLOSE goes into the output. */
ATLS_API void atls_session_close(struct atls_session *s);

/* Why the session closed; code ATLS_OK after an orderly end. What the peer said of us has reason
 * peer-refused. Borrows. */
ATLS_API const struct atls_err *atls_session_error(const struct atls_session *s);

/* What is known of the peer; everything borrows from the session. */
struct atls_peer {
    bool attested;              /* accepted by our policy, now */
    struct atls_result *result; /* latest appraisal, NULL before the first; also when refused; NULL
                                   after atls_session_peer_release */
    const char *evidence_type;  /* "tpm"; "" */
    const char *binding;   /* "connection": made for it; "key": a passport, made before it about the
                              key   that authenticated it; "" before there is a result */
    bool insecure;         /* development evidence */
    int64_t attested_at_s; /* wall clock of the latest acceptance */
    uint32_t attestations; /* how many were accepted on this connection */
    struct atls_bytes spki;        /* of the peer's AIK */
    struct atls_bytes certificate; /* end-entity certificate, DER */
    const char *inner_protocol;    /* negotiated inner ALPN, "" when none */
    bool self_attested; /* the peer accepted our attestation; in flavour pre nobody can tell whether
                           it looks at evidence, and this is false */
    enum atls_flavour flavour;
    /* How new the evidence is: "connection": made for it; "nonce": for a nonce of this handshake,
     * bound to the key only; "none": of unknown age, or a result from before. "" before there is a
     * result. */
    const char *freshness;
    bool shown; /* our attestation went out: the peer asked for it, or sees it with everybody (pre)
                 */
    enum atls_tier status; /* of the latest appraisal; ATLS_TIER_NONE before the first */
    bool unattested; /* the peer shows no attestation, and passed because peer_optional lets it:
                        nothing is known of what it runs. Never with attested, nor with a result;
                        true for good, for nobody is asked again who passed like this */
};
ATLS_API void atls_session_peer(const struct atls_session *s, struct atls_peer *out);
/* Gives back the memory of the latest result and of the peer's certificate (some 10 KiB, with TPM
 * evidence more), of a peer that is accepted; of one that is not, they stay and say why. What was
 * borrowed of them is gone. Until the next appraisal, result is NULL and certificate empty; all
 * else is as before, and re-attestation goes on. For programs with many connections that have read
 * what they want to know. */
ATLS_API void atls_session_peer_release(struct atls_session *s);

#ifdef __cplusplus
}
#endif
#endif
