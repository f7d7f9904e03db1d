/* Where the keys of a Verifier's results come from: a file that is read again when it changes, or
 * discovery over https. Thread safe. */
#ifndef ATLS_VERIFIER_REMOTE_KEY_SOURCE_H
#define ATLS_VERIFIER_REMOTE_KEY_SOURCE_H

#include <stdint.h>

#include <atls/ear.h>

#include "verifier/remote/discovery.h"

struct atls_key_source;

/* Keys of a file (JWK, JWK set or PEM; at most 64 KiB), read now. Later it is looked at once a
 * second at most; when it has changed and cannot be read, there are no keys until it can: what it
 * no longer names is not trusted. Replace it by renaming. Errors: ATLS_E_CONFIG, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_key_source_file(const char *path, struct atls_key_source **out,
                                                    struct atls_err *err);
/* Keys that a service names; takes a reference of it. Errors: ATLS_E_CONFIG (its URL is not https:
 * then anybody could name keys), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_key_source_service(struct atls_service *service,
                                                       struct atls_key_source **out,
                                                       struct atls_err *err);
void atls_key_source_free(struct atls_key_source *source); /* NULL is fine */

/* The keys as of now; the caller unrefs. Errors: those of atls_service_discover, ATLS_E_PROTOCOL
 * (it names no key), ATLS_E_CONFIG (file), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_key_source_get(struct atls_key_source *source,
                                                   int64_t deadline_ms, struct atls_ear_keys **out,
                                                   struct atls_err *err);
/* Whether they can be had now: asks the service anew, looks at the file at once. Errors: the same.
 */
ATLS_MUST_CHECK enum atls_code atls_key_source_ping(struct atls_key_source *source,
                                                    int64_t deadline_ms, struct atls_err *err);
/* For somebody whose token the keys seen (borrowed) did not verify: looks again, at a file at once,
 * at a service at most every ten seconds. *out is seen itself, with a reference, when there is
 * nothing new. */
ATLS_MUST_CHECK enum atls_code
atls_key_source_renew(struct atls_key_source *source, struct atls_ear_keys *seen,
                      int64_t deadline_ms, struct atls_ear_keys **out, struct atls_err *err);

/* What became of get and ping, for who asks about a peer: keys that cannot be used say nothing of
 * the peer, so that all but ATLS_E_CONFIG, ATLS_E_NOMEM, ATLS_E_TIMEOUT becomes
 * ATLS_E_UNAVAILABLE. Returns the code. */
enum atls_code atls_key_source_judge(enum atls_code code, struct atls_err *err);

#endif
