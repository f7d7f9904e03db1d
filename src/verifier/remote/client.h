/* Client of Veraison's challenge-response API: evidence in, a signed result out. It verifies
 * nothing of the result but what the exchange itself shows; that is for whoever wants it. Reference
 * counted, thread safe.
 *
 * For a Relying Party the challenge is the binder of its connection and the evidence is at hand; an
 * Attester that wants a result to carry has the service choose the challenge:
 *
 *     struct atls_veraison_submission s = {.make = make_evidence, .arg = attester};
 *     code = atls_veraison_submit(client, &s, deadline_ms, &answer, err);  */
#ifndef ATLS_VERIFIER_REMOTE_CLIENT_H
#define ATLS_VERIFIER_REMOTE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/log.h>

#include "verifier/remote/key_source.h"

#define ATLS_VERAISON_TIMEOUT_MS 10000
/* Octets of a challenge that the service chooses: a binder's length, and what a TPM signs whole. */
#define ATLS_VERAISON_NONCE_SIZE 32

struct atls_veraison_options {
    const char *url; /* copied */
    struct atls_http_options http;
    const char *result_keys; /* file; NULL: by discovery, over https only */
    /* Ask with an unpadded nonce alone: else a 400 has it asked once more with padding, which some
     * services want. */
    bool unpadded_only;
    struct atls_log log;
};

struct atls_veraison_client;
/* No network, but files are read. Errors: ATLS_E_CONFIG (URL, files, http without result_keys),
 * ATLS_E_NOMEM, ATLS_E_INTERNAL. */
ATLS_MUST_CHECK enum atls_code atls_veraison_client_new(const struct atls_veraison_options *options,
                                                        struct atls_veraison_client **out,
                                                        struct atls_err *err);
struct atls_veraison_client *atls_veraison_client_ref(struct atls_veraison_client *c);
void atls_veraison_client_unref(struct atls_veraison_client *c); /* NULL is fine */
/* Ends exchanges soon, and lets none begin: before a thread that is at one is waited for. */
void atls_veraison_client_stop(struct atls_veraison_client *c);
/* Keys of the results; borrows from c. */
struct atls_key_source *atls_veraison_client_keys(struct atls_veraison_client *c);
const char *atls_veraison_client_url(const struct atls_veraison_client *c);

/* Whether the service says that it is ready, and whether there are keys for its results. Errors:
 * those of atls_service_discover and atls_key_source_get. */
ATLS_MUST_CHECK enum atls_code atls_veraison_client_ping(struct atls_veraison_client *c,
                                                         int64_t deadline_ms, struct atls_err *err);

struct atls_veraison_submission {
    struct atls_bytes binder;   /* 32 or 48 bytes; empty: the service chooses the nonce */
    struct atls_bytes evidence; /* with a binder: one CMW, CBOR, made over it */
    struct atls_bytes aik_spki; /* that the evidence names, checked; empty: of evidence that stands
                                   alone (profile "bare") no token is sent without it */
    /* Without a binder: makes evidence, one CMW in CBOR, over nonce (32 bytes). */
    enum atls_code (*make)(void *arg, struct atls_bytes nonce, struct atls_buf *out_evidence,
                           struct atls_err *err);
    void *arg;
};

struct atls_veraison_answer {
    struct atls_buf token; /* as received; nothing of it is verified */
    bool names_no_key;     /* the service saw a platform token alone: nothing attests a key */
    size_t nonce_len;      /* what it must echo */
    uint8_t nonce[64];
};
void atls_veraison_answer_clear(struct atls_veraison_answer *answer);

/* The whole exchange: discovery, new session, evidence, polling, and the end of the session. Asks
 * at most twice again, and evidence only when the service saw nothing of it. Errors: those of
 * atls_http_exchange and atls_service_discover; ATLS_E_UNSUPPORTED with reason
 * unknown-evidence-type; ATLS_E_UNAVAILABLE also for a session that failed; those of make. */
ATLS_MUST_CHECK enum atls_code
atls_veraison_submit(struct atls_veraison_client *c, const struct atls_veraison_submission *s,
                     int64_t deadline_ms, struct atls_veraison_answer *out, struct atls_err *err);

#endif
