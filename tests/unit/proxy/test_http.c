#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#define HOST "Host: a\r\n"
#define OURS "ATLS-Verdict: affirming\r\nX-Kind: tpm\r\n"

static const char *const names[] = {"ATLS-Verdict", NULL, "X-Kind", "X-Instance"};
static const char *const values[] = {"affirming", "never", "tpm", NULL};

static struct http *make(bool websocket)
{
    const struct http_options options = {names, 4, websocket};
    struct atls_err err = ATLS_ERR_INIT;
    struct http *h = NULL;

    test_assert_code(http_new(&options, &h, &err), ATLS_OK, &err);
    test_assert_code(http_set(h, values, &err), ATLS_OK, &err);
    return h;
}

/* What came out so far. */
struct output {
    char text[100000];
    size_t len;
};

/* In portions of at most these sizes. */
static enum http_state feed(struct http *h, const char *in, size_t len, size_t portion, size_t room,
                            struct output *out, struct atls_err *err)
{
    enum http_state state = HTTP_ON;
    size_t used = 0;
    bool moved = true;

    while (moved) {
        size_t n = len - used < portion ? len - used : portion;
        uint8_t *copy = malloc(n > 0 ? n : 1), *space = malloc(room);
        struct http_io io = {copy, n, 0, space, room, 0};

        if (copy == NULL || space == NULL)
            abort();
        memcpy(copy, in + used, n);
        state = http_filter(h, &io, err);
        assert_true(io.used <= n && io.len <= room && io.len < sizeof out->text - out->len);
        memcpy(out->text + out->len, space, io.len);
        out->len += io.len;
        out->text[out->len] = '\0';
        used += io.used;
        moved = io.used > 0 || io.len > 0;
        free(copy);
        free(space);
    }
    if (state == HTTP_ON)
        assert_int_equal(used, len);
    return state;
}

static enum http_state feed_text(struct http *h, const char *in, struct output *out,
                                 struct atls_err *err)
{
    return feed(h, in, strlen(in), 1u << 20, 1u << 16, out, err);
}

/* ---- streams that go on ---- */

static const struct {
    const char *what, *in, *out;
} good[] = {
    {"smallest", "GET / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\r\n" HOST OURS "\r\n"},
    {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n" OURS "\r\n"},
    {"an empty line before it", "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
     "GET / HTTP/1.1\r\n" HOST OURS "\r\n"},
    {"made up, in every way of writing",
     "GET / HTTP/1.1\r\natls-verdict: x\r\n" HOST "ATLS_VERDICT:x\r\nAtls.Verdict: x\r\nx-KIND:\r\n"
     "X_Instance: 00\r\nX-Kinds: stays\r\n\r\n",
     "GET / HTTP/1.1\r\n" HOST "X-Kinds: stays\r\n" OURS "\r\n"},
    {"body by length, then another",
     "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nX-K: GET / HTTP/1.1\r\n" HOST "\r\n",
     "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" OURS
     "\r\nX-K: GET / HTTP/1.1\r\n" HOST OURS "\r\n"},
    {"empty body", "POST / HTTP/1.1\r\ncontent-length:0\r\n" HOST "\r\n",
     "POST / HTTP/1.1\r\ncontent-length:0\r\n" HOST OURS "\r\n"},
    {"chunks, with extensions and a trailer, then another",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
     "5;a=\"b;c\"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nDigest: x\r\nX-Kind: fake\r\n\r\n"
     "GET / HTTP/1.1\r\n" HOST "\r\n",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n" OURS "\r\n"
     "5\r\nhello\r\na\r\n0123456789\r\n0\r\nDigest: x\r\n\r\n"
     "GET / HTTP/1.1\r\n" HOST OURS "\r\n"},
    {"chunks without a trailer",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" OURS "\r\n0\r\n\r\n"},
    {"absolute-form", "GET http://A:80/x HTTP/1.1\r\nHost: a:80\r\n\r\n",
     "GET http://A:80/x HTTP/1.1\r\nHost: a:80\r\n" OURS "\r\n"},
    {"absolute-form of https without a path", "GET HTTPS://a?b HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET HTTPS://a?b HTTP/1.1\r\nHost: a\r\n" OURS "\r\n"},
    {"asterisk-form", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
     "OPTIONS * HTTP/1.1\r\n" HOST OURS "\r\n"},
    {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n" OURS "\r\n"},
    {"offer of another protocol",
     "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
     "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\n" OURS "\r\n"},
    {"value with tab, quotes and 8 bits", "GET / HTTP/1.1\r\n" HOST "A: \t\"\xe4\"\r\n\r\n",
     "GET / HTTP/1.1\r\n" HOST "A: \t\"\xe4\"\r\n" OURS "\r\n"},
};

static void test_good(void **state)
{
    static const size_t portions[][2] = {
        {1u << 20, 1u << 16}, {1, 1}, {1, 1u << 16}, {7, 3}, {1u << 20, 1}};
    static struct output out;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        for (size_t k = 0; k < sizeof portions / sizeof portions[0]; k++) {
            struct http *h = make(true);
            struct atls_err err = ATLS_ERR_INIT;

            out.len = 0;
            assert_int_equal(
                feed(h, good[i].in, strlen(good[i].in), portions[k][0], portions[k][1], &out, &err),
                HTTP_ON);
            assert_string_equal(out.text, good[i].out);
            assert_true(http_is_between(h));
            assert_int_equal(http_status(h), 0);
            http_free(h);
        }
}

/* Of no request that is not whole anything is seen by who is behind the filter. */
static void test_truncated(void **state)
{
    static const char in[] = "GET / HTTP/1.1\r\n" HOST "X-Kind: fake\r\n\r\n";
    static struct output out;

    (void)state;
    for (size_t len = 1; len < sizeof in - 1; len++) {
        struct http *h = make(false);

        out.len = 0;
        assert_int_equal(feed(h, in, len, 64, 64, &out, NULL), HTTP_ON);
        assert_int_equal(out.len, 0);
        assert_false(http_is_between(h));
        http_free(h);
    }
}

/* ---- streams that are refused ---- */

#define GET    "GET / HTTP/1.1\r\n" HOST
#define CHUNKS "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *what, *in;
    unsigned status;
    const char *message;
} bad[] = {
    {"TLS", "\x16\x03\x01", 400, "control"},
    {"delete", GET "A: \x7f", 400, "control"},
    {"LF alone", "GET / HTTP/1.1\n", 400, "LF alone"},
    {"CR alone", "GET / HTTP/1.1\r" HOST, 400, "LF alone"},
    {"CR CR LF", "GET / HTTP/1.1\r\r\n", 400, "LF alone"},
    {"two empty lines", "\r\n\r\n", 400, "empty lines"},
    {"HTTP/0.9", "GET /\r\n\r\n", 400, "request line"},
    {"two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", 400, "no version"},
    {"space in a target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400, "no version"},
    {"space at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n", 400, "no version"},
    {"tab in a target", "GET /\t HTTP/1.1\r\n" HOST "\r\n", 400, "visible"},
    {"8 bits in a target", "GET /\xe4 HTTP/1.1\r\n" HOST "\r\n", 400, "visible"},
    {"no method", " / HTTP/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"method with a colon", "G:T / HTTP/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"lower-case version", "GET / http/1.1\r\n" HOST "\r\n", 400, "no version"},
    {"version 1,1", "GET / HTTP/1,1\r\n" HOST "\r\n", 400, "no version"},
    {"version 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", 505, "other than"},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", 505, "other than"},
    {"CONNECT", "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", 501, "CONNECT"},
    {"asterisk of GET", "GET * HTTP/1.1\r\n" HOST "\r\n", 400, "neither a path"},
    {"no target", "GET  HTTP/1.1\r\n" HOST "\r\n", 400, "neither a path"},
    {"other scheme", "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", 400, "neither a path"},
    {"authority-form", "GET a:80 HTTP/1.1\r\n" HOST "\r\n", 400, "neither a path"},
    {"target without a host", "GET http:///x HTTP/1.1\r\nHost:\r\n\r\n", 400, "without a host"},
    {"other Host than the target's", "GET http://b/ HTTP/1.1\r\n" HOST "\r\n", 400, "not that of"},
    {"longer Host", "GET http://a/ HTTP/1.1\r\nHost: ab\r\n\r\n", 400, "not that of"},
    {"no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", 400, "no Host"},
    {"two Hosts", GET HOST "\r\n", 400, "two Host"},
    {"path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "no host"},
    {"space in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "no host"},
    {"folded", GET "A: b\r\n c\r\n\r\n", 400, "folded"},
    {"folded by a tab", GET "A: b\r\n\tX-Kind: c\r\n\r\n", 400, "folded"},
    {"space before the colon", GET "X-Kind : a\r\n\r\n", 400, "space before"},
    {"tab before the colon", GET "X-Kind\t: a\r\n\r\n", 400, "space before"},
    {"no colon", GET "X-Kind\r\n\r\n", 400, "space before"},
    {"no name", GET ": a\r\n\r\n", 400, "space before"},
    {"8 bits in a name", GET "X-\xe4: a\r\n\r\n", 400, "space before"},
    {"Content_Length", GET "Content_Length: 1\r\n\r\n", 400, "looks like"},
    {"Transfer.Encoding", GET "Transfer.Encoding: chunked\r\n\r\n", 400, "looks like"},
    {"length and coding", GET "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "Content-Length and"},
    {"coding and length", GET "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400,
     "Content-Length and"},
    {"two equal lengths", GET "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400,
     "two Content-Length"},
    {"list of lengths", GET "Content-Length: 1, 1\r\n\r\n", 400, "no number"},
    {"negative length", GET "Content-Length: -1\r\n\r\n", 400, "no number"},
    {"signed length", GET "Content-Length: +1\r\n\r\n", 400, "no number"},
    {"empty length", GET "Content-Length:\r\n\r\n", 400, "is empty"},
    {"length of 19 digits", GET "Content-Length: 1000000000000000000\r\n\r\n", 400, "over 18"},
    {"two codings", GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "two Transfer"},
    {"gzip, chunked", GET "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "coding other"},
    {"identity", GET "Transfer-Encoding: identity\r\n\r\n", 501, "coding other"},
    {"coding with a vertical tab",
     GET "Transfer-Encoding: \x0b"
         "chunked\r\n\r\n",
     400, "control"},
    {"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "in HTTP/1.0"},
    {"has our header taken out", GET "Connection: close, x-kind\r\n\r\n", 400, "Connection names"},
    {"the same in disguise", GET "Connection: ATLS_verdict\r\n\r\n", 400, "Connection names"},
    {"has the length taken out", GET "Connection: Content-Length\r\n\r\n", 400, "Connection names"},
    {"chunk size of other letters", CHUNKS "g\r\n", 0, "chunk size"},
    {"chunk size with 0x", CHUNKS "0x1\r\n", 0, "chunk size"},
    {"no chunk size", CHUNKS "\r\n", 0, "chunk size"},
    {"extension alone", CHUNKS ";a\r\n", 0, "chunk size"},
    {"space behind a chunk size", CHUNKS "1 \r\n", 0, "chunk size"},
    {"chunk size of 16 digits", CHUNKS "1000000000000000", 0, "chunk size"},
    {"chunk size ended by LF", CHUNKS "1\n", 0, "chunk size"},
    {"LF in an extension", CHUNKS "1;a\nb", 0, "chunk size"},
    {"CR alone in an extension", CHUNKS "1;a\rb", 0, "CR alone"},
    {"chunk that is longer", CHUNKS "1\r\nab\r\n", 0, "does not end"},
    {"chunk ended by LF", CHUNKS "1\r\na\n", 0, "does not end"},
    {"chunk ended by CR CR", CHUNKS "1\r\na\r\r", 0, "does not end"},
    {"length in a trailer", CHUNKS "0\r\nContent-Length: 1\r\n\r\n", 0, "in a trailer"},
    {"folded trailer", CHUNKS "0\r\nA: b\r\n c\r\n\r\n", 0, "folded"},
    {"the second request", GET "\r\nGET / HTTP/1.2\r\n\r\n", 0, "other than"},
};

static enum atls_code code_of(unsigned status, const char *what)
{
    if (strcmp(what, "the second request") == 0)
        return ATLS_E_UNSUPPORTED;
    return status == 501 || status == 505 ? ATLS_E_UNSUPPORTED : ATLS_E_DECODE;
}

static void test_bad(void **state)
{
    static struct output out;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct http *h = make(true);
        struct atls_err err = ATLS_ERR_INIT;
        struct http_io io = {(const uint8_t *)"GET", 3, 0, (uint8_t *)out.text, 10, 0};

        print_message("%s\n", bad[i].what);
        out.len = 0;
        assert_int_equal(feed_text(h, bad[i].in, &out, &err), HTTP_REFUSED);
        assert_non_null(strstr(err.message, bad[i].message));
        assert_int_equal(err.code, code_of(bad[i].status, bad[i].what));
        assert_int_equal(err.reason,
                         err.code == ATLS_E_DECODE ? ATLS_REASON_MALFORMED : ATLS_REASON_NONE);
        assert_int_equal(http_status(h), bad[i].status);
        assert_int_equal(http_answer(bad[i].status).len > 0, bad[i].status != 0);
        if (bad[i].status != 0)
            assert_int_equal(out.len, 0);
        /* It stays so. */
        assert_int_equal(http_filter(h, &io, &err), HTTP_REFUSED);
        assert_int_equal(io.used + io.len, 0);
        http_free(h);
    }
}

/* ---- limits ---- */

static void test_head_limit(void **state)
{
    static char in[HTTP_HEAD_MAX + 2];
    static struct output out;

    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        struct http *h = make(false);
        struct atls_err err = ATLS_ERR_INIT;
        int n = snprintf(in, sizeof in, "GET / HTTP/1.1\r\n" HOST "A: ");

        memset(in + n, 'a', HTTP_HEAD_MAX + extra - (size_t)n);
        memcpy(in + HTTP_HEAD_MAX + extra - 4, "\r\n\r\n", 4);
        out.len = 0;
        assert_int_equal(feed(h, in, HTTP_HEAD_MAX + extra, 1000, 1000, &out, &err),
                         extra == 0 ? HTTP_ON : HTTP_REFUSED);
        assert_int_equal(out.len, extra == 0 ? HTTP_HEAD_MAX + sizeof OURS - 1 : 0);
        assert_int_equal(http_status(h), extra == 0 ? 0 : 431);
        assert_int_equal(err.code, extra == 0 ? ATLS_OK : ATLS_E_LIMIT);
        http_free(h);
    }
}

static void test_field_limit(void **state)
{
    static struct output out;

    (void)state;
    for (size_t count = HTTP_FIELDS_MAX; count <= HTTP_FIELDS_MAX + 1; count++)
        for (int trailer = 0; trailer < 2; trailer++) {
            struct http *h = make(false);
            struct atls_err err = ATLS_ERR_INIT;
            char in[2048];
            size_t n = (size_t)snprintf(in, sizeof in, "%s", trailer ? CHUNKS "0\r\n" : GET);

            for (size_t i = trailer ? 0 : 1; i < count; i++, n += 5)
                memcpy(in + n, "a:b\r\n", 5);
            memcpy(in + n, "\r\n", 3);
            out.len = 0;
            assert_int_equal(feed_text(h, in, &out, &err),
                             count == HTTP_FIELDS_MAX ? HTTP_ON : HTTP_REFUSED);
            if (count > HTTP_FIELDS_MAX)
                assert_int_equal(err.code, ATLS_E_LIMIT);
            http_free(h);
        }
}

static void test_chunk_line_limit(void **state)
{
    static struct output out;

    (void)state;
    for (size_t len = 256; len <= 257; len++) {
        struct http *h = make(false);
        char in[1024];
        size_t n = (size_t)snprintf(in, sizeof in, CHUNKS "1;");

        memset(in + n, 'e', len - 4);
        memcpy(in + n + len - 4, "\r\nx", 4);
        out.len = 0;
        assert_int_equal(feed_text(h, in, &out, NULL), len == 256 ? HTTP_ON : HTTP_REFUSED);
        http_free(h);
    }
}

/* The largest numbers that are taken are counted as they are. */
static void test_large_bodies(void **state)
{
    static const char *const in[] = {GET "Content-Length: 999999999999999999\r\n\r\n",
                                     CHUNKS "fffffffffffffff\r\n"};
    static struct output out;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct http *h = make(false);

        out.len = 0;
        assert_int_equal(feed_text(h, in[i], &out, NULL), HTTP_ON);
        assert_false(http_is_between(h));
        assert_int_equal(feed_text(h, "\n\nX-Kind: fake\r\n\r\n", &out, NULL), HTTP_ON);
        assert_non_null(strstr(out.text, "\n\nX-Kind: fake\r\n\r\n"));
        http_free(h);
    }
}

/* ---- switching ---- */

#define OFFER                                                                                      \
    "GET /ws HTTP/1.1\r\n" HOST                                                                    \
    "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nX-Kind: "                            \
    "fake\r\n\r\n"
#define OFFERED                                                                                    \
    "GET /ws HTTP/1.1\r\n" HOST "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" OURS   \
    "\r\n"

static void respond(struct http *h, const char *text, size_t portion)
{
    for (size_t len = strlen(text), pos = 0; pos < len; pos += portion)
        http_response(h, atls_bytes_of(text + pos, len - pos < portion ? len - pos : portion));
}

static const char *const switching[] = {
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81",
    "HTTP/1.1 103 Early Hints\r\nLink: <101>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 "
    "x\r\n",
};

static void test_switch(void **state)
{
    static struct output out;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct http *h = make(true);

        out.len = 0;
        assert_int_equal(feed_text(h, OFFER "X-Kind: raw\n", &out, NULL), HTTP_HELD);
        assert_string_equal(out.text, OFFERED);
        assert_false(http_is_between(h));
        respond(h, switching[i / 2], i % 2 == 0 ? 1 : 1000);
        assert_int_equal(feed_text(h, "X-Kind: raw\n", &out, NULL), HTTP_TUNNEL);
        assert_string_equal(out.text, OFFERED "X-Kind: raw\n");
        assert_true(http_is_between(h));
        http_free(h);
    }
}

static const char *const not_switching[] = {
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 426 101\r\n\r\n",
    "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 403 x",
    "HTTP/2 101 xxxxx",
    "SSH-2.0-101 x",
};

static void test_no_switch(void **state)
{
    static struct output out;

    (void)state;
    for (size_t i = 0; i < sizeof not_switching / sizeof not_switching[0]; i++) {
        struct http *h = make(true);

        out.len = 0;
        assert_int_equal(feed_text(h, OFFER, &out, NULL), HTTP_HELD);
        respond(h, not_switching[i], 3);
        assert_int_equal(feed_text(h, "GET / HTTP/1.1\r\n" HOST "X-Kind: fake\r\n\r\n", &out, NULL),
                         HTTP_ON);
        assert_string_equal(out.text, OFFERED "GET / HTTP/1.1\r\n" HOST OURS "\r\n");
        http_free(h);
    }
}

#define STRIPPED(line) "GET / HTTP/1.1\r\n" HOST line OURS "\r\n"
#define UPGRADE        "Upgrade: websocket\r\n"
#define ASKS           "Connection: upgrade\r\n"

/* Each lacks one thing that a switch needs. */
static const struct {
    const char *in, *out;
} no_offers[] = {
    {"GET / HTTP/1.1\r\n" HOST UPGRADE "\r\n", STRIPPED("")},
    {"GET / HTTP/1.1\r\n" HOST ASKS UPGRADE UPGRADE "\r\n", STRIPPED(ASKS)},
    {"GET / HTTP/1.1\r\n" HOST ASKS "Upgrade: websocket, h2c\r\n\r\n", STRIPPED(ASKS)},
    {"PUT / HTTP/1.1\r\n" HOST ASKS UPGRADE "\r\n", "PUT / HTTP/1.1\r\n" HOST ASKS OURS "\r\n"},
    {"GET / HTTP/1.0\r\n" HOST ASKS UPGRADE "\r\n", "GET / HTTP/1.0\r\n" HOST ASKS OURS "\r\n"},
    {"GET / HTTP/1.1\r\n" HOST ASKS UPGRADE "Content-Length: 0\r\n\r\n",
     STRIPPED(ASKS "Content-Length: 0\r\n")},
    {"GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST ASKS UPGRADE "\r\n",
     STRIPPED("") STRIPPED(ASKS)},
};

static void test_no_offers(void **state)
{
    static struct output out;
    struct http *h;

    (void)state;
    for (size_t i = 0; i < sizeof no_offers / sizeof no_offers[0]; i++) {
        h = make(true);
        out.len = 0;
        assert_int_equal(feed_text(h, no_offers[i].in, &out, NULL), HTTP_ON);
        assert_string_equal(out.text, no_offers[i].out);
        /* Nobody waits for it. */
        respond(h, "HTTP/1.1 101 x\r\n\r\n", 100);
        assert_int_equal(feed_text(h, "G", &out, NULL), HTTP_ON);
        http_free(h);
    }
    h = make(false);
    out.len = 0;
    assert_int_equal(feed_text(h, "GET / HTTP/1.1\r\n" HOST ASKS UPGRADE "\r\n", &out, NULL),
                     HTTP_ON);
    assert_string_equal(out.text, STRIPPED(ASKS));
    http_free(h);
}

/* ---- options ---- */

static void test_options(void **state)
{
    static const char *const wrong[] = {
        "",           "a b",     "a:",      "\xe4", "Host", "hOST",           "TE\n",
        "connection", "Trailer", "Upgrade", "a\"b", "a(b)", "CONTENT_LENGTH", "transfer-encoding"};
    static const char *many[HTTP_HEADERS_MAX + 1];
    struct http_options options = {many, HTTP_HEADERS_MAX + 1, false};
    struct http *h = NULL;

    (void)state;
    assert_int_equal(http_new(&options, &h, NULL), ATLS_E_LIMIT);
    options.count--;
    assert_int_equal(http_new(&options, &h, NULL), ATLS_OK);
    http_free(h);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.count = 2;
        many[1] = wrong[i];
        assert_int_equal(http_new(&options, &h, NULL), ATLS_E_CONFIG);
    }
    many[0] = "X-Verdict";
    many[1] = "x_verdict";
    assert_int_equal(http_new(&options, &h, NULL), ATLS_E_CONFIG); /* twice */
    many[1] = "!#$%&'*+-.^_`|~09azAZ";
    assert_int_equal(http_new(&options, &h, NULL), ATLS_OK);
    http_free(h);
    http_free(NULL);
}

static void test_values(void **state)
{
    static const char *const wrong[] = {"", " a", "a ", "a\r\nb", "a\tb", "\x7f", "\xe4"};
    const char *set[4] = {NULL, "\n", "a b", NULL};
    static char large[HTTP_ADDED_MAX + 1];
    static struct output out;
    struct http *h = make(false);

    (void)state;
    /* Those of names that are not configured are not looked at; a new set replaces all. */
    assert_int_equal(http_set(h, set, NULL), ATLS_OK);
    assert_int_equal(feed_text(h, GET "\r\n", &out, NULL), HTTP_ON);
    assert_string_equal(out.text, GET "X-Kind: a b\r\n\r\n");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        set[2] = wrong[i];
        assert_int_equal(http_set(h, set, NULL), ATLS_E_USAGE);
    }
    memset(large, 'v', HTTP_ADDED_MAX - strlen("X-Kind: \r\n"));
    set[2] = large;
    assert_int_equal(http_set(h, set, NULL), ATLS_OK);
    large[strlen(large)] = 'v';
    assert_int_equal(http_set(h, set, NULL), ATLS_E_LIMIT);
    set[2] = NULL;
    assert_int_equal(http_set(h, set, NULL), ATLS_OK);
    out.len = 0;
    assert_int_equal(feed_text(h, GET "X-Kind: fake\r\n\r\n", &out, NULL), HTTP_ON);
    assert_string_equal(out.text, GET "\r\n");
    http_free(h);
}

static void test_answers(void **state)
{
    static const unsigned statuses[] = {400, 431, 500, 501, 502, 505};

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct atls_bytes answer = http_answer(statuses[i]);
        char text[512], want[512], title[64] = "";
        unsigned len = 0;
        const char *body;

        assert_true(answer.len > 0 && answer.len < sizeof text);
        memcpy(text, answer.ptr, answer.len);
        text[answer.len] = '\0';
        if ((body = strstr(text, "\r\n\r\n")) == NULL)
            abort();
        body += 4;
        assert_int_equal(sscanf(text, "HTTP/1.1 %*u %63[A-Za-z ]", title), 1);
        assert_int_equal(sscanf(strstr(text, "Content-Length"), "Content-Length: %u", &len), 1);
        assert_int_equal(len, strlen(body));
        snprintf(want, sizeof want,
                 "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
                 "Content-Length: %u\r\nConnection: close\r\n\r\n"
                 "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u}",
                 statuses[i], title, len, title, statuses[i]);
        assert_string_equal(text, want);
    }
    assert_int_equal(http_answer(0).len, 0);
    assert_int_equal(http_answer(200).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_bad),          cmocka_unit_test(test_head_limit),
        cmocka_unit_test(test_field_limit),  cmocka_unit_test(test_chunk_line_limit),
        cmocka_unit_test(test_large_bodies), cmocka_unit_test(test_switch),
        cmocka_unit_test(test_no_switch),    cmocka_unit_test(test_no_offers),
        cmocka_unit_test(test_options),      cmocka_unit_test(test_values),
        cmocka_unit_test(test_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
