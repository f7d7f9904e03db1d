/* HTTP exchanges with one service, over libcurl.
 *
 *     struct atls_http_request request = {.method = "GET", .url = url.text, .deadline_ms =
 * deadline}; if ((code = atls_http_exchange(http, &request, &response, err)) == ATLS_OK) { if
 * (response.status == 200 && atls_http_is(&response, "application/json")) ...
 *         atls_http_response_clear(&response);
 *     }
 *
 * Nothing is followed or guessed: no redirect, no cookie, no proxy of the environment unless asked
 * for, no content coding. Over https: TLS 1.2 or newer, chain and host name checked, against
 * ca_file alone when there is one. Connections are kept and used again. Thread safe: as many
 * exchanges at once as ATLS_HTTP_HANDLES, further ones wait for their turn until their deadline. */
#ifndef ATLS_VERIFIER_REMOTE_HTTP_H
#define ATLS_VERIFIER_REMOTE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#define ATLS_HTTP_BODY_MAX    (256 * 1024) /* of an answer */
#define ATLS_HTTP_HEADERS_MAX (64 * 1024)  /* of an answer */
#define ATLS_HTTP_HANDLES     32           /* exchanges at once */
#define ATLS_HTTP_IDLE_MAX    8            /* connections kept while nothing happens */
#define ATLS_HTTP_CONNECT_MS  5000

/* Strings are copied. */
struct atls_http_options {
    const char *ca_file;            /* PEM; NULL: the system's */
    const char *client_certificate; /* PEM chain, or NULL; with client_key */
    const char *client_key;         /* PEM */
    const char *bearer_token;       /* RFC 6750, or NULL; sent over https only */
    bool use_environment_proxy;     /* https_proxy and the like (curl(1)) */
};

struct atls_http;

/* Errors: ATLS_E_CONFIG (a file that is not there or holds no certificate; a token that no header
 * can carry), ATLS_E_NOMEM, ATLS_E_INTERNAL (libcurl without TLS). */
ATLS_MUST_CHECK enum atls_code atls_http_new(const struct atls_http_options *options,
                                             struct atls_http **out, struct atls_err *err);
void atls_http_free(struct atls_http *http); /* NULL is fine; no exchange may be under way */

/* Ends what is under way within a second or so, and fails all that follows with ATLS_E_TIMEOUT: for
 * one who must end. From any thread. */
void atls_http_stop(struct atls_http *http);

struct atls_http_request {
    const char *method; /* GET, POST, DELETE */
    const char *url;    /* http or https */
    const char *accept; /* media type, or NULL */
    const char *content_type;
    struct atls_bytes body;  /* of a POST; may be empty */
    const char *keep_header; /* name of a header whose value is wanted, or NULL */
    int64_t deadline_ms;     /* of atls_http_now_ms */
    bool *out_sent; /* or NULL; after a failure: false when the service has seen nothing of it */
};

/* What came back. */
struct atls_http_response {
    long status; /* 200 to 599 */
    char content_type[256];
    char location[1024]; /* "" when absent */
    int64_t max_age_s;   /* Cache-Control: max-age, 0 also for no-store and no-cache; -1: absent */
    int64_t retry_after_s;  /* Retry-After in seconds; -1: absent, or a date */
    struct atls_buf header; /* value of keep_header; empty: absent */
    struct atls_buf body;
};
void atls_http_response_clear(struct atls_http_response *response);

/* The clock of deadlines. */
int64_t atls_http_now_ms(void);

/* ATLS_OK: a whole answer came, whatever its status. A request on a kept connection that turns out
 * to be closed is sent again on a new one. Errors: ATLS_E_UNAVAILABLE (no connection, or
 * it broke), ATLS_E_TIMEOUT with reason deadline, ATLS_E_CERTIFICATE (the service's certificate is
 * refused), ATLS_E_PROTOCOL (an answer that is no HTTP, over a limit, has two Locations or a
 * content coding), ATLS_E_CONFIG (files of the options), ATLS_E_USAGE, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_http_exchange(struct atls_http *http,
                                                  const struct atls_http_request *request,
                                                  struct atls_http_response *out,
                                                  struct atls_err *err);

/* True when the Content-Type of the answer is this media type, whatever its parameters. */
bool atls_http_is(const struct atls_http_response *response, const char *media_type);

/* Records what an answer of a status that was not wanted says: "what: 503 (detail)", the detail of
 * a problem document (RFC 9457) escaped. Code: ATLS_E_UNAVAILABLE for 5xx and 429, else
 * ATLS_E_PROTOCOL. */
enum atls_code atls_http_unwanted(const struct atls_http_response *response, const char *what,
                                  struct atls_err *err);

#endif
