/* URLs: what parses has one spelling, and references never lead away from their origin. */
#include <stdlib.h>
#include <string.h>

#include "verifier/remote/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct atls_url *url)
{
    struct atls_url again;

    if (strpbrk(url->text, " \r\n\t?#%\\") != NULL || strstr(url->text, "/../") != NULL ||
        url->origin_len > strlen(url->text))
        abort();
    if (atls_url_parse(url->text, &again, NULL) != ATLS_OK || again.is_https != url->is_https ||
        again.origin_len != url->origin_len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_url base, url;
    char *text = malloc(size + 1);

    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (atls_url_parse(text, &url, NULL) == ATLS_OK)
        check(&url);
    free(text);
    if (atls_url_parse("https://h:8443/v1/newSession", &base, NULL) != ATLS_OK)
        abort();
    if (atls_url_resolve(&base, atls_bytes_of(data, size), &url, NULL) == ATLS_OK) {
        check(&url);
        if (strncmp(url.text, "https://h:8443", 14) != 0 || url.origin_len != 14)
            abort();
    }
    if (atls_url_append(&base, atls_bytes_of(data, size), &url, NULL) == ATLS_OK)
        check(&url);
    return 0;
}
