/* The session object of Veraison's challenge-response API, and the encodings of nonces in it.
 * Codec only. */
#ifndef ATLS_VERIFIER_REMOTE_SESSION_H
#define ATLS_VERIFIER_REMOTE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <atls/limits.h>

#include "core/arena.h"

#define ATLS_SESSION_TYPE "application/vnd.veraison.challenge-response-session+json"

#define ATLS_SESSION_NONCE_MIN  8
#define ATLS_SESSION_NONCE_MAX  64
#define ATLS_SESSION_ACCEPT_MAX 64  /* media types */
#define ATLS_MEDIA_TYPE_MAX     512 /* bytes of one */

enum atls_session_status {
    ATLS_SESSION_WAITING = 1,
    ATLS_SESSION_PROCESSING = 2,
    ATLS_SESSION_COMPLETE = 3,
    ATLS_SESSION_FAILED = 4, /* the service could not appraise: says nothing of the evidence */
};

/* Lives in its arena. */
struct atls_session_object {
    struct atls_arena arena;
    enum atls_session_status status;
    size_t nonce_len; /* 8..64, or 0: absent */
    uint8_t nonce[ATLS_SESSION_NONCE_MAX];
    struct atls_bytes accept[ATLS_SESSION_ACCEPT_MAX]; /* media types, NUL terminated */
    size_t accept_count;
    struct atls_bytes result; /* a token, when complete: JWT, or the bytes of a CWT; else empty */
};

/* Decodes one JSON object with unique members: status, and result when and only when it is
 * complete; nonce and accept where they are there. *out is written on success only and is the
 * caller's to clear. Errors: ATLS_E_PROTOCOL, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_session_object_decode(struct atls_bytes json,
                                                          struct atls_session_object *out,
                                                          struct atls_err *err);
void atls_session_object_clear(struct atls_session_object *object);

/* 8 to 64 octets in any of the four encodings that services use: base64 or base64url, with padding
 * or without. False, and nothing written, for anything else. */
ATLS_MUST_CHECK bool atls_session_nonce_get(struct atls_bytes text,
                                            uint8_t out[ATLS_SESSION_NONCE_MAX], size_t *out_len);

#endif
