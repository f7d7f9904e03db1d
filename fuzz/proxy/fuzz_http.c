/* A client's stream of requests, cut anywhere, with a program that answers offers to switch: what
 * goes on does not depend on where it was cut, has our header once in each head, and no other that
 * reads like it. The first byte of the input says how to cut and what the program answers. */
#include "http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A request of 16 bytes grows by a header of 13. */
#define OUT_MAX(size) (2 * (size) + 1024)

struct seen {
    uint8_t *bytes;
    size_t len;
    enum http_state state;
    unsigned status;
};

static const char *const names[] = {"X-Key"};
static const char *const values[] = {"ours"};

static void respond(struct http *h, bool switches)
{
    const char *text =
        switches ? "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 101 x\r\n" : "HTTP/1.1 200 OK\r\n";

    http_response(h, atls_bytes_of(text, strlen(text)));
}

static struct seen run(const uint8_t *data, size_t size, size_t portion, bool switches)
{
    const size_t max = OUT_MAX(size);
    struct seen seen = {malloc(max), 0, HTTP_ON, 0};
    const struct http_options options = {names, 1, true};
    struct http *h = NULL;
    size_t pos = 0;
    bool moved = true;

    if (seen.bytes == NULL || http_new(&options, &h, NULL) != ATLS_OK ||
        http_set(h, values, NULL) != ATLS_OK)
        abort();
    while (moved) {
        size_t n = size - pos < portion ? size - pos : portion;
        size_t room = max - seen.len < portion ? max - seen.len : portion;
        struct http_io io = {data + pos, n, 0, seen.bytes + seen.len, room, 0};

        seen.state = http_filter(h, &io, NULL);
        if (io.used > n || io.len > room)
            abort();
        pos += io.used;
        seen.len += io.len;
        moved = io.used > 0 || io.len > 0;
        if (seen.state == HTTP_HELD) {
            respond(h, switches);
            moved = true;
        }
    }
    if (seen.state != HTTP_REFUSED && pos != size)
        abort();
    seen.status = http_status(h);
    http_free(h);
    return seen;
}

/* The first head that came out. */
static void check_head(const struct seen *s)
{
    size_t len = 0, ours = 0;

    while (len + 4 <= s->len && memcmp(s->bytes + len, "\r\n\r\n", 4) != 0)
        len++;
    if (len + 4 > s->len)
        return;
    for (size_t i = 0; i + 8 <= len; i++)
        if (s->bytes[i] == '\n' && (s->bytes[i + 1] | 0x20) == 'x' &&
            strchr("!#$%&'*+-.^_`|~", s->bytes[i + 2]) != NULL && (s->bytes[i + 3] | 0x20) == 'k' &&
            (s->bytes[i + 4] | 0x20) == 'e' && (s->bytes[i + 5] | 0x20) == 'y' &&
            s->bytes[i + 6] == ':')
            ours += memcmp(s->bytes + i + 1, "X-Key: ours\r", 12) == 0 ? 1 : 100;
    if (ours != 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole, cut;

    if (size < 1 || size > 100000)
        return 0;
    whole = run(data + 1, size - 1, SIZE_MAX, (data[0] & 1) != 0);
    cut = run(data + 1, size - 1, 1 + (data[0] >> 1) % 16u, (data[0] & 1) != 0);
    if (whole.len != cut.len || memcmp(whole.bytes, cut.bytes, whole.len) != 0 ||
        whole.state != cut.state || whole.status != cut.status)
        abort();
    check_head(&whole);
    free(whole.bytes);
    free(cut.bytes);
    return 0;
}
