#include "verifier/remote/json.h"

#include <string.h>

#include "core/err.h"
#include "core/log.h"

enum atls_code atls_remote_json_load(struct atls_bytes in, const char *what, json_t **out,
                                     struct atls_err *err)
{
    json_error_t why;
    char shown[JSON_ERROR_TEXT_LENGTH];
    json_t *root;

    if (in.len == 0)
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: empty", what);
    root = json_loadb((const char *)in.ptr, in.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL && json_error_code(&why) == json_error_out_of_memory)
        return atls_fail(err, ATLS_E_NOMEM, "%s: out of memory", what);
    if (root == NULL)
        return atls_fail(
            err, ATLS_E_PROTOCOL, "%s: no JSON, byte %d: %s", what, why.position,
            atls_escape(atls_bytes_of(why.text, strlen(why.text)), shown, sizeof shown));
    if (!json_is_object(root)) {
        json_decref(root);
        return atls_fail(err, ATLS_E_PROTOCOL, "%s: want a JSON object", what);
    }
    *out = root;
    return ATLS_OK;
}

enum atls_code atls_remote_json_text(const json_t *object, const char *name,
                                     enum atls_json_presence presence, size_t max,
                                     struct atls_bytes *out, struct atls_err *err)
{
    const json_t *value = json_object_get(object, name);
    size_t len;

    if (value == NULL && presence == ATLS_JSON_OPTIONAL) {
        *out = atls_bytes_of(NULL, 0);
        return ATLS_OK;
    }
    if (!json_is_string(value))
        return atls_fail(err, ATLS_E_PROTOCOL, "member \"%s\": %s, want text", name,
                         value == NULL ? "missing" : "not text");
    len = json_string_length(value);
    if (len == 0 || len > max)
        return atls_fail(err, ATLS_E_PROTOCOL, "member \"%s\": %zu bytes, want 1 to %zu", name, len,
                         max);
    *out = atls_bytes_of(json_string_value(value), len);
    return ATLS_OK;
}
