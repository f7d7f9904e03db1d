/* The one way to build bytes: lengths are filled in by the code that knows them.
 *
 *     struct atls_writer w = atls_writer_init(limit);
 *     atls_put_u8(&w, 11);
 *     struct atls_mark message = atls_open_vec(&w, 0xffffff);
 *     atls_put_bytes(&w, body);
 *     atls_close_vec(&w, message);
 *     return atls_writer_finish(&w, &out, err);
 *
 * The first failure (memory, limit, a vector over its ceiling) sticks; later calls do nothing and
 * atls_writer_finish reports it. Memory it outgrows is wiped. One thread at a time per writer. */
#ifndef ATLS_CORE_WRITER_H
#define ATLS_CORE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls/bytes.h>

struct atls_writer {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t limit;          /* len never exceeds it */
    enum atls_code failed; /* ATLS_OK, ATLS_E_NOMEM or ATLS_E_LIMIT */
};

struct atls_mark {
    size_t pos;     /* of the length prefix */
    size_t ceiling; /* of the vector */
};

static inline struct atls_writer atls_writer_init(size_t limit)
{
    struct atls_writer w = {NULL, 0, 0, limit, ATLS_OK};
    return w;
}

void atls_put_u8(struct atls_writer *w, uint8_t v);
void atls_put_u16(struct atls_writer *w, uint16_t v);
void atls_put_u24(struct atls_writer *w, uint32_t v);
void atls_put_u32(struct atls_writer *w, uint32_t v);
void atls_put_u64(struct atls_writer *w, uint64_t v);
void atls_put_u32le(struct atls_writer *w, uint32_t v); /* little-endian, as the getters have it */
void atls_put_bytes(struct atls_writer *w, struct atls_bytes bytes);
void atls_put_text(struct atls_writer *w, const char *text); /* without its NUL */
/* Room for len (not 0) more bytes, counted already, that the caller fills before anything else is
 * put; NULL when there is none. */
uint8_t *atls_put_space(struct atls_writer *w, size_t len);

/* Opens a vector <..ceiling>: prefix of 1, 2 or 3 bytes as the ceiling says; close fills it in. */
struct atls_mark atls_open_vec(struct atls_writer *w, size_t ceiling);
void atls_close_vec(struct atls_writer *w, struct atls_mark mark);

/* What was written so far; borrows until the next put. */
static inline struct atls_bytes atls_writer_bytes(const struct atls_writer *w)
{
    return atls_bytes_of(w->ptr, w->len);
}

/* Moves the bytes to out (overwritten, the caller's to clear) and empties the writer. On failure
 * the writer is cleared too. Errors: ATLS_E_NOMEM, ATLS_E_LIMIT. */
ATLS_MUST_CHECK enum atls_code atls_writer_finish(struct atls_writer *w, struct atls_buf *out,
                                                  struct atls_err *err);

/* Forgets the content, wiped. */
void atls_writer_clear(struct atls_writer *w);

/* Copies bytes into a fresh buffer. Errors: ATLS_E_NOMEM. */
ATLS_MUST_CHECK enum atls_code atls_buf_copy(struct atls_buf *out, struct atls_bytes bytes,
                                             struct atls_err *err);

#endif
