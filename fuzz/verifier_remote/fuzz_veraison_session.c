/* Sessions of Veraison's API: what decodes keeps the rules that its users rely on. */
#include <stdlib.h>
#include <string.h>

#include "verifier/remote/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t nonce[ATLS_SESSION_NONCE_MAX];
    struct atls_session_object o;
    size_t len = 0;

    if (atls_session_nonce_get(atls_bytes_of(data, size), nonce, &len) &&
        (len < ATLS_SESSION_NONCE_MIN || len > ATLS_SESSION_NONCE_MAX))
        abort();
    if (atls_session_object_decode(atls_bytes_of(data, size), &o, NULL) != ATLS_OK)
        return 0;
    if ((o.status == ATLS_SESSION_COMPLETE) != (o.result.len > 0) ||
        (o.nonce_len != 0 && o.nonce_len < ATLS_SESSION_NONCE_MIN) ||
        o.nonce_len > ATLS_SESSION_NONCE_MAX || o.accept_count > ATLS_SESSION_ACCEPT_MAX)
        abort();
    for (size_t i = 0; i < o.accept_count; i++) /* goes into a header */
        if (strpbrk((const char *)o.accept[i].ptr, "\r\n") != NULL ||
            strlen((const char *)o.accept[i].ptr) != o.accept[i].len)
            abort();
    atls_session_object_clear(&o);
    return 0;
}
