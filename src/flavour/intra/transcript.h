/* The transcript of a TLS 1.3 handshake (RFC 8446 section 4.4.1), from its messages as they pass:
 * which hash the suite has, and the hash over ClientHello .. ServerHello.
 *
 *     atls_transcript_new(&t, &err);
 *     atls_transcript_add(t, message, true, &err);         each whole message, in order
 *     if (atls_transcript_hash(t) != ATLS_HASH_NONE)       ServerHello has passed
 *         use(atls_transcript_hellos(t));
 *
 * After a HelloRetryRequest the first ClientHello counts as a message of type 254 that holds its
 * hash. One thread at a time. */
#ifndef ATLS_FLAVOUR_INTRA_TRANSCRIPT_H
#define ATLS_FLAVOUR_INTRA_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reader.h"
#include "crypto/crypto.h"

/* A hello with its header: two lists of 65535 bytes, the rest, and some room; what OpenSSL takes,
 * too. The first ClientHello is kept until the suite is known. */
#define ATLS_HELLO_MAX 131400

#define ATLS_HELLO_RANDOM_LEN 32

struct atls_transcript;

/* Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_transcript_new(struct atls_transcript **out,
                                                   struct atls_err *err);
void atls_transcript_free(struct atls_transcript *t); /* NULL is fine */
/* Messages after ServerHello are hashed, too (atls_transcript_peek). Call it before the first
 * message; without it they are ignored. */
void atls_transcript_go_on(struct atls_transcript *t);

/* The next message of either side, with its 4-byte header. Errors: ATLS_E_PROTOCOL with reason
 * transcript (out of order, wrong side, wrong length, malformed hello, another hash after a
 * HelloRetryRequest), ATLS_E_LIMIT with reason transcript (hello above ATLS_HELLO_MAX), ATLS_E_TLS
 * with reason tls-version (a suite that is not of TLS 1.3, or whose hash we do not have),
 * ATLS_E_NOMEM, ATLS_E_CRYPTO. After a failure the transcript is of no use. */
ATLS_MUST_CHECK enum atls_code atls_transcript_add(struct atls_transcript *t,
                                                   struct atls_bytes whole, bool from_client,
                                                   struct atls_err *err);

/* The suite's hash once ServerHello has passed; NONE before. */
enum atls_hash atls_transcript_hash(const struct atls_transcript *t);
/* Hash over ClientHello .. ServerHello; empty before. Borrows from t. */
struct atls_bytes atls_transcript_hellos(const struct atls_transcript *t);
/* True once a HelloRetryRequest has passed. */
bool atls_transcript_retried(const struct atls_transcript *t);
/* Hash over everything so far, after ServerHello. Errors: ATLS_E_USAGE (before ServerHello),
 * ATLS_E_CRYPTO. */
ATLS_MUST_CHECK enum atls_code atls_transcript_peek(const struct atls_transcript *t,
                                                    uint8_t out[ATLS_HASH_MAX],
                                                    struct atls_err *err);

#endif
