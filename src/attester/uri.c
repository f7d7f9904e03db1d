#include "attester/uri.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/reader.h"

/* Decodes %XX in place; the text only gets shorter. */
static bool percent_decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        int high, low;

        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        if ((high = atls_hex_digit(from[1])) < 0 || (low = atls_hex_digit(from[2])) < 0 ||
            high + low == 0)
            return false;
        *to++ = (char)(unsigned char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return true;
}

static enum atls_code split_options(const char *scheme, char *text, struct atls_uri *uri,
                                    struct atls_err *err)
{
    while (text != NULL) {
        char *next = strchr(text, '&'), *value;

        if (next != NULL)
            *next++ = '\0';
        value = strchr(text, '=');
        if (value == NULL || value == text)
            return atls_fail(err, ATLS_E_CONFIG, "%s: option \"%s\" is not name=value", scheme,
                             text);
        *value++ = '\0';
        if (!percent_decode(value))
            return atls_fail(err, ATLS_E_CONFIG, "%s: value of option \"%s\" has a bad %%XX",
                             scheme, text);
        if (uri->count == ATLS_URI_OPTIONS_MAX)
            return atls_fail(err, ATLS_E_CONFIG, "%s: more than %d options", scheme,
                             ATLS_URI_OPTIONS_MAX);
        uri->options[uri->count].name = text;
        uri->options[uri->count++].value = value;
        text = next;
    }
    return ATLS_OK;
}

enum atls_code atls_uri_parse(const char *scheme, const char *rest, struct atls_uri *out,
                              struct atls_err *err)
{
    struct atls_uri uri = {0};
    size_t len = strlen(rest);
    enum atls_code code = ATLS_OK;
    char *query;

    if (len > ATLS_URI_MAX)
        return atls_fail(err, ATLS_E_CONFIG, "%s: URI of %zu bytes, at most %d", scheme, len,
                         ATLS_URI_MAX);
    uri.storage = malloc(len + 1);
    if (uri.storage == NULL)
        return atls_fail(err, ATLS_E_NOMEM, "%s: out of memory", scheme);
    memcpy(uri.storage, rest, len + 1);
    uri.base = uri.storage;
    query = strchr(uri.storage, '?');
    if (query != NULL) {
        *query++ = '\0';
        code = split_options(scheme, query, &uri, err);
    }
    if (code != ATLS_OK) {
        atls_uri_clear(&uri);
        return code;
    }
    *out = uri;
    return ATLS_OK;
}

void atls_uri_clear(struct atls_uri *uri)
{
    free(uri->storage);
    *uri = (struct atls_uri){0};
}

static const struct atls_uri_known *find_known(const struct atls_uri_known *known, size_t count,
                                               const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    }
    return NULL;
}

enum atls_code atls_uri_options(const char *scheme, const struct atls_uri *uri,
                                const struct atls_uri_known *known, size_t count,
                                const char *prefix, struct atls_err *err)
{
    for (size_t i = 0; i < uri->count; i++) {
        const struct atls_uri_option *option = &uri->options[i];
        const struct atls_uri_known *row = find_known(known, count, option->name);

        if (row == NULL && prefix != NULL && strncmp(option->name, prefix, strlen(prefix)) == 0)
            continue;
        if (row == NULL)
            return atls_fail(err, ATLS_E_CONFIG, "%s: unknown option \"%s\"", scheme, option->name);
        if (*row->out != NULL)
            return atls_fail(err, ATLS_E_CONFIG, "%s: option \"%s\" is given twice", scheme,
                             option->name);
        *row->out = option->value;
    }
    return ATLS_OK;
}
