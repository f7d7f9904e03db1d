/* Attested TLS over an unmodified OpenSSL (library libatls-openssl): what most programs need.
 *
 *     SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
 *     atls_openssl_prepare(ctx, &err);                      TLS 1.3, no tickets, ALPN atls/1
 *     SSL *ssl = ...;  SSL_set_fd(ssl, fd);
 *     atls_openssl_connect(ssl, config, "host.example", &conn, &err);   handshake, attestation,
 * gate atls_openssl_write(conn, "hello", 5, &n, &err);
 *
 * One thread at a time per connection. OpenSSL writes to the socket with write(2): a program must
 * ignore SIGPIPE, or a peer that goes away ends it. */
#ifndef ATLS_OPENSSL_H
#define ATLS_OPENSSL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <atls/attester.h>
#include <atls/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a context fit for attested connections, client or server: TLS 1.3 only, no session tickets,
 * no session cache, no early data, ALPN "atls/1" offered (client) or selected (server; clients that
 * do not offer it are refused with no_application_protocol). On a server it takes the ALPN and the
 * ClientHello callback of the context. Certificates and their verification stay the program's. Call
 * it before connections are made of ctx. Errors: ATLS_E_TLS. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_prepare(SSL_CTX *ctx, struct atls_err *err);

/* Makes a context fit for connections of the flavour of config, client or server. Post: as
 * atls_openssl_prepare. Intra and pre: TLS 1.3 only, no session tickets, no session cache, no early
 * data; ALPN is inner_protocols of config (a server that has none of the client's refuses with
 * no_application_protocol); the attester of config becomes key and certificate; with require_peer a
 * certificate of the peer is required, with peer_optional it is asked for. It takes from the
 * program the callbacks of the context for certificates (SSL_CTX_set_cert_cb), their verification
 * (SSL_CTX_set_cert_verify_callback), on a server ALPN and ClientHello, with intra messages
 * (SSL_CTX_set_msg_callback); those for state and, with secret_binder, for keys are passed on to
 * the program's when these are set before. Trust anchors, verification parameters and the verify
 * callback (SSL_CTX_set_verify) stay the program's, and decide with identity same-key, and about
 * peers that need not attest (with peer_optional: that do not, except that identity pkix asks the
 * anchors of config). Call it once, last, before connections are made of ctx, which keeps a
 * reference to config; a context for which it failed is good for nothing. A connection of ctx that
 * is driven without atls_openssl_new, _connect, _accept or _attach fails its handshake. Errors:
 * ATLS_E_USAGE (prepared before), ATLS_E_UNSUPPORTED (flavour), those of atls_openssl_use_attester,
 * ATLS_E_TLS, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_openssl_prepare_for(SSL_CTX *ctx, struct atls_config *config, struct atls_err *err);

/* Whom TLS itself trusts to vouch for peers of ctx, in place of whom it trusted so far: every
 * certificate of the PEM text anchors, at least one; or the anchors of the system. Once crls (PEM,
 * or DER of one; may be empty) has a list of an issuer, every certificate of that issuer in a path
 * is checked against it; issuers without a list pass, unless the program has a verify callback
 * (SSL_CTX_set_verify, SSL_set_verify): it is told X509_V_ERR_UNABLE_TO_GET_CRL of them, and
 * decides. Whether certificates are asked for stays SSL_CTX_set_verify's. On failure ctx is as it
 * was. Errors: ATLS_E_DECODE (malformed, or no certificate), ATLS_E_LIMIT (more than 1024 of
 * either), ATLS_E_UNSUPPORTED (a delta or indirect list), ATLS_E_TLS, ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_trust(SSL_CTX *ctx, struct atls_bytes anchors,
                                                           struct atls_bytes crls,
                                                           struct atls_err *err);
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_openssl_trust_system(SSL_CTX *ctx, struct atls_bytes crls, struct atls_err *err);

/* Makes the attester's key the TLS key of a context, client or server, and its certificate chain
 * (atls_attester_chain) the one that is shown: what the handshake signs, the attester signs, in the
 * thread that drives the handshake (with SSL_MODE_ASYNC, in a job or a thread of its own). The
 * minimum version becomes TLS 1.3, where OpenSSL chooses the attester's signature scheme by itself;
 * a context whose signature algorithms (SSL_CTX_set1_sigalgs and the like) leave that out, or whose
 * property query only other providers answer ("fips=yes"), fails its handshakes. Certificates of
 * other types of key stay with ctx. Keeps a reference to the attester until ctx and the connections
 * made of it are freed. A failure of the attester fails the handshake; the message is in OpenSSL's
 * error queue. Errors: ATLS_E_UNSUPPORTED (the attester signs with no scheme of TLS 1.3),
 * ATLS_E_CONFIG, ATLS_E_TLS (below the security level of ctx), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_openssl_use_attester(SSL_CTX *ctx, struct atls_attester *attester, struct atls_err *err);

/* Fills struct atls_tls from a finished handshake; out borrows from ssl and *spki_storage, which
 * the caller clears. peer_spki is there only when SSL_VERIFY_PEER was on and the result is
 * X509_V_OK. For programs that drive atls/session.h themselves. Errors: ATLS_E_TLS: handshake not
 * finished, version (tls-version), ALPN not "atls/1" (no-common-parameters), tickets on
 * (tls-resumed); ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_tls(SSL *ssl, struct atls_tls *out,
                                                         struct atls_buf *spki_storage,
                                                         struct atls_err *err);

/* Flavours intra and pre, for programs that drive an SSL of atls_openssl_prepare_for themselves:
 *
 *     atls_openssl_attach(ssl, config, "host.example", &err);
 *     SSL_connect(ssl);
 *     atls_openssl_attested(ssl, &peer, &err);             fails: SSL_free, nothing was exchanged
 *     SSL_write(ssl, ...);
 *
 * Attach before the handshake; ssl knows its role (SSL_set_connect_state, SSL_set_accept_state).
 * peer_name as for atls_openssl_connect. Evidence is made and judged inside of the handshake call,
 * which takes as long; for event loops there is atls_openssl_new. SSL_MODE_ASYNC is refused when it
 * comes to that. An SSL is for one handshake: used again (SSL_clear), or asked for a certificate
 * again, it fails. Errors: ATLS_E_USAGE (context not prepared for config, attached before,
 * handshake begun), ATLS_E_CONFIG (pkix, and a client gives no name; peer_optional, and TLS checks
 * no name), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_attach(SSL *ssl, struct atls_config *config,
                                                            const char *peer_name,
                                                            struct atls_err *err);
/* Call it after the handshake and do not go on when it fails: TLS 1.3, not resumed, no early data,
 * and what config requires was shown and accepted (with peer_optional: accepted, or not shown at
 * all; out->unattested says so). Until it has said ATLS_OK, ssl is shut in both
 * directions: SSL_read and SSL_write move no application data. *out (may be NULL) borrows from ssl.
 * After a failed handshake it says what attestation failed for, if it did. Errors: ATLS_E_USAGE
 * (not attached), ATLS_E_TLS (not finished, or as atls_session_new), why the peer was refused. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_attested(SSL *ssl, struct atls_peer *out,
                                                              struct atls_err *err);

/* One attested connection over an SSL, which stays the caller's and must outlive it. */
struct atls_openssl;

/* Blocking: runs the TLS handshake if it is not finished, then attestation, until the gate opens;
 * jobs run in the calling thread. On failure the peer has been told (which may take half a second)
 * and *out is untouched. The SSL must be on a socket: so that deadlines are kept (gate_timeout_ms
 * for the handshake, and again for the gate), it is non-blocking until the connection is closed or
 * freed, and then as it was. Errors: those of atls/session.h, ATLS_E_TLS, ATLS_E_USAGE (no socket).
 */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_connect(SSL *ssl, struct atls_config *config,
                                                             const char *peer_name,
                                                             struct atls_openssl **out,
                                                             struct atls_err *err);
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_accept(SSL *ssl, struct atls_config *config,
                                                            struct atls_openssl **out,
                                                            struct atls_err *err);

/* Non-blocking: a connection to be driven by atls_openssl_step; ssl knows its role
 * (SSL_set_connect_state, SSL_set_accept_state). Sets SSL_MODE_ENABLE_PARTIAL_WRITE and
 * SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_new(SSL *ssl, struct atls_config *config,
                                                         const char *peer_name,
                                                         struct atls_openssl **out,
                                                         struct atls_err *err);
enum atls_want {
    ATLS_WANT_NOTHING = 0, /* the gate is open (or data is ready to be read) */
    ATLS_WANT_READ = 1,    /* wait until the socket is readable */
    ATLS_WANT_WRITE = 2,   /* wait until the socket is writable */
    ATLS_WANT_JOB = 3,     /* atls_openssl_job: run it here or on another thread, or have it wait
                              there first (atls_job_start); then complete */
};
/* Does what can be done now: handshake, flush, read, deadlines. Call it when the socket is ready,
 * when a job was completed and when the deadline (atls_openssl_deadline_ms) passed. After a failure
 * atls_openssl_close sends what is left to tell the peer. Errors: why the connection ended. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_openssl_step(struct atls_openssl *c, enum atls_want *out_want, struct atls_err *err);
/* NULL: none, or all are out already. Flavours intra and pre give out jobs during the handshake,
 * too; a server then only with SSL_MODE_ASYNC on the SSL (docs/intra.md), otherwise it does the
 * work inside of atls_openssl_step. While a job of the handshake is out, atls_openssl_step says
 * ATLS_WANT_JOB and there is nothing to do but to wait for it. */
ATLS_API struct atls_job *atls_openssl_job(struct atls_openssl *c);
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_openssl_complete(struct atls_openssl *c, struct atls_job *job, struct atls_err *err);
ATLS_API int64_t atls_openssl_deadline_ms(const struct atls_openssl *c);

/* Application data. Blocking connections wait (re-attestation is served meanwhile): reading until
 * at least one byte came, *out_len 0 being the orderly end or the end of the peer's data; writing
 * until everything is with the socket. Non-blocking ones return ATLS_OK with what moved, if only 0
 * bytes, and *out_want set; what write accepted is sent by later calls of any of the three.
 * out_want may be NULL when blocking. 16380 bytes fill one TLS record: who writes much in one go
 * saves time with multiples of that. A program that only writes should read now and then: requests
 * of the peer wait behind unread data. Errors: why the connection ended; ATLS_E_CLOSED for writing
 * after the peer's CLOSE; ATLS_E_USAGE (len 0 on reading). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_read(struct atls_openssl *c, void *buf,
                                                          size_t len, size_t *out_len,
                                                          enum atls_want *out_want,
                                                          struct atls_err *err);
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_write(struct atls_openssl *c, const void *buf,
                                                           size_t len, size_t *out_len,
                                                           enum atls_want *out_want,
                                                           struct atls_err *err);
/* As atls_openssl_write, without a copy: the ATLS_SESSION_HEAD_MAX bytes before buf are the
 * caller's, too, and are overwritten, as are bytes of buf that were taken. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_openssl_write_in_place(struct atls_openssl *c, uint8_t *buf, size_t len, size_t *out_len,
                            enum atls_want *out_want, struct atls_err *err);
/* Our application data ends here (atls_session_end): nothing more can be written, reading goes on.
 * The peer's reads give *out_len 0 once it has read everything. Blocking connections wait until it
 * was sent. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_openssl_end(struct atls_openssl *c,
                                                         struct atls_err *err);
/* True after the peer's orderly CLOSE with everything read. */
ATLS_API bool atls_openssl_ended(const struct atls_openssl *c);
/* The session, for atls_session_peer, atls_session_reattest, atls_session_error. */
ATLS_API struct atls_session *atls_openssl_session(struct atls_openssl *c);
/* CLOSE, then TLS close_notify, best effort (half a second when blocking); then frees. NULL is
 * fine. */
ATLS_API void atls_openssl_close(struct atls_openssl *c);
/* Frees without telling the peer. */
ATLS_API void atls_openssl_free(struct atls_openssl *c);

#ifdef __cplusplus
}
#endif
#endif
