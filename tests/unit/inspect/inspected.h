/* What the tests of views share. */
#ifndef INSPECTED_H
#define INSPECTED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#include <jansson.h>

#include <atls/inspect.h>

/* Inspects and checks what every output has; NULL when it was refused with want. */
static inline json_t *inspect(struct atls_bytes in, const char *kind, enum atls_code want,
                              const char *want_kind)
{
    struct atls_buf text = ATLS_BUF_INIT;
    struct atls_err err = ATLS_ERR_INIT;
    json_t *root;

    test_assert_code(atls_inspect(in, kind, &text, &err), want, &err);
    if (want != ATLS_OK) {
        assert_null(text.ptr);
        assert_int_equal(err.code, want);
        return NULL;
    }
    assert_int_equal(strlen((char *)text.ptr), text.len);
    for (size_t i = 0; i < text.len; i++)
        assert_true(text.ptr[i] == '\n' || (text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f));
    root = json_loads((char *)text.ptr, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_memory_equal(text.ptr, "{\n  \"verified\": false,\n", 23);
    assert_string_equal(json_string_value(json_object_get(root, "kind")), want_kind);
    atls_buf_clear(&text);
    return root;
}

/* The value at a path of member names and indices, as text; "" when there is none. */
static inline const char *at(const json_t *root, const char *path)
{
    static char number[32];
    char part[64];
    const json_t *v = json_object_get(root, "content");

    while (*path != '\0') {
        size_t len = strcspn(path, "/");

        snprintf(part, sizeof part, "%.*s", (int)len, path);
        v = json_is_array(v) ? json_array_get(v, strtoul(part, NULL, 10))
                             : json_object_get(v, part);
        path += len + (path[len] == '/');
    }
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_boolean(v))
        return json_is_true(v) ? "true" : "false";
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    return json_is_integer(v) ? number : "";
}

#endif
