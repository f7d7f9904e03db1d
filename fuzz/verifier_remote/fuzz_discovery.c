/* Discovery documents: whatever one says, nothing but the origin that was asked is ever named. */
#include <stdlib.h>
#include <string.h>

#include "verifier/remote/discovery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const char *url, struct atls_bytes in)
{
    struct atls_discovery *d = NULL;
    struct atls_url base;

    if (atls_url_parse(url, &base, NULL) != ATLS_OK)
        abort();
    if (atls_discovery_decode(in, &base, &d, NULL) != ATLS_OK)
        return;
    if (strncmp(d->new_session.text, base.text, base.origin_len) != 0 ||
        d->new_session.text[base.origin_len] != '/' ||
        strpbrk(d->new_session.text, "\r\n ?#") != NULL)
        abort();
    if (d->keys != NULL && !base.is_https)
        abort();
    for (size_t i = 0; i < d->media_type_count; i++) /* goes into a header */
        if (strpbrk((const char *)d->media_types[i].ptr, "\r\n") != NULL)
            abort();
    atls_discovery_unref(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run("https://verifier.example:8443", atls_bytes_of(data, size));
    run("http://h/prefix", atls_bytes_of(data, size));
    return 0;
}
