#include "verifier/remote/session.h"

#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/reader.h"
#include "verifier/remote/http.h"
#include "verifier/remote/json.h"
#include "wire/cmw.h"

#define NONCE_TEXT_MAX 88 /* 64 octets with padding */
/* Copies of what the body holds: tokens, types and the NULs behind them. */
#define ARENA_MAX (2 * ATLS_HTTP_BODY_MAX)

bool atls_session_nonce_get(struct atls_bytes text, uint8_t out[ATLS_SESSION_NONCE_MAX],
                            size_t *out_len)
{
    struct atls_writer w = atls_writer_init(ATLS_SESSION_NONCE_MAX);
    uint8_t plain[NONCE_TEXT_MAX];
    size_t len = text.len;
    bool good;

    if (text.len == 0 || text.len > sizeof plain)
        return false;
    /* Padding fills up to a multiple of four, or is not there at all. */
    while (len > 0 && text.len - len < 2 && text.ptr[len - 1] == '=')
        len--;
    if (len < text.len && text.len % 4 != 0)
        return false;
    if (memchr(text.ptr, '+', len) != NULL || memchr(text.ptr, '/', len) != NULL) {
        if (memchr(text.ptr, '-', len) != NULL || memchr(text.ptr, '_', len) != NULL)
            return false; /* of two alphabets */
    }
    for (size_t i = 0; i < len; i++)
        plain[i] = text.ptr[i] == '+'   ? (uint8_t)'-'
                   : text.ptr[i] == '/' ? (uint8_t)'_'
                                        : text.ptr[i];
    good = atls_base64url_get(atls_bytes_of(plain, len), &w) && w.failed == ATLS_OK &&
           w.len >= ATLS_SESSION_NONCE_MIN;
    if (good) {
        memcpy(out, w.ptr, w.len);
        *out_len = w.len;
    }
    atls_writer_clear(&w);
    return good;
}

static enum atls_code read_status(const json_t *root, struct atls_session_object *o,
                                  struct atls_err *err)
{
    static const struct {
        const char *text;
        enum atls_session_status status;
    } rows[] = {
        {"waiting", ATLS_SESSION_WAITING},
        {"processing", ATLS_SESSION_PROCESSING},
        {"complete", ATLS_SESSION_COMPLETE},
        {"failed", ATLS_SESSION_FAILED},
    };
    struct atls_bytes text;
    enum atls_code code = atls_remote_json_text(root, "status", ATLS_JSON_REQUIRED, 32, &text, err);

    if (code != ATLS_OK)
        return code;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (atls_bytes_equal_text(text, rows[i].text)) {
            o->status = rows[i].status;
            return ATLS_OK;
        }
    return atls_fail(err, ATLS_E_PROTOCOL,
                     "session: status is none of waiting, processing, complete, failed");
}

static enum atls_code read_nonce(const json_t *root, struct atls_session_object *o,
                                 struct atls_err *err)
{
    struct atls_bytes text;
    enum atls_code code =
        atls_remote_json_text(root, "nonce", ATLS_JSON_OPTIONAL, NONCE_TEXT_MAX, &text, err);

    if (code != ATLS_OK || text.len == 0)
        return code;
    if (!atls_session_nonce_get(text, o->nonce, &o->nonce_len))
        return atls_fail(err, ATLS_E_PROTOCOL,
                         "session: nonce is no base64 or base64url of 8 to 64 octets");
    return ATLS_OK;
}

/* A copy with a NUL behind it that .len does not count. */
static bool copy_text(struct atls_arena *arena, struct atls_bytes text, struct atls_bytes *out)
{
    uint8_t *copy = atls_arena_alloc(arena, text.len + 1, 1);

    if (copy == NULL)
        return false;
    memcpy(copy, text.ptr, text.len);
    *out = atls_bytes_of(copy, text.len);
    return true;
}

static enum atls_code out_of_memory(struct atls_err *err)
{
    return atls_fail(err, ATLS_E_NOMEM, "session: out of memory");
}

static enum atls_code read_accept(const json_t *root, struct atls_session_object *o,
                                  struct atls_err *err)
{
    const json_t *list = json_object_get(root, "accept");

    if (list == NULL || json_is_null(list))
        return ATLS_OK;
    if (!json_is_array(list) || json_array_size(list) > ATLS_SESSION_ACCEPT_MAX)
        return atls_fail(err, ATLS_E_PROTOCOL, "session: accept is no array of at most %d",
                         ATLS_SESSION_ACCEPT_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct atls_bytes text =
            json_is_string(item) ? atls_bytes_of(json_string_value(item), json_string_length(item))
                                 : atls_bytes_of(NULL, 0);

        if (text.len > ATLS_MEDIA_TYPE_MAX || !atls_content_type_valid(text))
            return atls_fail(err, ATLS_E_PROTOCOL, "session: accept: number %zu is no media type",
                             i);
        if (!copy_text(&o->arena, text, &o->accept[i]))
            return out_of_memory(err);
        o->accept_count++;
    }
    return ATLS_OK;
}

/* A JWT as it is, which has two dots; the bytes of a CWT, which JSON holds as base64. */
static enum atls_code copy_token(struct atls_session_object *o, struct atls_bytes text,
                                 struct atls_err *err)
{
    struct atls_writer w = atls_writer_init(ATLS_EAR_MAX);
    struct atls_bytes token = text;
    bool copied;

    if (memchr(text.ptr, '.', text.len) == NULL && atls_base64_get(text, &w))
        token = atls_writer_bytes(&w);
    copied = w.failed == ATLS_OK && copy_text(&o->arena, token, &o->result);
    atls_writer_clear(&w);
    return copied ? ATLS_OK : out_of_memory(err);
}

static enum atls_code read_result(const json_t *root, struct atls_session_object *o,
                                  struct atls_err *err)
{
    bool is_complete = o->status == ATLS_SESSION_COMPLETE;
    struct atls_bytes text;
    enum atls_code code =
        atls_remote_json_text(root, "result", is_complete ? ATLS_JSON_REQUIRED : ATLS_JSON_OPTIONAL,
                              ATLS_EAR_MAX, &text, err);

    if (code != ATLS_OK || text.len == 0)
        return code;
    if (!is_complete)
        return atls_fail(err, ATLS_E_PROTOCOL, "session: a result, and it is not complete");
    return copy_token(o, text, err);
}

enum atls_code atls_session_object_decode(struct atls_bytes json, struct atls_session_object *out,
                                          struct atls_err *err)
{
    struct atls_session_object o;
    enum atls_code code;
    json_t *root;

    if ((code = atls_remote_json_load(json, "session", &root, err)) != ATLS_OK)
        return code;
    memset(&o, 0, sizeof o);
    o.arena = atls_arena_init(ARENA_MAX);
    if ((code = read_status(root, &o, err)) == ATLS_OK &&
        (code = read_nonce(root, &o, err)) == ATLS_OK &&
        (code = read_accept(root, &o, err)) == ATLS_OK)
        code = read_result(root, &o, err);
    json_decref(root);
    if (code == ATLS_OK)
        *out = o;
    else
        atls_arena_clear(&o.arena);
    return code;
}

void atls_session_object_clear(struct atls_session_object *object)
{
    atls_arena_clear(&object->arena);
}
