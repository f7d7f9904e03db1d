/* A PROXY header in front of a stream: no prefix of a header is refused or taken for a whole one,
 * and what is written again reads the same. */
#include "proxy_header.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_prefix(struct atls_bytes in, size_t len)
{
    struct proxy_header h;
    size_t need = 0;

    if (proxy_header_read(atls_bytes_of(in.ptr, len), &h, &need, NULL) != ATLS_OK || h.len != 0 ||
        need <= len)
        abort();
}

static void check_again(const struct proxy_header *h)
{
    struct proxy_header_said said = {.source = (const struct sockaddr *)&h->source,
                                     .destination = (const struct sockaddr *)&h->destination,
                                     .alpn = h->alpn,
                                     .authority = h->authority};
    uint8_t out[PROXY_HEADER_MAX];
    struct proxy_header again;
    size_t len, need;

    if (proxy_header_write(&said, out, &len, NULL) != ATLS_OK ||
        proxy_header_read(atls_bytes_of(out, len), &again, &need, NULL) != ATLS_OK ||
        again.len != len || again.has_addresses != h->has_addresses ||
        memcmp(&again.source, &h->source, sizeof h->source) != 0 ||
        memcmp(&again.destination, &h->destination, sizeof h->destination) != 0 ||
        again.alpn.len != h->alpn.len || again.authority.len != h->authority.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size);
    struct proxy_header h;
    size_t need = 0;

    if (proxy_header_read(in, &h, &need, NULL) != ATLS_OK)
        return 0;
    if (h.len == 0) {
        if (need <= size || need > PROXY_HEADER_MAX)
            abort();
        return 0;
    }
    if (h.len > size || h.len > PROXY_HEADER_MAX || h.len != need)
        abort();
    check_prefix(in, h.len - 1);
    check_prefix(in, h.len / 2);
    check_prefix(in, 15);
    check_again(&h);
    return 0;
}
