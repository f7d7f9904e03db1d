#include "core/writer.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/secret.h"

/* Makes room for more bytes; false with the failure recorded. */
static bool enlarge(struct atls_writer *w, size_t more)
{
    size_t cap = w->cap < 256 ? 256 : w->cap;
    uint8_t *fresh;

    if (more > w->limit - w->len) {
        w->failed = ATLS_E_LIMIT;
        return false;
    }
    while (cap - w->len < more)
        cap = cap > w->limit / 2 ? w->limit : cap * 2;
    if ((fresh = malloc(cap)) == NULL) {
        w->failed = ATLS_E_NOMEM;
        return false;
    }
    if (w->len != 0)
        memcpy(fresh, w->ptr, w->len);
    atls_wipe(w->ptr, w->len);
    free(w->ptr);
    w->ptr = fresh;
    w->cap = cap;
    return true;
}

/* Room for more bytes, or NULL with the failure recorded. */
static inline uint8_t *grow(struct atls_writer *w, size_t more)
{
    size_t len = w->len;

    if (w->failed != ATLS_OK ||
        ((more > w->limit - len || more > w->cap - len) && !enlarge(w, more)))
        return NULL;
    w->len = len + more;
    return w->ptr + len;
}

static void put_be(struct atls_writer *w, size_t width, uint64_t v)
{
    uint8_t *p = grow(w, width);

    if (p == NULL)
        return;
    for (size_t i = width; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

void atls_put_u8(struct atls_writer *w, uint8_t v)
{
    uint8_t *p = grow(w, 1);

    if (p != NULL)
        *p = v;
}

void atls_put_u16(struct atls_writer *w, uint16_t v)
{
    put_be(w, 2, v);
}

void atls_put_u24(struct atls_writer *w, uint32_t v)
{
    if (v > 0xffffff && w->failed == ATLS_OK)
        w->failed = ATLS_E_LIMIT;
    put_be(w, 3, v);
}

void atls_put_u32(struct atls_writer *w, uint32_t v)
{
    put_be(w, 4, v);
}

void atls_put_u64(struct atls_writer *w, uint64_t v)
{
    put_be(w, 8, v);
}

void atls_put_u32le(struct atls_writer *w, uint32_t v)
{
    for (unsigned int shift = 0; shift < 32; shift += 8)
        atls_put_u8(w, (uint8_t)(v >> shift));
}

void atls_put_bytes(struct atls_writer *w, struct atls_bytes bytes)
{
    uint8_t *p;

    /* An empty writer has no memory that an offset could be added to. */
    if (bytes.len != 0 && (p = grow(w, bytes.len)) != NULL)
        memcpy(p, bytes.ptr, bytes.len);
}

uint8_t *atls_put_space(struct atls_writer *w, size_t len)
{
    return grow(w, len);
}

void atls_put_text(struct atls_writer *w, const char *text)
{
    atls_put_bytes(w, atls_bytes_of(text, strlen(text)));
}

static size_t prefix_width(size_t ceiling)
{
    return ceiling > 0xffff ? 3 : ceiling > 0xff ? 2 : 1;
}

struct atls_mark atls_open_vec(struct atls_writer *w, size_t ceiling)
{
    struct atls_mark mark = {w->len, ceiling};

    put_be(w, prefix_width(ceiling), 0);
    return mark;
}

void atls_close_vec(struct atls_writer *w, struct atls_mark mark)
{
    size_t width = prefix_width(mark.ceiling);
    size_t len;

    if (w->failed != ATLS_OK)
        return;
    len = w->len - mark.pos - width;
    if (len > mark.ceiling) {
        w->failed = ATLS_E_LIMIT;
        return;
    }
    for (size_t i = width; i-- > 0; len >>= 8)
        w->ptr[mark.pos + i] = (uint8_t)len;
}

enum atls_code atls_writer_finish(struct atls_writer *w, struct atls_buf *out, struct atls_err *err)
{
    enum atls_code failed = w->failed;
    size_t limit = w->limit;

    if (failed != ATLS_OK) {
        atls_writer_clear(w);
        if (failed == ATLS_E_NOMEM)
            return atls_fail(err, failed, "out of memory while building a message");
        return atls_fail(err, failed,
                         "message does not fit: over %zu bytes, or a vector over its "
                         "ceiling",
                         limit);
    }
    out->ptr = w->ptr;
    out->len = w->len;
    *w = atls_writer_init(limit);
    return ATLS_OK;
}

void atls_writer_clear(struct atls_writer *w)
{
    atls_wipe(w->ptr, w->len);
    free(w->ptr);
    *w = atls_writer_init(w->limit);
}

enum atls_code atls_buf_copy(struct atls_buf *out, struct atls_bytes bytes, struct atls_err *err)
{
    uint8_t *ptr = NULL;

    if (bytes.len != 0) {
        if ((ptr = malloc(bytes.len)) == NULL)
            return atls_fail(err, ATLS_E_NOMEM, "out of memory for %zu bytes", bytes.len);
        memcpy(ptr, bytes.ptr, bytes.len);
    }
    out->ptr = ptr;
    out->len = bytes.len;
    return ATLS_OK;
}

void atls_buf_clear(struct atls_buf *buf)
{
    if (buf == NULL)
        return;
    atls_wipe(buf->ptr, buf->len);
    free(buf->ptr);
    buf->ptr = NULL;
    buf->len = 0;
}
