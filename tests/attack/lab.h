/* The attacker's laboratory: live TLS connections, a Relying Party that is the product, genuine
 * machines, and an attacker who holds one end of a connection and may say anything on it.
 *
 * The attacker is given whatever would stop him elsewhere (the exporter secret of a connection, a
 * stolen key), so that in each test one check alone stands between him and acceptance. */
#ifndef ATLS_ATTACK_LAB_H
#define ATLS_ATTACK_LAB_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include <atls/openssl.h>

#include "forge.h"
#include "pki.h"
#include "testlib.h"
#include "tpm_forge.h"

#define LAB_CLASS "b4c9d0f2-7b1e-4f0d-9a6d-3c1c5f5e7a01"

/* A genuine machine: a TPM with its keys and PCRs, and the certificate of its AIK. */
struct machine {
    struct test_tpm_key ak, aik;
    uint8_t ueid[ATLS_TPM_KID_LEN];
    struct test_identity certificate; /* of the AIK */
    uint32_t reset_count;
    uint8_t pcr7[32]; /* zeros: the reference value */
};

struct lab {
    char folder[64], store[96];
    struct test_identity ca;
    struct machine m1, m2; /* same software, different names */
    struct atls_verifier *verifier;
    struct atls_policy *policy;
    SSL_CTX *client_ctx, *server_ctx;
};

void lab_open(struct lab *lab);
void lab_close(struct lab *lab);

/* What a machine's TPM says when asked with this binder; the caller clears it. */
struct atls_buf machine_evidence(const struct machine *m, struct atls_bytes binder);
/* The same, with one thing changed before the TPM signs: what a dishonest TPM owner could make with
 * the AK in hand. */
struct atls_buf machine_evidence_with(const struct machine *m, struct atls_bytes binder,
                                      void (*change)(struct test_tpm_evidence *e, void *arg),
                                      void *arg);
/* An attester over the machine, for sessions. The caller unrefs. */
struct atls_attester *machine_attester(struct machine *m);
struct atls_bytes machine_aik(const struct machine *m);

/* ---- one live TLS connection: a session of the product at one end, a hand at the other ---- */

struct line {
    SSL *session_ssl, *hand_ssl;
    struct test_connection secret; /* exporter secret, as both ends know it */
    struct atls_session *session;
    struct atls_buf storage; /* of struct atls_tls */
    enum atls_code code;     /* of the latest call on the session that failed */
    struct atls_err err;
    struct atls_buf in; /* received by the hand, not yet taken */
};

/* Connects: the session is client or server as role says. config decides what it wants. */
void line_open(struct line *line, struct lab *lab, enum atls_role role, struct atls_config *config,
               const char *peer_name);
void line_close(struct line *line);

/* The hand sends frames; the session does what it can. */
void hand_send(struct line *line, struct atls_bytes frames);
/* The session does what it can, without anything from the hand. */
void hand_wait(struct line *line);
void hand_hello(struct line *line, uint8_t flags);
void hand_authenticator(struct line *line, uint32_t id, struct atls_bytes authenticator);
void hand_request(struct line *line, uint32_t id, struct atls_bytes request);
void hand_verdict(struct line *line, uint32_t id, uint16_t code);
/* Takes the next frame of this type that the session sent, dropping others before it; false when
 * there is none. The body is the caller's to clear. */
bool hand_take(struct line *line, uint8_t type, struct atls_buf *out_body);
/* The message inside the next REQUEST or AUTHENTICATOR; fails the test when there is none. */
struct atls_buf hand_take_message(struct line *line, uint8_t type, uint32_t *out_id);

/* ---- authenticators of the attacker's making ---- */

struct attempt {
    const struct test_connection *connection; /* whose keys make Finished and CertificateVerify */
    enum atls_role sender;
    struct atls_bytes request;
    struct atls_bytes certificate;      /* DER */
    const struct atls_private_key *key; /* that signs */
    struct atls_bytes cmw;              /* empty: none */
};
struct atls_buf attempt_make(const struct attempt *a);

/* The binder of a request on a connection, for a key. */
struct atls_buf binder_of(const struct test_connection *c, const char *label, enum atls_hash hash,
                          struct atls_bytes request, struct atls_bytes spki);

/* What a Relying Party of these tests wants of its peer. */
struct atls_config *relying_party(struct lab *lab, enum atls_identity identity,
                                  struct atls_attester *own);

/* The session accepted its peer, or refused with this code and reason. */
void assert_accepted(const char *row, const struct line *line);
void assert_refused(const char *row, const struct line *line, enum atls_code code,
                    enum atls_reason reason);

#endif
