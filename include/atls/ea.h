/* Exported Authenticators (RFC 9261) with the cmw_attestation extension of
 * draft-fossati-seat-expat-03: bytes in, bytes out, no TLS library.
 *
 * One struct atls_ea per TLS connection holds the connection's exporter values and the contexts
 * that were used on it. Verbs are those of RFC 9261 section 7.
 *
 *     client (relying party)                       server (attester)
 *     atls_ea_request(...)          -- bytes -->   atls_ea_request_decode(...)
 *                                                  atls_ea_authenticate(...)
 *     atls_ea_validate(...)         <-- bytes --
 *
 * One thread at a time per object; atls_ea_prepare/atls_ea_sign split authentication so that slow
 * signing (a TPM) may run on another thread. */
#ifndef ATLS_EA_H
#define ATLS_EA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>
#include <atls/crypto.h>
#include <atls/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Code point of cmw_attestation. The draft says TBD; this private-use stand-in is a profile
 * constant, never taken from the peer. */
#define ATLS_EA_CMW_ATTESTATION 0xff00
#define ATLS_EA_CONTEXT_MAX     255
#define ATLS_EA_SCHEMES_MAX     32

enum atls_role { ATLS_ROLE_CLIENT = 1, ATLS_ROLE_SERVER = 2 };

/* The exporter of the connection (RFC 8446 section 7.5): label is NUL terminated, context may be
 * empty, writes exactly out_len bytes. */
typedef enum atls_code atls_exporter(void *arg, const char *label, struct atls_bytes context,
                                     uint8_t *out, size_t out_len, struct atls_err *err);

struct atls_ea;

/* role: our own side of the TLS connection; hash: of its cipher suite (SHA-256 or SHA-384).
 * exporter is called on the connection's thread, twice for each side that sends authenticators,
 * when its first one is answered or validated; arg must live as long as the object. The values are
 * kept and wiped by free. For a finished TLS 1.3 handshake only. Errors: ATLS_E_USAGE,
 * ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_new(enum atls_role role, enum atls_hash hash,
                                                    atls_exporter *exporter, void *arg,
                                                    struct atls_ea **out, struct atls_err *err);
ATLS_API void atls_ea_free(struct atls_ea *ea); /* NULL is fine */

/* What a request asks for. Arrays borrow from the caller. */
struct atls_ea_request_spec {
    struct atls_bytes context;          /* 0..255 bytes; 32 random ones are the rule */
    const enum atls_signature *schemes; /* 1..ATLS_EA_SCHEMES_MAX, in order of preference */
    size_t scheme_count;
    bool attestation;                   /* offer cmw_attestation */
    const char *server_name;            /* NULL, or a DNS name; type 17 (from a client) only */
    struct atls_bytes other_extensions; /* further encoded extensions, or empty */
};

/* Builds a request of our role's type (server 13, client 17) and marks its context as used by us.
 * Errors: ATLS_E_USAGE, ATLS_E_PROTOCOL (context-used), ATLS_E_LIMIT (ATLS_CONTEXTS_MAX),
 * ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_request(struct atls_ea *ea,
                                                        const struct atls_ea_request_spec *spec,
                                                        struct atls_buf *out, struct atls_err *err);

/* A decoded request; borrows from the request's bytes. */
struct atls_ea_request {
    struct atls_bytes raw; /* with its 4-byte header, as hashed */
    enum atls_role from;   /* server: type 13; client: type 17 */
    struct atls_bytes context;
    /* Those we know that may stand in CertificateVerify, each once, in the peer's order. */
    enum atls_signature schemes[ATLS_EA_SCHEMES_MAX];
    size_t scheme_count;
    bool attestation;                          /* cmw_attestation offered */
    struct atls_bytes server_name;             /* .ptr NULL when absent */
    struct atls_bytes certificate_authorities; /* encoded content, .ptr NULL when absent */
    struct atls_bytes extensions;              /* the whole block */
};

/* Decodes without a connection (inspect, fuzzing). Errors with alerts as
 * docs/spec-map.md: decode_error, unexpected_message, missing_extension, illegal_parameter. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ea_request_decode(struct atls_bytes in, struct atls_ea_request *out, struct atls_err *err);

/* Decodes a request that the peer sent on this connection and marks its context as used: wrong type
 * for the role is unexpected_message, a context used before by either side is context-used. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_accept_request(struct atls_ea *ea,
                                                               struct atls_bytes in,
                                                               struct atls_ea_request *out,
                                                               struct atls_err *err);

/* certificate_request_context of a request or an authenticator (RFC 9261 section 7.2); borrows.
 * An empty authenticator has none: ATLS_E_NOT_FOUND. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ea_get_context(struct atls_bytes in, struct atls_bytes *out, struct atls_err *err);

/* The first scheme of the request that is in ours, or ATLS_SIGNATURE_NONE. */
ATLS_API enum atls_signature atls_ea_choose_scheme(const struct atls_ea_request *request,
                                                   const enum atls_signature *ours, size_t count);

/* Signs tbs with the key of the end-entity certificate (ECDSA as DER). */
typedef enum atls_code atls_ea_signer(void *arg, enum atls_signature scheme, struct atls_bytes tbs,
                                      struct atls_buf *out, struct atls_err *err);

struct atls_ea_credential {
    const struct atls_bytes *chain; /* DER certificates, end entity first, 1..ATLS_CHAIN_MAX */
    size_t chain_len;
    struct atls_bytes cmw;      /* cmw_data, 1..ATLS_CMW_DATA_MAX bytes; empty: no attestation */
    enum atls_signature scheme; /* from atls_ea_choose_scheme */
    atls_ea_signer *sign;
    void *sign_arg;
};

/* Answers a request: Certificate || CertificateVerify || Finished. request_raw is the request's
 * bytes with header; one that atls_ea_accept_request has not seen is accepted first, with its
 * errors. Each request is answered once. Errors: ATLS_E_PROTOCOL (context-used: answered before),
 * ATLS_E_USAGE (scheme or cmw not offered by the request, key and scheme disagree, no chain),
 * ATLS_E_LIMIT (cmw_data above 65529 bytes: the message says so), those of sign. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ea_authenticate(struct atls_ea *ea, struct atls_bytes request_raw,
                     const struct atls_ea_credential *credential, struct atls_buf *out,
                     struct atls_err *err);

/* A server's authenticator without request (RFC 9261 section 5: "spontaneous"): context must be
 * fresh and unpredictable; hello stands for the ClientHello. cmw is not allowed (draft
 * section 3.2). Errors: as atls_ea_authenticate; ATLS_E_USAGE on a client. */
struct atls_ea_client_hello {
    const enum atls_signature *schemes; /* signature_algorithms of the ClientHello */
    size_t scheme_count;
    const uint16_t *extensions; /* extension types of the ClientHello */
    size_t extension_count;
};
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_authenticate_spontaneous(
    struct atls_ea *ea, struct atls_bytes context, const struct atls_ea_client_hello *hello,
    const struct atls_ea_credential *credential, struct atls_buf *out, struct atls_err *err);

/* Refuses a request authentically: an empty authenticator (RFC 9261 section 6). */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_decline(struct atls_ea *ea,
                                                        struct atls_bytes request_raw,
                                                        struct atls_buf *out, struct atls_err *err);

/* A snapshot of what answering one request needs, free of the connection, so that evidence and
 * signature may be made on any thread: moves through atls_ea_prepare -> atls_ea_sign. Holds
 * secrets: wiped by atls_ea_answer_free. One thread at a time. */
struct atls_ea_answer;
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_prepare(struct atls_ea *ea,
                                                        struct atls_bytes request_raw,
                                                        struct atls_ea_answer **out,
                                                        struct atls_err *err);
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_sign(struct atls_ea_answer *answer,
                                                     const struct atls_ea_credential *credential,
                                                     struct atls_buf *out, struct atls_err *err);
/* Declines what was prepared, for example because the evidence could not be made. After one success
 * of either function both are ATLS_E_PROTOCOL (context-used). */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ea_answer_decline(struct atls_ea_answer *answer, struct atls_buf *out, struct atls_err *err);
ATLS_API void atls_ea_answer_free(struct atls_ea_answer *answer);

/* What a validated authenticator carries; borrows from its bytes, arrays inside. */
struct atls_ea_peer {
    struct atls_bytes context;
    struct atls_bytes chain[ATLS_CHAIN_MAX]; /* end entity first; NOT validated as a path */
    size_t chain_len;
    struct atls_bytes spki; /* of chain[0] */
    enum atls_signature scheme;
    bool attested; /* cmw_attestation was there */
    struct atls_bytes cmw;
};

/* The same split for validation: takes what is needed out of ea (and marks the request as
 * answered), so that the signature check may run on any thread. */
struct atls_ea_validation;
/* request_raw: our own request, as returned by atls_ea_request. Errors: ATLS_E_USAGE (not a request
 * of this connection), ATLS_E_PROTOCOL (context-used: an answer was taken before), ATLS_E_NOMEM. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_validate_begin(struct atls_ea *ea,
                                                               struct atls_bytes request_raw,
                                                               struct atls_ea_validation **out,
                                                               struct atls_err *err);
/* Finds the public key to verify with, from the end-entity certificate: lets the caller cache
 * parsed keys. NULL in atls_ea_validate_finish means: parse it there. The returned key is a new
 * reference of crypto/crypto.h's struct atls_key. */
struct atls_key;
typedef enum atls_code atls_ea_find_key(void *arg, struct atls_bytes spki, struct atls_key **out,
                                        struct atls_err *err);
/* Checks structure, context echo, extensions, scheme, Finished, CertificateVerify, in this order;
 * MAC in constant time. out is written when every check passed, and a validation serves one call
 * only, so that nothing of a peer is to be had without all of them. An empty authenticator with a
 * right MAC is ATLS_E_DECLINED (reason empty-authenticator), never success. Errors carry the alerts
 * of spec-map. */
ATLS_API ATLS_MUST_CHECK enum atls_code atls_ea_validate_finish(struct atls_ea_validation *v,
                                                                struct atls_bytes authenticator,
                                                                atls_ea_find_key *find_key,
                                                                void *arg, struct atls_ea_peer *out,
                                                                struct atls_err *err);
ATLS_API void atls_ea_validation_free(struct atls_ea_validation *v);

/* begin and finish in one call. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ea_validate(struct atls_ea *ea, struct atls_bytes request_raw, struct atls_bytes authenticator,
                 struct atls_ea_peer *out, struct atls_err *err);
/* A spontaneous one from the server, on the client (else ATLS_E_USAGE); its context is spent on
 * success. */
ATLS_API ATLS_MUST_CHECK enum atls_code
atls_ea_validate_spontaneous(struct atls_ea *ea, const struct atls_ea_client_hello *hello,
                             struct atls_bytes authenticator, struct atls_ea_peer *out,
                             struct atls_err *err);

#ifdef __cplusplus
}
#endif
#endif
