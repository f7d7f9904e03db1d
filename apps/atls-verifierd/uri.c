#include "uri.h"

#include <stdbool.h>
#include <string.h>

#include "text.h"

static unsigned refuse(unsigned status, const char *rule, const char **out_rule)
{
    *out_rule = rule;
    return status;
}

/* Decodes text of len bytes into out of size bytes, NUL terminated. */
static unsigned decode(const char *text, size_t len, char *out, size_t size, const char **rule)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];

        if (c == '%') {
            char digits[3] = {0};

            if (len - i < 3)
                return refuse(400, "percent-encoding is cut off", rule);
            memcpy(digits, text + i + 1, 2);
            if (!hex_decode(digits, &c, 1))
                return refuse(400, "percent sign without two hexadecimal digits", rule);
            if (c == '/')
                return refuse(400, "percent-encoded slash", rule);
            i += 2;
        }
        if (c < 0x21 || c > 0x7e)
            return refuse(400, "byte that is not visible ASCII", rule);
        if (n + 1 >= size)
            return refuse(414, "longer than any resource here", rule);
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return 0;
}

static bool has_bad_segment(const char *path)
{
    for (const char *at = path; at != NULL; at = strchr(at + 1, '/')) {
        const char *segment = at + 1;
        size_t len = strcspn(segment, "/");

        if ((len == 0 && segment[0] == '/') || (len == 1 && segment[0] == '.') ||
            (len == 2 && segment[0] == '.' && segment[1] == '.'))
            return true;
    }
    return false;
}

static unsigned add_parameter(const char *text, size_t len, struct uri *out, const char **rule)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
    struct uri_parameter *p = &out->parameters[out->count];
    unsigned status;

    if (name_len == 0)
        return refuse(400, "parameter without a name", rule);
    if (equals == NULL)
        return refuse(400, "parameter without a value", rule);
    if (out->count == URI_PARAMETERS_MAX)
        return refuse(400, "more parameters than any resource here has", rule);
    if ((status = decode(text, name_len, p->name, sizeof p->name, rule)) != 0 ||
        (status = decode(equals + 1, len - name_len - 1, p->value, sizeof p->value, rule)) != 0)
        return status == 414 ? refuse(400, "parameter is too long", rule) : status;
    if (uri_parameter(out, p->name) != NULL)
        return refuse(400, "parameter is given twice", rule);
    out->count++;
    return 0;
}

static unsigned parse_query(const char *query, struct uri *out, const char **rule)
{
    unsigned status = 0;

    while (status == 0) {
        size_t len = strcspn(query, "&");

        status = add_parameter(query, len, out, rule);
        if (query[len] == '\0')
            break;
        query += len + 1;
    }
    return status;
}

/* Skips scheme and authority of the absolute form (RFC 9112 section 3.2.2). */
static const char *skip_authority(const char *target)
{
    const char *at = strncmp(target, "http://", 7) == 0    ? target + 7
                     : strncmp(target, "https://", 8) == 0 ? target + 8
                                                           : NULL;

    return at == NULL ? target : at + strcspn(at, "/?#");
}

unsigned uri_parse(const char *target, struct uri *out, const char **out_rule)
{
    struct uri uri;
    unsigned status;
    size_t len;

    uri.count = 0;
    uri.path[0] = '\0';
    if (strnlen(target, URI_MAX + 1) > URI_MAX)
        return refuse(414, "target is longer than 2048 bytes", out_rule);
    target = skip_authority(target);
    if (target[0] != '/')
        return refuse(400, "target does not begin with a slash", out_rule);
    if (strchr(target, '#') != NULL)
        return refuse(400, "target has a fragment", out_rule);
    len = strcspn(target, "?");
    if ((status = decode(target, len, uri.path, sizeof uri.path, out_rule)) != 0)
        return status;
    if (has_bad_segment(uri.path))
        return refuse(400, "path has an empty or dot segment", out_rule);
    if (target[len] == '?' && target[len + 1] != '\0' &&
        (status = parse_query(target + len + 1, &uri, out_rule)) != 0)
        return status;
    *out = uri;
    return 0;
}

const char *uri_parameter(const struct uri *uri, const char *name)
{
    for (size_t i = 0; i < uri->count; i++)
        if (strcmp(uri->parameters[i].name, name) == 0)
            return uri->parameters[i].value;
    return NULL;
}
