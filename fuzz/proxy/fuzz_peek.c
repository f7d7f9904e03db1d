/* The first bytes of a stream: what is found is within bounds, does not change when more comes
 * behind it, and no prefix of it says anything but that there is more to come. */
#include "peek.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_found(const struct peek *p)
{
    if (memchr(p->sni, '\0', sizeof p->sni) == NULL || p->alpn_count > PEEK_ALPN_MAX)
        abort();
    for (size_t i = 0; i < p->alpn_count; i++)
        if (p->alpn[i] < p->text || p->alpn[i] >= p->text + sizeof p->text ||
            memchr(p->alpn[i], '\0', (size_t)(p->text + sizeof p->text - p->alpn[i])) == NULL ||
            p->alpn[i][0] == '\0')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peek p, again;
    enum peek_state state = peek_client_hello(atls_bytes_of(data, size), &p, NULL), prefix;

    if (state == PEEK_FOUND)
        check_found(&p);
    for (size_t len = 0; len < size && len < PEEK_MAX; len += 1 + size / 16) {
        prefix = peek_client_hello(atls_bytes_of(data, len), &again, NULL);
        /* Once something is said it stays said. */
        if (prefix != PEEK_MORE && prefix != state)
            abort();
    }
    return 0;
}
