/* What a ClientHello asks for, read from the first bytes of a stream that stay where they are
 * (MSG_PEEK): server name and application protocols. RFC 8446 section 4.1.2, RFC 6066 section 3,
 * RFC 7301 section 3.1. Pure; nothing is allocated. */
#ifndef PROXY_PEEK_H
#define PROXY_PEEK_H

#include <stddef.h>

#include <atls/bytes.h>

/* Bytes of the stream that are looked at; a ClientHello that is longer is refused. */
#define PEEK_MAX      16384
#define PEEK_ALPN_MAX 32
#define PEEK_TEXT_MAX 1024 /* of all ALPN names, with their lengths */

enum peek_state {
    PEEK_MORE = 0, /* as far as it goes it is one */
    PEEK_FOUND,
    PEEK_NOT_TLS, /* the first bytes are no handshake record */
    PEEK_BAD,     /* malformed, or over a limit; err says how */
};

struct peek {
    char sni[256]; /* lower case; "": none */
    /* In the client's order, as config_route_matches takes them; points into text. A name with a
     * zero byte in it is left out: no configuration can have it. */
    const char *alpn[PEEK_ALPN_MAX];
    size_t alpn_count;
    char text[PEEK_TEXT_MAX];
};

/* in: the stream from its first byte; no more than PEEK_MAX of it are needed. *out is filled when
 * PEEK_FOUND is returned, and must not be moved. err is set for PEEK_BAD alone: ATLS_E_DECODE,
 * ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum peek_state peek_client_hello(struct atls_bytes in, struct peek *out,
                                                  struct atls_err *err);

#endif
