#include "core/secret.h"

#include <string.h>

/* Through a volatile pointer the call cannot be proven dead. core links no library, so neither
 * OPENSSL_cleanse nor CRYPTO_memcmp is at hand. */
static void *(*const volatile wipe)(void *, int, size_t) = memset;

void atls_wipe(void *ptr, size_t len)
{
    if (len != 0)
        wipe(ptr, 0, len);
}

bool atls_secret_equal(struct atls_bytes a, struct atls_bytes b)
{
    volatile uint8_t differ = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        differ = (uint8_t)(differ | (a.ptr[i] ^ b.ptr[i]));
    return differ == 0;
}
