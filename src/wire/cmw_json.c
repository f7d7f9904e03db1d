#include "wire/cmw_json.h"

#include <string.h>

#include <atls/limits.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/log.h"

#define COLLECTION_TYPE "__cmwc_t"

struct decoder {
    struct atls_arena *arena;
    struct atls_err *err;
};

static enum atls_code malformed(const struct decoder *d, const char *what, const char *rule)
{
    return atls_fail_reason(d->err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "%s: %s", what, rule);
}

static enum atls_code no_memory(const struct decoder *d)
{
    return atls_fail(d->err, ATLS_E_NOMEM, "JSON CMW: no memory");
}

/* A string of JSON may hold control characters by escapes; labels and types have no use for them.
 */
static bool has_control(struct atls_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20)
            return true;
    return false;
}

static enum atls_code copy_text(const struct decoder *d, const char *text, size_t len,
                                struct atls_bytes *out)
{
    if (has_control(atls_bytes_of(text, len)))
        return malformed(d, "JSON CMW", "label or type with a control character");
    return atls_arena_copy(d->arena, atls_bytes_of(text, len), out) ? ATLS_OK : no_memory(d);
}

static enum atls_code read_value(const struct decoder *d, const json_t *value,
                                 struct atls_bytes *out)
{
    size_t len = json_string_length(value);
    struct atls_writer w = atls_writer_init(len);
    enum atls_code code = ATLS_OK;

    if (!json_is_string(value) ||
        !atls_base64url_get(atls_bytes_of(json_string_value(value), len), &w))
        code = malformed(d, "JSON CMW record", "value is not base64url without padding");
    else if (w.failed != ATLS_OK || !atls_arena_copy(d->arena, atls_writer_bytes(&w), out))
        code = no_memory(d);
    atls_writer_clear(&w);
    return code;
}

/* RFC 9999: [type, value, ? ind]. */
static enum atls_code decode_record(const struct decoder *d, const json_t *array,
                                    struct atls_cmw *out)
{
    const json_t *type = json_array_get(array, 0), *ind = json_array_get(array, 2);
    enum atls_code code;
    json_int_t bits;

    out->kind = ATLS_CMW_RECORD;
    out->type.is_text = true;
    if (json_array_size(array) < 2 || json_array_size(array) > 3)
        return malformed(d, "JSON CMW record", "array is not of 2 or 3");
    if (!json_is_string(type))
        return malformed(d, "JSON CMW record", "type is not text");
    if ((code = copy_text(d, json_string_value(type), json_string_length(type), &out->type.text)) !=
            ATLS_OK ||
        (code = read_value(d, json_array_get(array, 1), &out->value)) != ATLS_OK)
        return code;
    if (ind == NULL)
        return ATLS_OK;
    bits = json_integer_value(ind); /* 0 when it is no integer */
    if (bits <= 0 || bits > (json_int_t)UINT32_MAX)
        return malformed(d, "JSON CMW record", "ind is not a positive number of 32 bits");
    out->ind = (uint32_t)bits;
    return ATLS_OK;
}

static enum atls_code decode_any(const struct decoder *d, const json_t *value, unsigned int depth,
                                 struct atls_cmw *out);

static enum atls_code decode_member(const struct decoder *d, const char *key, const json_t *value,
                                    unsigned int depth, struct atls_cmw *out)
{
    struct atls_cmw_entry *entry = &out->entries[out->count];
    enum atls_code code;

    if (strcmp(key, COLLECTION_TYPE) == 0) {
        if (!json_is_string(value))
            return malformed(d, "JSON CMW collection", COLLECTION_TYPE " is not text");
        return copy_text(d, json_string_value(value), json_string_length(value),
                         &out->collection_type);
    }
    entry->label.is_text = true;
    if ((code = copy_text(d, key, strlen(key), &entry->label.text)) != ATLS_OK)
        return code;
    out->count++;
    return decode_any(d, value, depth + 1, &entry->value);
}

/* RFC 9999: {? "__cmwc_t": text, + label: CMW}. */
static enum atls_code decode_collection(const struct decoder *d, const json_t *object,
                                        unsigned int depth, struct atls_cmw *out)
{
    size_t count = json_object_size(object);
    size_t entries = count - (json_object_get(object, COLLECTION_TYPE) != NULL ? 1 : 0);
    enum atls_code code = ATLS_OK;

    out->kind = ATLS_CMW_COLLECTION;
    if (depth == ATLS_CMW_DEPTH_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT, "JSON CMW collection: nested more than %d levels",
                         ATLS_CMW_DEPTH_MAX);
    if (entries > ATLS_CMW_ENTRIES_MAX)
        return atls_fail(d->err, ATLS_E_LIMIT,
                         "JSON CMW collection: %zu entries, at most %d are taken", entries,
                         ATLS_CMW_ENTRIES_MAX);
    if ((out->entries = atls_arena_alloc(d->arena, count, sizeof *out->entries)) == NULL)
        return no_memory(d);
    /* Iterating writes nothing, but its API has no const. */
    for (void *i = json_object_iter((json_t *)(uintptr_t)object); i != NULL && code == ATLS_OK;
         i = json_object_iter_next((json_t *)(uintptr_t)object, i))
        code = decode_member(d, json_object_iter_key(i), json_object_iter_value(i), depth, out);
    return code;
}

/* Recursion ends at ATLS_CMW_DEPTH_MAX. */
static enum atls_code decode_any(const struct decoder *d, const json_t *value, unsigned int depth,
                                 struct atls_cmw *out)
{
    if (json_is_array(value))
        return decode_record(d, value, out);
    if (json_is_object(value))
        return decode_collection(d, value, depth, out);
    return malformed(d, "JSON CMW", "neither record nor collection");
}

enum atls_code atls_cmw_json_decode_value(const json_t *value, struct atls_arena *arena,
                                          struct atls_cmw *out, struct atls_err *err)
{
    struct decoder d = {arena, err};
    struct atls_cmw cmw = {.count = 0};
    enum atls_code code;

    /* What the shapes have in common (grammar of types, labels, empty values) is checked on the
     * tree. */
    if ((code = decode_any(&d, value, 0, &cmw)) != ATLS_OK ||
        (code = atls_cmw_check(&cmw, ATLS_E_DECODE, err)) != ATLS_OK)
        return code;
    *out = cmw;
    return ATLS_OK;
}

enum atls_code atls_cmw_json_decode(struct atls_bytes in, struct atls_arena *arena,
                                    struct atls_cmw *out, struct atls_err *err)
{
    enum atls_cmw_shape shape = atls_cmw_sniff(in);
    char escaped[JSON_ERROR_TEXT_LENGTH];
    json_error_t why;
    json_t *value;
    enum atls_code code;

    if (shape != ATLS_CMW_SHAPE_JSON_RECORD && shape != ATLS_CMW_SHAPE_JSON_COLLECTION)
        return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED,
                                "JSON CMW: first byte is neither [ nor {");
    value = json_loadb((const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, &why);
    if (value == NULL && json_error_code(&why) == json_error_out_of_memory)
        return atls_fail(err, ATLS_E_NOMEM, "JSON CMW: no memory");
    if (value == NULL)
        return atls_fail_reason(
            err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "JSON CMW: %s",
            atls_escape(atls_bytes_of(why.text, strlen(why.text)), escaped, sizeof escaped));
    code = atls_cmw_json_decode_value(value, arena, out, err);
    json_decref(value);
    return code;
}

static const char *media_type_of(const struct atls_cmw *cmw)
{
    return atls_cmw_media_type(cmw->type.content_format);
}

/* What JSON cannot hold, or NULL; the tree was checked, its depth too. */
static const char *unfit(const struct atls_cmw *cmw)
{
    const char *rule = NULL;

    if (cmw->kind == ATLS_CMW_TAG)
        return "no tags in JSON";
    if (cmw->kind == ATLS_CMW_RECORD && !cmw->type.is_text)
        return media_type_of(cmw) != NULL ? NULL : "content-format has no media type";
    if (cmw->kind == ATLS_CMW_RECORD)
        return has_control(cmw->type.text) ? "type with a control character" : NULL;
    for (size_t i = 0; i < cmw->count && rule == NULL; i++)
        rule = !cmw->entries[i].label.is_text            ? "labels are text in JSON"
               : has_control(cmw->entries[i].label.text) ? "label with a control character"
                                                         : unfit(&cmw->entries[i].value);
    return rule;
}

static void put_record_content(struct atls_json *j, const struct atls_cmw *cmw)
{
    if (cmw->type.is_text)
        atls_json_put_text(j, NULL, cmw->type.text);
    else
        atls_json_put_string(j, NULL, media_type_of(cmw));
    atls_json_put_base64url(j, NULL, cmw->value);
    if (cmw->ind != 0)
        atls_json_put_uint(j, NULL, cmw->ind);
}

/* What stands between the brackets of a record or collection, and the closing one. */
static void put_any(struct atls_json *j, const struct atls_cmw *cmw)
{
    const struct atls_cmw_entry *entry = NULL;

    if (cmw->kind == ATLS_CMW_RECORD) {
        put_record_content(j, cmw);
        atls_json_close(j);
        return;
    }
    if (cmw->collection_type.ptr != NULL)
        atls_json_put_text(j, COLLECTION_TYPE, cmw->collection_type);
    while ((entry = atls_cmw_next(cmw, entry)) != NULL) {
        if (entry->value.kind == ATLS_CMW_RECORD)
            atls_json_open_array_key(j, entry->label.text);
        else
            atls_json_open_object_key(j, entry->label.text);
        put_any(j, &entry->value);
    }
    atls_json_close(j);
}

enum atls_code atls_cmw_json_put(struct atls_json *j, const char *key, const struct atls_cmw *cmw,
                                 struct atls_err *err)
{
    enum atls_code code = atls_cmw_check(cmw, ATLS_E_USAGE, err);
    const char *rule;

    if (code != ATLS_OK)
        return code;
    if ((rule = unfit(cmw)) != NULL)
        return atls_fail(err, ATLS_E_USAGE, "JSON CMW: %s", rule);
    if (cmw->kind == ATLS_CMW_RECORD)
        atls_json_open_array(j, key);
    else
        atls_json_open_object(j, key);
    put_any(j, cmw);
    return ATLS_OK;
}
