#include "store/json.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "store/db.h"

#define PATH_MAX_LEN   160
#define PATH_DEPTH_MAX 8

enum atls_code store_json_load(struct atls_bytes in, size_t limit, json_t **out,
                               struct atls_err *err)
{
    char escaped[120];
    json_error_t error;
    json_t *root;

    if (in.len > limit)
        return atls_fail(err, ATLS_E_LIMIT, "JSON: %zu bytes, at most %zu are taken", in.len,
                         limit);
    root =
        json_loadb(in.len == 0 ? "" : (const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return atls_fail_reason(
            err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "JSON: line %d, column %d: %s", error.line,
            error.column,
            atls_escape(atls_bytes_of(error.text, strlen(error.text)), escaped, sizeof escaped));
    *out = root;
    return ATLS_OK;
}

/* "$.a.b[3]"; keys of a document are escaped. */
static const char *path_of(const struct store_json *at, char out[PATH_MAX_LEN])
{
    const struct store_json *chain[PATH_DEPTH_MAX];
    size_t depth = 0, used = 1;
    char key[64];

    for (; at->up != NULL && depth < PATH_DEPTH_MAX; at = at->up)
        chain[depth++] = at;
    snprintf(out, PATH_MAX_LEN, "$");
    while (depth > 0 && used < PATH_MAX_LEN) {
        const struct store_json *step = chain[--depth];
        int n;

        if (step->key != NULL)
            n = snprintf(out + used, PATH_MAX_LEN - used, ".%s",
                         atls_escape(atls_bytes_of(step->key, strlen(step->key)), key, sizeof key));
        else
            n = snprintf(out + used, PATH_MAX_LEN - used, "[%zu]", step->index);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

enum atls_code store_json_fail(const struct store_json *at, struct atls_err *err, const char *rule)
{
    char path[PATH_MAX_LEN];

    return atls_fail_reason(err, ATLS_E_DECODE, ATLS_REASON_MALFORMED, "JSON: %s: %s",
                            path_of(at, path), rule);
}

enum atls_code store_json_prefix(const struct store_json *at, struct atls_err *err,
                                 enum atls_code code)
{
    char path[PATH_MAX_LEN];

    return atls_err_prefix(err, code, path_of(at, path));
}

static bool is_among(const char *const *names, const char *key)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, key) == 0)
            return true;
    return false;
}

enum atls_code store_json_object(const struct store_json *at, const char *const *names,
                                 struct atls_err *err)
{
    void *iter;

    if (!json_is_object(at->value))
        return store_json_fail(at, err, "not an object");
    /* jansson's iterators want an object that may be changed, and do not change it. */
    for (iter = json_object_iter((json_t *)(uintptr_t)at->value); iter != NULL;
         iter = json_object_iter_next((json_t *)(uintptr_t)at->value, iter)) {
        const struct store_json member = {at, json_object_iter_key(iter), 0,
                                          json_object_iter_value(iter)};

        if (!is_among(names, member.key))
            return store_json_fail(&member, err, "unknown member");
    }
    return ATLS_OK;
}

struct store_json store_json_member(const struct store_json *object, const char *key)
{
    const struct store_json member = {object, key, 0, json_object_get(object->value, key)};

    return member;
}

struct store_json store_json_element(const struct store_json *array, size_t index)
{
    const struct store_json element = {array, NULL, index, json_array_get(array->value, index)};

    return element;
}

enum atls_code store_json_text(const struct store_json *object, const char *key,
                               enum store_json_need need, const char **out, struct atls_err *err)
{
    const struct store_json member = store_json_member(object, key);

    if (member.value == NULL && need == STORE_JSON_OPTIONAL) {
        *out = NULL;
        return ATLS_OK;
    }
    if (member.value == NULL)
        return store_json_fail(&member, err, "missing");
    if (!json_is_string(member.value) || json_string_length(member.value) == 0)
        return store_json_fail(&member, err, "not a text, or empty");
    *out = json_string_value(member.value);
    return ATLS_OK;
}

enum atls_code store_json_hex(const struct store_json *at, uint8_t *out, size_t len,
                              struct atls_err *err)
{
    char rule[64];
    size_t got;

    if (json_is_string(at->value) &&
        store_hex_parse(json_string_value(at->value), out, len, &got) && got == len)
        return ATLS_OK;
    snprintf(rule, sizeof rule, "not %zu bytes as hexadecimal text", len);
    return store_json_fail(at, err, rule);
}

enum atls_code store_json_array(const struct store_json *object, const char *key,
                                struct store_json *out, size_t *out_count, struct atls_err *err)
{
    const struct store_json member = store_json_member(object, key);

    if (member.value != NULL && !json_is_array(member.value))
        return store_json_fail(&member, err, "not an array");
    *out = member;
    *out_count = json_array_size(member.value);
    return ATLS_OK;
}
