/* Inside of src/ea: what its files share. The interface is atls/ea.h. */
#ifndef ATLS_EA_EA_H
#define ATLS_EA_EA_H

#include <atls/ea.h>

#include "crypto/crypto.h"
#include "wire/tls_msg.h"

#define ATLS_EA_HASH_MAX 48 /* SHA-384 is the longest hash of a TLS 1.3 suite */

/* ---- contexts.c ---- */

/* Who asked under a context, and whether it may still be answered. */
enum atls_ea_use {
    ATLS_EA_OURS = 1,   /* our request, no answer seen */
    ATLS_EA_THEIRS = 2, /* the peer's request, not answered */
    ATLS_EA_SPENT = 3,  /* answered, declined, or spontaneous */
};

struct atls_ea_context {
    uint8_t id[32];      /* SHA-256 of the context */
    uint8_t request[32]; /* SHA-256 of the whole request: another one cannot stand in for it */
    enum atls_ea_use use;
};

/* Every context of the connection's life, both directions and spontaneous ones in one set (RFC 9261
 * section 4). */
struct atls_ea_contexts {
    struct atls_ea_context *items;
    size_t count, room;
};

/* The item of a context, *out NULL when there is none. Errors: ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_ea_contexts_find(const struct atls_ea_contexts *c,
                                                     struct atls_bytes context,
                                                     struct atls_ea_context **out,
                                                     struct atls_err *err);
/* Adds one. Errors: ATLS_E_PROTOCOL (context-used), ATLS_E_LIMIT (ATLS_CONTEXTS_MAX), ATLS_E_NOMEM.
 */
ATLS_MUST_CHECK enum atls_code atls_ea_contexts_add(struct atls_ea_contexts *c,
                                                    struct atls_bytes context,
                                                    struct atls_bytes request, enum atls_ea_use use,
                                                    struct atls_err *err);
/* Spends the context of a request, which must be on record with this use and these very bytes.
 * Errors: ATLS_E_PROTOCOL (context-used), ATLS_E_USAGE (no such request). */
ATLS_MUST_CHECK enum atls_code atls_ea_contexts_spend(struct atls_ea_contexts *c,
                                                      struct atls_bytes context,
                                                      struct atls_bytes request,
                                                      enum atls_ea_use use, struct atls_err *err);
void atls_ea_contexts_clear(struct atls_ea_contexts *c);

enum atls_code atls_ea_fail_context_used(struct atls_err *err);

/* ---- ea.c ---- */

/* Exporter values for one sender (RFC 9261 section 5.1). Secret. */
struct atls_ea_keys {
    enum atls_hash hash;
    uint8_t handshake_context[ATLS_EA_HASH_MAX];
    uint8_t finished_key[ATLS_EA_HASH_MAX];
};

struct atls_ea {
    enum atls_role role;
    enum atls_hash hash;
    atls_exporter *exporter;
    void *exporter_arg;
    struct atls_ea_keys own, peer; /* for what we send, what the peer sends; hash NONE: not yet */
    struct atls_ea_contexts contexts;
};

/* Exporter values for authenticators of sender, a copy that the caller wipes; on the connection's
 * thread. Errors: those of the exporter. */
ATLS_MUST_CHECK enum atls_code atls_ea_keys_for(struct atls_ea *ea, enum atls_role sender,
                                                struct atls_ea_keys *out, struct atls_err *err);

/* The other end's role. */
enum atls_role atls_ea_peer_role(const struct atls_ea *ea);

/* ---- request.c ---- */

/* What a request, or the ClientHello in its place, allows an authenticator to hold. */
struct atls_ea_offer {
    enum atls_signature schemes[ATLS_EA_SCHEMES_MAX]; /* fit for CertificateVerify only */
    size_t scheme_count;
    uint16_t extensions[ATLS_TLS_EXTENSIONS_MAX];
    size_t extension_count;
    bool attestation;
};

void atls_ea_offer_from_request(const struct atls_ea_request *request, struct atls_ea_offer *out);
/* Errors: ATLS_E_USAGE (too many extensions). cmw_attestation never is on offer there. */
ATLS_MUST_CHECK enum atls_code atls_ea_offer_from_hello(const struct atls_ea_client_hello *hello,
                                                        struct atls_ea_offer *out,
                                                        struct atls_err *err);
bool atls_ea_offers_scheme(const struct atls_ea_offer *offer, enum atls_signature scheme);

/* ---- transcript.c ---- */

/* Hash(Handshake Context || request || ...): request may be empty (RFC 9261 section 5.2.2). */
ATLS_MUST_CHECK enum atls_code atls_ea_transcript(const struct atls_ea_keys *keys,
                                                  struct atls_bytes request,
                                                  struct atls_digest **out, struct atls_err *err);
/* What CertificateVerify signs, over the transcript so far (RFC 9261 section 5.2.2). */
ATLS_MUST_CHECK enum atls_code atls_ea_signed_content(const struct atls_ea_keys *keys,
                                                      const struct atls_digest *transcript,
                                                      struct atls_buf *out, struct atls_err *err);
/* MAC of Finished over the transcript so far (RFC 9261 section 5.2.3): as long as the hash. */
ATLS_MUST_CHECK enum atls_code atls_ea_finished_mac(const struct atls_ea_keys *keys,
                                                    const struct atls_digest *transcript,
                                                    uint8_t out[ATLS_HASH_MAX],
                                                    struct atls_err *err);
/* The same for an empty authenticator (RFC 9261 section 6). */
ATLS_MUST_CHECK enum atls_code atls_ea_empty_mac(const struct atls_ea_keys *keys,
                                                 struct atls_bytes request,
                                                 struct atls_bytes context,
                                                 uint8_t out[ATLS_HASH_MAX], struct atls_err *err);

#endif
