/* One attempt on one connection, whatever the flavour: a Relying Party that is the product wants a
 * peer attested, and the attacker is that peer.
 *
 *     struct wish wish = {.identity = ATLS_IDENTITY_PKIX, .name = "m1.example"};
 *     struct show show = {.named = &lab.m1, .signs = &lab.m1, .evidence = &lab.m1};
 *     struct outcome o = scene_play(&bench, &wish, &show);
 *
 * The attacker speaks OpenSSL with extensions, certificates and frames of his own (scene_tls.c,
 * scene_post.c): he can say anything at all. */
#ifndef ATLS_ATTACK_SCENE_H
#define ATLS_ATTACK_SCENE_H

#include "lab.h"

/* A flavour with its options, as one column of the tables. */
struct column {
    const char *title;
    enum atls_flavour flavour;
    bool secret_binder;
    enum atls_freshness freshness;
};
#define COLUMNS 5
enum { POST, INTRA, INTRA_SECRET, PRE_NONE, PRE_NONCE };
extern const struct column columns[COLUMNS];

struct bench {
    struct lab *lab;
    const struct column *column;
    enum atls_role victim; /* a client wants its server attested, a server its client */
    const char *suite;     /* of TLS 1.3 */
    bool retry;            /* intra, pre: there is a HelloRetryRequest */
    bool optional;         /* the victim does not insist (peer_optional) */
};

/* What the victim wants. */
struct wish {
    enum atls_identity identity;
    const char *name;                                    /* of the peer; a server may say NULL */
    struct atls_policy *policy;                          /* NULL: the lab's */
    struct atls_verifier *verifier;                      /* NULL: the lab's */
    struct atls_attester *own;                           /* it attests, too; or NULL */
    const char *const *profiles, *const *evidence_types; /* NULL: the defaults */
    SSL_SESSION *session; /* that a careless program resumes; or NULL */
};

/* The connection, as the attacker knows it. */
struct scene {
    const struct bench *bench;
    const struct column *speaks;     /* the flavour that he attests in: the victim's, or another */
    struct test_connection exporter; /* post */
    struct atls_bytes request;       /* post */
    enum atls_hash hash;
    /* intra: of ClientHello..ServerHello; of the handshake */
    uint8_t transcript_hash[ATLS_HASH_MAX], secret[ATLS_HASH_MAX];
    uint8_t nonce[32]; /* pre, with nonce */
};
/* The binder of this connection for a key, by the formula of a column; what a formula asks for and
 * this connection has not got yet is taken from what it has. The caller clears it. */
struct atls_buf scene_binder(const struct scene *s, const struct column *formula,
                             struct atls_bytes spki);

/* Where he puts it. */
enum manner {
    MANNER_PROPER = 0,
    MANNER_WITHOUT,     /* attestation is negotiated, and not there */
    MANNER_UNAWARE,     /* nothing is negotiated, nothing is there */
    MANNER_DECLINES,    /* post: DECLINE, of this connection, or of another (declines_elsewhere) */
    MANNER_LATER_ENTRY, /* beside a certificate that is not the end entity's */
    MANNER_TWICE,
    MANNER_TLS_1_2,
    MANNER_ANONYMOUS, /* intra, pre, a client: no certificate either */
    MANNER_FOREIGN,   /* pre: in a form of others (DICE tagged evidence) */
    MANNER_UNCHOSEN,  /* intra, a server: shown without a word in EncryptedExtensions */
};

/* What the attacker shows. */
struct show {
    const struct machine *named;    /* whose certificate, with whose key */
    const struct machine *signs;    /* whose private key signs with it */
    const struct machine *evidence; /* whose TPM is asked */
    /* The CMW; NULL: what the TPM of evidence says over the right binder for named. */
    struct atls_buf (*cmw)(const struct scene *s, const struct show *show);
    void *arg; /* of cmw */
    enum manner manner;
    const struct column *speaks; /* NULL: the victim's flavour */
    const char *technology;      /* that he says he has; NULL: "tpm" */
    const char *scheme; /* intra: that he chooses; NULL: of technology in profile kat-bundle */
    bool declines_elsewhere;
    bool expired; /* the certificate is past its time */
    bool aged;    /* it was made a month ago, and is valid for many years */
    /* The end entity's certificate is signed by its own key, and the next one is that which a CA
     * issued to this machine; NULL: as the flavour has it. */
    const struct machine *behind;
    SSL_CTX *resumes;        /* a context of the attacker's that keeps sessions, or NULL */
    struct atls_buf *record; /* gets a copy of the CMW shown; or NULL */
};

struct outcome {
    bool accepted;   /* attested */
    bool unattested; /* passes as not attested, where that is optional; and accepted is false */
    enum atls_code code;
    enum atls_reason reason;
    char message[320];
};

/* Plays it. */
struct outcome scene_play(const struct bench *b, const struct wish *wish, const struct show *show);

/* The CMW that a genuine machine, which is the product, shows on a connection of the attacker's to
 * it: he passes on what he was asked in s. The caller clears it. */
struct atls_buf scene_oracle(const struct scene *s, struct machine *m);

/* A session of an ordinary connection, without attestation, and the attacker's context that will
 * take it up again. The caller frees both. */
SSL_SESSION *scene_session(const struct bench *b, SSL_CTX **out_ctx);

/* After acceptance the machine's state changed, and the victim asks again on the same connection:
 * accepted means that it goes on as it is. */
struct outcome scene_state_changes(const struct bench *b, const struct wish *wish,
                                   const struct machine *before, const struct machine *after);

/* Intra and pre: a program drives its SSL itself, for a peer that shows first, and uses the same
 * SSL again (SSL_clear) for one that shows second. The first is accepted, unless its key is not the
 * one that signs. */
struct outcome scene_used_again(const struct bench *b, const struct wish *wish,
                                const struct show *first, const struct show *second);

/* The same, where the program asks its client for a certificate once more after the handshake. */
struct outcome scene_asked_again(const struct bench *b, const struct wish *wish,
                                 const struct show *first, const struct show *second);

/* Post alone: the victim asks again on its connection, and gets everything anew but the evidence,
 * which is that of the first time. */
struct outcome scene_answer_again(const struct bench *b, const struct wish *wish,
                                  const struct machine *m);

/* ---- parts, for the files of this module ---- */

struct atls_config *scene_config(const struct bench *b, const struct wish *wish);
struct atls_buf scene_cmw(const struct scene *s, const struct show *show);
struct outcome scene_refused(const struct atls_err *err);
struct outcome post_play(const struct bench *b, const struct wish *wish, const struct show *show);
struct atls_buf post_oracle(const struct scene *s, struct machine *m);
struct outcome post_state_changes(const struct bench *b, const struct wish *wish,
                                  const struct machine *before, const struct machine *after);
struct outcome tls_play(const struct bench *b, const struct wish *wish, const struct show *show);
struct atls_buf tls_oracle(const struct scene *s, struct machine *m);
const char *machine_name(const struct lab *lab, const struct machine *m);

#endif
