/* Bytes: a view that borrows and a buffer that owns.
 *
 * struct atls_bytes is passed by value and never frees; what it borrows from is said where it is
 * handed out. struct atls_buf owns heap memory; every function that fills one overwrites a cleared
 * buffer and leaves it untouched on failure. */
#ifndef ATLS_BYTES_H
#define ATLS_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include <atls/err.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atls_bytes {
    const uint8_t *ptr; /* may be NULL when len is 0 */
    size_t len;
};

struct atls_buf {
    uint8_t *ptr;
    size_t len;
};

#define ATLS_BUF_INIT                                                                              \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static inline struct atls_bytes atls_bytes_of(const void *ptr, size_t len)
{
    struct atls_bytes b;
    b.ptr = (const uint8_t *)ptr;
    b.len = len;
    return b;
}

static inline struct atls_bytes atls_buf_bytes(const struct atls_buf *buf)
{
    return atls_bytes_of(buf->ptr, buf->len);
}

/* Wipes, frees and empties. NULL and empty buffers are fine. */
ATLS_API void atls_buf_clear(struct atls_buf *buf);

#ifdef __cplusplus
}
#endif
#endif
