/* HTTP/1.1 requests of a client on their way to a program that cannot know who sent them (RFC
 * 9112): each request head gets headers of ours, and loses those of the same names, which the
 * client made up. Strict: what two readers might take for two things is refused.
 *
 *     http_filter(h, &io) gets bytes of the client in io.in and puts bytes for the program into
 *     io.out; io.used and io.len say how many. Call it again when there is more of the one, or more
 *     room in the other.
 *     http_response(h, bytes) sees what the program sends back, before it goes on unchanged.
 *
 * A protocol is switched for WebSocket alone, by the first request of a connection: what the client
 * sends behind it is held back until the program has answered. Other offers to upgrade are
 * taken out of requests (RFC 9110 section 7.8 lets a server ignore them): a stream of HTTP/2 would
 * carry requests that nobody looks at. CONNECT is refused. One thread at a time. */
#ifndef PROXY_HTTP_H
#define PROXY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

#define HTTP_HEAD_MAX    32768 /* bytes of a request line with its fields, or of a trailer section */
#define HTTP_FIELDS_MAX  128
#define HTTP_HEADERS_MAX 32   /* of ours */
#define HTTP_ADDED_MAX   8192 /* bytes of all headers of ours */

struct http;

struct http_options {
    /* Of the headers of ours: tokens of RFC 9110; NULL for one that is not configured. Borrowed for
     * the life of the filter. They are taken out of requests whether a value is set or not. */
    const char *const *names;
    size_t count;
    /* Responses are shown to http_response, so that WebSocket can be told from a refusal of it.
     * Otherwise its offers, too, are taken out of requests. */
    bool websocket;
};

/* Errors: ATLS_E_CONFIG (no token, a name that frames messages or is there twice), ATLS_E_LIMIT,
 * ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code http_new(const struct http_options *options, struct http **out,
                                        struct atls_err *err);
void http_free(struct http *h); /* NULL is fine */

/* Values from the next request head on, in the order of names; copied. NULL: that header is not
 * added. Visible ASCII and inner spaces. Errors: ATLS_E_USAGE, ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code http_set(struct http *h, const char *const *values,
                                        struct atls_err *err);

enum http_state {
    HTTP_ON = 0, /* all of the input was used, or the output is full */
    HTTP_HELD, /* waits for the program to answer an offer to upgrade; takes no input until then */
    HTTP_TUNNEL,  /* switched: from now on input goes on unchanged, without this filter */
    HTTP_REFUSED, /* nothing goes on from here; http_status says with what answer */
};

struct http_io {
    const uint8_t *in;
    size_t in_len, used;
    uint8_t *out;
    size_t size, len;
};

/* Errors are no return value: a refusal stays one. err, when HTTP_REFUSED, says why: ATLS_E_DECODE,
 * ATLS_E_UNSUPPORTED, ATLS_E_LIMIT, ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum http_state http_filter(struct http *h, struct http_io *io,
                                            struct atls_err *err);
/* Every byte that the program sends, in order. Cheap where nothing waits for it. */
void http_response(struct http *h, struct atls_bytes bytes);
/* Whether the client may end its stream here: between two requests, or behind a switch. */
bool http_is_between(const struct http *h);
/* Of a refusal: 400, 431, 501, 505; 500 for want of memory. 0: none is to be sent, since a request
 * went on before and its response may be under way. */
unsigned http_status(const struct http *h);
/* A whole response of status 400, 431, 500, 501, 502, 505, with a problem document (RFC 9457),
 * after which the connection ends; static. Empty for another status. */
struct atls_bytes http_answer(unsigned status);

#endif
