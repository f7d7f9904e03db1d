/* What a verifier service says of itself at /.well-known/veraison/verification: where sessions are
 * opened, which evidence it takes, and, over https, the keys of its results. */
#ifndef ATLS_VERIFIER_REMOTE_DISCOVERY_H
#define ATLS_VERIFIER_REMOTE_DISCOVERY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/ear.h>
#include <atls/log.h>

#include "core/arena.h"
#include "verifier/remote/http.h"
#include "verifier/remote/url.h"

#define ATLS_DISCOVERY_TYPE      "application/vnd.veraison.discovery+json"
#define ATLS_DISCOVERY_PATH      "/.well-known/veraison/verification"
#define ATLS_DISCOVERY_TYPES_MAX 64
/* For how long an answer counts: what Cache-Control says within these bounds. */
#define ATLS_DISCOVERY_AGE_MIN_S     1
#define ATLS_DISCOVERY_AGE_MAX_S     86400
#define ATLS_DISCOVERY_AGE_DEFAULT_S 60
/* Asked again for the sake of an unknown key at most this often. */
#define ATLS_DISCOVERY_RENEW_MS 10000

/* One answer. Immutable once built, reference counted, share freely. */
struct atls_discovery {
    atomic_uint references;
    struct atls_arena arena;
    struct atls_url new_session;
    struct atls_bytes media_types[ATLS_DISCOVERY_TYPES_MAX]; /* NUL terminated */
    size_t media_type_count;
    struct atls_ear_keys *keys; /* NULL: none named, or not over https */
    const char *version;        /* escaped; "" when absent */
};
void atls_discovery_unref(struct atls_discovery *d); /* NULL is fine */

/* Decodes an answer of the service at base: one JSON object with unique members, "api-endpoints"
 * with "newChallengeResponseSession", "media-types"; service-state READY, where there is one; keys
 * from "ear-verification-keys" (a JWK set) or else "ear-verification-key" (a JWK). Errors:
 * ATLS_E_PROTOCOL, ATLS_E_UNAVAILABLE (another state), ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_discovery_decode(struct atls_bytes json,
                                                     const struct atls_url *base,
                                                     struct atls_discovery **out,
                                                     struct atls_err *err);

/* A service: its URL, its connections, and what it last said of itself. Reference counted, thread
 * safe. */
struct atls_service;

struct atls_service_options {
    const char *url; /* of the service; copied */
    struct atls_http_options http;
    struct atls_log log;
};
/* No network. Errors: ATLS_E_CONFIG, ATLS_E_NOMEM, ATLS_E_INTERNAL. */
ATLS_MUST_CHECK enum atls_code atls_service_new(const struct atls_service_options *options,
                                                struct atls_service **out, struct atls_err *err);
struct atls_service *atls_service_ref(struct atls_service *s);
void atls_service_unref(struct atls_service *s); /* NULL is fine */
const struct atls_url *atls_service_url(const struct atls_service *s);
struct atls_http *atls_service_http(struct atls_service *s);

/* What the service says of itself, asked unless the last answer still counts; the caller unrefs.
 * One thread asks, others wait for what it finds. Errors: those of atls_http_exchange and
 * atls_discovery_decode. */
ATLS_MUST_CHECK enum atls_code atls_service_discover(struct atls_service *s, int64_t deadline_ms,
                                                     struct atls_discovery **out,
                                                     struct atls_err *err);
/* Asks in any case; what the service says counts from then on for everybody. Errors: the same. */
ATLS_MUST_CHECK enum atls_code atls_service_ping(struct atls_service *s, int64_t deadline_ms,
                                                 struct atls_err *err);
/* The same for somebody to whom seen (borrowed) was not enough: asks again, unless another thread
 * has, or it was done less than ATLS_DISCOVERY_RENEW_MS ago; *out may be seen itself. */
ATLS_MUST_CHECK enum atls_code
atls_service_rediscover(struct atls_service *s, const struct atls_discovery *seen,
                        int64_t deadline_ms, struct atls_discovery **out, struct atls_err *err);

#endif
