#include "verifier/ear/cbor_sink.h"

#include <string.h>

#include "wire/cbor.h"

/* A container whose head is written when it is closed: only then its length is known. */
struct open_container {
    size_t pos;
    uint64_t count; /* elements, or pairs */
    bool is_array;
};

struct sink {
    struct atls_writer *w;
    unsigned int depth;
    struct open_container open[ATLS_RESULT_DEPTH_MAX];
    bool has_label;
    int64_t label;
};

static void begin(struct sink *s, const char *key)
{
    if (s->depth == 0)
        return;
    s->open[s->depth - 1].count++;
    if (s->has_label)
        atls_cbor_put_int(s->w, s->label);
    else if (key != NULL)
        atls_cbor_put_text(s->w, key);
    s->has_label = false;
}

static void open_container(struct sink *s, const char *key, bool is_array)
{
    begin(s, key);
    s->open[s->depth++] = (struct open_container){s->w->len, 0, is_array};
}

static void sink_open_object(void *arg, const char *key)
{
    open_container(arg, key, false);
}

static void sink_open_array(void *arg, const char *key)
{
    open_container(arg, key, true);
}

/* Moves the content up and puts the head before it. */
static void sink_close(void *arg)
{
    struct sink *s = arg;
    const struct open_container *c = &s->open[--s->depth];
    size_t end = s->w->len, head;
    uint8_t bytes[9];

    if (c->is_array)
        atls_cbor_put_array(s->w, c->count);
    else
        atls_cbor_put_map(s->w, c->count);
    if (s->w->failed != ATLS_OK)
        return;
    head = s->w->len - end; /* at most 9 */
    memcpy(bytes, s->w->ptr + end, head);
    memmove(s->w->ptr + c->pos + head, s->w->ptr + c->pos, end - c->pos);
    memcpy(s->w->ptr + c->pos, bytes, head);
}

static void sink_put_text(void *arg, const char *key, struct atls_bytes text)
{
    struct sink *s = arg;

    begin(s, key);
    atls_cbor_put_text_bytes(s->w, text);
}

static void sink_put_bytes(void *arg, const char *key, struct atls_bytes bytes)
{
    struct sink *s = arg;

    begin(s, key);
    atls_cbor_put_bytes(s->w, bytes);
}

static void sink_put_int(void *arg, const char *key, int64_t v)
{
    struct sink *s = arg;

    begin(s, key);
    atls_cbor_put_int(s->w, v);
}

static void sink_put_uint(void *arg, const char *key, uint64_t v)
{
    struct sink *s = arg;

    begin(s, key);
    atls_cbor_put_uint(s->w, v);
}

static void sink_put_bool(void *arg, const char *key, bool v)
{
    struct sink *s = arg;

    begin(s, key);
    atls_cbor_put_bool(s->w, v);
}

static void sink_put_null(void *arg, const char *key)
{
    struct sink *s = arg;

    begin(s, key);
    atls_cbor_put_null(s->w);
}

static void sink_label(void *arg, int64_t number)
{
    struct sink *s = arg;

    s->has_label = true;
    s->label = number;
}

void atls_result_put_cbor(struct atls_writer *w, const struct atls_result *r,
                          const struct atls_result_form *form)
{
    struct sink s = {.w = w};
    const struct atls_result_sink sink = {
        &s,
        sink_open_object,
        sink_open_array,
        sink_close,
        sink_put_text,
        sink_put_bytes,
        sink_put_bytes,
        sink_put_int,
        sink_put_uint,
        sink_put_bool,
        sink_put_null,
        sink_label,
    };

    atls_result_walk_as(r, form, &sink);
}
