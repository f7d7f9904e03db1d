#include "wire.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int put(BIO *bio, const char *data, size_t len, size_t *out_len)
{
    struct wire_end *end = BIO_get_data(bio);
    const int side = (int)(end - end->wire->ends);
    size_t cap = end->cap == 0 ? 16384 : end->cap;
    uint8_t *more = end->sent;

    while (cap - end->len < len)
        cap *= 2;
    if (cap != end->cap && (more = realloc(end->sent, cap)) == NULL)
        return 0;
    end->sent = more;
    end->cap = cap;
    memcpy(end->sent + end->len, data, len);
    end->len += len;
    end->flights += len != 0 && end->wire->last != side;
    if (len != 0)
        end->wire->last = side;
    *out_len = len;
    return 1;
}

static int take(BIO *bio, char *data, size_t len, size_t *out_len)
{
    const struct wire_end *end = BIO_get_data(bio);
    struct wire_end *other = &end->wire->ends[end == &end->wire->ends[0]];
    const size_t there = other->len - other->taken;

    BIO_clear_retry_flags(bio);
    if (there == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *out_len = len < there ? len : there;
    memcpy(data, other->sent + other->taken, *out_len);
    other->taken += *out_len;
    return 1;
}

static long control(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (method == NULL || BIO_meth_set_write_ex(method, put) != 1 ||
        BIO_meth_set_read_ex(method, take) != 1 || BIO_meth_set_ctrl(method, control) != 1)
        abort();
}

void wire_init(struct wire *w)
{
    memset(w, 0, sizeof *w);
    w->ends[0].wire = w->ends[1].wire = w;
    w->last = -1;
}

BIO *wire_bio(struct wire *w, enum wire_side side)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;

    (void)pthread_once(&once, make_method);
    if ((bio = BIO_new(method)) == NULL)
        return NULL;
    BIO_set_data(bio, &w->ends[side]);
    BIO_set_init(bio, 1);
    return bio;
}

void wire_clear(struct wire *w)
{
    free(w->ends[0].sent);
    free(w->ends[1].sent);
    memset(w, 0, sizeof *w);
}
