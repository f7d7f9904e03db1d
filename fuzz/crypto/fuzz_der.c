/* DER: certificates, keys and padding from outside. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "crypto/der.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct atls_bytes part, struct atls_bytes whole)
{
    return part.ptr >= whole.ptr && part.len <= whole.len &&
           part.ptr <= whole.ptr + (whole.len - part.len);
}

/* What was read as one element is written back as the same bytes: DER leaves one way. */
static void rewrite_elements(struct atls_bytes in)
{
    struct atls_reader r = atls_reader_init(in);
    struct atls_der e;

    while (atls_der_get_any(&r, &e)) {
        struct atls_writer w = atls_writer_init(SIZE_MAX / 2);

        atls_der_put(&w, e.tag, e.content);
        if (!atls_bytes_equal(atls_writer_bytes(&w), e.whole))
            abort();
        atls_writer_clear(&w);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_bytes in = atls_bytes_of(data, size), trimmed;
    struct atls_certificate_parts parts;
    struct atls_key *key = NULL;

    rewrite_elements(in);
    if (atls_certificate_walk(in, &parts, NULL) == ATLS_OK) {
        if (!inside(parts.spki, in) || !inside(parts.subject, in) || !inside(parts.issuer, in))
            abort();
        if (atls_key_from_spki(parts.spki, &key, NULL) == ATLS_OK)
            atls_key_unref(key);
        key = NULL;
    }
    if (atls_certificate_trim(in, &trimmed, NULL) == ATLS_OK && !inside(trimmed, in))
        abort();
    if (atls_key_from_spki(in, &key, NULL) == ATLS_OK) {
        if (!atls_bytes_equal(atls_key_spki(key), in))
            abort();
        atls_key_unref(key);
    }
    return 0;
}
